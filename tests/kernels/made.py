"""Random half spaces, half planes and poses for the kernels."""

import numpy as np

from halfmap.geometry import rotations

QUARTER = rotations.euler_to_matrix([90, 0, 0, 90, 180], [0, 90, 180, 90, 90], [0, 0, 0, 90, 0])


def half_space(r: int, rng) -> np.ndarray:
    """(2R+1, 2R+1, R+1) complex64 of a real map: Hermitian on the plane x = 0."""
    cube = complex_normal((2 * r + 1,) * 3, rng)
    return (cube + cube[::-1, ::-1, ::-1].conj())[..., r:].astype(np.complex64)


def complex_normal(shape, rng) -> np.ndarray:
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def poses(n: int, rng) -> np.ndarray:
    """Random poses, then those whose rows run along the axes: x = 0 for whole rows, x < 0 for others."""
    return np.concatenate([rotations.random(n, rng), np.eye(3)[None], QUARTER])
