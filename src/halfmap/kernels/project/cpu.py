"""numba body of slicing: one particle a task, rows of the half plane inside."""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(inline="always")
def columns(ky, radius):
    """First and last kx of row ``ky`` that count (see reference.in_band); an empty row gives last < first."""
    rest = radius * radius + radius - ky * ky
    last = int(np.sqrt(rest)) if rest >= 0 else -1
    return (0 if ky > 0 else 1), last


@nb.njit(cache=True, fastmath=True, parallel=True)
def _project(half, matrices, radius, padding, out):
    r = half.shape[2] - 1
    for i in nb.prange(matrices.shape[0]):
        a = matrices[i]
        for row in range(2 * radius + 1):
            ky = row - radius
            first, last = columns(ky, radius)
            for kx in range(first, last + 1):
                x = padding * (kx * a[0, 0] + ky * a[1, 0])
                y = padding * (kx * a[0, 1] + ky * a[1, 1])
                z = padding * (kx * a[0, 2] + ky * a[1, 2])
                mate = x < 0
                if mate:
                    x, y, z = -x, -y, -z
                fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
                jx, jy, jz = int(fx), int(fy) + r, int(fz) + r
                tx, ty, tz = np.float32(x - fx), np.float32(y - fy), np.float32(z - fz)
                v00 = half[jz, jy, jx] * (1 - tx) + half[jz, jy, jx + 1] * tx
                v01 = half[jz, jy + 1, jx] * (1 - tx) + half[jz, jy + 1, jx + 1] * tx
                v10 = half[jz + 1, jy, jx] * (1 - tx) + half[jz + 1, jy, jx + 1] * tx
                v11 = half[jz + 1, jy + 1, jx] * (1 - tx) + half[jz + 1, jy + 1, jx + 1] * tx
                v = (v00 * (1 - ty) + v01 * ty) * (1 - tz) + (v10 * (1 - ty) + v11 * ty) * tz
                out[i, row, kx] = v.conjugate() if mate else v


def project(half: np.ndarray, matrices: np.ndarray, radius: int, padding: int) -> np.ndarray:
    """Slices (n, 2K+1, K+1) complex64 of ``half`` (2R+1, 2R+1, R+1), R >= padding K + 2; ``matrices`` (n, 3, 3): A."""
    out = np.zeros((len(matrices), 2 * radius + 1, radius + 1), np.complex64)
    _project(half, np.ascontiguousarray(matrices, np.float64), radius, padding, out)
    return out
