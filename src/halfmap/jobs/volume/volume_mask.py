"""Runs `halfmap volume mask`: a mask from a threshold, by the steps of cryoSPARC's Volume Tools in their order."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.volume import masking
from halfmap.maps import mask_making
from halfmap.maps.mask_making import Steps
from halfmap.params.mask_tools import MaskVolume
from halfmap.types import Map

SOFT_PX = 12.0  # as CryoSPARC's Volume Tools


def run(params: MaskVolume, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Write mask.mrc; it is judged and drawn as it is before an inversion."""
    _, source = masking.volume(params.volume)
    mask = made(source, params)
    resolution = masking.resolution_A(params.resolution_A, params.volume)
    told = masking.judged(mask, resolution, watch)
    masking.show(folder, mask, source, resolution)
    if params.invert:
        mask = Map(mask_making.complement([mask.data]), mask.voxel_size_A)
    return {**masking.write(folder, mask, watch), **told, "threshold": params.threshold, "inverted": params.invert}


def check(params: MaskVolume, watch: Passing) -> dict:
    """Read the volume and see whether anything exceeds the threshold."""
    path, source = masking.volume(params.volume)
    if params.threshold is not None:
        mask_making.above(source.data, params.threshold)
    return {"resolved": {"file": str(path), **vars(steps(source, params))}}


def made(source: Map, params: MaskVolume) -> Map:
    """The mask before an inversion. Without a threshold it is the volume itself."""
    if params.threshold is None:
        return source
    return Map(mask_making.made(mask_making.above(source.data, params.threshold), steps(source, params)),
               source.voxel_size_A)


def steps(source: Map, params: MaskVolume) -> Steps:
    """The steps in voxels."""
    soft = SOFT_PX if params.soft_padding is None else masking.in_voxels(params.soft_padding, params.unit, source)
    dilation = masking.in_voxels(params.dilation_radius, params.unit, source)
    return Steps(dilation, soft, params.fill_holes, params.smallest_island)
