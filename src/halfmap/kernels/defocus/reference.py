"""Definition of the ring sums, in float64 and plain numpy."""

from __future__ import annotations

import numpy as np

from halfmap.kernels.aberrations.reference import centred, cut_to
from halfmap.kernels.project.reference import in_band, project


def ring_sums(half, images, ctf, quadrature, matrices, phases, ring, rings, padding):
    """(b, 5, rings) of the package's docstring; arguments as in cpu.ring_sums."""
    radius = ring.shape[-1] - 1
    keep = in_band(radius, radius) & (ring >= 0)
    slices, d = project(half, matrices, radius, padding), centred(images, phases, radius)
    along, square = (slices.conj() * d).real, abs(slices) ** 2
    c, q = cut_to(ctf, radius), cut_to(quadrature, radius)
    parts = (along * c, along * q, square * (c**2 + q**2), square * (q**2 - c**2), square * 2 * c * q)
    return np.array([[np.bincount(ring[keep], p[i][keep], rings) for p in parts] for i in range(len(images))])
