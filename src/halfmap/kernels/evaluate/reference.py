"""Definition of a map between its voxels, in float64: sums of a kernel of ``WIDTH`` samples over a finer grid.

f(u) = sum_n g[n] phi(u - n) in each direction, phi(t) = exp(BETA (sqrt(1 - (2 t / WIDTH)^2) - 1)): the "exponential of
semicircle" (Barnett, Magland & af Klinteberg 2019, SIAM J Sci Comput 41:C479). Who makes g divides the transform of
the map by that of phi.
"""

from __future__ import annotations

import numpy as np

WIDTH = 6  # samples
OVERSAMPLING = 1.5  # of the grid that phi is summed over; error exp(-pi WIDTH sqrt(1 - 1 / OVERSAMPLING)) = 2e-5
# of the phi that errs least at this oversampling: 0.98 pi WIDTH (1 - 1 / (2 OVERSAMPLING)), the same paper
BETA = 0.98 * np.pi * WIDTH * (1 - 1 / (2 * OVERSAMPLING))


def phi(t: np.ndarray) -> np.ndarray:
    """The kernel at distances t in samples; 0 from WIDTH / 2."""
    inside = np.maximum(1 - (2 * np.asarray(t, float) / WIDTH) ** 2, 0)
    return np.where(inside > 0, np.exp(BETA * (np.sqrt(inside) - 1)), 0.0)


def transform(frequency: np.ndarray) -> np.ndarray:
    """Integral of phi(t) cos(2 pi f t), f in cycles per sample: by Gauss-Legendre quadrature, to rounding."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    t = nodes * WIDTH / 2
    return np.cos(2 * np.pi * np.multiply.outer(frequency, t)) @ (phi(t) * weights * WIDTH / 2)


def evaluate(grid: np.ndarray, matrix: np.ndarray, offset: np.ndarray, box: int, limits: np.ndarray) -> np.ndarray:
    """(box, box, box) float64 values at u = ``matrix`` i + ``offset``, i = (z, y, x) of the new voxels.

    ``grid`` (n, n, n) is periodic; ``limits`` (2,): a voxel with a u outside them, in any direction, is 0.
    """
    u = np.moveaxis(np.indices((box,) * 3), 0, -1) @ matrix.T + offset
    first = np.ceil(u - WIDTH / 2).astype(int)
    total = np.zeros((box,) * 3)
    for step in np.ndindex((WIDTH,) * 3):
        place = first + step
        z, y, x = np.moveaxis(place % len(grid), -1, 0)
        total += grid[z, y, x] * phi(u - place).prod(axis=-1)
    return np.where(((u >= limits[0]) & (u <= limits[1])).all(axis=-1), total, 0.0)
