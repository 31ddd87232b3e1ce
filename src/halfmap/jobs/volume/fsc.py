"""Runs `halfmap fsc`: all curves of two half-maps, or of any two maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from halfmap.errors import InputError
from halfmap.geometry import symmetry
from halfmap.io import mrc
from halfmap.jobs.running import inputs, results
from halfmap.jobs.running.events import Passing, Watch
from halfmap.maps.masks import Made
from halfmap.params.fsc import Fsc
from halfmap.refine import advice, recipes
from halfmap.types import Map
from halfmap.validate import fsc, fsc_report

# FSC of a map of all data with a perfect one where its half-maps have fsc.THRESHOLD: sqrt(2F / (1 + F)), Rosenthal &
# Henderson 2003
OF_WHOLE_MAPS = 0.5


def run(params: Fsc, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Compute and write fsc.*, guinier.json and the masks; returns the summary of the result files."""
    first, second, mask = read(params)
    given = None if mask is None else Made(mask.data, f"given mask {params.mask.name}")
    whole = params.volume is not None
    threshold = params.threshold or (OF_WHOLE_MAPS if whole else fsc.THRESHOLD)
    report = fsc_report.report(first, second, recipes.curve_settings(params), given, _order(params))
    report = fsc_report.without_mask_free(report) if whole else report
    own = (first.box, first.voxel_size_A)
    for sentence in advice.advise(advice.Evidence(report.curves, np.inf, *own, *own, mask_faults=report.warnings)):
        watch("warning", message=sentence)
    results.write_curves(folder, report, threshold)
    shown = first if whole else results.mean_of(first, second)
    bfactor = results.write_guinier(folder, shown, report.curves["corrected"], None, results.range_A(params))
    for name, map in report.masks.items():
        mrc.write(folder / f"{name}.mrc", map)
    return {**results.describe_curves(report.curves, threshold), "fsc_threshold": threshold, "bfactor_A2": bfactor}


def _order(params: Fsc) -> int:
    """Of the point group that the maps obey."""
    return len(symmetry.group(params.symmetry))


def check(params: Fsc, watch: Passing) -> dict:
    """Read the maps and see whether they fit each other."""
    first, second, mask = read(params)
    symmetry.group(params.symmetry)
    pair = fsc.Pair(first, second)
    if mask is not None:
        pair.masked(mask.data, "masked")
    return {"resolved": {"box_size": first.box, "voxel_size_A": first.voxel_size_A}}


def read(params: Fsc) -> tuple[Map, Map, Map | None]:
    """Both maps, on one grey scale if they are no halves, and the mask. Raises InputError with the faults of all."""
    whole = params.volume is not None
    paths = (params.volume, params.against) if whole else (params.half1, params.half2)
    first, second, mask = inputs.read_all(
        *(lambda path=path: mrc.read(path, params.voxel_size_A) for path in paths),
        lambda: mrc.read(params.mask, params.voxel_size_A) if params.mask else None,
    )
    return first, scaled(second, first, params.against) if whole else second, mask


def scaled(map: Map, like: Map, path: object) -> Map:
    """The map times a positive number that gives it the standard deviation of another.

    The FSC is the same; masks are made from the mean of both. Raises InputError for a map that is constant.
    """
    own, wanted = float(map.data.std(dtype=float)), float(like.data.std(dtype=float))
    if own == 0:
        raise InputError(f"{path}: all voxels are equal; there is nothing to compare")
    return replace(map, data=(map.data * np.float32(wanted / own)))
