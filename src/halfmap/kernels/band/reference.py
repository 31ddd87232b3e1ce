"""Definition of the passes over parts of a transform, in float64."""

from __future__ import annotations

import numpy as np


def _shared(points, shape):
    """Index arrays (in the fine layout, in the coarse one) of the coefficients that both have, and their frequencies.

    The Nyquist frequency of an axis belongs to it only where both grids have as many points there.
    """
    axes = []
    for axis, (m, n) in enumerate(zip(points, shape, strict=True)):
        k = np.arange(m // 2 + 1) if axis == 2 else np.rint(np.fft.fftfreq(m, 1 / m)).astype(int)
        kept = np.flatnonzero((2 * np.abs(k) < m) | (m == n))
        axes.append((k[kept] % n, kept, k[kept]))
    return tuple(np.ix_(*(axis[i] for axis in axes)) for i in range(3))


def band(transform, points, shape, units, table, columns):
    """Coefficients x < ``columns`` on the grid of ``points``, 0 where one has none, times ``table`` at units . k^2."""
    fine, coarse, (z, y, x) = _shared(points, shape)
    out = np.zeros((points[0], points[1], points[2] // 2 + 1), complex)
    squares = units[0] * z**2.0 + units[1] * y**2.0 + units[2] * x**2.0
    out[coarse] = transform[fine] * np.interp(squares, np.arange(len(table)), table)
    return out[..., :columns]


def added(whole, shape, part, points, factor):
    """``whole`` with ``factor`` times ``part`` where both grids have a coefficient; a new array."""
    fine, coarse, _ = _shared(points, shape)
    out = whole.astype(complex)
    out[fine] += factor * part[coarse]
    return out
