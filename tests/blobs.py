"""Objects made of Gaussians: their maps, images and transforms in closed form, independent of any projector.

Density V(r) = sum_j w_j exp(-|r - c_j|^2 / 2 sigma_j^2), lengths in Angstrom. An image is the integral of V along the
beam divided by ``step_A``, the voxel size of the map it belongs to: a sum over voxels, in the limit of small ones.
"""

from dataclasses import dataclass

import numpy as np

from halfmap.geometry import rotations
from halfmap.types import Images, Map


@dataclass(frozen=True)
class Blobs:
    centres_A: np.ndarray  # (m, 3) x, y, z
    widths_A: np.ndarray  # (m,) sigma
    weights: np.ndarray  # (m,)

    def map(self, box: int, voxel_size_A: float) -> Map:
        axis = (np.arange(box) - box // 2) * voxel_size_A
        x, y, z = (np.exp(-((axis - c[:, None]) ** 2) / (2 * self.widths_A[:, None] ** 2)) for c in self.centres_A.T)
        return Map(np.einsum("m,mz,my,mx->zyx", self.weights, z, y, x, optimize=True).astype(np.float32), voxel_size_A)

    def _seen(self, rotations, shifts_A):
        """(n, m, 2): where the blobs lie in the images, from the box centre: A c - shift."""
        return np.einsum("nij,mj->nmi", rotations[:, :2], self.centres_A) - shifts_A[:, None]

    def images(self, rotations, shifts_A, box: int, pixel_size_A: float, step_A: float) -> np.ndarray:
        """(n, box, box) float64."""
        axis = (np.arange(box) - box // 2) * pixel_size_A
        place = self._seen(rotations, shifts_A)
        x, y = (np.exp(-((axis - place[..., i, None]) ** 2) / (2 * self.widths_A[:, None] ** 2)) for i in (0, 1))
        height = self.weights * np.sqrt(2 * np.pi) * self.widths_A / step_A
        return np.einsum("m,nmy,nmx->nyx", height, y, x, optimize=True)

    def half_planes(self, rotations, shifts_A, radius: int, length_A: float, step_A: float) -> np.ndarray:
        """(n, 2K+1, K+1) complex128: transforms of the images over L^2, k over L = ``length_A``."""
        place = self._seen(rotations, shifts_A) / length_A
        width = self.widths_A[:, None] / length_A
        ky, kx = np.arange(-radius, radius + 1), np.arange(radius + 1)
        x, y = (
            np.exp(-2 * (np.pi * k * width) ** 2 - 2j * np.pi * k * place[..., i, None]) for i, k in ((0, kx), (1, ky))
        )
        height = self.weights * (2 * np.pi) ** 1.5 * self.widths_A**3 / (step_A * length_A**2)
        return np.einsum("m,nmy,nmx->nyx", height, y, x, optimize=True)

    def half_space(self, radius: int, length_A: float, padding: int = 1) -> np.ndarray:
        """(2R+1, 2R+1, R+1) complex128: transform over L^3 at k / (padding L)."""
        place, width = self.centres_A / length_A, self.widths_A[:, None] / length_A
        full, half = np.arange(-radius, radius + 1) / padding, np.arange(radius + 1) / padding
        x, y, z = (
            np.exp(-2 * (np.pi * k * width) ** 2 - 2j * np.pi * k * place[:, i, None])
            for i, k in enumerate((half, full, full))
        )
        height = self.weights * (2 * np.pi) ** 1.5 * self.widths_A**3 / length_A**3
        return np.einsum("m,mz,my,mx->zyx", height, z, y, x, optimize=True)

    def symmetrised(self, group: np.ndarray) -> "Blobs":
        """The object and its copies R_g c: V(R_g r) = V(r)."""
        copies = np.concatenate([self.centres_A @ op.T for op in group])
        return Blobs(copies, np.tile(self.widths_A, len(group)), np.tile(self.weights, len(group)))


def scattered(number: int, reach_A: float, width_A: float, rng: np.random.Generator) -> Blobs:
    """``number`` blobs of different weights within ``reach_A`` of the origin: no symmetry, no hand in common."""
    direction = rng.standard_normal((number, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    centres = direction * reach_A * rng.uniform(0.2, 1, (number, 1)) ** (1 / 3)
    return Blobs(centres, np.full(number, width_A), rng.uniform(0.5, 1.5, number))


def views(n: int, shift_A: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (n, 3, 3) of all directions and shifts (n, 2) within ``shift_A`` per axis."""
    return rotations.random(n, rng), rng.uniform(-shift_A, shift_A, (n, 2))


def white_images(half_planes: np.ndarray, box: int, pixel_size_A: float, stretch: float = 1.0) -> Images:
    """Half planes as Images without a mask, noise of standard deviation 1, CTF 1."""
    planes = half_planes.astype(np.complex64)
    n, radius = len(planes), planes.shape[-1] - 1
    ones = np.ones(planes.shape, np.float32)
    return Images(np.arange(n), planes, planes, ones, np.ones(radius + 1), box, pixel_size_A, stretch * np.eye(2))


def white_noise(shape, rng: np.random.Generator) -> np.ndarray:
    """Complex noise with E|n|^2 = 1: what a whitened half plane holds in its band."""
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)
