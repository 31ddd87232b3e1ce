"""Plots of exports, each with its sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halfmap.jobs.pictures import views

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE = "emdb/image.png"


def _surface(figure: Figure, view: views.View) -> None:
    from matplotlib.image import imread

    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.imshow(imread(view.folder / PICTURE))
    axes.set_axis_off()


PLOTS = (
    views.Plot(
        "surface",
        "The map as it will be shown",
        "Surface of the primary map at the recommended contour level, seen across its longest axes; specks are left "
        "out. Good: the molecule is whole and nothing but the molecule is there; else give another --contour-level.",
        views.files(PICTURE),
        _surface,
        height=5.5,
    ),
)
