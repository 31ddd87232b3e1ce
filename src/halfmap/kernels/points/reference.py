"""Definition of values at points, in float64: trilinear interpolation of a Hermitian half space."""

from __future__ import annotations

import numpy as np

from halfmap.kernels.project.reference import corners, full_space


def points(half: np.ndarray, matrices: np.ndarray, at: np.ndarray, padding: int) -> np.ndarray:
    """(n, p) complex128: ``half`` at padding R k of the points k = ``at`` (p, 3), x, y, z; ``matrices`` R (n, 3, 3)."""
    cube, r = full_space(half.astype(np.complex128)), half.shape[-1] - 1
    out = np.zeros((len(matrices), len(at)), np.complex128)
    for i, matrix in enumerate(matrices):
        for z, y, x, weight in corners(padding * at @ matrix.T):
            out[i] += weight * cube[z + r, y + r, x + r]
    return out
