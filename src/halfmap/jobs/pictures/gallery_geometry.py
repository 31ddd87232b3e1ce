"""Plots of maps that were brought onto others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from halfmap.jobs.pictures import pictures, views

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = {"reference": "reference", "before": "map before, on the grid of the reference", "after": "map after"}


def _overlay(figure: Figure, view: views.View) -> None:
    rows = []
    for name, words in ROWS.items():
        cut = view.arrays[f"{name}_slices"].astype(np.float32)
        title = f"{words}, {view.length_A:.0f} A wide: slices along x, y, z"
        rows.append(pictures.Row(title, cut, *np.percentile(cut, (0.5, 99.9))))
    pictures.slices(figure, rows)


def _agreement(figure: Figure, view: views.View) -> None:
    axes = figure.add_axes((0.09, 0.13, 0.88, 0.82))
    for name, colour in (("before", "#999999"), ("after", "#1f77b4")):
        curve = view.arrays[f"correlation_{name}"]
        axes.plot(np.arange(len(curve)) / view.length_A, curve, color=colour, lw=1.6, label=f"{name} the alignment")
    axes.axhline(0, color="black", lw=0.5)
    axes.axhline(0.5, color="black", lw=0.8, ls=":")
    axes.set(ylim=(-0.2, 1.05), xlim=(0, (len(curve) - 1) / view.length_A), ylabel="correlation with the reference")
    pictures.resolution_ticks(axes, (len(curve) - 1) / view.length_A)
    axes.legend(fontsize=8, loc="upper right")


PLOTS = (
    views.Plot(
        "alignment",
        "Alignment",
        "The reference, and the map before and after it was turned and moved, cut through the centre. Good: the first "
        "and the last row show the same.",
        views.array("reference_slices"),
        _overlay,
        2.55,
        lambda view: len(ROWS),
    ),
    views.Plot(
        "agreement",
        "Agreement with the reference",
        "Correlation of map and reference in each Fourier shell, without a mask. Good: near 1 at low resolution after "
        "the alignment, whatever it was before; where it falls is how far the two maps tell the same.",
        views.array("correlation_after"),
        _agreement,
    ),
)
