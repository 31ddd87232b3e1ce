"""What is known of a pose: probabilities of the candidates, their order, expected errors.

Each candidate is a mode of the posterior; its weight is the likelihood at its peak times the volume under it (Laplace):
log w = log likelihood - 1/2 log det(information).
"""

from __future__ import annotations

import numpy as np

from halfmap.geometry import symmetry
from halfmap.types import Candidates

SAME_RAD = 0.035  # two climbs that end closer than this (2 degrees) found the same pose
MARGIN = 12.0  # candidates this much less likely (natural log) than the best are dropped: odds of 160,000 to 1


def log_weight(log_likelihood: np.ndarray, information: np.ndarray) -> np.ndarray:
    """Unnormalised log probability of modes (...,) with Fisher information (..., 5, 5)."""
    sign, log_det = np.linalg.slogdet(information)
    return log_likelihood - 0.5 * np.where(sign > 0, log_det, 0.0)


def probabilities(log_weights: np.ndarray) -> np.ndarray:
    """Softmax over the last axis; absent candidates (-inf) get 0."""
    top = log_weights.max(-1, keepdims=True)
    w = np.exp(log_weights - np.where(np.isfinite(top), top, 0.0))
    return w / np.maximum(w.sum(-1, keepdims=True), 1e-300)


def ranked(candidates: Candidates, log_weights: np.ndarray, group: np.ndarray):
    """(candidates, probabilities, order): best first, repeats and hopeless ones marked absent, at the end.

    ``order`` (b, c) is the place each candidate came from.
    """
    order = np.argsort(-log_weights, axis=1, kind="stable")
    pick = np.arange(len(order))[:, None], order
    rotations, weights = candidates.rotations[pick], log_weights[pick]
    keep = np.isfinite(weights) & (weights > weights[:, :1] - MARGIN)
    keep &= ~_repeats(rotations, keep, group)
    keep[:, 0] = True
    places = np.argsort(~keep, axis=1, kind="stable")  # a search writes over the last places, so no gap before them
    order, keep, weights = (np.take_along_axis(values, places, 1) for values in (order, keep, weights))
    pick = np.arange(len(order))[:, None], order
    likelihood = np.where(keep, candidates.log_likelihood[pick], -np.inf)
    kept = Candidates(candidates.rotations[pick], candidates.shifts_A[pick], likelihood)
    return kept, probabilities(np.where(keep, weights, -np.inf)), order


def _repeats(rotations: np.ndarray, keep: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(b, c): whether a candidate is the same pose, modulo symmetry, as a better one that is kept."""
    repeat = np.zeros(keep.shape, bool)
    for j in range(1, keep.shape[1]):
        for i in range(j):
            rows = np.flatnonzero(keep[:, j] & keep[:, i] & ~repeat[:, i] & ~repeat[:, j])
            if len(rows):
                apart = symmetry.distance(rotations[rows, j], rotations[rows, i], group)
                repeat[rows[apart < SAME_RAD], j] = True
    return repeat


def covariance(information: np.ndarray) -> np.ndarray:
    """Inverse of the Fisher information (n, 5, 5); infinite variances, no covariances, where there is none.

    Rotation in rad and shift in A differ by orders of magnitude: inverted on unit diagonal, with a ridge of 1e-9.
    """
    scale = np.sqrt(np.maximum(np.einsum("nii->ni", information), 1e-250))
    unit = scale[:, :, None] * scale[:, None, :]
    spread = np.linalg.inv(information / unit + 1e-9 * np.eye(information.shape[-1])) / unit
    spread[scale.min(1) <= 1e-100] = np.diag(np.full(information.shape[-1], np.inf))
    return spread


def expected_errors(information: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Root mean square (rotation angle in rad, shift distance in A) the Fisher information (n, 5, 5) allows.

    Infinite where a particle carries no information. This is what other programs call the accuracy of the angles.
    """
    variance = np.einsum("nii->ni", covariance(information))
    return np.sqrt(variance[:, :3].sum(1)), np.sqrt(variance[:, 3:].sum(1))
