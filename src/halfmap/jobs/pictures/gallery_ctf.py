"""Plots of a CTF refinement: phases of the lens by optics group, defocus by particle."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from halfmap.jobs.pictures import pictures, views

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 6  # of optics groups and kinds: the others are in the numbers
KINDS = ("odd", "even")
SIGN = {"odd": -1.0, "even": 1.0}  # of the mate of a pixel
UNIT = re.compile("_(rad_A3|rad_A4|rad|A)$")
WIDTH = 112  # letters of a line of a title
BINS = 50
USUAL = 99.0  # per cent of the changes that the histogram holds; the end bins take the rest


def _shown(view: views.View) -> list[tuple[int, str]]:
    """(optics group, kind) of every fit that has pictures, the first few."""
    found = [tuple(name.split("_")[:2]) for name in view.arrays if name.endswith("_measured")]
    rows = sorted((int(group), KINDS.index(kind)) for kind, group in found)
    return [(group, KINDS[kind]) for group, kind in rows[:MOST_ROWS]]


def _phases(figure: Figure, view: views.View) -> None:
    pictures.phases(figure, [_row(view, group, kind) for group, kind in _shown(view)])


def _row(view: views.View, group: int, kind: str) -> pictures.Phases:
    measured, fitted, beside = (view.arrays[f"{kind}_{group}_{part}"] for part in ("measured", "fitted", "beside"))
    planes = (whole(plane, SIGN[kind]) for plane in (measured - beside, fitted))
    told = next(each for each in view.facts["lens"]["groups"] if each["group"] == group)
    return pictures.Phases(_title(told, kind, view.facts["lens"]["iteration"]), *planes, view.length_A)


def whole(half: np.ndarray, sign: float) -> np.ndarray:
    """(2K+1, 2K+1) from the half plane (2K+1, K+1): a mate's phase is ``sign`` times that of its pixel."""
    k = half.shape[1] - 1
    plane = np.concatenate([sign * half[::-1, :0:-1], half], axis=1)
    plane[:, k] = np.where(np.isfinite(half[:, 0]), half[:, 0], sign * half[::-1, 0])
    return plane


def _title(told: dict, kind: str, iteration: int) -> str:
    """Group, band and values."""
    fit = told[kind]
    values = [_value(name, value, fit["errors"][name]) for name, value in fit["values"].items()]
    verdict = "" if fit["significant"] else "; not significant, not used"
    coarsest, finest = told["band_A"]
    first = f"{told['name']}, {kind} phases, {coarsest:.1f} to {finest:.2f} A, before iteration {iteration}{verdict}"
    return "\n".join([first, *textwrap.wrap(", ".join(values), WIDTH)])


def _value(name: str, value: float, error: float) -> str:
    unit = UNIT.search(name)
    label, unit = (name, "") if unit is None else (name[: unit.start()], f" {unit[1].replace('_', ' ')}")
    return f"{label.replace('_', ' ')} {value:.3g} \u00b1 {error:.1g}{unit}".replace(" ", "\u00a0")


def _defocus(figure: Figure, view: views.View) -> None:
    arrays = view.arrays
    seen = np.isfinite(arrays["defocus_error_A"])
    change = arrays["defocus_change_A"][seen]
    told = view.facts["lens"]["defocus"]
    label = (f"{told['moved']} of {told['particles']} moved,\nrms {told['rms_change_A']:.0f} A,\n"
             f"median error {told['median_error_A'] or 0:.0f} A")  # fmt: skip
    lines = [
        pictures.Line(f"particle {row + 1}", arrays["defocus_tried_A"], curve - curve.max(),
                      float(arrays["defocus_change_A"][row]))
        for row, curve in zip(arrays["defocus_curves_rows"], arrays["defocus_curves"], strict=True)
    ]  # fmt: skip
    pictures.histogram_and_lines(figure, "change of defocus (A)", counted(change, label), lines,
                                 "log likelihood less its maximum")  # fmt: skip


def counted(change: np.ndarray, label: str) -> pictures.Counts:
    """Histogram, as wide to either side of zero."""
    reach = max(float(np.percentile(np.abs(change), USUAL)) if len(change) else 0.0, 1.0)
    edges = np.linspace(-reach, reach, BINS + 1)
    return pictures.Counts(label, np.histogram(np.clip(change, -reach, reach), edges)[0], edges)


PLOTS = (
    views.Plot(
        "phases",
        "Aberrations of the optics groups",
        "What the images of each optics group say of the phase of the lens beyond what was known of it: odd phases are "
        "tilt and trefoil, even ones Cs and tetrafoil. Good: the fit looks like the data, the residual is noise "
        "without a shape, and the last look finds nothing left to fit. A shape in the residual is an aberration that "
        "was not asked for.",
        lambda view: bool(_shown(view)),
        _phases,
        2.9,
        lambda view: len(_shown(view)),
    ),
    views.Plot(
        "defocus",
        "Defocus of particles",
        "Left: by how much the defocus of each particle was changed; the end bins take all larger changes. Right: how "
        "likely each defocus is for the first particles. Good: one peak at 0 that gets narrower with each look, and "
        "curves with one clear maximum; curves without one belong to particles that are too faint for it.",
        views.array("defocus_change_A"),
        _defocus,
    ),
)
