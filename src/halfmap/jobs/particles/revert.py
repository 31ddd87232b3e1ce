"""Runs `halfmap revert`: subtracted particles with their original images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.data import originals, stack, tables
from halfmap.data.particles import Particles
from halfmap.errors import InputError
from halfmap.jobs.particles import importing
from halfmap.jobs.running import results
from halfmap.jobs.running.events import Passing, Watch
from halfmap.params.subtract import Revert


def run(params: Revert, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Write particles.star, and particles.cs where asked for; returns what the summary says."""
    particles = reverted(params)
    results.write_particles(folder, particles, {}, params)
    return importing.counts(particles)


def check(params: Revert, watch: Passing) -> dict:
    """Read the table and find the original images."""
    return importing.counts(reverted(params))


def reverted(params: Revert) -> Particles:
    """The particles with images that are there and whole. Raises InputError where they are not."""
    changed = tables.read_table(params.particles, params.passthrough)
    particles = originals.reverted(changed, params.original_poses, params.particles, params.images_root)
    faults = stack.check(particles)
    if faults:
        raise InputError(faults)
    return particles
