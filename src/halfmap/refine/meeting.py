"""What the half-sets have to do with each other while they are refined: parts of a recipe.

Owns how the maps of two halves that share nothing are kept on each other. All that passes between such halves is how
half 2 is turned, moved and mirrored, and their FSC; never density.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from halfmap.align import maps
from halfmap.geometry import frames, symmetry
from halfmap.geometry import rotations as so3
from halfmap.maps import filters, masks, turn
from halfmap.reconstruct import placing, solve
from halfmap.refine.batches import Frame
from halfmap.types import Map, Sums
from halfmap.validate import fsc

if TYPE_CHECKING:
    from halfmap.refine.maximisation import Maximised
    from halfmap.refine.recipe import Recipe

ALIKE = 1.33  # of the resolution that maps are grown to: where those of one structure still have an FSC of 0.5
EDGE_VOXELS = 3.0  # of the sphere in which maps are compared
HELD = 4.0  # standard errors by which another place must tell more of the maps than the one they are in
NEGLIGIBLE = 0.05  # of the resolution at the particle's edge: moving by less costs more by interpolation than it gains


@dataclass(frozen=True)
class AsTheyAre:
    """The halves began from one map and share low resolution: they lie on each other. One mask serves both."""

    def met(self, sums: tuple[Sums, Sums], box: int, band: int, recipe: Recipe, frame: Frame
            ) -> tuple[tuple[Sums, Sums], frames.Frame | None]:
        """The sums, and how half 2 was brought onto half 1; None where it stayed."""
        return sums, None

    def masks(self, result: Maximised, recipe: Recipe, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """The masks of the references of both halves."""
        return result.mask.data, result.mask.data


@dataclass(frozen=True)
class Aligned(AsTheyAre):
    """Halves that share nothing: half 2 is brought onto half 1 by alignment of their maps, and each has its own mask.

    Where the point group leaves no freedom but that of its normaliser, only that is used: the axes stay in place. Once
    on each other they stay there but for small moves: a symmetric particle that is refined without its symmetry has
    several places as good as each other, and half 2 is not to leap between them as their noise has it.
    """

    def met(self, sums: tuple[Sums, Sums], box: int, band: int, recipe: Recipe, frame: Frame
            ) -> tuple[tuple[Sums, Sums], frames.Frame | None]:
        """As above; ``band``: shells that aligned the images."""
        still, moving = (solve.unfiltered(half, box, frame.box) for half in sums)
        found = held(moving, still, recipe.map_group)
        if displacement_A(found, frame) < NEGLIGIBLE * frame.resolution_A(band):
            return sums, None
        return (sums[0], placing.placed(sums[1], found)), found

    def masks(self, result: Maximised, recipe: Recipe, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """Each from its own half-map: not even the outline of the other is known to it."""
        resolution_A = fsc.resolution_A(result.inside)
        finest_A = max(resolution_A, result.smooth.nyquist_A)
        return tuple(recipe.mask.made(filters.lowpass(half, finest_A), resolution_A, frame).data
                     for half in result.halves)


def onto(moving: Map, still: Map, group: np.ndarray) -> frames.Frame:
    """The frame that brings one map onto another, hand included, and leaves the axes of the group where they are."""
    return keeping_axes(maps.find(moving, still, test_hand=True).frame, group)


def held(moving: Map, still: Map, group: np.ndarray) -> frames.Frame:
    """The same of maps that may lie on each other already: the place next to that, unless another is surely better."""
    near, found = maps.nearby(moving, still), maps.find(moving, still, test_hand=True)
    gain = max(found.information.values()) - near.information["as given"]
    return keeping_axes(found.frame if gain > HELD * found.information_sd else near.frame, group)


def agreed_A(still: Map, moving: Map, frame: Frame) -> float:
    """Resolution down to which two maps without symmetry are one structure, brought together and whatever the hand."""
    sphere = masks.sphere(still.box, frame.diameter_A / 2 / still.voxel_size_A, EDGE_VOXELS)
    there = turn.placed(moving, onto(moving, still, np.eye(3)[None]))
    return fsc.resolution_A(fsc.Pair(still, there, 1).masked(sphere, "spherical"), 0.5)


def keeping_axes(found: frames.Frame, group: np.ndarray) -> frames.Frame:
    """The nearest frame that takes a map with this point group about the axes of the box to one with the same axes.

    Several axes: a rotation of the group's normaliser, with the inversion or without. One axis: a turn about it and a
    shift along it, upside down or not, with the inversion or without.
    """
    if len(group) == 1:
        return found
    hand = -1.0 if found.mirrored else 1.0
    turn = hand * found.rotation
    if not symmetry.about_one_axis(group):
        allowed = symmetry.normaliser(group)
        return _least(allowed[np.argmax(np.einsum("nij,ij->n", allowed, turn))], hand, np.zeros(3), group)
    axis = symmetry.axes(group[1:2])[0][0]
    there = turn @ axis
    across = np.cross(there, axis if there @ axis >= 0 else -axis)
    sine = max(float(np.linalg.norm(across)), 1e-30)
    back = so3.exp_so3(across / sine * np.arcsin(min(sine, 1.0)))
    return _least(back @ turn, hand, (found.centre_A @ axis) * axis, group)


def _least(turn: np.ndarray, hand: float, centre_A: np.ndarray, group: np.ndarray) -> frames.Frame:
    """Of the turns that are as good for a map of this group, the one that turns it least."""
    mates = group @ turn
    return frames.Frame(hand * mates[np.argmax(np.trace(mates, axis1=1, axis2=2))], centre_A)


def displacement_A(found: frames.Frame, frame: Frame) -> float:
    """How far the particle's edge is turned and moved; infinite where the hand changes."""
    if found.mirrored:
        return np.inf
    return float(np.hypot(np.deg2rad(found.angle_deg) * frame.diameter_A / 2, np.linalg.norm(found.centre_A)))
