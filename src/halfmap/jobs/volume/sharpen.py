"""Runs `halfmap sharpen`: FSC weights, MTF, B-factor and low-pass on the mean of two half-maps, or on one map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from halfmap.data import relion
from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.jobs.running import inputs, record, results
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.volume import volumes
from halfmap.jobs.volume.volumes import Group
from halfmap.maps import filters, sharpening
from halfmap.maps.filters import Factor
from halfmap.maps.masks import Made
from halfmap.maps.sharpening import Mtf
from halfmap.params.sharpen import Sharpen
from halfmap.refine import recipes
from halfmap.types import Curve, Map
from halfmap.validate import fsc, fsc_report, guinier
from halfmap.validate.fsc_report import Report


@dataclass(frozen=True)
class Source:
    """What is sharpened: the mean of two halves with their curves, or a map without any."""

    map: Map
    report: Report | None

    @property
    def corrected(self) -> Curve | None:
        return None if self.report is None else self.report.curves["corrected"]


def run(params: Sharpen, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Filter, sharpen and write; returns the summary of the result files."""
    group, mtf = read(params)
    source = _source(group, params)
    shape, corner_A = _shape(params, source, mtf)
    undone = source.map if mtf is None else filters.radial(source.map, _undone(params, mtf, source.map))
    low, high = results.range_A(params)
    range_A = (low, high or _fit_end(source, corner_A))
    content = results.guinier_content(undone, source.corrected, params.bfactor, range_A)
    bfactor = content["bfactor_used_A2"]
    if bfactor is None:
        watch("warning", message="the map is too coarse for a Guinier fit: map_sharp.mrc is not sharpened")
    made = {"map": filters.radial(source.map, shape)}
    made["map_sharp"] = filters.bfactor(made["map"], bfactor or 0.0)
    for name, map in made.items():
        mrc.write(folder / f"{name}.mrc", map)
        content[f"ln_amplitude_{name}"] = results.ln(guinier.profile(map))
    record.write_json(folder / "guinier.json", content)
    return {**_told(folder, source, watch), "bfactor_A2": bfactor, "lowpass_A": corner_A}


def check(params: Sharpen, watch: Passing) -> dict:
    """Read the files and see whether they fit each other and the settings."""
    group, _ = read(params)
    return {"resolved": {"box_size": group.map.box, "voxel_size_A": group.map.voxel_size_A,
                         "half_maps": _has_halves(group)}}  # fmt: skip


def read(params: Sharpen) -> tuple[Group, Mtf | None]:
    """The volumes and the MTF. Raises InputError with the faults of all files, and where half-maps are missing."""
    group, mtf = inputs.read_all(
        lambda: volumes.read(params), lambda: Mtf(*relion.read_mtf(params.mtf)) if params.mtf else None
    )
    if not _has_halves(group) and (params.fsc_weighting != "off" or params.lowpass == "fsc"):
        raise InputError(f"{params.volume}: weights and low-pass come from the FSC of two half-maps: name a job folder "
                         "that has them, or --half1 and --half2; or give --fsc-weighting off and --lowpass A or none")
    return group, mtf


def _has_halves(group: Group) -> bool:
    return {"half1", "half2"} <= set(group.volumes)


def _source(group: Group, params: Sharpen) -> Source:
    if not _has_halves(group):
        return Source(group.map, None)
    half1, half2 = group.halves
    given = None if group.mask is None else Made(group.mask.data, "the mask given, or that of the job folder")
    return Source(results.mean_of(half1, half2), fsc_report.report(half1, half2, recipes.curve_settings(params), given))


def _shape(params: Sharpen, source: Source, mtf: Mtf | None) -> tuple[Factor, float | None]:
    """The factor of map.mrc, which all but the B-factor make, and the resolution of the low-pass in A."""
    corner = _corner(params, source)
    parts: list[Factor] = [] if mtf is None else [_undone(params, mtf, source.map)]
    if source.corrected is not None:
        kind = sharpening.WEIGHTS[params.fsc_weighting]
        parts.append(filters.curve_factor(sharpening.weights(source.corrected.values, kind)))
    if corner is None:
        return filters.product(parts), None
    parts.append(partial(filters.butterworth, shell=corner, order=params.lowpass_order))
    return filters.product(parts), source.map.box * source.map.voxel_size_A / corner


def _corner(params: Sharpen, source: Source) -> float | None:
    """Fourier pixels of the low-pass; None without one."""
    if params.lowpass == "none":
        return None
    if params.lowpass == "fsc":
        return max(fsc.crossing(source.corrected) + params.lowpass_offset, 1.0)
    return filters.shell_of(source.map, params.lowpass)


def _undone(params: Sharpen, mtf: Mtf, map: Map) -> Factor:
    return mtf.undone(map, params.mtf_pixel_size_A or map.voxel_size_A)


def _fit_end(source: Source, corner_A: float | None) -> float | None:
    """Where the Guinier fit ends: at the resolution, without an FSC at the low-pass."""
    return corner_A if source.corrected is None else None


def _told(folder: Path, source: Source, watch: Watch) -> dict:
    """Write curves and masks; returns what the summary says of them."""
    if source.report is None:
        return {}
    for message in source.report.warnings:
        watch("warning", message=message)
    results.write_curves(folder, source.report)
    for name, map in source.report.masks.items():
        mrc.write(folder / f"{name}.mrc", map)
    return results.describe_curves(source.report.curves)
