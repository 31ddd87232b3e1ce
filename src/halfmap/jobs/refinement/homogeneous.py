"""Runs `halfmap refine homogeneous`: reads the inputs, refines, writes the results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from halfmap.data import cryosparc_writing, expansion, stack, tables
from halfmap.data.particles import Particles
from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.jobs.refinement import relion_files, relion_project
from halfmap.jobs.running import checkpoint, inputs, resources, results
from halfmap.jobs.running.events import Passing, Watch
from halfmap.params.common import ParticleInput, ParticleJob, ParticleOutput
from halfmap.params.homogeneous import Homogeneous
from halfmap.params.refinement import MapRefinement
from halfmap.refine import loop, recipes
from halfmap.refine.recipe import Recipe
from halfmap.types import Map

RecipeOf = Callable[[MapRefinement, Map | None, Map | None], Recipe]  # settings, mask, FSC mask -> recipe


def run(params: Homogeneous, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Refine and write; returns the summary of the result files."""
    return refined(recipes.homogeneous, params, folder, rng, watch)


def check(params: Homogeneous, watch: Passing) -> dict:
    """Read and check all inputs; returns what the refinement would do and need."""
    return told(recipes.homogeneous, params, watch)


def refined(recipe_of: RecipeOf, params: MapRefinement, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """``run`` with any recipe from a map."""
    return carried_out(read(recipe_of, params, watch), params, folder, rng, watch)


def carried_out(ready: tuple[Recipe, Particles, Map], params: MapRefinement, folder: Path, rng: np.random.Generator,
                watch: Watch) -> dict:
    """Refine what was read, by its recipe, and write; returns the summary of the result files."""
    recipe, particles, reference = ready
    resources.demand(recipe, particles, reference, params, folder, watch)
    keeper = relion_files.beside(checkpoint.of_job(params, folder, watch), params, folder)
    with relion_project.of(folder, params, watch):
        outcome = loop.run(recipe, particles, reference, None, rng, watch, keeper)
        told = results.write(outcome, particles, params, folder, watch)
        keeper.finish(outcome, watch)
    return told


def told(recipe_of: RecipeOf, params: MapRefinement, watch: Passing) -> dict:
    """``check`` with any recipe from a map."""
    recipe, particles, reference = read(recipe_of, params, watch)
    return resources.told(recipe, particles, reference, params, watch)


def read(recipe_of: RecipeOf, params: MapRefinement, watch: Watch | Passing) -> tuple[Recipe, Particles, Map]:
    """The recipe, the particles and the starting map. Raises InputError with the faults of all files."""
    static = None if params.mask in ("dynamic", "none") else params.mask
    particles, reference, mask, fsc_mask = inputs.read_all(
        lambda: read_particles(params, watch),
        lambda: mrc.read(params.volume),
        lambda: mrc.read(static) if static else None,
        lambda: mrc.read(params.fsc_mask) if params.fsc_mask else None,
    )
    copies = expansion.copies(particles)
    if copies:
        watch("warning", message=f"{copies:,} particles are symmetry copies of others: a global search finds one pose "
              "for all copies of a particle, and the resolution counts them as independent; refine them locally, or "
              "give the particles from before the expansion")
    inputs.warn_of_size(params.volume, reference, particles, watch)
    for path, given in ((static, mask), (params.fsc_mask, fsc_mask)):
        if given is not None:
            inputs.check_mask(path, given, particles)
            inputs.warn_of_mask(path, given, watch)
    return recipe_of(params, mask, fsc_mask), particles, reference


def read_particles(params: ParticleJob, watch: Watch | Passing) -> Particles:
    """The particle table, its image files checked. Lens aberrations that the settings say to ignore are zero.

    Raises InputError with every fault of table and files.
    """
    return inputs.without_ignored(checked_particles(params, watch), params)


def checked_particles(params: ParticleInput, watch: Watch | Passing) -> Particles:
    """The particle table, its image files checked; warns of what it describes and halfmap ignores.

    Raises InputError with every fault of table and files.
    """
    particles = tables.read(params.particles, params.images_root, params.passthrough)
    faults = stack.check(particles)
    if isinstance(params, ParticleOutput) and params.write_cs:  # told now, not after hours
        new_halves = isinstance(params, ParticleJob) and params.force_resplit
        faults += cryosparc_writing.faults_of(particles, str(params.particles), new_halves)
    if faults:
        raise InputError(faults)
    for message in tables.unmodelled(particles):
        watch("warning", message=message)
    return inputs.with_lens(particles)
