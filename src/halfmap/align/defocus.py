"""The defocus of single particles: a line search on what the rings of each image say.

A change d of both defoci adds pi lambda |q|^2 d to the phase of the CTF. For a fixed pose, images collapsed to rings of
equal |q|^2 hold the whole likelihood as a function of d, so every d tried costs a few hundred multiplications.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.align.views import Views
from halfmap.kernels.defocus import ring_sums
from halfmap.physics.aberrations import true_frequencies
from halfmap.physics.electrons import wavelength_A
from halfmap.physics.projection import Projector
from halfmap.types import Optics

RING_RAD = 0.1  # phase across a ring at the end of the range: half of it is the largest error of any pixel
STEP_RAD = 0.5  # phase at the highest frequency from one defocus tried to the next
ROUNDS = 8  # Newton steps
WORTH = 2.0  # gain in log likelihood for which a particle moves: two standard errors
FARTHER = 3.0  # gain, beyond the logarithm of the places tried, for a maximum that is not the next one: 2 % by chance


@dataclass(frozen=True)
class Search:
    """How far defocus may change, and what is expected of it beforehand."""

    range_A: float = 2000.0  # either way
    prior_sd_A: float | None = None  # of a normal distribution of changes about 0; None: all are alike


@dataclass(frozen=True)
class Found:
    """Changes of defocus; 0 where the images do not ask for one."""

    change_A: np.ndarray  # (b,)
    error_A: np.ndarray  # (b,) standard error; infinite where the image says nothing
    gain: np.ndarray  # (b,) log likelihood over no change
    tried_A: np.ndarray  # (t,)
    curves: np.ndarray  # (b, t) log likelihood of every change tried, less that of none


@dataclass(frozen=True)
class _Rings:
    """Log likelihood of images as a function of their defocus."""

    sums: np.ndarray  # (b, 5, rings)
    turn: np.ndarray  # (rings,) rad per A
    precision: float  # of the prior, 1/A^2

    def values(self, tried_A: np.ndarray) -> np.ndarray:
        """(b, t) for the same changes (t,) of all images."""
        p = np.outer(self.turn, tried_A)
        table = np.stack([2 * np.cos(p), 2 * np.sin(p), np.full(p.shape, -0.5), np.cos(2 * p) / 2, -np.sin(2 * p) / 2])
        likelihood = np.einsum("bjr,jrt->bt", self.sums, table)  # no BLAS: a row does not depend on its batch
        return likelihood - 0.5 * self.precision * tried_A**2

    def at(self, change_A: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(value, slope, Fisher information), each (b,), at one change (b,) an image."""
        p = change_A[:, None] * self.turn
        s0, s1, s2, s3, s4 = self.sums.transpose(1, 0, 2)
        c, s, c2, s2p = np.cos(p), np.sin(p), np.cos(2 * p), np.sin(2 * p)
        value = (2 * (s0 * c + s1 * s) - 0.5 * (s2 - s3 * c2 + s4 * s2p)).sum(-1)
        slope = (self.turn * (2 * (s1 * c - s0 * s) - s3 * s2p - s4 * c2)).sum(-1)
        information = (self.turn**2 * (s2 + s3 * c2 - s4 * s2p)).sum(-1)
        prior = self.precision
        return value - 0.5 * prior * change_A**2, slope - prior * change_A, information + prior


def refine(search: Search, projector: Projector, views: Views, optics: Optics, band: tuple[int, int],
           echo: np.ndarray | None = None) -> Found:
    """Changes of defocus of a batch, from the shells ``band`` (first, last).

    ``echo`` (K+1,): what images hold of the model because it was made with them, see `aberrations.echo_of`; None where
    it was not.
    """
    radius = views.reach(projector, band[1])
    ring, turn = rings(optics, radius, band[0], views.length_A, search.range_A)
    x = views.images
    sums = ring_sums(projector.half, x.unmasked, x.ctf, views.quadrature, views.matrices, views.phases, ring,
                     len(turn), projector.padding)
    if echo is not None:
        sums = _without_echo(sums, np.interp(_shell(turn, optics, views.length_A), np.arange(len(echo)), echo))
    return _searched(_Rings(sums, turn, 0.0 if search.prior_sd_A is None else search.prior_sd_A**-2), search)


def _without_echo(sums: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The sums of images less ``own`` (rings,) times their model: |A|^2 c^2 and |A|^2 c c' are among the sums."""
    new = sums.copy()
    new[:, 0] -= own * (sums[:, 2] - sums[:, 3]) / 2
    new[:, 1] -= own * sums[:, 4] / 2
    return new


def _shell(turn: np.ndarray, optics: Optics, length_A: float) -> np.ndarray:
    """Shell of each ring."""
    return np.sqrt(turn / (np.pi * wavelength_A(optics.voltage_kV))) * length_A


def rings(optics: Optics, radius: int, lowest: int, length_A: float, range_A: float) -> tuple[np.ndarray, np.ndarray]:
    """(ring of each pixel (2K+1, K+1) int, -1 below shell ``lowest``; phase per A of defocus of each ring)."""
    qx, qy = true_frequencies(optics, radius, length_A)
    turn = np.pi * wavelength_A(optics.voltage_kV) * (qx**2 + qy**2)
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    shell = np.rint(np.hypot(kx, ky))
    inside = (shell >= lowest) & (shell <= radius)
    ring = np.full(turn.shape, -1)
    if inside.any():
        ring[inside] = ((turn[inside] - turn[inside].min()) * range_A / RING_RAD).astype(int)
    counts = np.bincount(ring[inside])
    means = np.bincount(ring[inside], turn[inside]) / np.maximum(counts, 1)
    return ring, means


def _searched(images: _Rings, search: Search) -> Found:
    each = int(np.ceil(search.range_A * max(images.turn.max(initial=0), 1e-30) / STEP_RAD)) or 1
    tried = np.linspace(-search.range_A, search.range_A, 2 * each + 1)
    curves = images.values(tried)
    curves = curves - curves[:, each, None]
    start = _chosen(curves, each)
    change = _polished(images, tried[start], search.range_A / each, search.range_A)
    here, _, information = images.at(change)
    gain = here - images.at(np.zeros(len(change)))[0]
    # and likelier with a particle than without: of mere noise any defocus can be read
    moves = (gain > WORTH) & (here > 0)
    error = 1 / np.sqrt(np.maximum(images.at(np.where(moves, change, 0))[2], 1e-30))
    return Found(np.where(moves, change, 0.0), error, np.where(moves, gain, 0.0), tried, curves)


def _chosen(curves: np.ndarray, middle: int) -> np.ndarray:
    """(b,) place of the maximum next to no change, or the highest of all where that cannot be chance."""
    highest, near = curves.argmax(axis=1), np.array([_uphill(curve, middle) for curve in curves], int)
    rows = np.arange(len(curves))
    advantage = curves[rows, highest] - curves[rows, near]
    return np.where(advantage > np.log(curves.shape[1]) + FARTHER, highest, near)


def _uphill(curve: np.ndarray, place: int) -> int:
    while True:
        around = range(max(place - 1, 0), min(place + 2, len(curve)))
        best = max(around, key=curve.__getitem__)
        if curve[best] <= curve[place]:
            return place
        place = best


def _polished(images: _Rings, start_A: np.ndarray, step_A: float, range_A: float) -> np.ndarray:
    """Newton steps within one grid step of ``start_A`` and within the range."""
    low, high = np.maximum(start_A - step_A, -range_A), np.minimum(start_A + step_A, range_A)
    change, value = start_A, images.at(start_A)[0]
    damping = np.ones(len(change))
    for _ in range(ROUNDS):
        _, slope, information = images.at(change)
        new = np.clip(change + damping * slope / np.maximum(information, 1e-30), low, high)
        there = images.at(new)[0]
        better = there > value
        change, value = np.where(better, new, change), np.where(better, there, value)
        damping = np.where(better, damping, damping / 4)
    return change
