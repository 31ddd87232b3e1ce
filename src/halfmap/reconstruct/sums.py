"""Back-projection sums: adding images, averaging over a point group, joining halves at low resolution.

Sums are additive: batches, processes and machines are all "sum and add". Method: design page section 5.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfmap.kernels import grid
from halfmap.kernels.insert import insert
from halfmap.kernels.insert.cpu import hermitian_plane
from halfmap.physics.projection import PADDING
from halfmap.types import Images, Sums


def empty(radius: int, box: int, voxel_size_A: float, padding: int = PADDING) -> Sums:
    """Sums of no image, up to Fourier radius ``radius`` of a box of ``box`` voxels."""
    r = padding * radius + 1
    shape = (2 * r + 1, 2 * r + 1, r + 1)
    return Sums(np.zeros(shape, np.complex64), np.zeros(shape, np.float32), box, voxel_size_A, padding)


class Accumulator:
    """Sums under construction. The one place where arrays grow in place; ``sums`` closes it."""

    def __init__(self, radius: int, box: int, voxel_size_A: float, padding: int = PADDING):
        self._sums = empty(radius, box, voxel_size_A, padding)
        self._radius = radius
        self._images = 0

    def add(self, images: Images, rows: np.ndarray, rotations: np.ndarray, shifts_A: np.ndarray) -> None:
        """Lay images ``rows`` of the batch in at their poses (len(rows), ...)."""
        s = self._sums
        phases = shifts_A / (images.box * images.pixel_size_A)
        reach = min(self._radius, images.radius, images.box // 2)  # beyond, planes are empty; stretch leaves the grid
        insert(s.numerator, s.weight, images.unmasked[rows], images.ctf[rows], rotations * images.stretch, phases,
               reach, s.padding)
        self._images += len(rows)

    def sums(self, group: np.ndarray) -> Sums:
        """The sums with Friedel mates completed and added up over the point group (g, 3, 3)."""
        numerator, weight = hermitian_plane(self._sums.numerator, self._sums.weight)
        if len(group) > 1:
            numerator, weight = grid.symmetrised(numerator, weight, group)
        return replace(self._sums, numerator=numerator, weight=weight, images=self._images)


def joined_below(a: Sums, b: Sums, shell: float) -> tuple[Sums, Sums]:
    """Both sums with the data of the two added wherever |k| < ``shell``: the halves share low resolution."""
    r = a.weight.shape[-1] - 1
    edge = int(np.floor(shell * a.padding))
    edge = min(edge, r)
    z, y, x = np.ogrid[-edge : edge + 1, -edge : edge + 1, 0 : edge + 1]
    inside = z**2 + y**2 + x**2 < (shell * a.padding) ** 2
    core = (slice(r - edge, r + edge + 1), slice(r - edge, r + edge + 1), slice(0, edge + 1))
    return _with_core(a, b, core, inside), _with_core(b, a, core, inside)


def _with_core(mine: Sums, other: Sums, core: tuple[slice, ...], inside: np.ndarray) -> Sums:
    numerator, weight = mine.numerator.copy(), mine.weight.copy()
    numerator[core] += np.where(inside, other.numerator[core], 0)
    weight[core] += np.where(inside, other.weight[core], 0)
    return replace(mine, numerator=numerator, weight=weight)
