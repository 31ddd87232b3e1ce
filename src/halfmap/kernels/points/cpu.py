"""numba body of values at points: one rotation a task."""

from __future__ import annotations

import numba as nb
import numpy as np

from halfmap.kernels import threads


@nb.njit(cache=True, fastmath=True, nogil=True)
def _points(begin, end, half, matrices, at, padding, out):
    r = half.shape[2] - 1
    for i in range(begin, end):
        a = matrices[i]
        for p in range(at.shape[0]):
            kx, ky, kz = padding * at[p, 0], padding * at[p, 1], padding * at[p, 2]
            x = a[0, 0] * kx + a[0, 1] * ky + a[0, 2] * kz
            y = a[1, 0] * kx + a[1, 1] * ky + a[1, 2] * kz
            z = a[2, 0] * kx + a[2, 1] * ky + a[2, 2] * kz
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
            out[i, p] = v.conjugate() if mate else v


def points(half: np.ndarray, matrices: np.ndarray, at: np.ndarray, padding: int) -> np.ndarray:
    """(n, p) complex64 of ``half`` (2R+1, 2R+1, R+1) at padding T k, k = ``at`` (p, 3), ``matrices`` T (n, 3, 3).

    Every point lies within R - 1 steps of the centre: padding |k| <= R - 1.
    """
    out = np.empty((len(matrices), len(at)), np.complex64)
    threads.share(_points, len(matrices), half, np.ascontiguousarray(matrices, np.float64),
                  np.ascontiguousarray(at, np.float64), padding, out)
    return out
