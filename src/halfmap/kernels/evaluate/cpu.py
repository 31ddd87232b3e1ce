"""numba body of values between voxels: one plane of new voxels a task."""

from __future__ import annotations

import numba as nb
import numpy as np

from halfmap.kernels import threads
from halfmap.kernels.evaluate.reference import WIDTH, phi

STEPS = 2048  # of the table of the kernel, per sample; linear in between errs by 1e-7
_TABLE = phi(np.arange(WIDTH * STEPS // 2 + 2) / STEPS).astype(np.float32)


@nb.njit(inline="always")
def _weights(u, table, out):
    """Fill the WIDTH weights of coordinate ``u``; returns the first sample."""
    first = int(np.ceil(u - WIDTH / 2))
    for k in range(WIDTH):
        at = abs(u - (first + k)) * STEPS
        below = int(at)
        part = np.float32(at - below)
        out[k] = table[below] * (np.float32(1) - part) + table[below + 1] * part
    return first


@nb.njit(cache=True, fastmath=True, nogil=True)
def _evaluate(begin, end, padded, matrix, offset, low, high, table, out):
    box = out.shape[0]
    for z in range(begin, end):
        wz, wy, wx = np.empty(WIDTH, np.float32), np.empty(WIDTH, np.float32), np.empty(WIDTH, np.float32)
        for y in range(box):
            for x in range(box):
                uz = matrix[0, 0] * z + matrix[0, 1] * y + matrix[0, 2] * x + offset[0]
                uy = matrix[1, 0] * z + matrix[1, 1] * y + matrix[1, 2] * x + offset[1]
                ux = matrix[2, 0] * z + matrix[2, 1] * y + matrix[2, 2] * x + offset[2]
                if min(uz, uy, ux) < low or max(uz, uy, ux) > high:
                    continue
                jz = _weights(uz, table, wz) + WIDTH
                jy = _weights(uy, table, wy) + WIDTH
                jx = _weights(ux, table, wx) + WIDTH
                total = np.float32(0)
                for a in range(WIDTH):
                    for b in range(WIDTH):
                        line = np.float32(0)
                        for c in range(WIDTH):
                            line += wx[c] * padded[jz + a, jy + b, jx + c]
                        total += wz[a] * wy[b] * line
                out[z, y, x] = total


def evaluate(grid: np.ndarray, matrix: np.ndarray, offset: np.ndarray, box: int, limits: np.ndarray) -> np.ndarray:
    """(box, box, box) float32 values of the periodic ``grid`` (n, n, n) at u = ``matrix`` (z, y, x) + ``offset``.

    A voxel with a u outside ``limits`` (2,), in any direction, is 0; they lie within -1 and n.
    """
    padded = np.pad(np.asarray(grid, np.float32), WIDTH, mode="wrap")
    out = np.zeros((box,) * 3, np.float32)
    place = np.ascontiguousarray(matrix, np.float64), np.ascontiguousarray(offset, np.float64)
    threads.share(_evaluate, box, padded, *place, float(limits[0]), float(limits[1]), _TABLE, out)
    return out
