"""A finished job as an object: numbers, maps, particles, curves and pictures, read when they are asked for.

Owns what a notebook shows of it. Reads the files of the job folder; computes nothing.
"""

from __future__ import annotations

import base64
import difflib
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halfmap.errors import InputError, UsageError
from halfmap.jobs.running.finished import HALVES, Finished

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from halfmap.data.particles import Particles
    from halfmap.types import Map

SHOWN = ("fsc", "slices")  # in a notebook; of a job without these its first plots
STYLE = "font: 14px sans-serif; max-width: 62em"


@dataclass(frozen=True)
class Picture:
    """A plot as a file: a notebook shows it; ``path`` is the PNG, ``svg`` the same as SVG."""

    path: Path
    svg: Path

    def _repr_png_(self) -> bytes:
        return self.path.read_bytes()

    def __fspath__(self) -> str:
        return str(self.path)


class Result:
    """A finished job. Takes the place of its folder wherever a job wants an input: ``sharpen(result, ...)``."""

    def __init__(self, job: Finished):
        self._job = job

    @property
    def folder(self) -> Path:
        """The job folder, absolute."""
        return self._job.folder

    @property
    def job(self) -> str:
        """What the job is called: "refine homogeneous"."""
        return self._job.name

    @property
    def summary(self) -> dict[str, Any]:
        """summary.json: the result in a few numbers."""
        return self._job.summary

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting as it was used."""
        return self._job.job["params"]

    @property
    def resolution_A(self) -> float:
        """Where the corrected FSC falls below its threshold, A. Raises InputError for a job without."""
        return self._needed("resolution_A")

    @property
    def warnings(self) -> list[str]:
        """Plain sentences; read them first."""
        return self.summary.get("warnings", [])

    @property
    def files(self) -> list[str]:
        """Names of the files in the folder."""
        return sorted(path.name for path in self.folder.iterdir() if path.is_file())

    @property
    def report(self) -> Path:
        """The page with everything."""
        return self.folder / "report.html"

    @property
    def methods(self) -> str:
        """A paragraph for the methods section of a paper; empty for a job that has none."""
        from halfmap.jobs.export import methods

        return methods.of(self._job).text

    # -- maps, curves, particles

    @cached_property
    def map(self) -> Map:
        """map.mrc: ``.data`` is float32 (z, y, x), ``.voxel_size_A`` in A."""
        return self.volume("map.mrc")

    @cached_property
    def sharpened(self) -> Map:
        """map_sharp.mrc."""
        return self.volume("map_sharp.mrc")

    @cached_property
    def half_maps(self) -> tuple[Map, Map]:
        """Both half-maps, unfiltered."""
        return self.volume(HALVES[0]), self.volume(HALVES[1])

    @cached_property
    def mask(self) -> Map:
        """The mask that a mask job made, else the one by which the FSC was judged."""
        made = self._job.file("mask.mrc") or self._job.fsc_mask
        return self.volume("mask.mrc" if made is None else made.name)

    def volume(self, name: str) -> Map:
        """Any map of the folder. Raises InputError where there is no such file."""
        from halfmap.io import mrc

        if self._job.file(name) is None:
            maps = ", ".join(file for file in self.files if file.endswith(".mrc")) or "none"
            raise InputError(f"{self.folder}: holds no {name}; its maps: {maps}")
        return mrc.read(self.folder / name)

    @cached_property
    def fsc(self) -> dict[str, np.ndarray]:
        """FSC curves by name, (shells,) each, NaN where there is none; "frequency_1_A" is what they belong to.

        Raises InputError for a job without curves.
        """
        import numpy as np

        curves = self._job.curves
        if not curves:
            raise InputError(f"{self.folder}: {self.job} makes no FSC curves")
        first = next(iter(curves.values()))
        frequency = np.arange(len(first.values)) / (first.box * first.voxel_size_A)
        return {"frequency_1_A": frequency, **{name: curve.values for name, curve in curves.items()}}

    @cached_property
    def particles(self) -> Particles:
        """The particle table: poses, CTF, half-sets. Raises InputError for a job without particles."""
        from halfmap.data import tables

        if self._job.file("particles.star") is None:
            raise InputError(f"{self.folder}: {self.job} writes no particles")
        return tables.read_table(self.folder / "particles.star")

    # -- pictures

    @property
    def plots(self) -> list[str]:
        """Names of the plots that ``plot`` knows of this job."""
        from halfmap.jobs.pictures import plots
        from halfmap.jobs.pictures.views import View

        return [plot.name for plot in plots.drawable(View(self.folder))]

    def plot(self, name: str = "fsc") -> Picture:
        """A plot of the report. Raises UsageError for one that this job does not have."""
        from halfmap.jobs.pictures import plots
        from halfmap.jobs.pictures.views import View

        view = View(self.folder)
        self._require_plot(name)
        if not view.picture(name, ".png").is_file():
            plots.draw(name, view)
        return Picture(view.picture(name, ".png"), view.picture(name, ".svg"))

    def figure(self, name: str = "fsc") -> Figure:
        """The same drawn anew as a figure of matplotlib, to be changed and saved."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        from halfmap.jobs.pictures import plots
        from halfmap.jobs.pictures.views import View

        self._require_plot(name)
        plot, view = next(plot for plot in plots.PLOTS if plot.name == name), View(self.folder)
        figure = Figure(figsize=(7.0, plot.height * plot.rows(view)), dpi=plots.DPI)
        FigureCanvasAgg(figure)
        plot.draw(figure, view)
        return figure

    def _require_plot(self, name: str) -> None:
        known = self.plots
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise UsageError(f"{self.job} has no plot {name!r}; {meant}It has: {', '.join(known) or 'none'}")

    # -- how it is shown

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        resolution = self.summary.get("resolution_A")
        told = f", {resolution:.2f} A" if resolution else ""
        return f"<halfmap {self.job}{told}: {self.folder}>"

    def _repr_html_(self) -> str:
        from halfmap.jobs.pictures import headlines

        rows = "".join(f"<tr><td>{escape(label)}</td><td>{escape(value)}</td></tr>"
                       for label, value in headlines.of(self.summary))  # fmt: skip
        warnings = "".join(f"<li>{escape(warning)}</li>" for warning in self.warnings)
        told = f"<b>Read this first</b><ul>{warnings}</ul>" if warnings else ""
        known = self.plots
        shown = [name for name in SHOWN if name in known] or known[:2]
        pictures = "".join(_picture(self.plot(name)) for name in shown)
        return (f'<div style="{STYLE}"><b>halfmap {escape(self.job)}</b> {escape(str(self.folder))}'
                f"<table>{rows}</table>{told}{pictures}</div>")  # fmt: skip

    def _needed(self, key: str) -> Any:
        value = self.summary.get(key)
        if value is None:
            raise InputError(f"{self.folder}: {self.job} tells no {key}; its summary has: {', '.join(self.summary)}")
        return value


def _picture(picture: Picture) -> str:
    content = base64.b64encode(picture.path.read_bytes()).decode("ascii")
    return f'<img style="max-width: 100%" alt="{escape(picture.path.stem)}" src="data:image/png;base64,{content}">'
