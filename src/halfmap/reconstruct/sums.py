"""Back-projection sums: adding images, averaging over a point group, joining halves at low resolution.

Sums are additive: batches, processes and machines are all "sum and add". Method: design page section 5.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfmap.geometry import rotations as so3
from halfmap.kernels import grid
from halfmap.kernels.insert import Points
from halfmap.kernels.insert.cpu import complete_plane
from halfmap.physics import projection
from halfmap.physics.projection import MARGIN, PADDING
from halfmap.types import Images, Sums


def empty(radius: int, box: int, voxel_size_A: float, padding: int = PADDING) -> Sums:
    """Sums of no image, up to Fourier radius ``radius`` of a box of ``box`` voxels."""
    r = padding * radius + MARGIN
    shape = (2 * r + 1, 2 * r + 1, r + 1)
    return Sums(np.zeros(shape, np.complex64), np.zeros(shape, np.float32), box, voxel_size_A, padding)


class Accumulator:
    """Sums under construction. The one place where arrays grow in place; ``sums`` closes it."""

    def __init__(self, radius: int, box: int, voxel_size_A: float, padding: int = PADDING):
        self._sums = empty(radius, box, voxel_size_A, padding)
        self._points = Points(self._sums.numerator, self._sums.weight)
        self._radius = radius
        self._images = 0

    def add(self, images: Images, rows: np.ndarray, rotations: np.ndarray, shifts_A: np.ndarray,
            shares: np.ndarray | None = None) -> None:
        """Lay images ``rows`` of the batch in at their poses (len(rows), ...).

        An image may be named several times; ``shares`` (len(rows),) then say what it counts at each of its poses.
        """
        phases = shifts_A / (images.box * images.pixel_size_A)
        self._lay_in(images, rows, so3.stretched(rotations, images.stretch), phases, shares)
        self._images += len(np.unique(rows))

    def _lay_in(self, images: Images, rows: np.ndarray, matrices: np.ndarray, phases: np.ndarray,
                shares: np.ndarray | None) -> None:
        s = self._sums
        radius = self._reach(images, projection.reach(s.weight.shape[-1] - 1, s.padding, images.stretch))
        self._points.insert(images.unmasked, images.ctf, rows, matrices, phases, radius, s.padding, shares)

    def _reach(self, images: Images, on_grid: int) -> int:
        """Shells of the images that are laid in, of those that lie on the grid."""
        return min(self._radius, images.radius, images.box // 2, on_grid)

    def sums(self, group: np.ndarray) -> Sums:
        """The sums with Friedel mates completed and added up over the point group (g, 3, 3). Nothing can follow."""
        self._points.flush()
        s, self._sums, self._points = self._sums, None, None  # given away: at box 256 one half's sums are 0.8 GB
        complete_plane(s.numerator, s.weight)
        if len(group) == 1:
            return replace(s, images=self._images)
        numerator, weight = grid.symmetrised(s.numerator, s.weight, group)
        return replace(s, numerator=numerator, weight=weight, images=self._images)


def core(sums: Sums, shell: float) -> Sums:
    """The sums up to ``shell`` (and a grid step beyond), on a grid of their own."""
    r = sums.weight.shape[-1] - 1
    edge = min(r, sums.padding * int(np.ceil(shell)) + MARGIN)
    inside = (slice(r - edge, r + edge + 1), slice(r - edge, r + edge + 1), slice(0, edge + 1))
    return replace(sums, numerator=sums.numerator[inside].copy(), weight=sums.weight[inside].copy())
