"""Definition of slicing, in float64: trilinear interpolation of a Hermitian half space."""

from __future__ import annotations

import numpy as np


def full_space(half: np.ndarray) -> np.ndarray:
    """The Hermitian cube (2R+1)^3 behind a half space [kz + R, ky + R, kx]."""
    mates = half[::-1, ::-1, :0:-1].conj()
    return np.concatenate([mates, half], axis=-1)


def grid_points(matrix: np.ndarray, radius: int, padding: int) -> np.ndarray:
    """Grid coordinates (x, y, z) = padding A^T (kx, ky, 0) of the half-plane pixels, shape (2K+1, K+1, 3)."""
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    return padding * (kx[..., None] * matrix[0] + ky[..., None] * matrix[1])


def in_band(radius: int, box_radius: int) -> np.ndarray:
    """Half-plane pixels (2K+1, K+1) that count: shells 1..radius, and of kx = 0 only ky > 0.

    The rest are mates. A shell is all that rounds to it: |k| < radius + 1/2, which is k^2 <= radius^2 + radius.
    """
    ky, kx = np.mgrid[-box_radius : box_radius + 1, 0 : box_radius + 1]
    r2 = kx**2 + ky**2
    return (r2 > 0) & (r2 <= radius**2 + radius) & ((kx > 0) | (ky > 0))


def corners(points: np.ndarray):
    """The eight (index z, y, x and weight) of trilinear interpolation at ``points`` (..., 3) in x, y, z."""
    floor = np.floor(points).astype(int)
    part = points - floor
    for dz in (0, 1):
        for dy in (0, 1):
            for dx in (0, 1):
                step = np.array([dx, dy, dz])
                weight = np.prod(np.where(step == 1, part, 1 - part), axis=-1)
                x, y, z = np.moveaxis(floor + step, -1, 0)
                yield z, y, x, weight


def project(half: np.ndarray, matrices: np.ndarray, radius: int, padding: int) -> np.ndarray:
    """Slices (n, 2K+1, K+1) complex128; zero outside shells 1..K and on the redundant half of kx = 0."""
    cube = full_space(half.astype(np.complex128))
    r = half.shape[-1] - 1
    out = np.zeros((len(matrices), 2 * radius + 1, radius + 1), np.complex128)
    for i, matrix in enumerate(matrices):
        for z, y, x, weight in corners(grid_points(matrix, radius, padding)):
            inside = (abs(z) <= r) & (abs(y) <= r) & (abs(x) <= r)
            out[i] += np.where(inside, weight * cube[np.where(inside, z, 0) + r, np.where(inside, y, 0) + r,
                                                     np.where(inside, x, 0) + r], 0)
    return out * in_band(radius, radius)
