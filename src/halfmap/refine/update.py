"""The new State: poses merged in, noise and grey scale from the residuals, and the line the user sees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfmap.align import posterior
from halfmap.geometry import symmetry
from halfmap.maps import resample
from halfmap.physics import noise
from halfmap.refine.expectation import Posed
from halfmap.refine.maximisation import Maximised
from halfmap.refine.schedules import Plan
from halfmap.refine.setup import Run
from halfmap.refine.state import State
from halfmap.types import Candidates
from halfmap.validate import fsc

NOISE_PRIOR_IMAGES = 50  # weight of the mean spectrum in that of one group; cryoSPARC's refine_noise_priorw
GREY_STEP = (0.5, 2.0)  # largest change of a group's grey scale in one iteration
DECISIVE = 0.9  # probability of the best candidate below which a particle counts as undecided


def resampled(state: State, box: int) -> State:
    """The references in a box of ``box`` voxels: the band decides how finely maps are sampled."""
    if state.references.shape[-1] == box:
        return state
    maps = [resample.fourier_crop(state.reference(half), box) for half in (0, 1)]
    return replace(state, references=np.stack([m.data for m in maps])[None], reference_voxel_A=maps[0].voxel_size_A)


def new_state(job: Run, old: State, plan: Plan, posed: Posed, result: Maximised, shells: dict) -> State:
    """The state after an iteration, its line of history included."""
    candidates = Candidates(*(
        _with_rows(getattr(old.candidates, f), posed.rows, getattr(posed.candidates, f))
        for f in Candidates.__dataclass_fields__
    ))
    known = {f: _with_rows(getattr(old, f), posed.rows, getattr(posed, f))
             for f in ("weights", "information", "cross", "power")}
    state = replace(
        old, iteration=old.iteration + 1, references=np.stack([r.data for r in result.references])[None],
        reference_voxel_A=result.references[0].voxel_size_A, candidates=candidates, **known,
        models=new_models(old.models, shells), curves=result.curves, shell=result.shell, band=plan.band,
        reach=plan.reach,
    )
    if result.gave_way and job.recipe.judge is not None:
        job.warn("the FSC mask is too tight or cuts density away: a sphere shows the halves to agree further, and sets "
                 "the resolution of the alignment in its place; give a wider, softer mask")
    return replace(state, history=(*old.history, _history_row(job, old, state, plan, posed, result)))


def with_seconds(state: State, total: float, stages: dict[str, float]) -> State:
    """The last line of history with the time the iteration took, whole and by stage."""
    row = {**state.history[-1], "seconds": total, **{f"seconds_{name}": value for name, value in stages.items()}}
    return replace(state, history=(*state.history[:-1], row))


def _with_rows(old: np.ndarray, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    new = old.copy()
    new[rows] = values
    return new


def new_models(models: tuple[noise.GroupModel, ...], shells: dict[int, np.ndarray]) -> tuple[noise.GroupModel, ...]:
    """Noise from the residual power of each group, drawn towards the mean of all where a group is small.

    ``shells``: per group (4, K+1) sums |x|^2, Re(conj(m) x), |m|^2, pixels. The grey scales move relative to each
    other only: their common factor is in the maps.
    """
    residual = {g: s[0] - 2 * s[1] + s[2] for g, s in shells.items()}
    mean = sum(residual.values()) / np.maximum(sum(s[3] for s in shells.values()), 1)
    slope = {g: s[1].sum() / max(s[2].sum(), 1e-30) for g, s in shells.items()}
    overall = sum(s[1].sum() for s in shells.values()) / max(sum(s[2].sum() for s in shells.values()), 1e-30)
    out = list(models)
    for g, s in shells.items():
        if not s[3].any():
            continue  # none of its particles was in the sample
        prior = NOISE_PRIOR_IMAGES * s[3] / max(_images(s[3]), 1)
        power = (residual[g] + mean * prior) / np.maximum(s[3] + prior, 1)
        ratio = np.clip(slope[g] / overall, *GREY_STEP) if overall > 0 else 1.0
        out[g] = replace(models[g].with_power(power, s[3] > 0), grey=models[g].grey * float(ratio))
    return tuple(out)


def _images(pixels: np.ndarray) -> float:
    """Images behind the pixel counts: shell 1 of a half plane holds four pixels."""
    return pixels[1] / 4


def _history_row(job: Run, old: State, new: State, plan: Plan, posed: Posed, result: Maximised) -> dict:
    """What the user sees of an iteration; None where there is nothing to say."""
    frame, rows = job.frame, posed.rows
    rotation, shift = posterior.expected_errors(new.information[rows])
    turned = symmetry.distance(new.poses.rotations[rows], old.poses.rotations[rows], job.recipe.group)
    moved = np.linalg.norm(new.poses.shifts_A[rows] - old.poses.shifts_A[rows], axis=1)
    first = old.iteration == 0
    area = np.clip(new.curves["corrected"].values[1 : int(new.shell) + 1], 0, 1).sum()
    return {
        "iteration": new.iteration,
        "resolution_A": frame.resolution_A(new.shell),
        "resolution_unmasked_A": fsc.resolution_A(new.curves["no_mask"]),
        "band_A": frame.resolution_A(plan.band),
        "accuracy_rotation_deg": _finite(np.rad2deg(np.median(rotation))),
        "accuracy_shift_A": _finite(np.median(shift)),
        "change_rotation_deg": None if first else float(np.rad2deg(np.median(turned))),
        "change_shift_A": None if first else float(np.median(moved)),
        "searched": int(plan.searched[rows].sum()),
        "undecided": float((posed.weights[:, 0] < DECISIVE).mean()),
        "slope": float(np.median(posed.cross / np.maximum(posed.power, 1e-30))),
        "fsc_area": float(area),
        "mask": result.mask_words,
        "fsc_mask": result.judge.words,
        "mask_fraction": float(result.mask.data.mean(dtype=float)),
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
