"""Writes the result files of a job and says in a few numbers what they hold.

Owns file names and the layout of fsc.*, guinier.json and noise.json. Computes nothing of its own beyond sharpening:
curves, fits and masks come from `validate` and from the outcome of the refinement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from halfmap.data import cryosparc_files, relion
from halfmap.data.particles import Particles
from halfmap.io import mrc, star
from halfmap.jobs.running import candidates, diagnostics, record
from halfmap.jobs.running.events import Watch
from halfmap.maps import filters
from halfmap.params.common import ParticleOutput, Refinement
from halfmap.params.curves import CurveSettings
from halfmap.params.reconstruct import Reconstruct
from halfmap.params.refinement import MapRefinement
from halfmap.refine.state import Outcome
from halfmap.types import Curve, Map
from halfmap.validate import fsc, guinier
from halfmap.validate.fsc_report import Report

REASON = "halfmapRejectReason"  # a column of our own: RELION has none for it, and leaves unknown ones alone


def write(outcome: Outcome, source: Particles, params: MapRefinement | Reconstruct, folder: Path, watch: Watch) -> dict:
    """Write all files of a refinement or reconstruction; ``source`` is the particle table as it was read.

    Returns what summary.json says about them.
    """
    mean = mean_of(outcome.half1, outcome.half2)
    sharpening = write_guinier(folder, mean, outcome.curves["corrected"], params.bfactor, range_A(params))
    if sharpening is None:
        watch("warning", message="the map is too coarse for a Guinier fit: map_sharp.mrc is not sharpened")
    _write_maps(folder, outcome, sharpening or 0.0)
    errors = candidates.errors(outcome.posterior) if isinstance(params, Refinement) else {}
    write_particles(folder, outcome.particles, {**outcome.extra, **errors}, params)
    if isinstance(params, Refinement) and params.write_candidates:
        candidates.write(folder, outcome.posterior)
    write_rejected(folder, source, outcome.rejected)
    write_curves(folder, outcome.fsc)
    _write_noise(folder, outcome)
    if outcome.diagnostics is not None:
        diagnostics.write(folder, outcome.diagnostics)
    shown = {} if outcome.diagnostics is None else outcome.diagnostics.facts
    last = outcome.history[-1] if outcome.history else {}
    return {
        **describe_curves(outcome.curves),
        "bfactor_A2": sharpening,
        "symmetry": params.symmetry,
        "n_particles": len(outcome.particles),
        "n_rejected": len(outcome.rejected),
        "iterations": len(outcome.history),
        **{f"seconds_{part}": outcome.seconds.get(part, 0.0) for part in ("reading", "search", "poses", "reconstruct")},
        "accuracy_rotation_deg": last.get("accuracy_rotation_deg"),
        "accuracy_shift_A": last.get("accuracy_shift_A"),
        "poses_per_image": last.get("poses_per_image"),
        "n_junk": last.get("junk_particles"),
        "cfar": shown.get("cfar"),
        "precision_ratio": shown.get("precision_ratio"),
        "warnings": list(outcome.warnings),
    }


def write_particles(folder: Path, particles: Particles, extra: dict, params: ParticleOutput) -> None:
    """particles.star, and particles.cs where asked for."""
    relion.write(folder / "particles.star", particles, extra)
    if params.write_cs:
        cryosparc_files.write(folder / "particles.cs", particles, extra)


def describe_curves(curves: dict[str, Curve], threshold: float = fsc.THRESHOLD) -> dict:
    """Resolutions of a set of FSC curves, under their names in summary.json; the first two at ``threshold``."""
    corrected = curves["corrected"]
    return {
        "resolution_A": fsc.resolution_A(corrected, threshold),
        "resolution_unmasked_A": fsc.resolution_A(curves["no_mask"], threshold),
        "resolution_05_A": fsc.resolution_A(corrected, 0.5),
        "nyquist_A": 2 * corrected.voxel_size_A,
    }


def write_curves(folder: Path, report: Report, threshold: float = fsc.THRESHOLD) -> None:
    """fsc.json and fsc.star with every curve, fsc.xml with the corrected one as EMDB takes it.

    fsc.json also says what each curve is ("descriptions"), from where phases are random, and at which ``threshold``
    the resolution is read.
    """
    curves = report.curves
    rows = fsc.as_rows(curves.values())
    crossings = {
        name: {f"{level:g}": fsc.resolution_A(curve, level) for level in sorted({0.5, fsc.THRESHOLD, threshold})}
        for name, curve in curves.items()
    }
    first = curves["corrected"]
    start = report.randomised_from
    head = {
        "box": first.box,
        "voxel_size_A": first.voxel_size_A,
        "threshold": threshold,
        "crossings_A": crossings,
        "descriptions": report.descriptions,
        "randomised_from_shell": start,
        "randomised_from_A": None if start is None else first.resolution_A(start),
    }
    record.write_json(folder / "fsc.json", {**head, **rows})
    finite = {name: np.where(np.isfinite(column), column, 999.0) for name, column in rows.items()}  # as RELION writes
    finite["shell"] = rows["shell"]
    star.write(folder / "fsc.star", [star.Block("fsc", finite, True)])
    record.write_text(folder / "fsc.xml", emdb_xml(first))


def emdb_xml(curve: Curve) -> str:
    """A curve in the XML that EMDB takes: x is the spatial frequency in 1/A."""
    frequency = np.arange(len(curve.values)) / (curve.box * curve.voxel_size_A)
    points = "".join(
        f"  <coordinate>\n    <x>{x:.6f}</x>\n    <y>{y:.6f}</y>\n  </coordinate>\n"
        for x, y in zip(frequency, curve.values, strict=True)
    )
    title = quoteattr(f"halfmap FSC, {curve.name}")
    labels = 'xaxis="Resolution (A-1)" yaxis="Correlation Coefficient"'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<fsc title={title} {labels}>\n{points}</fsc>\n'


def range_A(params: CurveSettings) -> tuple[float, float | None]:
    """Coarsest and finest resolution of the Guinier fit; None for that of the map."""
    return params.bfactor_fit_low_A, params.bfactor_fit_high_A


def write_guinier(folder: Path, mean: Map, corrected: Curve, wanted: float | None,
                  range_A: tuple[float, float | None]) -> float | None:
    """guinier.json, for the plot; returns the B-factor in A^2 to sharpen with: the wanted one, else the fitted one.

    ``mean``: of both half-maps. None where there is neither B-factor.
    """
    content = guinier_content(mean, corrected, wanted, range_A)
    record.write_json(folder / "guinier.json", content)
    return content["bfactor_used_A2"]


def guinier_content(mean: Map, corrected: Curve | None, wanted: float | None,
                    range_A: tuple[float, float | None]) -> dict:
    """What guinier.json says of a map: its amplitudes, the fit, weighted by the FSC where there is one, both B."""
    profile = guinier.profile(mean)
    low, high = range_A
    if high is None and corrected is not None:
        high = fsc.resolution_A(corrected)
    fit = guinier.fit_profile(profile, low, high, corrected)
    fitted = None if fit is None else fit.bfactor_A2
    return {
        "frequency2_1_A2": (np.arange(len(profile.values)) / (profile.box * profile.voxel_size_A)) ** 2,
        "ln_amplitude": ln(profile),
        "fit": None if fit is None else {"x": fit.x, "y": fit.y, "slope": fit.slope, "intercept": fit.intercept},
        "bfactor_fitted_A2": fitted,
        "bfactor_used_A2": fitted if wanted is None else wanted,
    }


def ln(profile: Curve) -> np.ndarray:
    """Logarithm of amplitudes; of none at all that of the smallest number."""
    return np.log(np.maximum(profile.values, np.finfo(np.float64).tiny))


def mean_of(half1: Map, half2: Map) -> Map:
    """The map of both halves."""
    return Map((half1.data + half2.data) / 2, half1.voxel_size_A)


def _write_maps(folder: Path, outcome: Outcome, bfactor: float) -> None:
    maps = {
        "map": outcome.map,
        "map_sharp": filters.bfactor(outcome.map, bfactor),
        "half1": outcome.half1,
        "half2": outcome.half2,
        "mask_refine": outcome.mask_refine,
        "local_filter": outcome.local_filter,
        **outcome.fsc.masks,
    }
    for name, map in maps.items():
        if map is not None:
            mrc.write(folder / f"{name}.mrc", map)


def write_rejected(folder: Path, source: Particles, rejected: Sequence[tuple[int, str]]) -> None:
    """rejected.star: the particles left out, as they were read, each with the reason."""
    if not rejected:
        return
    rows = np.array([row for row, _ in rejected])
    reasons = np.array([reason for _, reason in rejected], dtype=object)
    table = source[rows]
    relion.write(folder / "rejected.star", replace(table, columns={**table.columns, REASON: reasons}))


def _write_noise(folder: Path, outcome: Outcome) -> None:
    groups = [
        {
            "name": curve.name,
            "frequency_1_A": np.arange(len(curve.values)) / (curve.box * curve.voxel_size_A),
            "noise_sd": curve.values,
        }
        for curve in outcome.noise
    ]
    record.write_json(folder / "noise.json", {"groups": groups})
