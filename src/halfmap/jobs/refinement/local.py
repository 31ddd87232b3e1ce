"""Runs `halfmap refine local`: reads particles with poses, the map and the mask of a part, refines, writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.data.particles import UNASSIGNED, Particles
from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.jobs.refinement import own_halves
from halfmap.jobs.refinement.homogeneous import carried_out, read_particles
from halfmap.jobs.running import inputs, resources
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.volume import volumes
from halfmap.maps import mask_faults, resample, sharpness
from halfmap.params.local import Local
from halfmap.refine import advice, recipes, start
from halfmap.refine.recipe import Recipe
from halfmap.types import Map


def run(params: Local, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Refine and write; returns the summary of the result files."""
    return carried_out(read(params, watch), params, folder, rng, watch)


def check(params: Local, watch: Passing) -> dict:
    """Read and check all inputs; returns what the refinement would do and need."""
    recipe, particles, reference = read(params, watch)
    return resources.told(recipe, particles, reference, params, watch)


def read(params: Local, watch: Watch | Passing) -> tuple[Recipe, Particles, Map]:
    """The recipe, the particles and the starting map. Raises InputError with the faults of all files."""
    static = None if params.mask == "dynamic" else params.mask
    particles, group, mask, fsc_mask = inputs.read_all(
        lambda: ready(read_particles(params, watch), params),
        lambda: read_volumes(params),
        lambda: mrc.read(static) if static else None,
        lambda: mrc.read(params.fsc_mask) if params.fsc_mask else None,
    )
    for path, given in ((static, mask), (params.fsc_mask, fsc_mask)):
        if given is not None:
            inputs.check_mask(path, given, particles)
    if mask is not None:
        inputs.warn_of_mask(static, mask, watch, (mask_faults.hard_edge,))
        warn_of_rest(static, mask, group.map, params.initial_lowpass, watch)
    halves = None
    if params.initialize_from_halfmaps:
        halves = group.halves
        paths = paths_of(params)
        own_halves.check(particles, params, paths["half1"], paths["half2"], watch)
    return recipes.local(params, group.map, halves, mask, fsc_mask), particles, group.map


def warn_of_rest(path: str, mask: Map, reference: Map, resolution_A: float, watch: Watch | Passing) -> None:
    """Warn of a mask that holds too much of what rests, judged in the band in which poses are searched."""
    inside = resample.to_grid(mask, reference.box, reference.voxel_size_A)
    sentence = advice.rest_in_mask(sharpness.mixture(reference, inside, max(resolution_A, reference.nyquist_A)))
    if sentence is not None:
        watch("warning", message=f"{path}: {sentence}")


def ready(particles: Particles, params: Local) -> Particles:
    """The particles. Raises InputError where they lack poses or half-sets."""
    start.require_poses(particles)
    if not params.force_resplit and not np.any(particles.half != UNASSIGNED):
        raise InputError(f"{params.particles}: no half-sets in the table: poses and map come from a refinement without "
                         "them, or the column was lost; take the particles of a refinement with "
                         "half-sets, or draw new ones with --force-resplit: the halves then share what the poses were "
                         "found with, so start from a map low-passed well below its resolution")  # fmt: skip
    return particles


def read_volumes(params: Local) -> volumes.Group:
    """The map and, where they are wanted, its half-maps. Raises InputError with the faults of all files."""
    paths = paths_of(params)
    if not params.initialize_from_halfmaps and "map" not in paths:
        raise InputError(f"{params.volume}: holds no map.mrc; name a map, or the folder of a job that made one")
    maps = inputs.read_all(*(lambda path=path: mrc.read(path) for path in paths.values()))
    return volumes.grouped(paths, maps)


def paths_of(params: Local) -> dict[str, Path]:
    """The files of the map and, where they are wanted, of its half-maps. Raises InputError for a folder without any."""
    files = volumes.files(params.volume, half1=params.half1, half2=params.half2)
    wanted = ("map", "half1", "half2") if params.initialize_from_halfmaps else ("map",)
    return {name: path for name, path in files.items() if name in wanted}
