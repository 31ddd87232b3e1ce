"""A small object and its back-projection sums."""

import numpy as np

from halfmap.geometry import rotations, symmetry
from halfmap.reconstruct import sums
from halfmap.types import Images, Sums
from tests import blobs

BOX, VOXEL_A, RADIUS = 24, 3.0, 11
LENGTH_A = BOX * VOXEL_A
ALONE = np.eye(3)[None]


def object_(name: str = "C1") -> blobs.Blobs:
    """Blobs within a quarter of the box, with power up to the last shell."""
    return blobs.scattered(7, 15.0, 2.7, np.random.default_rng(3)).symmetrised(symmetry.group(name))


def views(n: int, rng) -> tuple[np.ndarray, np.ndarray]:
    return rotations.random(n, rng), rng.uniform(-5, 5, (n, 2))


def images(truth: blobs.Blobs, matrices, shifts_A, radius: int = RADIUS) -> Images:
    """Noise-free, CTF 1."""
    return blobs.white_images(truth.half_planes(matrices, shifts_A, radius, LENGTH_A, VOXEL_A), BOX, VOXEL_A)


def summed(batch: Images, matrices, shifts_A, group=ALONE, radius: int = RADIUS, padding: int = 2) -> Sums:
    accumulator = sums.Accumulator(radius, BOX, VOXEL_A, padding)
    accumulator.add(batch, np.arange(len(batch)), matrices, shifts_A)
    return accumulator.sums(group)
