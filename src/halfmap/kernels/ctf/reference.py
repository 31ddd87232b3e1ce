"""The definition of the CTF kernel, in float64 and plain numpy; every body must agree with it."""

from __future__ import annotations

import numpy as np


def evaluate(phase: np.ndarray, damping: np.ndarray, scale: np.ndarray, radius: int) -> np.ndarray:
    """Values (n, 2K+1, K+1) float64; arguments as in the package's docstring."""
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1].astype(float)
    square = kx**2 + ky**2
    terms = np.stack([kx**2, ky**2, kx * ky, square**2, np.ones_like(square)])
    half_turns = np.einsum("nt,tyx->nyx", phase, terms)
    envelope = scale[:, None, None] * np.exp(-damping[:, None, None] * square)
    return envelope * np.sin(np.pi * half_turns)
