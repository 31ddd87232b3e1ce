"""Runs `halfmap abinitio`: grows maps from particles alone, sorts the particles between them, gives them poses."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from halfmap.data import relion
from halfmap.data.particles import Particles
from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.jobs.refinement import homogeneous
from halfmap.jobs.running import resources, results
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.running.growths import Growths
from halfmap.maps import resample
from halfmap.params.abinitio import Abinitio, Growing
from halfmap.refine import parting, recipes, setup, stochastic
from halfmap.refine.parting import Parted, Sorted
from halfmap.refine.recipe import Recipe
from halfmap.refine.setup import Run
from halfmap.refine.state import Keeper
from halfmap.types import Map, Poses

FEWEST = 50  # particles: a class of fewer gets no final passes
FEWEST_OF_ALL = 100
ADVICE = ("Are these particles, bright on dark (halfmap check particles looks at them; halfmap import particles "
          "--contrast dark takes dark ones), and is --particle-diameter theirs?")
PARTING = 1  # number of the stage, after the growth; those of the classes follow


def run(params: Abinitio, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Grow, sort, refine, write; returns what the summary says."""
    particles = read(params, watch)
    used = chosen(params, len(particles), rng)
    job = setup.prepare(recipes.final_passes(params), particles, None, rng, watch)
    method = recipes.stochastic(params, job.frame)
    resources.demand_growth(method, job.recipe, particles[used], params, folder, watch)
    stages = Growths(folder, watch)
    found = stochastic.run(job, method, used, stages.of(0))
    parted, classes = None, [_unfinished(job, grown) for grown in found.maps]
    if found.something:
        watch("note", text=found.verdict)
        parts = recipes.parting(params, found.resolution_A, found.spread_A)
        parted = stages.once(PARTING, job, lambda keeper: parts.parted(job, method, found, used, keeper))
        _tell(job, parted)
        passes = recipes.final_passes(params, found.resolution_A, found.spread_A)
        classes = [stages.once(PARTING + 1 + number, job, partial(_finished, passes, job, parted, number))
                   for number in range(params.classes)]
    else:
        job.warn(f"{found.verdict}. {ADVICE}")
    results.write_rejected(folder, particles, sorted(job.rejected.items()))
    return _written(params, folder, particles, classes) | _told(parted) | {
        "n_rejected": len(job.rejected), "one_start_A": found.resolution_A if found.something else None,
        "verdict": found.verdict, "found": found.something, "evidence": found.evidence, "evidence_of_ball": found.ball,
        "significance": found.significance, "evidence_of_starts": list(found.trials), "steps": len(found.history),
        "phases": list(found.phases), "grown_to_A": found.resolution_A,
        "symmetry": params.symmetry, "warnings": list(job.warnings),
    }  # fmt: skip


def _tell(job: Run, parted: Parted) -> None:
    """Say whether there are several kinds of particles; a warning where there are not, or fewer than classes."""
    if parted.significance > stochastic.SIGNIFICANT:
        job.watch("note", text=parted.verdict)
    elif parted.verdict:
        job.warn(parted.verdict)
    for doubt in parted.doubts:
        job.warn(doubt)


def _told(parted: Parted | None) -> dict:
    """What the summary says of several classes."""
    if parted is None or len(parted.maps) == 1:
        return {}
    kinds = {"class_kinds": parted.kinds, "classes_alike": [[c + 1 for c in group] for group in parted.alike],
             "classes_empty": [c + 1 for c in parted.empty]}
    if not parted.verdict:
        return kinds
    return kinds | {"class_verdict": parted.verdict, "class_gain": parted.gain,
                    "class_significance": parted.significance}


def check(params: Abinitio, watch: Passing) -> dict:
    """Read the table, tell what would be done and what that would need."""
    particles = read(params, watch)[: params.num_particles]  # another choice takes as long
    frame = setup.frame_of(recipes.final_passes(params), particles, None)
    method = recipes.stochastic(params, frame)
    passes = recipes.final_passes(params, method.annealing.final_A)
    return resources.told_of_growth(method, passes, particles, 1, params, watch)


def read(params: Growing, watch: Watch | Passing) -> Particles:
    """The particles, without poses they may have. Raises InputError for too few."""
    particles = homogeneous.checked_particles(params, watch)
    if len(particles) < FEWEST_OF_ALL:
        raise InputError(f"{params.particles}: too few particles for a map from nothing: {len(particles):,}; at least "
                         f"{FEWEST_OF_ALL} are needed")
    return replace(particles, poses=None)


def chosen(params: Growing, n: int, rng: np.random.Generator) -> np.ndarray:
    count = min(params.num_particles or n, n)
    return np.sort(rng.permutation(n)[:count])


def _finished(passes: Recipe, job: Run, parted: Parted, number: int, keeper: Keeper) -> Sorted:
    """Class ``number``: its particles refined from its map, on the axes of the symmetry."""
    mine = np.flatnonzero(parted.shares.argmax(1) == number)
    grown = stochastic.onto_axes(parted.maps[number], job.recipe.group, job)
    if len(mine) < FEWEST:
        job.warn(f"class {number + 1} has {len(mine)} particles: too few for poses; its map is that of the steps")
        return _unfinished(job, grown)
    whose = f"class {number + 1}" if len(parted.maps) > 1 else ""
    outcome = parting.passed(passes, job, grown, parted.rows[mine], whose, keeper)
    job.rejected.update({int(parted.rows[mine[row]]): reason for row, reason in outcome.rejected})
    left = np.setdiff1d(np.arange(len(mine)), [row for row, _ in outcome.rejected])
    return Sorted(outcome.map, parted.rows[mine[left]], outcome.particles.poses, outcome.particles.half,
                  parted.shares[mine[left], number], outcome.history[-1]["resolution_A"], len(outcome.history))


def _unfinished(job: Run, grown: Map) -> Sorted:
    """A class without final passes: its map as it has grown, no particle with a pose."""
    whole = resample.to_grid(grown, job.frame.box, job.frame.voxel_size_A)
    return Sorted(whole, np.zeros(0, int), None, np.zeros(0, int), np.zeros(0), None, 0)


def _written(params: Abinitio, folder: Path, particles: Particles, classes: list[Sorted]) -> dict:
    """Maps, particles with class and pose, and those that were not used; in the order of the table."""
    names = ["map"] if len(classes) == 1 else [f"map_class{number + 1}" for number in range(len(classes))]
    for name, one in zip(names, classes, strict=True):
        mrc.write(folder / f"{name}.mrc", one.map)
    rows = np.concatenate([one.rows for one in classes])
    if len(rows):
        _write_particles(params, folder, particles, classes)
    unused = np.setdiff1d(np.arange(len(particles)), rows)
    if len(unused):
        relion.write(folder / "particles_unused.star", particles[unused])
    return {"n_particles": len(rows), "n_unused": len(unused), "maps": [f"{name}.mrc" for name in names],
            "class_particles": [len(one.rows) for one in classes],
            "resolution_A": classes[0].resolution_A if len(classes) == 1 else None,
            "class_resolution_A": [one.resolution_A for one in classes]}


def _write_particles(params: Abinitio, folder: Path, particles: Particles, classes: list[Sorted]) -> None:
    """Those with poses, of all classes, in the order of the table."""
    kept = [(number, one) for number, one in enumerate(classes) if one.poses is not None]
    rows = np.concatenate([one.rows for _, one in kept])
    order = np.argsort(rows, kind="stable")
    extra = {"class": np.concatenate([np.full(len(one.rows), number + 1) for number, one in kept])[order],
             "class_probability": np.concatenate([one.probability for _, one in kept])[order]}
    table = _joined(particles[rows[order]], [one for _, one in kept], order)
    results.write_particles(folder, table, extra, params)


def _joined(source: Particles, parts: list[Sorted], order: np.ndarray) -> Particles:
    """``source`` with poses and half-sets of the parts, which hold its rows in another order."""
    rotations, shifts_A = (np.concatenate([getattr(part.poses, name) for part in parts])[order]
                           for name in ("rotations", "shifts_A"))  # fmt: skip
    return replace(source, poses=Poses(rotations, shifts_A), half=np.concatenate([part.half for part in parts])[order])
