"""Runs `halfmap fsc`: all curves of two half-maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.geometry import symmetry
from halfmap.io import mrc
from halfmap.jobs import inputs, results
from halfmap.jobs.events import Passing, Watch
from halfmap.maps.masks import Made
from halfmap.params.fsc import Fsc
from halfmap.refine import advice, recipes
from halfmap.types import Map
from halfmap.validate import fsc, fsc_report


def run(params: Fsc, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Compute and write fsc.*, guinier.json and the masks; returns the summary of the result files."""
    half1, half2, mask = read(params)
    given = None if mask is None else Made(mask.data, f"given mask {params.mask.name}")
    report = fsc_report.report(half1, half2, recipes.curve_settings(params), given, _order(params))
    own = (half1.box, half1.voxel_size_A)
    for sentence in advice.advise(advice.Evidence(report.curves, np.inf, *own, *own, mask_faults=report.warnings)):
        watch("warning", message=sentence)
    results.write_curves(folder, report)
    bfactor = results.write_guinier(folder, half1, half2, report.curves["corrected"], None, results.range_A(params))
    for name, map in report.masks.items():
        mrc.write(folder / f"{name}.mrc", map)
    return {**results.describe_curves(report.curves), "bfactor_A2": bfactor}


def _order(params: Fsc) -> int:
    """Of the point group that the maps obey."""
    return len(symmetry.group(params.symmetry))


def check(params: Fsc, watch: Passing) -> dict:
    """Read the maps and see whether they fit each other."""
    half1, half2, mask = read(params)
    symmetry.group(params.symmetry)
    pair = fsc.Pair(half1, half2)
    if mask is not None:
        pair.masked(mask.data, "masked")
    return {"resolved": {"box_size": half1.box, "voxel_size_A": half1.voxel_size_A}}


def read(params: Fsc) -> tuple[Map, Map, Map | None]:
    """Both half-maps and the mask. Raises InputError with the faults of all files."""
    return tuple(
        inputs.read_all(
            lambda: mrc.read(params.half1),
            lambda: mrc.read(params.half2),
            lambda: mrc.read(params.mask) if params.mask else None,
        )
    )
