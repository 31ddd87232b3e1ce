"""Runs `halfmap volume flip`: the other hand of a map, and of the poses of its particles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.geometry import frames
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.volume import moving
from halfmap.params.geometry import VolumeFlip

CURVED = ("the sign of --ewald-sphere, and of --adjust-defocus, is the other one for the mirrored map")


def run(params: VolumeFlip, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Write the mirrored volumes and the particles; returns what the summary says."""
    group, particles = moving.read(params, watch)
    frame = frames.mirror()
    moving.write(folder, moving.move_all(group, frame), moving.move_particles(particles, frame), params)
    if particles is not None:
        watch("note", text=CURVED)
    return moving.told(frame, group.map, particles)


def check(params: VolumeFlip, watch: Passing) -> dict:
    """Read volumes and particles."""
    group, particles = moving.read(params, watch)
    return moving.told(frames.mirror(), group.map, particles)
