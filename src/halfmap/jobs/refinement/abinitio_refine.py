"""Runs `halfmap abinitio-refine`: grows a map of each half-set by itself, brings one onto the other, refines both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from halfmap.data import halves, relion
from halfmap.data.particles import FIRST, UNASSIGNED, Particles
from halfmap.io import mrc
from halfmap.jobs.refinement import abinitio
from halfmap.jobs.running import checkpoint, inputs, resources, results
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.running.growths import Growths
from halfmap.maps import resample, turn
from halfmap.params.abinitio_refine import AbinitioRefine
from halfmap.refine import loop, masking, meeting, recipes, setup, stochastic
from halfmap.refine.batches import Frame
from halfmap.refine.diagnostics import Diagnostics
from halfmap.refine.recipe import Recipe
from halfmap.refine.state import Keeper, Outcome
from halfmap.refine.stochastic import Found
from halfmap.types import Curve, Map
from halfmap.validate import fsc, fsc_report

Streams = tuple[np.random.Generator, np.random.Generator]


@dataclass(frozen=True)
class Grown:
    """A map from nothing, and what its steps tell of it."""

    map: Map
    found: Found
    warnings: tuple[str, ...] = ()

    @property
    def gain(self) -> float:
        """Nats by which it tells more of a particle that did not make it than a ball does."""
        return self.found.evidence - self.found.ball


@dataclass(frozen=True)
class Origin:
    """What a map of one half-set grows from."""

    half: int
    rng: np.random.Generator
    keeper: Keeper = field(default_factory=Keeper)  # with what an interrupted run left of it
    attempt: int = 1  # to grow one of this half


def run(params: AbinitioRefine, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Split, grow, align, refine, write; returns what the summary says.

    Three streams of random numbers: one for the split and the refinement, and one for what each half grows from.
    """
    recipe, particles = read(params, watch)
    first, second = rng.spawn(2)
    used = abinitio.chosen(params, len(particles), rng)
    table = halves.with_own_optics(halves.assign(particles[used], rng, params.force_resplit))
    method = recipes.growing(params, setup.frame_of(recipe, table, None))
    resources.demand_growth(method, recipe, table, params, folder, watch)
    growths = Growths(folder, watch, params.keep_checkpoints == "all", params.continue_from)
    grown = grown_together(params, recipe, table, (first, second), watch, growths)
    for message in (message for one in grown for message in one.warnings):
        watch("warning", message=message)
    if not all(one.found.something for one in grown):
        return _unrefined(grown, recipe, particles, folder) | _growth(grown)
    last_A = grown_A(grown)
    outcome = loop.run(recipes.from_each(recipe, tuple(one.map for one in grown), last_A, len(particles.optics)), table,
                       None, None, rng, watch, checkpoint.of_job(params, folder, watch))
    outcome = replace(outcome, particles=halves.with_optics_of(outcome.particles, particles))
    _write_unused(folder, particles, used)
    written = results.write(outcome, particles[used], params, folder, watch)
    return written | _growth(grown) | _agreement(outcome, last_A, watch) | {"n_unused": len(particles) - len(used)}


def check(params: AbinitioRefine, watch: Passing) -> dict:
    """Read and check all inputs; tell what would be done and what that would need."""
    recipe, particles = read(params, watch)
    particles = particles[: params.num_particles]  # another choice takes as long
    method = recipes.growing(params, setup.frame_of(recipe, particles, None))
    return resources.told_of_growth(method, recipe, particles, 2, params, watch)


def read(params: AbinitioRefine, watch: Watch | Passing) -> tuple[Recipe, Particles]:
    """The recipe, as yet without a start, and the particles, without poses they may have.

    Raises InputError with the faults of all files.
    """
    static = None if params.mask in ("dynamic", "none") else params.mask
    particles, mask, fsc_mask = inputs.read_all(
        lambda: abinitio.read(params, watch),
        lambda: mrc.read(static) if static else None,
        lambda: mrc.read(params.fsc_mask) if params.fsc_mask else None,
    )
    for path, given in ((static, mask), (params.fsc_mask, fsc_mask)):
        if given is not None:
            inputs.check_mask(path, given, particles)
            inputs.warn_of_mask(path, given, watch)
    return recipes.refined_halves(params, mask, fsc_mask), inputs.without_ignored(particles, params)


def grown_together(params: AbinitioRefine, recipe: Recipe, table: Particles, streams: Streams, watch: Watch,
                   growths: Growths) -> tuple[Grown, Grown]:
    """A map of each half, the second one brought onto the first.

    Where the two are not of one structure, the one that tells less of particles that did not make it is grown anew:
    that they differ is all that one half learns of the other.
    """
    frame = setup.frame_of(recipe, table, None)
    best = [grow(params, recipe, table, Origin(half + FIRST, stream, growths.of(half)), watch)
            for half, stream in enumerate(streams)]
    there = brought_together(best[0].map, best[1].map, recipe, watch)
    attempts = [1, 1]
    for number in range(len(best), len(best) + params.max_restarts):
        agreed_A = fsc.resolution_A(agreement(best[0].map, there, recipe, frame), 0.5)
        if agreed_A < meeting.ALIKE * grown_A(best) or not any(one.found.something for one in best):
            break
        weaker = int(best[1].gain < best[0].gain)
        watch("note", text=f"the maps of the halves are not of one structure; half {weaker + 1} is grown anew")
        attempts[weaker] += 1
        again = Origin(weaker + FIRST, streams[weaker], growths.of(number), attempts[weaker])
        best[weaker] = max(best[weaker], grow(params, recipe, table, again, watch), key=lambda one: one.gain)
        there = brought_together(best[0].map, best[1].map, recipe, watch)
    curve = agreement(best[0].map, there, recipe, frame)
    watch("diagnostics", made=meeting_of((best[0].map, best[1].map, there), curve, grown_A(best), frame))
    return best[0], replace(best[1], map=there)


def grow(params: AbinitioRefine, recipe: Recipe, table: Particles, origin: Origin, watch: Watch) -> Grown:
    """A map of one half-set, on the axes of its symmetry. It knows no particle of the other half."""
    half = origin.half
    mine = table[table.half == half]
    mine = replace(mine, half=np.full_like(mine.half, UNASSIGNED))  # of the split the steps know nothing
    job = setup.prepare(recipe, mine, None, origin.rng, _of_half(origin, watch))
    of_table = len(job.warnings)  # the refinement has the same to say
    found = stochastic.run(job, recipes.growing(params, job.frame), np.arange(len(mine)), origin.keeper)
    if found.something:
        job.watch("note", text=found.verdict)
    else:
        job.warn(f"{found.verdict}. {abinitio.ADVICE}")
    map = stochastic.onto_axes(found.maps[0], recipe.group, job)
    return Grown(map, found, tuple(f"half {half}: {text}" for text in job.warnings[of_table:]))


def _of_half(origin: Origin, watch: Watch):
    """Says of what it passes on which half it tells of; views of the steps come before those of the iterations.

    Warnings become notes: those of a map that is grown anew are no longer true. Its views have names of their own.
    """
    half, again = origin.half, f"_try{origin.attempt}" if origin.attempt > 1 else ""

    def told(kind: str, **data) -> None:
        if kind == "warning":
            kind, data = "note", {"text": data["message"]}
        if kind == "diagnostics":
            step = data["made"].name.rpartition("_")[2]
            data = {"made": replace(data["made"], name=f"iteration_000_half{half}{again}_step{step}")}
        if kind == "phase":
            data = {"half": half, **data}
        if kind == "progress":
            data = {**data, "whose": ", ".join(filter(None, (f"half {half}", data.get("whose"))))}
        if "text" in data:
            data = {**data, "text": f"half {half}: {data['text']}"}
        watch(kind, **data)

    return told


def brought_together(still: Map, moving: Map, recipe: Recipe, watch: Watch) -> Map:
    """The second map turned, moved and mirrored onto the first."""
    found = meeting.onto(moving, still, recipe.map_group)
    watch("note", text=f"the map of half 2 was turned by {found.angle_deg:.1f} degrees and moved by "
          f"{np.linalg.norm(found.centre_A):.1f} A onto that of half 1{', and mirrored' if found.mirrored else ''}")
    return turn.placed(moving, found)


def agreement(one: Map, other: Map, recipe: Recipe, frame: Frame) -> Curve:
    """FSC of two maps in the sphere of the particle."""
    sphere = masking.SphereMask().of(one, np.inf, frame).data
    return fsc.Pair(one, other, len(recipe.map_group)).masked(sphere, "spherical")


def meeting_of(maps: tuple[Map, Map, Map], curve: Curve, grown_to_A: float, frame: Frame) -> Diagnostics:
    """What the meeting of the half-maps shows: half 1, half 2 as it was and as it lies on half 1."""
    cuts = np.stack([[np.take(one.data, one.box // 2, axis=axis) for axis in (2, 1, 0)] for one in maps])
    arrays = {"meeting_slices": cuts.astype(np.float32), "meeting_fsc": curve.values}
    return Diagnostics("iteration_000_meeting", arrays, {
        "iteration": 0, "box": frame.box, "voxel_size_A": frame.voxel_size_A, "grown_A": grown_to_A})


def grown_A(grown: Sequence[Grown]) -> float:
    """The resolution that all maps have been grown to."""
    return max(one.found.resolution_A for one in grown)


def _unrefined(grown: tuple[Grown, Grown], recipe: Recipe, particles: Particles, folder: Path) -> dict:
    """Writes the half-maps as they have grown, and their FSC; no particle has a pose, and there is no map of all."""
    frame = setup.frame_of(recipe, particles, None)
    whole = [resample.to_grid(one.map, frame.box, frame.voxel_size_A) for one in grown]
    for number, one in enumerate(whole, FIRST):
        mrc.write(folder / f"half{number}.mrc", one)
    report = fsc_report.report(*whole, recipe.curves, order=len(recipe.map_group))
    results.write_curves(folder, report)
    _write_unused(folder, particles, np.zeros(0, int))
    # two balls agree, too: their FSC is no resolution of anything
    told = {**results.describe_curves(report.curves), "resolution_A": None, "resolution_unmasked_A": None,
            "resolution_05_A": None}  # fmt: skip
    return {**told, "n_particles": 0, "n_unused": len(particles),
            "halves_agree": False}


def _write_unused(folder: Path, particles: Particles, used: np.ndarray) -> None:
    unused = np.setdiff1d(np.arange(len(particles)), used)
    if len(unused):
        relion.write(folder / "particles_unused.star", particles[unused])


def _growth(grown: tuple[Grown, Grown]) -> dict:
    """What the summary says of the maps that were grown, a value a half."""
    found = [one.found for one in grown]
    return {
        "found": all(one.something for one in found), "verdicts": [one.verdict for one in found],
        "significance": [one.significance for one in found], "evidence_of_starts": [list(one.trials) for one in found],
        "phases": [{"half": half, **phase} for half, one in enumerate(found, FIRST) for phase in one.phases],
        "grown_to_A": [one.resolution_A for one in found],
    }  # fmt: skip


def _agreement(outcome: Outcome, grown_to_A: float, watch: Watch) -> dict:
    """Whether two halves that knew nothing of each other came to the same map; no resolution where none is claimed."""
    reached_A, length_A = outcome.history[-1]["resolution_A"], outcome.half1.box * outcome.half1.voxel_size_A
    agreed = bool(reached_A < grown_to_A)
    if not agreed:
        watch("warning", message=f"the half-maps agree no further than the {grown_to_A:.0f} A they were grown to: one "
              "of them, or both, did not find the structure; do not trust the map; look at both half-maps, try another "
              "--seed or more --starts")
    nothing = {"resolution_A": None} if reached_A > length_A else {}  # no shell of the box is believed
    return {"halves_agree": agreed, **nothing}
