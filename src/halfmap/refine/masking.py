"""Masks of the reference and of its FSC: parts of a recipe. Each makes a mask for the map at hand, in its sampling."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from halfmap.errors import InputError
from halfmap.maps import masks, resample
from halfmap.maps.masks import Made, Strength
from halfmap.refine.batches import EDGE_PX, Frame
from halfmap.types import Map
from halfmap.validate import fsc_masks


class MaskPart(Protocol):
    """Makes a mask for a map of the resolution given, and says in words what it is."""

    def made(self, mean: Map, resolution_A: float, frame: Frame) -> Made: ...


class Part:
    """What all parts share."""

    def of(self, mean: Map, resolution_A: float, frame: Frame) -> Map:
        """The mask as a map."""
        return Map(self.made(mean, resolution_A, frame).data, mean.voxel_size_A)


@dataclass(frozen=True)
class SphereMask(Part):
    """No density mask: a soft sphere of the particle's diameter."""

    def made(self, mean: Map, resolution_A: float, frame: Frame) -> Made:
        edge = EDGE_PX * frame.voxel_size_A / mean.voxel_size_A
        radius = min(frame.diameter_A / 2 / mean.voxel_size_A, mean.box / 2 - edge)
        inner, outer = radius * mean.voxel_size_A, (radius + edge) * mean.voxel_size_A
        words = f"sphere, 1 to {inner:.3g} A from the centre, 0 from {outer:.3g} A"
        return Made(masks.sphere(mean.box, radius, edge), words)


@dataclass(frozen=True)
class DynamicMask(Part):
    """A soft mask around the density of the current map, once it has ``start_A``; a sphere before that."""

    near_A: float
    far_A: float
    start_A: float
    threshold: float
    strength: Strength = masks.positive

    def made(self, mean: Map, resolution_A: float, frame: Frame) -> Made:
        if resolution_A > self.start_A:
            return SphereMask().made(mean, resolution_A, frame)
        return _around(mean, resolution_A, frame, (self.near_A, self.far_A), self.threshold, self.strength)


@dataclass(frozen=True)
class ScaledMask(Part):
    """The same with distances in units of the resolution: wide and soft for a coarse map.

    Source: CryoSPARC 5, 2 d and 5 d; fixed distances are too tight for maps worse than about 4 A.
    """

    near_factor: float
    far_factor: float
    start_A: float
    threshold: float
    strength: Strength = masks.positive

    def made(self, mean: Map, resolution_A: float, frame: Frame) -> Made:
        if resolution_A > self.start_A:
            return SphereMask().made(mean, resolution_A, frame)
        distances = (self.near_factor * resolution_A, self.far_factor * resolution_A)
        return _around(mean, resolution_A, frame, distances, self.threshold, self.strength)


@dataclass(frozen=True)
class StaticMask(Part):
    """The user's mask, in the sampling at hand."""

    mask: Map
    name: str = "given mask"

    def made(self, mean: Map, resolution_A: float, frame: Frame) -> Made:
        resampled = resample.to_grid(self.mask, mean.box, mean.voxel_size_A)
        return Made(np.clip(resampled.data, 0, 1), self.name)


@dataclass(frozen=True)
class NoMask(Part):
    """The whole box."""

    def made(self, mean: Map, resolution_A: float, frame: Frame) -> Made:
        return Made(np.ones_like(mean.data), "no mask")


@dataclass(frozen=True)
class Later(Part):
    """Another mask once the map has ``start_A``; a sphere before that."""

    mask: MaskPart
    start_A: float

    def made(self, mean: Map, resolution_A: float, frame: Frame) -> Made:
        part = SphereMask() if resolution_A > self.start_A else self.mask
        return part.made(mean, resolution_A, frame)


@dataclass(frozen=True)
class Windowed(Part):
    """Another mask within the soft sphere that touches the box: nothing of the corners enters the reference."""

    mask: MaskPart

    def made(self, mean: Map, resolution_A: float, frame: Frame) -> Made:
        inner = self.mask.made(mean, resolution_A, frame)
        window = fsc_masks.spherical(mean.box, mean.voxel_size_A)
        return Made(inner.data * window.data, inner.words, inner.gave_way)


def _around(mean: Map, resolution_A: float, frame: Frame, distances: tuple[float, float], threshold: float,
            strength: Strength) -> Made:
    """The soft mask around what stands out of the map; the sphere where nothing does, and the words say so."""
    words = f"{threshold:.2f} max at {resolution_A:.3g} A, 1 to {distances[0]:.3g} A, 0 from {distances[1]:.3g} A"
    try:
        return Made(masks.dynamic(mean, resolution_A, threshold, *distances, strength).data, words)
    except InputError:  # nothing stands out of the solvent
        return replace(SphereMask().made(mean, resolution_A, frame), gave_way=True)
