"""Masks of the reference: parts of a recipe. Each makes a mask for the map at hand, in its sampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.errors import InputError
from halfmap.maps import masks, resample
from halfmap.refine.batches import EDGE_PX, Frame
from halfmap.types import Map


@dataclass(frozen=True)
class SphereMask:
    """No density mask: a soft sphere of the particle's diameter."""

    def of(self, mean: Map, resolution_A: float, frame: Frame) -> Map:
        edge = EDGE_PX * frame.voxel_size_A / mean.voxel_size_A
        radius = min(frame.diameter_A / 2 / mean.voxel_size_A, mean.box / 2 - edge)
        return Map(masks.sphere(mean.box, radius, edge), mean.voxel_size_A)


@dataclass(frozen=True)
class DynamicMask:
    """A soft mask around the density of the current map, once it has ``start_A``; a sphere before that."""

    near_A: float
    far_A: float
    start_A: float
    threshold: float

    def of(self, mean: Map, resolution_A: float, frame: Frame) -> Map:
        if resolution_A > self.start_A:
            return SphereMask().of(mean, resolution_A, frame)
        try:
            return masks.dynamic(mean, resolution_A, self.threshold, self.near_A, self.far_A)
        except InputError:  # nothing stands out of the solvent; mask_fraction in the history is then that of the sphere
            return SphereMask().of(mean, resolution_A, frame)


@dataclass(frozen=True)
class StaticMask:
    """The user's mask, in the sampling at hand."""

    mask: Map

    def of(self, mean: Map, resolution_A: float, frame: Frame) -> Map:
        resampled = resample.to_grid(self.mask, mean.box, mean.voxel_size_A)
        return Map(np.clip(resampled.data, 0, 1), mean.voxel_size_A)


@dataclass(frozen=True)
class NoMask:
    """The whole box."""

    def of(self, mean: Map, resolution_A: float, frame: Frame) -> Map:
        return Map(np.ones_like(mean.data), mean.voxel_size_A)
