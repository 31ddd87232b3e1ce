"""Local search: poses on a lattice around the known ones, for where a climb from the known pose would end on a lesser
peak.

Owns the lattice. A climb finds the peak from about half a wavelength away, so the steps between its points follow from
the resolution and from how far the density lies from the fulcrum; the extents limit it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.align import newton
from halfmap.align.tether import Near
from halfmap.physics.projection import Projector
from halfmap.types import Candidates, Images

# Of the resolution, which the density moves by from one point to the next. Simulated hinge of 8 degrees per axis, sharp
# reference at 12 A: with 1 (33 points) 0.2 % of the particles end on a wrong peak, with 0.8 (405) none, 1.3 (19) 0.7 %,
# 1.7 (7) 7 %, without a search 38 %
STEP = 1.0
MOST = 200  # poses of an image, 10 ms; a larger neighbourhood is searched at a coarser resolution
ABSENT = (0.0, 0.0, -np.inf)  # rotation, shift and log likelihood of no candidate
BLOCK = 1 << 15  # poses looked at together: 20 MB of normal equations


@dataclass(frozen=True)
class Lattice:
    """Turns (m, 3), rad, and shifts (q, 2), A, each tried with each; (0, 0) first."""

    turns: np.ndarray
    shifts_A: np.ndarray
    resolution_A: float  # that it is meant for

    def __len__(self) -> int:
        return len(self.turns) * len(self.shifts_A)


def lattice(extent_rad: float, extent_A: float, radius_A: float, resolution_A: float, most: int = MOST) -> Lattice:
    """The lattice within the extents for density ``radius_A`` (root mean square) from the fulcrum.

    With more than ``most`` points it is made for a coarser resolution instead.
    """
    step_A = STEP * resolution_A
    while True:
        # the points of a body turned by w lie w x r away: on average over directions sqrt(2/3) |w| r
        step_rad = step_A / (np.sqrt(2 / 3) * max(radius_A, step_A))
        made = Lattice(_ball(3, extent_rad, step_rad), _ball(2, extent_A, step_A), step_A / STEP)
        if len(made) <= most:
            return made
        step_A *= 1.05


def steps(rank: int, count: int, step: float) -> np.ndarray:
    """Points of a cubic lattice up to ``count`` steps from its centre, the nearest first: (n, rank)."""
    return _ball(rank, count * step, step)


def _ball(rank: int, radius: float, step: float) -> np.ndarray:
    """Points of a cubic lattice within a ball, the nearest to its centre first: (n, rank)."""
    count = int(radius / step * (1 + 1e-9))
    ticks = step * np.arange(-count, count + 1)
    points = np.stack(np.meshgrid(*[ticks] * rank, indexing="ij"), axis=-1).reshape(-1, rank)
    distance = np.linalg.norm(points, axis=1)
    order = np.argsort(distance, kind="stable")
    return points[order[: int((distance <= radius * (1 + 1e-9)).sum())]]


@dataclass(frozen=True)
class LocalSearch:
    """A search of the lattice around the known pose of every particle, against one reference."""

    projector: Projector
    near: Near
    lattice: Lattice
    radius: int  # shells

    def candidates(self, images: Images, shifts_A: np.ndarray, count: int) -> Candidates:
        """The ``count`` best points for each image, best first; where there are fewer, the rest is absent.

        ``shifts_A`` is not used: what the search lies around is in ``near``.
        """
        size = max(1, BLOCK // len(self.lattice))
        blocks = [self._best(images, rows, count)
                  for rows in np.array_split(np.arange(len(images)), -(-len(images) // size))]
        return Candidates(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))

    def _best(self, images: Images, rows: np.ndarray, count: int):
        """(rotations, shifts, log likelihood) of the best points for images ``rows``."""
        which, rotations, shifts = self._points(images, rows)
        radius = min(self.radius, images.radius, images.box // 2)
        fit = newton.refine(self.projector, images, which, rotations, shifts, radius, 0, self.near)
        value = (fit.log_likelihood + fit.log_prior).reshape(len(rows), -1)
        best = np.argsort(-value, axis=1, kind="stable")[:, :count]
        pick = (best + np.arange(len(rows))[:, None] * value.shape[1]).ravel()
        shape = best.shape
        found = (fit.rotations[pick].reshape(*shape, 3, 3), fit.shifts_A[pick].reshape(*shape, 2),
                 fit.log_likelihood[pick].reshape(shape))  # fmt: skip
        return tuple(_padded(part, count, fill) for part, fill in zip(found, ABSENT, strict=True))

    def _points(self, images: Images, rows: np.ndarray):
        """(image, rotation, shift) of every point for images ``rows``."""
        turns = np.repeat(self.lattice.turns, len(self.lattice.shifts_A), axis=0)
        pushes = np.tile(self.lattice.shifts_A, (len(self.lattice.turns), 1))
        which = np.repeat(rows, len(turns))
        length_A = images.box * images.pixel_size_A
        tether = self.near.of(images.rows[which], length_A, images.stretch * length_A / self.projector.box_length_A)
        step = np.tile(np.concatenate([turns, pushes / length_A], axis=1), (len(rows), 1))
        rotations, shifts, _ = tether.moved(np.arange(len(which)), *tether.centre(), step)
        return which, rotations, shifts * length_A


class BestOfSearch(LocalSearch):
    """The same, but the best point alone: all would climb one peak."""

    def candidates(self, images: Images, shifts_A: np.ndarray, count: int) -> Candidates:
        """The best point for each image, then absent ones up to ``count``."""
        best = super().candidates(images, shifts_A, 1)
        parts = zip((best.rotations, best.shifts_A, best.log_likelihood), ABSENT, strict=True)
        return Candidates(*(_padded(part, count, fill) for part, fill in parts))


def _padded(values: np.ndarray, count: int, fill: float) -> np.ndarray:
    short = count - values.shape[1]
    return np.pad(values, ((0, 0), (0, short)) + ((0, 0),) * (values.ndim - 2), constant_values=fill)
