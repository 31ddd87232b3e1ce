"""Definition of the passes over a half space [kz + R, ky + R, kx] sampled ``padding`` times finer than shells."""

from __future__ import annotations

import numpy as np

from halfmap.kernels.project.reference import corners, full_space


def _radius(half: np.ndarray, padding: int) -> np.ndarray:
    r = half.shape[-1] - 1
    kz, ky, kx = np.mgrid[-r : r + 1, -r : r + 1, 0 : r + 1]
    return np.sqrt(kz**2 + ky**2 + kx**2) / padding


def shell_means(weight, shells, padding):
    """Mean of ``weight`` over every shell 0..shells-1 of the unpadded box; empty shells 0.

    The shell is |k| / padding rounded to the nearest integer, halves up.
    """
    index = np.floor(_radius(weight, padding) + 0.5).astype(int)
    return np.array([weight[index == s].mean(dtype=float) if (index == s).any() else 0 for s in range(shells)])


def divide(numerator, weight, ridge, floor, padding):
    """numerator / max(weight + ridge, floor), ridge and floor interpolated between shells; 0 beyond the last shell."""
    radius = _radius(weight, padding)
    last = len(ridge) - 1
    shells = np.arange(last + 1)
    below = np.maximum(weight + np.interp(radius, shells, ridge), np.interp(radius, shells, floor))
    return np.where((radius < last + 0.5) & (below > 0), numerator / np.where(below > 0, below, 1), 0)


def symmetrised(values, group, radius):
    """Sum over g of values(R_g k), trilinear, for |k| <= radius grid units; 0 beyond. ``values`` real or complex."""
    r = values.shape[-1] - 1
    cube = full_space(values.astype(np.complex128))
    kz, ky, kx = np.mgrid[-r : r + 1, -r : r + 1, 0 : r + 1]
    k = np.stack([kx, ky, kz], axis=-1)
    inside = (k**2).sum(-1) <= radius**2
    out = np.zeros(values.shape, np.complex128)
    for op in group:
        for z, y, x, w in corners(np.round(k[inside] @ op.T, 9)):
            keep = w > 0
            part = np.zeros(keep.shape, np.complex128)
            part[keep] = w[keep] * cube[z[keep] + r, y[keep] + r, x[keep] + r]
            out[inside] += part
    return out if np.iscomplexobj(values) else out.real
