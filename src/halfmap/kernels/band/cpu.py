"""numba bodies of the passes over parts of a transform; one z plane of the coarser grid a task."""

from __future__ import annotations

import numba as nb
import numpy as np

from halfmap.kernels import threads


@nb.njit(cache=True, nogil=True)
def _frequency(index, coarse, fine):
    """Signed frequency of row ``index`` of an axis of ``coarse`` points; one that ``fine`` points have no mate of is
    told by ``fine``."""
    if coarse < fine and 2 * index == coarse:
        return fine
    return index if 2 * index <= coarse else index - coarse


@nb.njit(cache=True, nogil=True)
def _band(begin, end, transform, points, shape, units, table, out):
    last = out.shape[2] - (1 if points[2] < shape[2] and points[2] % 2 == 0 else 0)
    for jz in range(begin, end):
        z = _frequency(jz, points[0], shape[0])
        for jy in range(points[1]):
            y = _frequency(jy, points[1], shape[1])
            out[jz, jy] = 0
            if z == shape[0] or y == shape[1]:
                continue
            flat = np.float32(units[0] * z * z + units[1] * y * y + 0.5)
            unit = np.float32(units[2])
            row = transform[z % shape[0], y % shape[1]]
            for x in range(last):
                out[jz, jy, x] = row[x] * table[int(flat + unit * np.float32(x * x))]


def band(transform: np.ndarray, points, shape, units, table: np.ndarray) -> np.ndarray:
    """The transform of a grid of ``shape`` on one of ``points`` that is not finer, times a radial factor; complex64.

    ``table``: the factor by units[0] z^2 + units[1] y^2 + units[2] x^2, rounded, of the frequencies z, y, x. See
    reference.py.
    """
    out = np.empty((points[0], points[1], points[2] // 2 + 1), np.complex64)
    threads.share(_band, len(out), transform, tuple(points), tuple(shape), tuple(map(float, units)),
                  table.astype(np.float32), out)
    return out


@nb.njit(cache=True, nogil=True)
def _added(begin, end, part, factor, points, shape, whole):
    last = part.shape[2] - (1 if points[2] < shape[2] and points[2] % 2 == 0 else 0)
    for jz in range(begin, end):
        z = _frequency(jz, points[0], shape[0])
        for jy in range(points[1]):
            y = _frequency(jy, points[1], shape[1])
            if z == shape[0] or y == shape[1]:
                continue
            row = whole[z % shape[0], y % shape[1]]
            for x in range(last):
                row[x] += factor * part[jz, jy, x]


def added(whole: np.ndarray, shape, part: np.ndarray, points, factor: float) -> None:
    """Add ``factor`` times the transform of a grid of ``points`` to that of one of ``shape``, in place."""
    threads.share(_added, len(part), part, np.float32(factor), tuple(points), tuple(shape), whole)
