"""Plots of ab-initio reconstructions: the maps as they grow, how the particles are shared, what the steps tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from halfmap.jobs.pictures import pictures, views

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COURSES = (
    ("evidence", "evidence (nats per particle)"),
    ("effective_fraction", "poses with weight"),
    ("change", "change of the maps"),
    ("band_A", "resolution (A)"),
)


def _maps(figure: Figure, view: views.View) -> None:
    rows = []
    for number, cut in enumerate(view.arrays["class_slices"]):
        share = view.facts["occupancy"][number]
        title = f"class {number + 1}, {share:.0%} of the particles, {view.length_A:.0f} A wide: slices along x, y, z"
        rows.append(pictures.Row(title, cut, float(cut.min()), float(np.percentile(cut, 99.9))))
    pictures.slices(figure, rows)


def _course(figure: Figure, view: views.View) -> None:
    start = view.arrays["course_start"]
    for place, (name, label) in enumerate(COURSES):
        axes = figure.add_axes((0.10 + 0.5 * (place % 2), 0.58 - 0.5 * (place // 2), 0.37, 0.38))
        values = view.arrays[f"course_{name}"]
        for number in np.unique(start).astype(int):
            rows = np.flatnonzero(start == number)
            label_ = "to the end" if number == start[-1] else f"start {number}"
            axes.plot(rows, values[rows], lw=1.3, label=label_)
        axes.set(xlabel="step", ylabel=label)
        if name == "effective_fraction":
            axes.set_yscale("log")
        if place == 0:
            axes.legend(fontsize=7)


def _occupancy(figure: Figure, view: views.View) -> None:
    axes = figure.add_axes((0.09, 0.16, 0.89, 0.8))
    shares = view.arrays["class_occupancy"]
    axes.stackplot(np.arange(len(shares)), shares.T, labels=[f"class {c + 1}" for c in range(shares.shape[1])])
    axes.set(xlabel="step", ylabel="part of the particles", xlim=(0, max(len(shares) - 1, 1)), ylim=(0, 1))
    axes.legend(fontsize=8, loc="upper left")


def _views(figure: Figure, view: views.View) -> None:
    directions, weight = view.arrays["class_views"], view.arrays["class_view_weights"]
    axes = figure.add_axes((0.11, 0.15, 0.87, 0.80))
    azimuth = np.rad2deg(np.arctan2(directions[:, 1], directions[:, 0]))
    size = 220 * weight / max(float(weight.max()), 1e-9)
    axes.scatter(azimuth, directions[:, 2], s=size, alpha=0.6, lw=0)
    axes.set(xlabel="azimuth (degrees)", ylabel="cosine of the tilt", xlim=(-180, 180), ylim=(-1.02, 1.02))


PLOTS = (
    views.Plot(
        "ab_initio_maps",
        "Maps from nothing",
        "Each class cut along x, y and z, and the part of the last batch that showed it. Good: from step to step more "
        "shape; bad: a ball, or spikes and rays.",
        views.array("class_slices"),
        _maps,
        2.4,
        lambda view: len(view.arrays["class_slices"]) if "class_slices" in view.arrays else 1,
    ),
    views.Plot(
        "ab_initio_course",
        "Course of the steps",
        "How much better the maps explain an image than no particle at all; which fraction of all poses carries "
        "weight; how much a step changes the maps; their resolution. Good: evidence climbs as the resolution does, "
        "the poses sharpen, the changes stay small at the end.",
        views.array("course_evidence"),
        _course,
        5.0,
    ),
    views.Plot(
        "ab_initio_classes",
        "Sharing of the particles",
        "Which part of each batch went to each class. Good: settled at the end, no class that starves.",
        lambda view: "class_occupancy" in view.arrays and view.arrays["class_occupancy"].shape[1] > 1,
        _occupancy,
        3.2,
    ),
    views.Plot(
        "ab_initio_views",
        "Viewing directions of the last step",
        "From where the images of one batch see the map, the area of a dot their weight. Good: dots all over; all in "
        "one place means one view, and a map that is drawn out along it.",
        views.array("class_views"),
        _views,
        3.4,
    ),
)
