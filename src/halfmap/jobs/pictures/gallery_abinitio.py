"""Plots of ab-initio reconstructions: the maps as they grow, how the particles are shared, what the steps tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from halfmap.jobs.pictures import pictures, views

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COURSES = (  # (column, label of the axis, whether it is logarithmic)
    ("evidence", "evidence (nats per particle)", False),
    ("effective_fraction", "effective part of all poses", True),
    ("change", "change of the maps in a step", True),
    ("band_A", "resolution of the data (A)", False),
)
SMOOTH = 160  # pixels that a slice is shown with, at least: a map of 30 A has as few as 20
ELEVATIONS = np.array([-90, -50, -30, -15, 0, 15, 30, 50, 90])


def smooth(cuts: np.ndarray) -> np.ndarray:
    """Slices (..., N, N) with more pixels, between which they are interpolated by a cubic spline."""
    from scipy import ndimage

    factor = int(np.ceil(SMOOTH / cuts.shape[-1]))
    return ndimage.zoom(cuts, (1,) * (cuts.ndim - 2) + (factor, factor), order=3) if factor > 1 else cuts


def row(title: str, cut: np.ndarray, length_A: float) -> pictures.Row:
    """Three slices of a map from nothing, on their own grey scale."""
    shown = smooth(cut)
    return pictures.Row(f"{title}, {length_A:.0f} A wide: slices along x, y, z", shown, float(shown.min()),
                        float(np.percentile(shown, 99.9)))


def _maps(figure: Figure, view: views.View) -> None:
    cuts, shares = view.arrays["class_slices"], view.facts["occupancy"]
    at = f" at {view.facts['band_A']:.1f} A" if "band_A" in view.facts and len(cuts) == len(shares) else ""
    titles = [f"class {number + 1}, {share:.0%} of the particles" for number, share in enumerate(shares)]
    titles = titles if len(cuts) > 1 else [f"map{at}"]
    pictures.slices(figure, [row(title, cut, view.length_A) for title, cut in zip(titles, cuts, strict=True)])


def _course(figure: Figure, view: views.View) -> None:
    start = view.arrays["course_start"]
    for place, (name, label, logarithmic) in enumerate(COURSES):
        axes = figure.add_axes((0.12 + 0.52 * (place % 2), 0.57 - 0.48 * (place // 2), 0.34, 0.35))
        values = view.arrays[f"course_{name}"]
        for number in np.unique(start).astype(int):
            rows = np.flatnonzero(start == number)
            axes.plot(rows + 1, values[rows], lw=1.3, label=_name(number, view))
        _phase_ends(axes, view)
        axes.set(xlabel="step", ylabel=label, xlim=(1, max(len(values), 2)))
        if logarithmic:
            _logarithmic(axes, values)
        if place == 0:  # above the panels: the curves go through every corner of them
            figure.legend(*axes.get_legend_handles_labels(), fontsize=8, loc="upper center", ncols=5, frameon=False)


def _logarithmic(axes: Axes, values: np.ndarray) -> None:
    """A logarithmic axis, ticks at tenths and thirds in per cent: powers of ten crowd or are missing."""
    positive = values[np.isfinite(values) & (values > 0)]
    if not len(positive):
        return
    low, high = positive.min() / 1.2, positive.max() * 1.2
    ticks = [one * 10.0**power for power in range(-7, 2) for one in (1, 3)]
    shown = [tick for tick in ticks if low <= tick <= high]
    shown = shown if len(shown) <= 6 else [tick for tick in shown if f"{tick:e}".startswith("1")]
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.set_yticks(shown, [f"{100 * tick:g} %" for tick in shown])
    axes.set_yticks([], minor=True)


def _name(number: int, view: views.View) -> str:
    """What the legend calls a start: the last one is that which goes on, once it does."""
    starts = view.facts.get("starts", np.inf)
    if number <= starts:
        return f"start {number}"
    return "the best, to the end" if starts > 1 else "the only start"


def _phase_ends(axes: Axes, view: views.View) -> None:
    """Thin lines where a phase of a start ends."""
    key = 10 * view.arrays["course_start"] + view.arrays["course_phase"]
    for place in np.flatnonzero(np.diff(key)):
        axes.axvline(place + 1.5, color="#999999", lw=0.6, ls=":")


def _occupancy(figure: Figure, view: views.View) -> None:
    axes = figure.add_axes((0.09, 0.16, 0.73, 0.8))
    _shares(axes, view.arrays["class_occupancy"], "step", "part of the batch")


def _shares(axes: Axes, shares: np.ndarray, unit: str, label: str) -> None:
    """Layers, one a class, over steps or rounds; the legend beside them."""
    names = [f"class {number + 1}: {share:.0%}" for number, share in enumerate(shares[-1])]
    axes.stackplot(np.arange(1, len(shares) + 1), shares.T, labels=names, alpha=0.85)
    axes.set(xlabel=unit, ylabel=label, xlim=(1, max(len(shares), 2)), ylim=(0, 1))
    axes.locator_params(axis="x", integer=True)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False)


def _sharing(figure: Figure, view: views.View) -> None:
    above = figure.add_axes((0.09, 0.57, 0.73, 0.39))
    _shares(above, view.arrays["sharing_occupancy"], "round", "part of the particles")
    for left, name, label in ((0.09, "moved", "part that changed class"), (0.59, "gain", "gain over one map (nats)")):
        axes = figure.add_axes((left, 0.09, 0.38, 0.34))
        values = view.arrays[f"sharing_{name}"]
        axes.plot(np.arange(1, len(values) + 1), values, "o-", ms=3.5, lw=1.3)
        axes.axhline(0, color="black", lw=0.5)
        axes.set(xlabel="round", ylabel=label, xlim=(0.5, len(values) + 0.5))
        axes.locator_params(axis="x", integer=True)


def _probabilities(figure: Figure, view: views.View) -> None:
    counts = view.arrays["class_probabilities"]
    edges = np.linspace(0, 1, counts.shape[1] + 1)
    axes = figure.add_axes((0.10, 0.16, 0.88, 0.80))
    for number, mine in enumerate(counts):
        axes.stairs(mine, edges, lw=1.6, label=f"class {number + 1}")
    axes.set(xlabel="probability of the class", ylabel="particles", xlim=(0, 1), yscale="log", ylim=(0.8, None))
    axes.legend(fontsize=8, loc="upper center", ncols=min(len(counts), 5))


def _views(figure: Figure, view: views.View) -> None:
    directions, weight = view.arrays["class_views"], view.arrays["class_view_weights"]
    axes = figure.add_axes((0.09, 0.14, 0.89, 0.82))
    azimuth = np.rad2deg(np.arctan2(directions[:, 1], directions[:, 0]))
    size = 200 * weight / max(float(weight.max()), 1e-9)
    axes.scatter(azimuth, directions[:, 2], s=np.maximum(size, 1), color="#1f77b4", alpha=0.6, lw=0)
    axes.set_yticks(np.sin(np.deg2rad(ELEVATIONS)), ELEVATIONS)
    axes.set_xticks(range(-180, 181, 60))
    axes.set(xlabel="azimuth (deg)", ylabel="elevation (deg)", xlim=(-180, 180), ylim=(-1.02, 1.02))


PLOTS = (
    views.Plot(
        "ab_initio_maps",
        "Maps from nothing",
        "Each class cut along x, y and z, and the part of the particles that showed it. Good: from step to step more "
        "shape; bad: a ball, or spikes and rays.",
        views.array("class_slices"),
        _maps,
        2.5,
        lambda view: len(view.arrays["class_slices"]) if "class_slices" in view.arrays else 1,
    ),
    views.Plot(
        "ab_initio_course",
        "Course of the steps",
        "How much better the maps explain an image than no particle at all; which part of all poses carries weight, "
        "the effective sample size; how much a step changes the maps; the resolution of the data in use. Dotted: a "
        "phase ends. Good: evidence climbs as the resolution does, fewer and fewer poses carry weight, the changes "
        "stay small at the end. Evidence of 0 with all poses alike: the images show nothing.",
        views.array("course_evidence"),
        _course,
        5.2,
    ),
    views.Plot(
        "ab_initio_classes",
        "Sharing of the particles while maps grow",
        "Which part of each batch went to each class. Good: settled at the end, no class that starves.",
        lambda view: "class_occupancy" in view.arrays and view.arrays["class_occupancy"].shape[1] > 1,
        _occupancy,
        3.2,
    ),
    views.Plot(
        "ab_initio_sharing",
        "Sharing of the particles between classes",
        "Particles are sorted in rounds, those of one half-set by the maps of the other. Above: the part of each "
        "class; below: which part of the particles changed its class in a round, and by how much several maps explain "
        "an unseen particle better than one. Good: few change in the end, and the gain is well above 0.",
        views.array("sharing_occupancy"),
        _sharing,
        5.0,
    ),
    views.Plot(
        "ab_initio_probabilities",
        "How surely particles belong to their class",
        "Probabilities of every class for all particles sorted. Good: peaks at 0 and 1; what lies between could be "
        "either.",
        views.array("class_probabilities"),
        _probabilities,
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
