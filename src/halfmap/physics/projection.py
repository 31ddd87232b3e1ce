"""The projector: a map made ready for slicing, and its adjoint in the same class.

Owns padding and the correction for trilinear interpolation. A slice is in RELION's 2D units: the sum over ``depth``
voxels along the beam, divided by the pixels of the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.fourier import transforms
from halfmap.kernels.insert import insert
from halfmap.kernels.insert.cpu import complete_plane
from halfmap.kernels.project import project
from halfmap.types import Map

PADDING = 2
MARGIN = 2  # grid steps beyond padding x radius: shells end half a shell further out, interpolation needs one more


def interpolation_kernel(box: int, padding: int = PADDING) -> np.ndarray:
    """What trilinear interpolation on a grid padded ``padding`` times does in real space: sinc^2 along an axis, (box,).

    It is the transform of the triangle that spreads a sample over two grid steps; in three dimensions it is a product.
    """
    return np.sinc((np.arange(box) - box // 2) / (box * padding)) ** 2


def corrected(volume: np.ndarray, padding: int = PADDING) -> np.ndarray:
    """The volume divided by the interpolation kernel, so that interpolated slices are those of the volume."""
    k = (1 / interpolation_kernel(volume.shape[0], padding)).astype(np.float32)
    return volume * k[:, None, None] * k[:, None] * k


def reach(edge: int, padding: int, stretch: np.ndarray, curvature: float = 0.0) -> int:
    """Largest radius K whose pixels, stretched by S (2, 2), can be interpolated on a grid of -``edge``..``edge`` steps.

    Pixels of K lie within |k|^2 <= K^2 + K, grid points within padding s |k| for the largest singular value s of S, and
    with a ``curvature`` (1/shells) off the plane by padding curvature |s k|^2; interpolation needs the next point too.
    An index beyond the grid would be memory of something else.
    """
    farthest = edge / padding * (1 - 1e-9)
    # the root of q^2 + (curvature q^2)^2 = farthest^2, written so that it holds for no curvature
    flat = farthest * np.sqrt(2 / (1 + np.sqrt(1 + (2 * curvature * farthest) ** 2)))
    return int((np.sqrt(1 + 4 * (flat / np.linalg.norm(stretch, 2)) ** 2) - 1) / 2)


@dataclass(frozen=True)
class Projector:
    """Slices of one map up to a radius. ``half`` (2R+1, 2R+1, R+1) complex64, R = padding x radius + MARGIN."""

    half: np.ndarray
    radius: int
    padding: int
    box_length_A: float

    @classmethod
    def of(cls, reference: Map, radius: int, depth: float, padding: int = PADDING) -> Projector:
        """Projector of a map in any sampling of its box; ``depth``: voxels of the full-size box along the beam."""
        half = transforms.half_space(corrected(reference.data, padding), padding * radius + MARGIN, padding)
        half *= np.float32(depth)
        return cls(half, radius, padding, reference.box * reference.voxel_size_A)

    def reach(self, stretch: np.ndarray) -> int:
        """Largest radius of images with this stretch (2, 2)."""
        return min(self.radius, reach(self.half.shape[-1] - 1, self.padding, stretch))

    def slices(self, rotations: np.ndarray, radius: int | None = None) -> np.ndarray:
        """Half planes (n, 2K+1, K+1) complex64 seen along ``rotations`` (n, 3, 3); K <= self.radius."""
        return project(self.half, rotations, self.radius if radius is None else radius, self.padding)

    def adjoint(self, planes: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        """Half space (as ``self.half``) with half planes (n, 2K+1, K+1) laid in, mates included: <Ax, y> = <x, A'y>."""
        numerator = np.zeros_like(self.half)
        weight = np.zeros(self.half.shape, np.float32)
        ones = np.ones(planes.shape, np.float32)
        n, radius = len(planes), planes.shape[-1] - 1
        insert(numerator, weight, planes, ones, np.arange(n), rotations, np.zeros((n, 2)), radius, self.padding)
        complete_plane(numerator, weight)
        return numerator
