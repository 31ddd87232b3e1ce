"""Runs `halfmap reconstruct`: half-maps from the poses in the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.data.particles import Particles
from halfmap.io import mrc
from halfmap.jobs.refinement.homogeneous import read_particles
from halfmap.jobs.running import inputs, resources, results
from halfmap.jobs.running.events import Passing, Watch
from halfmap.params.reconstruct import Reconstruct
from halfmap.refine import loop, recipes, start
from halfmap.refine.recipe import Recipe


def run(params: Reconstruct, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Reconstruct and write; returns the summary of the result files."""
    recipe, particles = read(params, watch)
    resources.demand(recipe, particles, None, params, folder, watch)
    outcome = loop.run(recipe, particles, None, None, rng, watch)
    return results.write(outcome, particles, params, folder, watch)


def check(params: Reconstruct, watch: Passing) -> dict:
    """Read and check all inputs; returns what the reconstruction would do and need."""
    recipe, particles = read(params, watch)
    return resources.told(recipe, particles, None, params, watch)


def read(params: Reconstruct, watch: Watch | Passing) -> tuple[Recipe, Particles]:
    """The recipe, the user's mask in it, and the particles. Raises InputError with the faults of all files."""
    particles, mask = inputs.read_all(
        lambda: read_particles(params, watch),
        lambda: mrc.read(params.mask) if params.mask else None,
    )
    if mask is not None:
        inputs.check_mask(params.mask, mask, particles)
        inputs.warn_of_mask(params.mask, mask, watch)
    start.require_poses(particles)
    return recipes.reconstruction(params).with_mask(mask), particles
