"""Images of thick objects: every atom with the defocus of its own height, summed directly in float64.

Knows nothing of curved insertion: an atom at height z along the beam has the CTF of defocus u - sign z, by the formula
of docs/CONVENTIONS.md, written out here once more.
"""

from pathlib import Path

import numpy as np

from halfmap.data.particles import Particles
from halfmap.fourier import transforms
from halfmap.io import mrc
from halfmap.physics.electrons import wavelength_A
from halfmap.types import Defocus, Optics, Poses
from tests import blobs
from tests.blobs import Blobs


def defocus(u_A: np.ndarray, v_A: np.ndarray, angle_rad: np.ndarray) -> Defocus:
    """Defocus values (n,), no phase plate, no B-factor, contrast 1."""
    zero = np.zeros(len(u_A))
    return Defocus(u_A, v_A, angle_rad, zero, zero, zero + 1)


def half_planes(object_: Blobs, rotations, shifts_A, optics: Optics, known: Defocus, radius: int, sign: int):
    """(n, 2K+1, K+1) complex128 in the frequencies of the optics' box, for a map of the same voxels.

    Units as ``Blobs.half_planes``. The magnification matrix counts: at k is what the object shows at M k.
    """
    step = optics.pixel_size_A
    length, wavelength = optics.box * step, wavelength_A(optics.voltage_kV)
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1] / length
    (xx, xy), (yx, yy) = optics.magnification
    qx, qy = xx * kx + xy * ky, yx * kx + yy * ky
    square, theta = qx**2 + qy**2, np.arctan2(qy, qx)
    fixed = np.arcsin(optics.amplitude_contrast) - np.pi / 2 * optics.spherical_aberration_A * wavelength**3 * square**2
    width = object_.widths_A
    height = object_.weights * (2 * np.pi) ** 1.5 * width**3 / (step * length**2)
    envelope = np.einsum("m,myx->myx", height, np.exp(-2 * np.pi**2 * np.multiply.outer(width**2, square)))
    out = np.empty((len(rotations), *qx.shape), complex)
    for i, rotation in enumerate(rotations):
        x, y, z = rotation @ object_.centres_A.T
        mean, half = (known.u_A[i] + known.v_A[i]) / 2, (known.u_A[i] - known.v_A[i]) / 2
        under = mean + half * np.cos(2 * (theta - known.angle_rad[i]))
        chi = fixed + np.pi * wavelength * square * (under - sign * z[:, None, None])
        waves = np.exp(-2j * np.pi * (np.multiply.outer(x, qx) + np.multiply.outer(y, qy)))
        moved = np.exp(2j * np.pi * (kx * shifts_A[i, 0] + ky * shifts_A[i, 1]))
        out[i] = (envelope * waves * np.sin(chi)).sum(0) * moved
    return out


def written(stack: Path, object_: Blobs, n: int, groups: tuple[Optics, ...], defocus_A: tuple[float, float], sign: int,
            noise: float, rng: np.random.Generator) -> Particles:  # fmt: skip
    """Particles with poses and halves, their images in ``stack``; of every group, all of one box, as many.

    Defocus uniform in a range, astigmatism up to 5 % of it; white noise of ``noise`` times the rms of the signal.
    """
    rotations, shifts = blobs.views(n, 2.0, rng)
    u = rng.uniform(*defocus_A, n)
    known = defocus(u, u * rng.uniform(0.95, 1, n), rng.uniform(0, np.pi, n))
    group, box = np.arange(n) % len(groups), groups[0].box
    planes = np.empty((n, box - 1, box // 2), complex)
    for index, optics in enumerate(groups):
        own = group == index
        planes[own] = half_planes(object_, rotations[own], shifts[own], optics, known[own], box // 2 - 1, sign)
    planes += noise * np.sqrt((abs(planes) ** 2).mean()) * blobs.white_noise(planes.shape, rng)
    mrc.write_stack(stack, transforms.to_images(planes.astype(np.complex64), box), groups[0].pixel_size_A)
    half = (1 + np.arange(n) // len(groups) % 2).astype(np.int8)
    return Particles((stack,), np.zeros(n, np.int32), np.arange(n), groups, group.astype(np.int32), known,
                     Poses(rotations, shifts), half, np.ones(n))
