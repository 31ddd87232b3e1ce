"""Plots of refinements with a local filter, and of those that lay images in at several poses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from halfmap.jobs.pictures import pictures, views

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _slices(figure: Figure, view: views.View) -> None:
    cut = view.arrays["local_filter_slices"].astype(np.float32) * np.float32(view.arrays["local_filter_unit"])
    title = f"resolution of the local filter, {view.length_A:.0f} A wide: slices along x, y, z"
    # the solvent goes far beyond: the colours are for the molecule
    low, high = view.arrays["local_filter_range"]
    pictures.slices(figure, [pictures.Row(title, cut, float(low), float(high), "viridis_r")], bar="A")


def _histogram(figure: Figure, view: views.View) -> None:
    label = f"median {float(view.arrays['local_filter_median']):.2f} A"
    counts = pictures.Counts(label, view.arrays["local_filter_counts"], view.arrays["local_filter_edges"])
    pictures.histograms(figure, [[("resolution of the filter inside the mask (A)", counts)]])
    figure.axes[0].set_ylabel("fraction of the volume")


def _poses(figure: Figure, view: views.View) -> None:
    label = f"mean {float(view.arrays['poses_per_image_mean']):.2f}"
    counts = pictures.Counts(label, view.arrays["poses_per_image"], view.arrays["poses_per_image_edges"])
    pictures.histograms(figure, [[("effective number of poses of a particle", counts)]])


PLOTS = (
    views.Plot(
        "local_filter",
        "Local filter",
        "To what resolution each place of the map is filtered, cut along x, y and z. Good: finest in the core of the "
        "molecule, coarser towards flexible parts, detergent and solvent, without patches of fine filter outside the "
        "molecule.",
        views.array("local_filter_slices"),
        _slices,
        2.4,
    ),
    views.Plot(
        "local_filter_histogram",
        "Resolutions of the local filter",
        "The same, counted over the volume inside the mask of the reference. Good: a peak near the resolution of the "
        "map; a second one far off is a disordered part.",
        views.array("local_filter_counts"),
        _histogram,
        3.4,
    ),
    views.Plot(
        "poses_per_image",
        "Poses per particle",
        "At how many poses each particle makes the map: 1 / the sum of their squared weights. Good: most at 1 or a "
        "little more once the map is fine; many everywhere means that single images hardly tell their poses.",
        views.array("poses_per_image"),
        _poses,
        3.4,
    ),
)
