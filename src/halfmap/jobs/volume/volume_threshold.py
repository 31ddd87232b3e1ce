"""Runs `halfmap volume threshold`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.io import mrc
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.volume import masking
from halfmap.maps import mask_making
from halfmap.params.volume_tools import ThresholdVolume
from halfmap.types import Map


def run(params: ThresholdVolume, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Write map.mrc, 1 and 0, or the values above the threshold and 0."""
    map, region = read(params)
    kept = map.data if params.keep_values else np.float32(1)
    result = Map(np.where(region, kept, np.float32(0)), map.voxel_size_A)
    mrc.write(folder / "map.mrc", result)
    found = masking.statistics(result)
    masking.tell_centre(found, watch)
    if not params.keep_values:
        watch("note", text="map.mrc has hard edges: halfmap volume mask --threshold 0.5 makes a mask of it")
    return {**found, **_region(region)}


def check(params: ThresholdVolume, watch: Passing) -> dict:
    """Read the map and see whether anything exceeds the threshold."""
    return {"resolved": _region(read(params)[1])}


def read(params: ThresholdVolume) -> tuple[Map, np.ndarray]:
    """The map, and where it exceeds the threshold."""
    _, map = masking.volume(params.volume)
    return map, mask_making.above(map.data, params.threshold)


def _region(region: np.ndarray) -> dict:
    return {"region_voxels": int(region.sum()), "region_fraction": float(region.mean())}
