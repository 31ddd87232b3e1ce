"""Runs `halfmap volume flip`, `volume recenter` and `volume align`: one change of frame for a map and all that is its.

Half-maps, masks and poses go along. Each job only decides the frame.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.data import moved, tables
from halfmap.data.particles import Particles
from halfmap.errors import InputError
from halfmap.geometry import rotations
from halfmap.geometry.frames import Frame
from halfmap.io import mrc
from halfmap.jobs.running import inputs, results
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.volume import volumes
from halfmap.jobs.volume.volumes import Group
from halfmap.maps import resample, turn
from halfmap.params.volumes import VolumeAndParticles
from halfmap.types import Map


def read(params: VolumeAndParticles, watch: Watch | Passing) -> tuple[Group, Particles | None]:
    """The volumes and, where they are named, the particles. Raises InputError with the faults of all files."""
    if params.particles is None:
        return volumes.read(params), None
    return tuple(inputs.read_all(lambda: volumes.read(params), lambda: _particles(params, watch)))


def _particles(params: VolumeAndParticles, watch: Watch | Passing) -> Particles:
    """The table with poses; images that are not there only make a warning."""
    written = tables.read_table(params.particles, params.passthrough)
    if written.poses is None:
        raise InputError(f"{params.particles}: the particles have no poses to move; leave out --particles")
    particles, missing = tables.located(written, params.particles, params.images_root)
    if missing:
        watch("warning", message=f"{len(missing)} stacks are not found, their names stay as written: {missing[0]}")
    return inputs.with_lens(particles)


def write(folder: Path, group: Group, particles: Particles | None, params: VolumeAndParticles) -> None:
    """All volumes, and the particles where there are any."""
    volumes.write(folder, group)
    if particles is not None:
        results.write_particles(folder, particles, {}, params)


def move_all(group: Group, frame: Frame, grid: Map | None = None) -> Group:
    """All volumes of the group in another frame, on the grid of ``grid`` or their own; masks held between 0 and 1."""
    size = (None, None) if grid is None else (grid.box, grid.voxel_size_A)

    def change(map: Map) -> Map:
        return turn.placed(map, frame, *size)

    return group.each(change, lambda mask: resample.unit_interval(change(mask)))


def move_particles(particles: Particles | None, frame: Frame, adjust_defocus: str = "none") -> Particles | None:
    """The particles in that frame; None where there are none."""
    return None if particles is None else moved.moved(particles, frame, adjust_defocus)


def told(frame: Frame, map: Map, particles: Particles | None) -> dict:
    """What the summary says of a change of frame; ``map``: as it was, for the voxels."""
    proper = frame.rotation if not frame.mirrored else frame.rotation @ np.diag([1, 1, -1])
    return {
        "frame": {
            "rotation": frame.rotation.tolist(),
            "euler_deg": [float(angle) for angle in rotations.matrix_to_euler(proper)],
            "rotated_by_deg": frame.angle_deg,
            "centre_A": frame.centre_A.tolist(),
            "centre_px_from_corner": (frame.centre_A / map.voxel_size_A + map.box // 2).tolist(),
            "mirrored": frame.mirrored,
        },
        "box_size": map.box,
        "voxel_size_A": map.voxel_size_A,
        **({} if particles is None else {"n_particles": len(particles)}),
    }


def check_on_grid(path: Path, map: Map, wanted: Map, of: object) -> None:
    """Raise InputError unless ``map`` of ``path`` is on the grid of ``wanted``, which is ``of``."""
    if not volumes.same_grid(map, wanted):
        raise InputError(f"{path}: {volumes.told(map)}, but {of} has {volumes.told(wanted)}; bring it onto that grid "
                         f"first: halfmap volume resample --volume {path} --onto {of}")


def read_mask(path: Path) -> Map:
    """A mask. Raises InputError for one that is empty or not between 0 and 1."""
    mask = mrc.read(path)
    if not mask.data.max() > 0:
        raise InputError(f"{path}: the mask is empty: no voxel is above 0")
    faults = inputs.values_of_no_mask(path, mask)
    if faults:
        raise InputError(faults)
    return mask
