"""Runs `halfmap volume resample`: a map and what belongs to it in another sampling, box, or on another map's grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.jobs.running import inputs
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.volume import volumes
from halfmap.jobs.volume.volumes import Group
from halfmap.maps import resample
from halfmap.params.geometry import VolumeResample
from halfmap.types import Map, Region

ROUNDED = 1e-3  # voxel sizes of files that differ by less are taken to be the same one, rounded


@dataclass(frozen=True)
class Grid:
    """Voxels of the result, by which they are resampled, and the box they are cut or padded to."""

    box: int
    voxel_size_A: float


def run(params: VolumeResample, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Write the resampled volumes; returns what the summary says."""
    result = _placed_by_origin(params) if params.use_origin else _on_grid(params, watch)
    volumes.write(folder, result)
    return told(result.map)


def check(params: VolumeResample, watch: Passing) -> dict:
    """Read the volumes and tell the grid."""
    if params.use_origin:
        return told(_placed_by_origin(params).map)
    grid = wanted(params, volumes.read(params).map, watch)
    return {"box_size": grid.box, "voxel_size_A": grid.voxel_size_A}


def told(map: Map) -> dict:
    """What the summary says of a grid."""
    return {"box_size": map.box, "voxel_size_A": map.voxel_size_A, "nyquist_A": map.nyquist_A}


def _on_grid(params: VolumeResample, watch: Watch) -> Group:
    group = volumes.read(params)
    grid = wanted(params, group.map, watch)
    origin_A = mrc.read_header(next(iter(volumes.named(params).values()))).origin_A
    if params.onto is not None and any(origin_A):
        place = ", ".join(f"{value:.2f}" for value in origin_A)
        watch("warning", message=f"the file places the map at {place} A (its ORIGIN or NXSTART); that is left aside, "
              "box centres lie on each other; to honour it: --use-origin")
    return _changed(group, lambda map: resample.to_grid(map, grid.box, grid.voxel_size_A))


def _changed(group: Group, change: Callable[[Map], Map]) -> Group:
    return group.each(change, lambda mask: resample.unit_interval(change(mask)))


def wanted(params: VolumeResample, map: Map, watch: Watch | Passing) -> Grid:
    """The grid that the settings ask for; the voxel size is told where it may be a rounded one."""
    if params.resample_box_size is not None:
        return Grid(params.box_size or params.resample_box_size, map.box * map.voxel_size_A / params.resample_box_size)
    if params.onto is not None:
        other = mrc.read(params.onto)
        return Grid(other.box, _voxel(map, other.voxel_size_A, other.box, params, watch))
    if params.voxel_size_A is None:
        return Grid(params.box_size, map.voxel_size_A)
    voxel_A = _voxel(map, params.voxel_size_A, params.box_size, params, watch)
    return Grid(params.box_size or whole(map, voxel_A), voxel_A)


def whole(map: Map, voxel_size_A: float) -> int:
    """The even box of these voxels that is nearest to as wide as the map."""
    return max(2, 2 * round(map.box * map.voxel_size_A / voxel_size_A / 2))


def _voxel(map: Map, asked_A: float, box: int | None, params: VolumeResample, watch: Watch | Passing) -> float:
    """The voxel size asked for, or the exact ratio of boxes that it may be rounded from."""
    count = whole(map, asked_A)
    exact_A = map.box * map.voxel_size_A / count
    apart = abs(asked_A / exact_A - 1)
    ratio = f"{map.box} x {map.voxel_size_A:.6g} / {count} = {exact_A:.6g} A"
    if params.exact_voxel_size:
        watch("note", text=f"voxel size {asked_A:g} A is taken as {ratio}, {100 * apart:.3f} % from it")
        return exact_A
    if 1e-6 < apart < ROUNDED and box in (None, count):
        watch("warning", message=f"voxels of {asked_A:g} A, but {ratio} would fit the box exactly, {100 * apart:.3f} % "
              "from it; if the size was rounded, as headers often are, add --exact-voxel-size")
    return asked_A


def _placed_by_origin(params: VolumeResample) -> Group:
    """Every volume where its own file says, on the grid of --onto. Raises InputError with the faults of all files."""
    paths = volumes.named(params)
    target, *regions = inputs.read_all(
        lambda: mrc.read_region(params.onto), *(lambda path=path: mrc.read_region(path) for path in paths.values())
    )
    if len(set(target.data.shape)) > 1:
        sides = " x ".join(map(str, target.data.shape[::-1]))
        raise InputError(f"{params.onto}: has {sides} voxels, the grid to resample onto must be a cube")
    return _changed(
        Group({name: _put(region, target) for name, region in zip(paths, regions, strict=True)}), lambda map: map
    )


def _put(region: Region, target: Region) -> Map:
    return resample.from_region(region, target)
