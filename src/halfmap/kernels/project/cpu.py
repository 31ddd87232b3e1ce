"""numba body of slicing: one particle a task, rows of the half plane inside."""

from __future__ import annotations

import numba as nb
import numpy as np

from halfmap.kernels import threads


@nb.njit(inline="always")
def columns(ky, radius):
    """First and last kx of row ``ky`` that count (see reference.in_band); an empty row gives last < first."""
    rest = radius * radius + radius - ky * ky
    last = int(np.sqrt(rest)) if rest >= 0 else -1
    return (0 if ky > 0 else 1), last


# The next three are inlined: each kernel keeps one loop of its own over the pixels, with the same code in it


@nb.njit(inline="always")
def cell(a, kx, ky, r):
    """Corner (x, y, z) of the grid cell that holds pixel (kx, ky) or its mate, place within it, if it is the mate.

    ``a``: padding times the matrix of the pose; ``r``: R of the half space.
    """
    x = kx * a[0, 0] + ky * a[1, 0]
    y = kx * a[0, 1] + ky * a[1, 1]
    z = kx * a[0, 2] + ky * a[1, 2]
    mate = x < 0
    if mate:
        x, y, z = -x, -y, -z
    fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
    jx, jy, jz = int(fx), int(fy) + r, int(fz) + r
    tx, ty, tz = np.float32(x - fx), np.float32(y - fy), np.float32(z - fz)
    return jx, jy, jz, tx, ty, tz, mate


@nb.njit(inline="always")
def value(half, a, kx, ky, r):
    """The slice at (kx, ky), which need not be whole: ``half``, trilinear. ``a``, ``r`` as in ``cell``."""
    jx, jy, jz, tx, ty, tz, mate = cell(a, kx, ky, r)
    v00 = half[jz, jy, jx] * (1 - tx) + half[jz, jy, jx + 1] * tx
    v01 = half[jz, jy + 1, jx] * (1 - tx) + half[jz, jy + 1, jx + 1] * tx
    v10 = half[jz + 1, jy, jx] * (1 - tx) + half[jz + 1, jy, jx + 1] * tx
    v11 = half[jz + 1, jy + 1, jx] * (1 - tx) + half[jz + 1, jy + 1, jx + 1] * tx
    v = (v00 * (1 - ty) + v01 * ty) * (1 - tz) + (v10 * (1 - ty) + v11 * ty) * tz
    return v.conjugate() if mate else v


@nb.njit(inline="always")
def value_and_gradient(half, a, kx, ky, r):
    """The half space at pixel (kx, ky), trilinear, its derivatives along x, y, z of the grid, and if it is the mate.

    Those of a mate are as they stand in the half space: the value at the pixel itself is the conjugate.
    """
    jx, jy, jz, tx, ty, tz, mate = cell(a, kx, ky, r)
    c000, c001 = half[jz, jy, jx], half[jz, jy, jx + 1]
    c010, c011 = half[jz, jy + 1, jx], half[jz, jy + 1, jx + 1]
    c100, c101 = half[jz + 1, jy, jx], half[jz + 1, jy, jx + 1]
    c110, c111 = half[jz + 1, jy + 1, jx], half[jz + 1, jy + 1, jx + 1]
    d00, d01, d10, d11 = c001 - c000, c011 - c010, c101 - c100, c111 - c110
    e00, e01, e10, e11 = c000 + d00 * tx, c010 + d01 * tx, c100 + d10 * tx, c110 + d11 * tx
    d0, d1 = d00 + (d01 - d00) * ty, d10 + (d11 - d10) * ty
    y0, y1 = e01 - e00, e11 - e10
    f0, f1 = e00 + y0 * ty, e10 + y1 * ty
    gz = f1 - f0
    return f0 + gz * tz, d0 + (d1 - d0) * tz, y0 + (y1 - y0) * tz, gz, mate


@nb.njit(cache=True, fastmath=True, nogil=True)
def _project(begin, end, half, matrices, radius, padding, out):
    r = half.shape[2] - 1
    for i in range(begin, end):
        a = matrices[i] * padding
        for row in range(2 * radius + 1):
            ky = row - radius
            first, last = columns(ky, radius)
            for kx in range(first, last + 1):
                out[i, row, kx] = value(half, a, kx, ky, r)


def project(half: np.ndarray, matrices: np.ndarray, radius: int, padding: int) -> np.ndarray:
    """Slices (n, 2K+1, K+1) complex64 of ``half`` (2R+1, 2R+1, R+1), R >= padding K + 2; ``matrices`` (n, 3, 3): A."""
    out = np.zeros((len(matrices), 2 * radius + 1, radius + 1), np.complex64)
    threads.share(_project, len(matrices), half, np.ascontiguousarray(matrices, np.float64), radius, padding, out)
    return out
