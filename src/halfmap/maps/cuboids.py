"""Cuboids cut out of a cubic box, and what of their transforms lies in a band.

A map that matters only in a part of its box is worked on there, on a grid no finer than its band needs. Lengths are
fractions of the box, shells are those of the box: along an axis of n of its N voxels the frequencies are N / n apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from halfmap import device
from halfmap.fourier import transforms
from halfmap.kernels import band

WORTH = 0.7  # of the size of a cuboid: a smaller one earns the transforms that it takes to go there


@dataclass(frozen=True)
class Cuboid:
    """``shape`` voxels (z, y, x) from the voxel ``corner`` on, of a cubic box of ``box`` voxels. Sides are even."""

    box: int
    corner: tuple[int, int, int]
    shape: tuple[int, int, int]

    @classmethod
    def whole(cls, box: int) -> Cuboid:
        """All of the box."""
        return cls(box, (0, 0, 0), (box, box, box))

    @classmethod
    def around(cls, block: tuple[slice, slice, slice], grid: int, margin: float, box: int) -> Cuboid:
        """That holds a block of a grid of ``grid`` points to the box, and ``margin`` lengths on every side of it.

        An axis on which it would leave the box is taken whole.
        """
        sides = [_side(each.start / grid - margin, (each.stop - 1) / grid + margin, box) for each in block]
        return cls(box, tuple(first for first, _ in sides), tuple(n for _, n in sides))

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    @property
    def slices(self) -> tuple[slice, ...]:
        """Where it lies in an array of the box."""
        return tuple(slice(first, first + n) for first, n in zip(self.corner, self.shape, strict=True))

    def coarser(self, shells: float) -> tuple[int, int, int]:
        """Points (z, y, x) of the grid over the same lengths that has room for ``shells`` shells, never a finer one."""
        return tuple(min(n, transforms.good_box(int(np.ceil(2 * shells * n / self.box)) + 2)) for n in self.shape)

    def places(self, points: tuple[int, int, int]) -> list[np.ndarray]:
        """Where the points of such a grid lie on each axis (z, y, x), in lengths from the corner of the box."""
        return [(first + np.arange(m) * (n / m)) / self.box
                for first, n, m in zip(self.corner, self.shape, points, strict=True)]

    def narrowed(self, block: tuple[slice, slice, slice], grid: int, margin: float) -> Cuboid:
        """The cuboid around a block, as above, where it is much the smaller one; else this one."""
        found = Cuboid.around(block, grid, margin, self.box)
        return found if found.size < WORTH * self.size else self

    def transform(self, data: np.ndarray) -> np.ndarray:
        """rfftn of what a map (N, N, N) has in the cuboid."""
        return scipy.fft.rfftn(data[self.slices], workers=device.threads())

    def nothing(self) -> np.ndarray:
        """The transform of zeros."""
        return np.zeros((*self.shape[:2], self.shape[2] // 2 + 1), np.complex64)

    def table(self, gain, points: tuple[int, int, int]) -> np.ndarray:
        """Factors at k^2 = 0, 1, 2 .. by which ``filtered`` takes a transform to a grid of ``points``."""
        factors = gain(np.sqrt(np.arange(3 * self.box**2 // 4 + 3)))
        return (factors * (np.prod(points) / self.size)).astype(np.float32)

    def filtered(self, transform: np.ndarray, points: tuple[int, int, int], table: np.ndarray) -> np.ndarray:
        """A transform of the cuboid times a gain, see ``table``, on a grid of ``points``, see ``coarser``.

        The last axis ends where the gain does.
        """
        units = [(self.box / n) ** 2 for n in self.shape]
        last = np.sqrt((np.flatnonzero(table)[-1] + 1) / units[2]) if table.any() else 0
        return band.band(transform, points, self.shape, units, table, min(points[2] // 2, int(last)) + 1)

    def to_space(self, transform: np.ndarray, points: tuple[int, int, int]) -> np.ndarray:
        """Back from a transform, which is used up and may end early, to values on a grid of ``points``."""
        lines = scipy.fft.ifft2(transform, axes=(0, 1), workers=device.threads(), overwrite_x=True)
        return scipy.fft.irfft(lines, n=points[2], axis=2, workers=device.threads(), overwrite_x=True)

    def add(self, transform: np.ndarray, values: np.ndarray) -> None:
        """Add the transform of ``values`` on a coarser grid to a transform of the cuboid, in place."""
        part = scipy.fft.rfftn(values, workers=device.threads())
        band.added(transform, self.shape, part, values.shape, self.size / values.size)


def _side(first: float, last: float, box: int) -> tuple[int, int]:
    """(first voxel, number of voxels): even and fast to transform; the whole axis where it does not fit in."""
    if first < 0 or last > (box - 1) / box:
        return 0, box
    low = int(np.floor(first * box))
    n = transforms.good_box(int(np.ceil(last * box)) + 1 - low)
    return (min(low, box - n), n) if n < box else (0, box)


def block(places: np.ndarray) -> tuple[slice, slice, slice]:
    """The smallest block of a grid (M, M, M) that holds all ``places`` (bool); at least one must be set."""
    seen = [np.flatnonzero(places.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    return tuple(slice(int(each[0]), int(each[-1]) + 1) for each in seen)
