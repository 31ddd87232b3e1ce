"""The new State: poses merged in, noise and grey scale from the residuals, and the line the user sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from halfmap.align import posterior
from halfmap.data.particles import SECOND
from halfmap.geometry.frames import Frame
from halfmap.maps import resample
from halfmap.refine.maximisation import Maximised
from halfmap.refine.posed import OF_PARTICLES, Posed
from halfmap.refine.schedules import Plan
from halfmap.refine.setup import Run
from halfmap.refine.state import State
from halfmap.types import Candidates, Map, Poses
from halfmap.validate import fsc

DECISIVE = 0.9  # probability of the best candidate below which a particle counts as undecided


def resampled(state: State, box: int) -> State:
    """The references in a box of ``box`` voxels: the band decides how finely maps are sampled."""
    if state.references.shape[-1] == box:
        return state
    maps = [resample.fourier_crop(state.reference(half), box) for half in (0, 1)]
    return referring(state, maps)


def referring(state: State, maps: Sequence[Map]) -> State:
    """The state with these maps as references of the halves."""
    return replace(state, references=np.stack([m.data for m in maps])[None], reference_voxel_A=maps[0].voxel_size_A)


def new_state(job: Run, old: State, plan: Plan, posed: Posed, result: Maximised, shells: dict) -> State:
    """The state after an iteration, its line of history included; its references are still the old ones."""
    candidates = Candidates(*(
        _with_rows(getattr(old.candidates, f), posed.rows, getattr(posed.candidates, f))
        for f in Candidates.__dataclass_fields__
    ))
    known = {f: _with_rows(getattr(old, f), posed.rows, getattr(posed, f)) for f in OF_PARTICLES}
    state = replace(
        old, iteration=old.iteration + 1, candidates=candidates, **known,
        trust=job.recipe.junk.weights(known["cross"], known["power"], job.half),
        scale=job.recipe.scale.updated(old, posed), silent=job.recipe.scale.silent(old, posed),
        models=job.recipe.noise.updated(old.models, shells), curves=result.curves, shell=result.shell, band=plan.band,
        reach=plan.reach,
    )
    if result.gave_way and job.recipe.judge is not None:
        job.warn("the FSC mask is too tight or cuts density away: a sphere shows the halves to agree further, and sets "
                 "the resolution of the alignment in its place; give a wider, softer mask")
    state = replace(state, history=(*old.history, _history_row(job, old, state, plan, posed, result)))
    return _with_facts(state, job.recipe.schedule.facts(state, plan, job.frame))


def brought_along(job: Run, state: State, frame: Frame | None) -> State:
    """The state with the poses of half 2 as the frame shows them that its map was brought into; tells of it."""
    if frame is None:
        return state
    rows = np.flatnonzero((job.half == SECOND) & state.seen)
    known = state.candidates[rows]
    count = known.log_likelihood.shape[1]
    lens = np.array([entry.magnification for entry in state.optics])[job.source.particles.group[rows]]
    there = frame.poses(Poses(known.rotations.reshape(-1, 3, 3), known.shifts_A.reshape(-1, 2)), lens.repeat(count, 0))
    moved = replace(known, rotations=there.rotations.reshape(known.rotations.shape),
                    shifts_A=there.shifts_A.reshape(known.shifts_A.shape))
    candidates = Candidates(*(
        _with_rows(getattr(state.candidates, f), rows, getattr(moved, f)) for f in Candidates.__dataclass_fields__
    ))
    facts = {"halves_turned_deg": frame.angle_deg, "halves_moved_A": float(np.linalg.norm(frame.centre_A)),
             "halves_mirrored": frame.mirrored}
    job.watch("note", text=f"half 2 was turned by {frame.angle_deg:.2f} degrees and moved by "
              f"{facts['halves_moved_A']:.2f} A{', and mirrored,' if frame.mirrored else ''} onto half 1")
    return replace(state, candidates=candidates, history=(*state.history[:-1], {**state.history[-1], **facts}))


def with_seconds(state: State, total: float, stages: dict[str, float]) -> State:
    """The last line of history with the time the iteration took, whole and by stage."""
    return _with_facts(state, {"seconds": total, **{f"seconds_{name}": value for name, value in stages.items()}})


def _with_facts(state: State, facts: dict) -> State:
    """The state with more in the last line of history."""
    return replace(state, history=(*state.history[:-1], {**state.history[-1], **facts}))


def _with_rows(old: np.ndarray, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    new = old.copy()
    new[rows] = values
    return new


def _history_row(job: Run, old: State, new: State, plan: Plan, posed: Posed, result: Maximised) -> dict:
    """What the user sees of an iteration; None where there is nothing to say."""
    frame, rows, search = job.frame, posed.rows, job.recipe.search
    given = job.source.particles.poses
    told = search.accuracy_form(new.poses.rotations[rows], new.information[rows])
    rotation, shift = posterior.expected_errors(told)
    known = rows[old.seen[rows]]
    turned, moved = search.apart(new.poses[known], old.poses[known], job.recipe.map_group)
    first = len(known) == 0
    area = np.clip(new.curves["corrected"].values[1 : int(new.shell) + 1], 0, 1).sum()
    return {
        "iteration": new.iteration,
        "resolution_A": frame.resolution_A(_claimed(job, result)),
        "resolution_unmasked_A": fsc.resolution_A(new.curves["no_mask"]),
        "particles": len(rows),
        "share": float(plan.used.mean()),
        "refit": plan.refit,
        "band_A": frame.resolution_A(plan.band),
        "accuracy_rotation_deg": _finite(np.rad2deg(np.median(rotation))),
        "accuracy_shift_A": _finite(np.median(shift)),
        "change_rotation_deg": None if first else float(np.rad2deg(np.median(turned))),
        "change_shift_A": None if first else float(np.median(moved)),
        "hopped": None if first else job.recipe.relaxation.hopped(new.poses[known], old.poses[known], job.recipe.group),
        "change_rotation_mean_deg": None if first else float(np.rad2deg(turned.mean())),
        "change_shift_rms_A": None if first else float(np.sqrt((moved**2).mean())),
        "searched": int(plan.searched[rows].sum()),
        "max_probability_mean": float(posed.weights[:, 0].mean()),
        "undecided": float((posed.weights[:, 0] < DECISIVE).mean()),
        "poses_per_image": float(posed.effective.mean()) if len(rows) else 1.0,
        "slope": float(np.median(posed.cross / np.maximum(old.scale[rows] * posed.power, 1e-30))),
        "fsc_area": float(area),
        "mask": result.mask_words,
        "fsc_mask": result.judge.words,
        "mask_fraction": float(result.mask.data.mean(dtype=float)),
        **search.facts(None if given is None else given[rows], old.poses[rows], new.poses[rows]),
    }


def _claimed(job: Run, result: Maximised) -> float:
    """The shell of the resolution that is believed."""
    order = len(job.recipe.map_group)
    return fsc.crossing(job.recipe.claim.believed(result.curves["corrected"], result.judge.data, order, job.frame))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
