"""Runs `halfmap import particles`: reads a table, corrects it, writes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from halfmap.data import tables
from halfmap.data.particles import UNASSIGNED, Particles
from halfmap.jobs.refinement import homogeneous
from halfmap.jobs.running import inputs, results
from halfmap.jobs.running.events import Passing, Watch
from halfmap.params.importing import ImportParticles
from halfmap.types import Optics

MM = 1e7  # Angstrom


def run(params: ImportParticles, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Write particles.star, and particles.cs where asked for; returns what the summary says."""
    particles = corrected(_read(params, watch), params)
    results.write_particles(folder, particles, {}, params)
    return counts(particles)


def check(params: ImportParticles, watch: Passing) -> dict:
    """Read and correct the table."""
    return counts(corrected(_read(params, watch), params))


def counts(particles: Particles) -> dict:
    """What the summary says of a table."""
    return {
        "n_particles": len(particles),
        "n_optics_groups": len(particles.optics),
        "n_half1": int(np.count_nonzero(particles.half == 1)),
        "n_half2": int(np.count_nonzero(particles.half == 2)),
        "has_poses": particles.poses is not None,
    }


def corrected(particles: Particles, params: ImportParticles) -> Particles:
    """The particles with the values that were given instead of those of the table."""
    before = np.array([entry.pixel_size_A for entry in particles.optics])
    particles = replace(particles, optics=tuple(_corrected(entry, params) for entry in particles.optics))
    if params.ignore_poses:
        particles = tables.without_poses(particles)
    if params.ignore_halves:
        particles = replace(particles, half=np.full_like(particles.half, UNASSIGNED))
    if particles.poses is not None and params.pixel_size_A is not None:
        ratio = (params.pixel_size_A / before)[particles.group]
        poses = replace(particles.poses, shifts_A=particles.poses.shifts_A * ratio[:, None])
        particles = replace(particles, poses=poses)
    sign = {"table": np.sign(particles.defocus.scale), "white": 1.0, "dark": -1.0}[params.contrast]
    return replace(particles, defocus=replace(particles.defocus, scale=np.abs(particles.defocus.scale) * sign))


def _corrected(optics: Optics, params: ImportParticles) -> Optics:
    aberration_mm = params.spherical_aberration_mm
    given = {
        "pixel_size_A": params.pixel_size_A,
        "voltage_kV": params.voltage_kV,
        "spherical_aberration_A": None if aberration_mm is None else aberration_mm * MM,
        "amplitude_contrast": params.amplitude_contrast,
    }
    return replace(optics, **{name: value for name, value in given.items() if value is not None})


def _read(params: ImportParticles, watch: Watch | Passing) -> Particles:
    if not params.ignore_images:
        return homogeneous.checked_particles(params, watch)
    particles = tables.read_table(params.particles, params.passthrough)
    for message in tables.unmodelled(particles):
        watch("warning", message=message)
    return inputs.with_lens(particles)
