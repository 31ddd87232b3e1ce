"""Runs `halfmap local-filter`: every place of a map low-passed to its own resolution."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.jobs.running import inputs
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.running.results import mean_of
from halfmap.jobs.volume import volumes
from halfmap.maps import local_filter
from halfmap.params.local_resolution import LocalFilter
from halfmap.types import Map
from halfmap.validate.local_resolution import INSIDE

RESOLUTION = "locres.mrc"


def run(params: LocalFilter, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Filter and write map_local_filtered.mrc, the resolution beside it; returns the summary of the result files."""
    map, resolution = read(params)
    inside = resolution.data[resolution.data > 0]
    # finer than the finest place nothing passes the filter; a limit there is none
    filtered = local_filter.local_filter(map, resolution, params.bfactor, params.max_resolution or 0.0)
    mrc.write(folder / "map_local_filtered.mrc", filtered)
    mrc.write(folder / RESOLUTION, resolution)
    return {"bfactor_A2": params.bfactor, "local_resolution_median_A": float(np.median(inside))}


def check(params: LocalFilter, watch: Passing) -> dict:
    """Read the maps and see whether they fit each other."""
    map, _ = read(params)
    return {"resolved": {"box_size": map.box, "voxel_size_A": map.voxel_size_A}}


def read(params: LocalFilter) -> tuple[Map, Map]:
    """What is filtered, the mean of the half-maps where there are any, and the resolution.

    Raises InputError with the faults of all files, and for unlike grids.
    """
    path = params.local_resolution
    path = path / RESOLUTION if path.is_dir() else path
    group, resolution = inputs.read_all(lambda: volumes.read(params), lambda: mrc.read(path))
    map = mean_of(*group.halves) if {"half1", "half2"} <= set(group.volumes) else group.map
    if not volumes.same_grid(map, resolution):
        raise InputError(f"{path}: {volumes.told(resolution)}, but {params.volume} has {volumes.told(map)}; give the "
                         "local resolution of this map")
    if not (resolution.data > 0).any() or resolution.data.min() < 0:
        raise InputError(f"{path}: values must be Angstrom, 0 outside the mask; give locres.mrc of local-resolution")
    return map, resolution if group.mask is None else within(resolution, group.mask)


def within(resolution: Map, mask: Map) -> Map:
    """The resolution inside a mask, 0 outside. Raises InputError where none is left."""
    kept = Map(np.where(mask.data >= INSIDE, resolution.data, np.float32(0)), resolution.voxel_size_A)
    if not kept.data.any():
        raise InputError("--mask: no voxel inside it has a local resolution; give the mask of the same map")
    return kept
