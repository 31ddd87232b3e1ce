"""Runs `halfmap volume recenter`: another point becomes the centre of the box, and of the particles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.errors import UsageError
from halfmap.geometry import frames
from halfmap.geometry.frames import Frame
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.volume import moving
from halfmap.maps import masks
from halfmap.params import points
from halfmap.params.geometry import VolumeRecenter
from halfmap.types import Map


def run(params: VolumeRecenter, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Write the moved volumes and particles; returns what the summary says."""
    group, particles = moving.read(params, watch)
    frame = decided(params, group.map)
    summary = moving.told(frame, group.map, particles)
    place = ", ".join(f"{value:.2f}" for value in summary["frame"]["centre_px_from_corner"])
    watch("note", text=f"new centre: {place} px (x, y, z from the corner of the old box)")
    along = moving.move_particles(particles, frame, params.adjust_defocus)
    moving.write(folder, moving.move_all(group, frame), along, params)
    return summary


def check(params: VolumeRecenter, watch: Passing) -> dict:
    """Read volumes and particles and find the centre."""
    group, particles = moving.read(params, watch)
    return moving.told(decided(params, group.map), group.map, particles)


def decided(params: VolumeRecenter, map: Map) -> Frame:
    """The frame with the centre asked for. Raises UsageError for one outside the box, InputError for a bad mask."""
    if params.to_mask is not None:
        mask = moving.read_mask(params.to_mask)
        moving.check_on_grid(params.to_mask, mask, map, params.volume)
        centre_A = masks.centre(mask)
    else:
        length_A = map.voxel_size_A * np.array(points.in_voxels(params.centre or params.shift, map.voxel_size_A))
        corner_A = map.box // 2 * map.voxel_size_A
        centre_A = length_A - corner_A if params.centre else -length_A
    if np.any(np.abs(centre_A) > map.box * map.voxel_size_A / 2):
        place = ", ".join(f"{value / map.voxel_size_A + map.box // 2:.1f}" for value in centre_A)
        raise UsageError(f"the new centre, {place} px from the corner, is outside the box of {map.box} voxels; "
                         "--centre counts from the corner, --shift from where things are")
    return frames.shift(-centre_A)
