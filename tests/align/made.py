"""A small object, its projector and its images in closed form."""

from dataclasses import replace

import numpy as np

from halfmap.geometry import rotations, symmetry
from halfmap.physics.projection import Projector
from halfmap.types import Images
from tests import blobs

BOX, VOXEL_A = 32, 3.0
LENGTH_A = BOX * VOXEL_A
REACH_A = 20.0  # of the blobs' centres


def object_(seed: int = 1, symmetry_name: str = "C1", width_A: float = 4.0) -> blobs.Blobs:
    one = blobs.scattered(8, REACH_A, width_A, np.random.default_rng(seed))
    return one.symmetrised(symmetry.group(symmetry_name))


def projector(truth: blobs.Blobs, radius: int, padding: int = 2) -> Projector:
    return Projector.of(truth.map(BOX, VOXEL_A), radius, BOX, padding)


def images(truth: blobs.Blobs, matrices, shifts_A, radius: int) -> Images:
    """Noise-free."""
    return blobs.white_images(truth.half_planes(matrices, shifts_A, radius, LENGTH_A, VOXEL_A), BOX, VOXEL_A)


def loud(images: Images, power: float) -> Images:
    """The same images with noise so low that |image|^2 / noise^2 is ``power`` on average."""
    factor = np.float32(np.sqrt(power / (abs(images.masked) ** 2).sum((1, 2)).mean()))
    return replace(images, masked=images.masked * factor, unmasked=images.unmasked * factor, ctf=images.ctf * factor)


def turned(matrices, angle_rad: float, rng) -> np.ndarray:
    """Each pose rotated by ``angle_rad`` about a random axis."""
    axis = rng.standard_normal((len(matrices), 3))
    return rotations.exp_so3(angle_rad * axis / np.linalg.norm(axis, axis=1, keepdims=True)) @ matrices
