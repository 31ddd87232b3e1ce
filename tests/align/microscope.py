"""Images of an object under one lens, seen by fits that believe in another."""

from dataclasses import replace

import numpy as np

from halfmap.align.views import Views
from halfmap.geometry import rotations
from halfmap.physics import aberrations, ctf
from halfmap.physics.projection import Projector
from halfmap.types import Defocus, Images, Optics
from tests import blobs

BOX, PIXEL_A, RADIUS = 64, 1.5, 28  # to 3.4 A
LENGTH_A = BOX * PIXEL_A
OPTICS = Optics("a", 300.0, 2.7e7, 0.1, PIXEL_A, BOX)


def projector(seed: int = 3) -> Projector:
    # atoms of 0.7 A: signal to the edge of the band; within 22 A: smooth on the padded grid
    object_ = blobs.scattered(60, 22.0, 0.7, np.random.default_rng(seed))
    return Projector.of(object_.map(BOX, PIXEL_A), RADIUS + 1, BOX)


def defoci(n: int, rng) -> Defocus:
    mean, half = rng.uniform(8000, 22000, n), rng.uniform(0, 200, n)
    zero = np.zeros(n)
    return Defocus(mean + half, mean - half, rng.uniform(0, np.pi, n), zero, zero, np.ones(n))


def views(projector: Projector, n: int, power: float, rng, optics=OPTICS, true=OPTICS, error_A=None, noise=1.0):
    """(views, defocus as believed): ``n`` images of mean power ``power``, whitened; ``true`` is the lens they were
    taken with, ``optics`` the known one; defocus is really larger by ``error_A`` (n,) than what is known of it."""
    matrices, shifts = rotations.random(n, rng), rng.normal(0, 3, (n, 2))
    told = defoci(n, rng)
    really = told if error_A is None else replace(told, u_A=told.u_A + error_A, v_A=told.v_A + error_A)
    stretch = np.array(true.magnification)
    ky, kx = np.mgrid[-RADIUS : RADIUS + 1, 0 : RADIUS + 1]
    turns = (kx * shifts[:, 0, None, None] + ky * shifts[:, 1, None, None]) / LENGTH_A
    seen = projector.slices(rotations.stretched(matrices, stretch), min(RADIUS, projector.reach(stretch)))
    edge = RADIUS - (seen.shape[-1] - 1)
    seen = np.pad(seen, ((0, 0), (edge, edge), (0, edge))) * np.exp(2j * np.pi * turns)
    clean = seen * ctf.half_plane(true, really, RADIUS) * aberrations.modulation(true, RADIUS, LENGTH_A)
    clean = clean * aberrations.modulation(optics, RADIUS, LENGTH_A).conj()
    amplitude = np.float32(np.sqrt(power / (abs(clean) ** 2).sum((1, 2)).mean()))
    x = (clean * amplitude + noise * blobs.white_noise(clean.shape, rng)).astype(np.complex64)
    known, turned = (amplitude * f(optics, told, RADIUS) for f in (ctf.half_plane, ctf.quadrature))
    nothing = np.zeros_like(x)  # the masked images are not looked at
    images = Images(np.arange(n), nothing, x, known, np.ones(RADIUS + 1), BOX, PIXEL_A,
                    np.array(optics.magnification))  # fmt: skip
    return Views(images, matrices, shifts, turned), told
