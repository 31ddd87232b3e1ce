"""Plots of jobs that make masks or bring in volumes, each with its sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from halfmap.jobs.pictures import pictures, views

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OTHERS = ("map_sharp.mrc", "half1.mrc", "half2.mrc")  # brought in alone


def _volumes(figure: Figure, view: views.View) -> None:
    pictures.slices(figure, [views.row_of_file(view, name) for name in OTHERS if view.has(name)])


def _on_map(figure: Figure, view: views.View) -> None:
    map, mask = (view.arrays[f"{name}_slices"].astype(np.float32) * np.float32(view.arrays[f"{name}_unit"])
                 for name in ("masked_map", "masked_map_mask"))  # fmt: skip
    title = f"mask on its map, {view.length_A:.0f} A wide: slices along x, y, z; red: 0.95, orange: 0.5, yellow: 0.05"
    pictures.contoured(figure, pictures.Row(title, map, *np.percentile(map, (0.5, 99.9))), mask)


def _edge(figure: Figure, view: views.View) -> None:
    parts = [view.arrays[f"edge_{name}"] for name in ("distance_A", "mean", "low", "high")]
    pictures.edge(figure, pictures.Edge(*parts, view.facts["edge_wanted_A"]))


PLOTS = (
    views.Plot(
        "volumes",
        "Volumes",
        "The volumes cut through their centre along x, y and z. Good: what was to be brought in.",
        lambda view: not view.has("map.mrc") and views.files(*OTHERS)(view),
        _volumes,
        2.55,
        views.rows_of(OTHERS),
    ),
    views.Plot(
        "mask_on_map",
        "Mask on its map",
        "Contours of the mask on the volume that it was made from. Good: all density wanted is within the red line, "
        "no noise makes bays or islands, and the lines are far apart and far from the border.",
        lambda view: view.final and "masked_map_slices" in view.arrays,
        _on_map,
        2.55,
    ),
    views.Plot(
        "mask_edge",
        "Edge of the mask",
        "Values of the mask by the distance from where it is 1. Good: the curve follows the dashed one, a raised "
        "cosine five times as wide as the resolution, or lies above it; the band, from the least to the largest value, "
        "is narrow.",
        lambda view: view.final and "edge_mean" in view.arrays,
        _edge,
        3.4,
    ),
)
