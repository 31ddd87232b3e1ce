"""Runs `halfmap templates`: evenly spaced projections of a map, a stack and its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap import simulate
from halfmap.data import relion
from halfmap.errors import UsageError
from halfmap.geometry import sampling
from halfmap.io import mrc
from halfmap.jobs.particles import restacking
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.running.resources import require_disk
from halfmap.maps import filters, resample
from halfmap.params.templates import Templates
from halfmap.simulate import slices
from halfmap.types import Map, Poses

STACK, TABLE = "templates.mrcs", "templates.star"


def run(params: Templates, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Write templates.mrcs and templates.star; returns what the summary says."""
    volume = prepared(params)
    require_disk(folder, disk_GB(params, volume))
    views = sampling.directions_to_rotations(sampling.spiral(params.n))
    images = projections(volume, views, -1.0 if params.contrast == "dark" else 1.0)
    mrc.write_stack(folder / STACK, images, volume.voxel_size_A)
    relion.write_templates(folder / TABLE, folder / STACK, Poses(views, np.zeros((params.n, 2))), volume.voxel_size_A)
    restacking.montage(folder, after=images[: restacking.SHOWN])
    return told(params, volume)


def check(params: Templates, watch: Passing) -> dict:
    """Read the map, tell box and pixel size."""
    volume = prepared(params)
    require_disk(params.out, disk_GB(params, volume))
    return {"resolved": told(params, volume), "forecast": {"disk_GB": disk_GB(params, volume)}}


def told(params: Templates, volume: Map) -> dict:
    """What the summary says."""
    return {"n_templates": params.n, "box_size": volume.box, "pixel_size_A": volume.voxel_size_A}


def disk_GB(params: Templates, volume: Map) -> float:
    """Size of the job folder in 10^9 bytes."""
    return (params.n * (4 * volume.box**2 + restacking.ROW_BYTES) + restacking.PLOTS_BYTES) / 1e9


def prepared(params: Templates) -> Map:
    """The map, low-passed, on the grid of the projections. Raises UsageError where that grid has an odd box."""
    volume = filters.lowpass(mrc.read(params.volume), params.lowpass)
    pixel = params.pixel_size_A or volume.voxel_size_A
    box = params.box_size or 2 * round(volume.box * volume.voxel_size_A / pixel / 2)
    if pixel < volume.voxel_size_A * (1 - 1e-6):
        raise UsageError(f"--pixel-size {pixel:g} A is finer than the map's {volume.voxel_size_A:g} A; leave it out")
    return resample.to_grid(volume, box, pixel)


def projections(volume: Map, views: np.ndarray, sign: float) -> np.ndarray:
    """(n, N, N) float32 sums of the density along the beam."""
    projector = simulate.Slices(volume)
    return np.stack([np.float32(sign) * slices.image(projector.at(view)) for view in views])
