"""The definition of the CTF kernel, in float64 and plain numpy; every body must agree with it."""

from __future__ import annotations

import numpy as np

ROUND = np.array([1.0, 1.0, 0.0])  # the metric of undistorted images


def evaluate(phase: np.ndarray, damping: np.ndarray, scale: np.ndarray, radius: int) -> np.ndarray:
    """Values (n, 2K+1, K+1) float64; arguments as in the package's docstring."""
    return evaluate_aberrated(phase, damping, scale, ROUND, np.zeros((2 * radius + 1, radius + 1)), radius)


def evaluate_aberrated(phase, damping, scale, metric: np.ndarray, lead: np.ndarray, radius: int) -> np.ndarray:
    """The same with the metric of distorted images and an even phase, see the package's docstring."""
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1].astype(float)
    square = metric[0] * kx**2 + metric[1] * ky**2 + metric[2] * kx * ky
    terms = np.stack([kx**2, ky**2, kx * ky, square**2, np.ones_like(square)])
    half_turns = np.einsum("nt,tyx->nyx", phase, terms) - lead
    envelope = scale[:, None, None] * np.exp(-damping[:, None, None] * square)
    return envelope * np.sin(np.pi * half_turns)
