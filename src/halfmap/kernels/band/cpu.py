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
def _columns(coarse, fine):
    """Number of frequencies 0, 1 .. of the halved axis that both have."""
    return fine // 2 + 1 if coarse == fine else (coarse - 1) // 2 + 1


@nb.njit(cache=True, nogil=True)
def _band(begin, end, transform, points, shape, units, table, out):
    last = min(out.shape[2], _columns(points[2], shape[2]))
    for jz in range(begin, end):
        z = _frequency(jz, points[0], shape[0])
        for jy in range(points[1]):
            y = _frequency(jy, points[1], shape[1])
            out[jz, jy] = 0
            if z == shape[0] or y == shape[1]:
                continue
            flat = np.float32(units[0] * z * z + units[1] * y * y)
            unit = np.float32(units[2])
            row = transform[z % shape[0], y % shape[1]]
            for x in range(last):
                at = flat + unit * np.float32(x * x)
                below = int(at)
                part = at - np.float32(below)
                out[jz, jy, x] = row[x] * (table[below] * (np.float32(1) - part) + table[below + 1] * part)


def band(transform: np.ndarray, points, shape, units, table: np.ndarray, columns: int) -> np.ndarray:
    """The transform of a grid of ``shape`` on one of ``points`` that is not finer, times a radial factor; complex64.

    ``table``: the factor where units[0] z^2 + units[1] y^2 + units[2] x^2 is 0, 1, 2 .. for the frequencies z, y, x,
    linear in between; ``columns``: of them 0 <= x < columns are made. See reference.py.
    """
    out = np.empty((points[0], points[1], columns), np.complex64)
    threads.share(_band, len(out), transform, tuple(points), tuple(shape), tuple(map(float, units)),
                  table, out)
    return out


@nb.njit(cache=True, nogil=True)
def _added(begin, end, part, factor, points, shape, whole):
    last = _columns(points[2], shape[2])
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
