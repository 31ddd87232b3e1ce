"""Final products: curves, the combined map, the particles with their poses, and advice about all of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from halfmap.data import neighbours
from halfmap.data.particles import Particles
from halfmap.errors import InputError
from halfmap.geometry import symmetry
from halfmap.refine import advice, diagnostics, junk, schedules
from halfmap.refine.diagnostics import Diagnostics
from halfmap.refine.maximisation import Maximised
from halfmap.refine.setup import Run
from halfmap.refine.state import Outcome, Posterior, State
from halfmap.types import Curve, Poses, Sums
from halfmap.validate import fsc_report

SIGNIFICANT = 1e-3  # probability from which a pose counts
NAMED = 3  # particles of those that hardly count
MET = 0.1  # of the diameter: two particles cannot be so close
MANY = 0.02  # of all particles: so many of them are worth a warning
SILENT = "no signal: its scale is zero or negative"


def outcome(job: Run, state: State, result: Maximised, sums: tuple[Sums, Sums]) -> Outcome:
    """What the job writes down."""
    report = _report(job, result)
    curves, half = report.curves, result.halves[0]
    filter = result.filter.judged(np.clip(curves["corrected"].values, 0, 1))
    job.reject(np.flatnonzero(state.silent), SILENT)
    shown = diagnostics.of_result(state, report, result.halves, sums)
    for sentence in advice.advise(evidence(job, state, result, report, shown)):
        job.warn(sentence)
    used = np.sort(np.concatenate([job.rows(1), job.rows(2)]))
    _name_junk(job, state, used)
    return Outcome(
        half1=result.halves[0],
        half2=result.halves[1],
        map=job.recipe.prior.combined(sums, filter, half.box, job.frame),
        local_filter=filter.resolution(half.box, half.box * half.voxel_size_A),
        particles=known(job, state)[used],
        extra=columns(job, state, used),
        mask_refine=result.mask,
        noise=_noise_curves(job, state),
        fsc=report,
        history=state.history,
        rejected=tuple(sorted(job.rejected.items())),
        seconds=_seconds(job.source.clock.seconds),
        warnings=tuple(job.warnings),
        diagnostics=shown,
        posterior=_posterior(job, state, used),
    )


def _name_junk(job: Run, state: State, used: np.ndarray) -> None:
    """Tell how many particles hardly count, and which come first; a warning where they are many."""
    low = used[state.trust[used] < junk.HALF]
    if len(low) == 0:
        return
    table = job.source.particles
    names = ", ".join(f"{table.index[row] + 1:06d}@{Path(table.files[table.file[row]]).name}" for row in low[:NAMED])
    text = (f"{len(low):,} of {len(used):,} particles ({100 * len(low) / len(used):.1f} %) are probably none and count "
            f"for little in the map, the first: {names}; halfmapParticleProbability in particles.star tells of all")
    if len(low) > MANY * len(used):
        job.warn(text)
    else:
        job.watch("note", text=text)


def columns(job: Run, state: State, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Further columns of the particle table, by neutral name."""
    return {
        "log_likelihood": state.candidates.log_likelihood[rows, 0],
        "max_probability": state.weights[rows, 0],
        "significant_poses": (state.weights[rows] > SIGNIFICANT).sum(1),
        **job.recipe.layer.columns(state.effective[rows]),
        **job.recipe.junk.columns(state.trust[rows], state.raw_scale[rows]),
    }


def known(job: Run, state: State) -> Particles:
    """The particle table with what the refinement found."""
    return replace(job.source.particles, poses=_in_asymmetric_unit(job, state), scale=state.scale, optics=state.optics,
                   defocus=state.defocus)


def _report(job: Run, result: Maximised) -> fsc_report.Report:
    """All curves, judged by the user's FSC mask where there is one."""
    recipe, (half1, half2) = job.recipe, result.halves
    order = len(recipe.map_group)
    given = None if recipe.judge is None else recipe.judge.made(half1, job.frame.resolution_A(0), job.frame)
    report = fsc_report.report(half1, half2, recipe.curves, given, order)
    judged = report.curves["corrected"], report.mask.data, order, job.frame
    complaint = recipe.claim.complaint(*judged)
    if complaint is not None:
        job.warn(complaint)
    return replace(report, curves={**report.curves, "corrected": recipe.claim.believed(*judged)})


def _in_asymmetric_unit(job: Run, state: State) -> Poses:
    """The best poses, each as its mate in one asymmetric unit of the map, so that directions can be compared."""
    return Poses(symmetry.canonical(state.poses.rotations, job.recipe.map_group), state.poses.shifts_A)


def _posterior(job: Run, state: State, used: np.ndarray) -> Posterior:
    """All poses of the particles ``used``, the best as ``_in_asymmetric_unit`` has it."""
    found = state.candidates[used]
    turned = symmetry.canonical(found.rotations.reshape(-1, 3, 3), job.recipe.map_group)
    return Posterior(replace(found, rotations=turned.reshape(found.rotations.shape)), state.weights[used],
                     state.information[used])


def _seconds(stages: dict[str, float]) -> dict[str, float]:
    """Seconds per stage; "reconstruct" is back-projection and solution together."""
    return {**stages, "reconstruct": stages.get("insert", 0.0) + stages.get("solve", 0.0)}


def _noise_curves(job: Run, state: State) -> tuple[Curve, ...]:
    names = (o.name for o in job.source.particles.optics)
    frame = job.frame
    return tuple(Curve(name, m.noise_sd, frame.box, frame.voxel_size_A)
                 for name, m in zip(names, state.models, strict=True))


def evidence(job: Run, state: State, result: Maximised, report: fsc_report.Report, shown: Diagnostics
             ) -> advice.Evidence:
    """What the advisor judges by."""
    used = np.sort(np.concatenate([job.rows(1), job.rows(2)]))
    half, optics = result.halves[0], job.source.particles.optics
    pixel = min(o.pixel_size_A for o in optics)
    return advice.Evidence(
        curves=report.curves, mask_faults=report.warnings,
        split_A=job.recipe.prior.split_A, box=half.box, voxel_size_A=half.voxel_size_A,
        particle_box=round(job.frame.length_A / pixel), pixel_size_A=pixel,
        cfar=shown.facts["cfar"], directions_differ=shown.facts["directions_differ"],
        precision_ratio=shown.facts["precision_ratio"], scales=state.scale[used],
        **_fit(state, used), **_mates(job, state, used), **job.recipe.search.evidence(state.history),
        halves=(len(job.rows(1)), len(job.rows(2))),
        halves_given=(int((job.half == 1).sum()), int((job.half == 2).sum())),
        mask_gave_way=result.mask_gave_way, iterations=state.iteration,
        max_iterations=getattr(job.recipe.schedule, "max_iterations", None),
        still_growing=schedules.growing(state), rejected=len(job.rejected), met=_met(job, state, used),
    )


def _met(job: Run, state: State, used: np.ndarray) -> tuple[int, float] | None:
    """How many pairs of particles of different half-sets are nearer to each other than two particles can be."""
    distance_A = MET * job.frame.diameter_A
    try:
        pairs = neighbours.pairs(known(job, state)[used], distance_A)
    except InputError as fault:  # a column of coordinates that nobody can read: no reason to lose a result
        job.watch("note", text=f"whether particles were picked twice is not known: {fault}")
        return None
    if pairs is None:
        return None
    first, second = job.half[used[pairs]].T
    return int((first != second).sum()), distance_A


def _fit(state: State, used: np.ndarray) -> dict[str, np.ndarray]:
    """cross and power of the particles used, where poses were fitted at all."""
    return {"cross": state.cross[used], "power": state.power[used]} if state.power[used].any() else {}


def _mates(job: Run, state: State, used: np.ndarray) -> dict:
    """How sure the particles are of their symmetry mates, where these compete."""
    group, of_map = job.recipe.group, job.recipe.map_group
    if len(of_map) == len(group):
        return {}
    return {"mate_certainty": state.weights[used, 0], "mates": len(group)}
