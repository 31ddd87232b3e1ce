"""A map that follows its images: running sums that forget, and the map they make.

With sums N <- g N + n, W <- g W + w of every batch the map N / W moves by the step (1 - g) (n - w V) / W: stochastic
gradient ascent on the likelihood with the curvature W as preconditioner, 1 - g its learning rate (Toader, Brubaker &
Lederman 2025, Acta Cryst D 81:327, name the preconditioner; Cappe & Moulines 2009, J R Stat Soc B 71:593, the sums).

No Wiener filter: estimated from a map that is still blurred by uncertain poses it takes away the very detail that would
tell the poses apart, and the map ends as a ball. The band limits the noise instead.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfmap.kernels import grid as gk
from halfmap.kernels.insert.cpu import complete_plane
from halfmap.kernels.polar import lay_rings
from halfmap.reconstruct import solve, sums
from halfmap.types import Map, Sums


def of_rings(values: np.ndarray, weight: np.ndarray, matrices: np.ndarray, angles: int, empty: Sums, group: np.ndarray
             ) -> Sums:
    """Sums of rings (v, K, n / 2) with weights (v, K), averaged over the group, on the grid of ``empty``."""
    numerator = np.zeros(empty.numerator.shape, np.complex128)
    shares = np.zeros(empty.weight.shape)
    lay_rings(numerator, shares, values, weight, matrices, angles, empty.padding)
    numerator, shares = numerator.astype(np.complex64), shares.astype(np.float32)
    complete_plane(numerator, shares)
    if len(group) > 1:
        numerator, shares = gk.symmetrised(numerator, shares, group)
    return replace(empty, numerator=numerator, weight=shares)


def followed(old: Sums, new: Sums, rate: float) -> Sums:
    """What remains of ``old`` at a learning rate, 0..1, and the new sums."""
    kept = np.float32(1 - rate)
    return replace(new, numerator=kept * old.numerator + new.numerator, weight=kept * old.weight + new.weight)


def to_map(running: Sums, band: int, box: int) -> Map:
    """The map N / W up to shell ``band``, in a box of ``box`` voxels."""
    inside = sums.core(running, band)
    mean = solve.mean_weight(inside)
    quotient = gk.divide(inside.numerator, inside.weight, np.zeros(len(mean)), solve.FLOOR * mean, inside.padding)
    return solve.to_map(quotient, inside, box, running.box)


def moved(running: Sums, centre_A: np.ndarray) -> Sums:
    """The sums of the map moved by -``centre_A`` (3,), x, y, z: what lay there comes to the box centre."""
    r = running.weight.shape[-1] - 1
    steps = np.asarray(centre_A, float) / (running.box * running.voxel_size_A * running.padding)
    x, y, z = (np.exp(2j * np.pi * step * np.arange(first, r + 1))
               for step, first in zip(steps, (0, -r, -r), strict=True))
    return replace(running, numerator=(running.numerator * (z[:, None, None] * y[:, None] * x)).astype(np.complex64))
