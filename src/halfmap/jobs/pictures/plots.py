"""Draws the plots of a job folder as PNG and SVG. Owns the list of all galleries, in the order of the report."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path

from halfmap.jobs.pictures import (
    gallery,
    gallery_abinitio,
    gallery_abinitio_refine,
    gallery_auto,
    gallery_ctf,
    gallery_export,
    gallery_geometry,
    gallery_masks,
    gallery_nonuniform,
    gallery_particles,
    gallery_segment,
    gallery_validation,
)
from halfmap.jobs.pictures.views import Plot, View
from halfmap.jobs.running import diagnostics

DPI = 110  # 770 pixels for a plot 7 inches wide
SMALL_DPI = 80  # of iterations: a report of 20 of them stays below 5 MB
PLOTS = (
    *gallery_abinitio.PLOTS,
    *gallery_abinitio_refine.PLOTS,
    *gallery.PLOTS,
    *gallery_auto.PLOTS,
    *gallery_ctf.PLOTS,
    *gallery_masks.PLOTS,
    *gallery_segment.PLOTS,
    *gallery_geometry.PLOTS,
    *gallery_particles.PLOTS,
    *gallery_validation.PLOTS,
    *gallery_nonuniform.PLOTS,
    *gallery_export.PLOTS,
)


def drawable(view: View) -> list[Plot]:
    """The plots whose numbers are there."""
    return [plot for plot in PLOTS if plot.possible(view)]


def views(folder: Path) -> list[View]:
    """The result, then every iteration that left its numbers."""
    return [View(folder), *(View(folder, name) for name in diagnostics.iterations(folder))]


def draw_all(folder: Path, wanted: Sequence[View] | None = None) -> None:
    """Draw all plots of the wanted views (of the result if None), one process a core."""
    import_all()
    tasks = [(plot.name, view) for view in wanted or [View(folder)] for plot in drawable(view)]
    fork = multiprocessing.get_context("fork")  # inherits the imports, which cost more than the drawing
    with fork.Pool(len(os.sched_getaffinity(0))) as pool:
        pool.starmap(draw, tasks, chunksize=1)


def draw(name: str, view: View) -> None:
    """Draw one plot as PNG and SVG. No pyplot: importing it costs as much as all the drawing."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    plot = next(plot for plot in PLOTS if plot.name == name)
    view.picture(name, ".png").parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(7.0, plot.height * plot.rows(view)), dpi=DPI if view.final else SMALL_DPI)
        plot.draw(figure, view)
        canvases = ((".svg", FigureCanvasSVG(figure).print_svg), (".png", FigureCanvasAgg(figure).print_png))
        for suffix, printed in canvases:
            path = view.picture(name, suffix)
            unfinished = path.with_name(f".{path.name}")  # a drawing may be broken off
            printed(unfinished)
            unfinished.replace(path)


def import_all() -> None:
    """Everything drawing needs, so that after waiting, or in a forked process, nothing is left to import."""
    import matplotlib.backends.backend_agg  # noqa: F401
    import matplotlib.backends.backend_svg  # noqa: F401
    import matplotlib.colors  # noqa: F401
    import matplotlib.figure  # noqa: F401
    import matplotlib.patches  # noqa: F401

    from halfmap.data import relion  # noqa: F401
    from halfmap.io import mrc  # noqa: F401
    from halfmap.validate import orientation  # noqa: F401
