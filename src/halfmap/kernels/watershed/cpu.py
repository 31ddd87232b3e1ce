"""numba bodies of the ascent; steps of a z plane are a task, paths are then shortened one after another."""

from __future__ import annotations

import numba as nb
import numpy as np

from halfmap.kernels import threads


@nb.njit(cache=True, inline="always")
def _higher(data, z, y, x):
    """Flat index of the voxel a step from (z, y, x) leads to. Scanned in order: the first of equals stays."""
    nz, ny, nx = data.shape
    best_z, best_y, best_x = max(z - 1, 0), max(y - 1, 0), max(x - 1, 0)
    best = data[best_z, best_y, best_x]
    for iz in range(max(z - 1, 0), min(z + 2, nz)):
        for iy in range(max(y - 1, 0), min(y + 2, ny)):
            for ix in range(max(x - 1, 0), min(x + 2, nx)):
                if data[iz, iy, ix] > best:
                    best, best_z, best_y, best_x = data[iz, iy, ix], iz, iy, ix
    return (best_z * ny + best_y) * nx + best_x


@nb.njit(cache=True, nogil=True)
def _steps(begin, end, data, threshold, up):
    nz, ny, nx = data.shape
    for z in range(begin, end):
        for y in range(ny):
            for x in range(nx):
                up[(z * ny + y) * nx + x] = _higher(data, z, y, x) if data[z, y, x] > threshold else -1


@nb.njit(cache=True)
def _shorten(up):
    """Every step becomes its whole path: where the first pass has been, a path is two steps long."""
    for start in range(up.size):
        if up[start] < 0:
            continue
        top = start
        while up[top] != top:
            top = up[top]
        at = start
        while up[at] != top:
            above = up[at]
            up[at] = top
            at = above


def summits(data: np.ndarray, threshold: float) -> np.ndarray:
    """(z, y, x) int64 of ``data`` (z, y, x) float32. See reference.py."""
    up = np.empty(data.size, np.int64)
    threads.share(_steps, data.shape[0], np.ascontiguousarray(data), np.float32(threshold), up)
    _shorten(up)
    return up.reshape(data.shape)


@nb.njit(cache=True)
def _climb(data, at):
    ny, nx = data.shape[1:]
    for i in range(len(at)):
        here = (at[i, 0] * ny + at[i, 1]) * nx + at[i, 2]
        above = _higher(data, at[i, 0], at[i, 1], at[i, 2])
        while above != here:
            here = above
            above = _higher(data, here // (ny * nx), here // nx % ny, here % nx)
        at[i, 0], at[i, 1], at[i, 2] = here // (ny * nx), here // nx % ny, here % nx


def climb(data: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(n, 3) int64, z, y, x of the maxima that the paths from ``starts`` (n, 3) end at. See reference.py."""
    at = np.array(starts, dtype=np.int64).reshape(-1, 3)
    _climb(np.ascontiguousarray(data), at)
    return at
