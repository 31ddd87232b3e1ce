"""Final products: curves, the combined map, the particles with their poses, and warnings about all of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfmap.geometry import symmetry
from halfmap.refine.maximisation import Maximised
from halfmap.refine.setup import Run
from halfmap.refine.state import Outcome, State
from halfmap.types import Curve, Poses, Sums
from halfmap.validate import fsc, fsc_report

SIGNIFICANT = 1e-3  # probability from which a pose counts


def outcome(job: Run, state: State, result: Maximised, sums: tuple[Sums, Sums]) -> Outcome:
    """What the job writes down."""
    report = _report(job, result)
    curves = report.curves
    _warn(job, curves)
    for message in report.warnings:
        job.warn(message)
    trusted = np.clip(curves["corrected"].values, 0, 1)
    used = np.sort(np.concatenate([job.rows(1), job.rows(2)]))
    extra = {
        "log_likelihood": state.candidates.log_likelihood[used, 0],
        "max_probability": state.weights[used, 0],
        "significant_poses": (state.weights[used] > SIGNIFICANT).sum(1),
    }
    return Outcome(
        half1=result.halves[0],
        half2=result.halves[1],
        map=job.recipe.prior.combined(sums, trusted, result.halves[0].box, job.frame),
        particles=replace(job.source.particles, poses=_in_asymmetric_unit(job, state))[used],
        extra=extra,
        mask_refine=result.mask,
        noise=_noise_curves(job, state),
        fsc=report,
        history=state.history,
        rejected=tuple(sorted(job.rejected.items())),
        seconds=_seconds(job.source.clock.seconds),
        warnings=tuple(job.warnings),
    )


def _report(job: Run, result: Maximised) -> fsc_report.Report:
    """All curves, judged by the user's FSC mask where there is one."""
    recipe, (half1, half2) = job.recipe, result.halves
    given = None if recipe.judge is None else recipe.judge.made(half1, job.frame.resolution_A(0), job.frame)
    return fsc_report.report(half1, half2, recipe.curves, given)


def _in_asymmetric_unit(job: Run, state: State) -> Poses:
    """The best poses, each as its mate in one asymmetric unit: so that viewing directions can be compared."""
    return Poses(symmetry.canonical(state.poses.rotations, job.recipe.group), state.poses.shifts_A)


def _seconds(stages: dict[str, float]) -> dict[str, float]:
    """Seconds per stage; "reconstruct" is back-projection and solution together."""
    return {**stages, "reconstruct": stages.get("insert", 0.0) + stages.get("solve", 0.0)}


def _noise_curves(job: Run, state: State) -> tuple[Curve, ...]:
    names = (o.name for o in job.source.particles.optics)
    frame = job.frame
    return tuple(Curve(name, m.noise_sd, frame.box, frame.voxel_size_A)
                 for name, m in zip(names, state.models, strict=True))


def _warn(job: Run, curves: dict[str, Curve]) -> None:
    """Say so where the halves agree no further than they share data, and where the box ends the resolution."""
    corrected, split = curves["corrected"], job.recipe.prior.split_A
    reached = fsc.resolution_A(corrected)
    if reached > job.frame.length_A / (job.frame.length_A / split + 1):
        job.warn(f"the half-maps agree only to {reached:.1f} A, no finer than the {split:g} A below which they share "
                 "data: this is no evidence of a particle; check the images, the starting map and the CTF")
    if fsc.crossing(corrected) >= len(corrected.values) - 1:
        job.warn("the resolution has reached the Nyquist limit of the box: refine with less binned particles")
    if job.rejected:
        job.warn(f"{len(job.rejected)} images could not be used and were left out; rejected.star lists them")
