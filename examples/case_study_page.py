"""The page of the case study: figures from the job folders, numbers from their summaries, words from a template.

Owns docs/case_study.md, docs/figures/case_study_*.png and docs/figures/case_study.json. The page is the template with
these numbers; a test makes it again and compares.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import jinja2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from halfmap.data import relion
from halfmap.geometry import rotations
from halfmap.io import mrc
from halfmap.maps import masks
from halfmap.types import Map
from halfmap.validate import fsc

ROOT = Path(__file__).resolve().parents[1]
PAGE, FIGURES = ROOT / "docs" / "case_study.md", ROOT / "docs" / "figures"
NUMBERS = FIGURES / "case_study.json"
PREFIX, DPI = "case_study_", 90
# plots of the jobs that the page shows as they are
PLOTS = {"regions": ("4_regions", "region_projections"), "domain_mask": ("5_around_domain", "region_slices"),
         "slices": ("10_local", "slices"), "first_changes": ("10_local", "iteration_001/changes"),
         "changes": ("10_local", "changes"), "fsc": ("10_local", "fsc"), "wrong_extent": ("wrong_extent", "changes"),
         "wrong_mask": ("wrong_mask", "changes")}  # fmt: skip
STAGES = {"before": "3_nonuniform", "after local refinement": "10_local", "after subtraction": "14_reverted"}


def write(folder: Path, numbers: dict) -> None:
    """Figures, numbers and page."""
    FIGURES.mkdir(exist_ok=True)
    for name, (job, plot) in PLOTS.items():
        _copy(folder / job / "plots" / f"{plot}.png", name)
    consensus(folder)
    domain(folder)
    subtraction(folder)
    against_truth(folder)
    NUMBERS.write_text(json.dumps(numbers, indent=1) + "\n")
    PAGE.write_text(rendered(numbers))


def rendered(numbers: dict) -> str:
    """The page with these numbers in it."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    found = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    found.tests["search"] = lambda text, part: part in text
    return found.get_template("case_study.md.j2").render(**numbers)


def consensus(folder: Path) -> None:
    """The map of the deposited poses above that of the non-uniform refinement, through the middle of the domain."""
    at = _middle(folder)
    figure = Figure(figsize=(7.0, 4.9))
    rows = {"with the poses that came with the data": "2_reconstruct", "after non-uniform refinement": "3_nonuniform"}
    for row, (title, job) in enumerate(rows.items()):
        _row(figure, 2, row, [_slice(mrc.read(folder / job / "map.mrc"), axis, at) for axis in range(3)], title)
    _save(figure, "consensus")


def domain(folder: Path) -> None:
    """The domain at every stage beside its true map, cut out about its middle."""
    at = _middle(folder)
    maps = {stage: mrc.read(folder / f"of_{job}" / "map.mrc") for stage, job in STAGES.items()}
    maps["true domain"] = mrc.read(folder / "truth" / "moving.mrc")
    near = mrc.read(folder / "true_mask.mrc").data > 0.02
    reach = int(np.ceil((near.sum() / (4 / 3 * np.pi)) ** (1 / 3) * 1.35))
    figure = Figure(figsize=(7.0, 5.6))
    for column, (title, map) in enumerate(maps.items()):
        for axis in range(3):
            axes = figure.add_subplot(3, len(maps), axis * len(maps) + column + 1)
            _show(axes, _crop(_slice(map, axis, at), _others(at, axis), reach))
            if axis == 0:
                axes.set_title(title, fontsize=9)
    _save(figure, "domain")


def subtraction(folder: Path) -> None:
    """What is left of the map once the body has been subtracted."""
    at = _middle(folder)
    figure = Figure(figsize=(7.0, 4.9))
    maps = [mrc.read(folder / job / "map.mrc") for job in ("3_nonuniform", "12_left")]
    scale = float(np.percentile(maps[0].data, 99.9))
    for row, (map, title) in enumerate(zip(maps, ("particles as they were", "body subtracted"), strict=True)):
        _row(figure, 2, row, [_slice(map, axis, at) for axis in range(3)], title, scale)
    _save(figure, "subtraction")


def against_truth(folder: Path) -> None:
    """FSC of every stage with the true domain; errors of the domain's poses."""
    truth, inside = mrc.read(folder / "truth" / "moving.mrc"), mrc.read(folder / "true_mask.mrc").data
    true = relion.read(folder / "truth" / "truth_moving.star").poses
    figure = Figure(figsize=(7.0, 2.9))
    left, right = figure.subplots(1, 2)
    for stage, job in {**STAGES, "true poses": "true_poses"}.items():
        values = fsc.curve(_mean(folder / f"of_{job}"), truth, inside).values
        left.plot(np.arange(len(values)) / (truth.box * truth.voxel_size_A), values, label=stage, lw=1.2)
        if job != "true_poses":
            table = relion.read(folder / job / "framed.star")
            errors = np.rad2deg(rotations.angle_between(table.poses.rotations, true.rotations[table.index]))
            label = f"{stage}, median {np.median(errors):.1f}"
            right.hist(errors, np.linspace(0, 30, 61), histtype="step", label=label)
    left.axhline(0.5, color="grey", lw=0.6)
    left.set(xlabel="1/A", ylabel="FSC with the true domain", ylim=(-0.05, 1.02))
    right.set(xlabel="error of the domain's orientation (deg)", ylabel="particles")
    for axes in (left, right):
        axes.legend(fontsize=7)
    _save(figure, "truth")


def _mean(folder: Path) -> Map:
    halves = [mrc.read(folder / f"half{half}.mrc") for half in (1, 2)]
    return Map((halves[0].data + halves[1].data) / 2, halves[0].voxel_size_A)


def _middle(folder: Path) -> tuple[int, int, int]:
    """z, y, x of the voxel in the middle of the true domain."""
    map = mrc.read(folder / "truth" / "moving.mrc")
    return tuple(int(round(c)) for c in (masks.centre(map) / map.voxel_size_A + map.box // 2)[::-1])


def _slice(map: Map, axis: int, at: Sequence[int]) -> np.ndarray:
    """The section across an axis, x before y, y before z along the picture."""
    return np.take(map.data, at[axis], axis)


def _others(at: Sequence[int], axis: int) -> list[int]:
    return [c for place, c in enumerate(at) if place != axis]


def _crop(section: np.ndarray, middle: Sequence[int], reach: int) -> np.ndarray:
    low = [min(max(c - reach, 0), len(section) - 2 * reach) for c in middle]
    return section[low[0] : low[0] + 2 * reach, low[1] : low[1] + 2 * reach] if min(low) >= 0 else section


def _row(figure: Figure, rows: int, row: int, sections: Sequence[np.ndarray], title: str,
         scale: float | None = None) -> None:
    for column, section in enumerate(sections):
        axes = figure.add_subplot(rows, len(sections), row * len(sections) + column + 1)
        _show(axes, section, scale)
        if column == 1:
            axes.set_title(title, fontsize=9)


def _show(axes, section: np.ndarray, scale: float | None = None) -> None:
    top = scale or float(np.percentile(section, 99.7))
    axes.imshow(section, cmap="gray", vmin=-0.15 * top, vmax=top, origin="lower", interpolation="nearest")
    axes.set_axis_off()


def _copy(source: Path, name: str) -> None:
    """A job's plot, as the job drew it."""
    shutil.copyfile(source, FIGURES / f"{PREFIX}{name}.png")


def _save(figure: Figure, name: str) -> None:
    figure.tight_layout(pad=0.6, h_pad=1.0)
    figure.set_dpi(DPI)
    FigureCanvasAgg(figure).print_png(FIGURES / f"{PREFIX}{name}.png")
