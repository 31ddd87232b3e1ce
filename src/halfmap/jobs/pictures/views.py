"""What a plot is, and what a job folder shows at one moment: the result, or an iteration.

A plot is drawn for a *view* of the folder: "final", the result, into plots/, or "iteration_003" into
plots/iteration_003/. Which plots there are is in the galleries; how they look in `pictures`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from halfmap.jobs.pictures import pictures
from halfmap.jobs.running import diagnostics
from halfmap.jobs.running.diagnostics import FINAL

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class View:
    """A job folder as one iteration, or the result, shows it. The result also shows what the last iteration left.

    An iteration also shows the look at the CTF it began with, the result the last one: its facts are ``facts["lens"]``.
    """

    folder: Path
    name: str = FINAL

    @property
    def final(self) -> bool:
        return self.name == FINAL

    @cached_property
    def _content(self) -> tuple[dict[str, np.ndarray], dict]:
        arrays, facts = diagnostics.read(self.folder, self.name)
        for name in diagnostics.beside_result(self.folder) if self.final else ():
            earlier = diagnostics.read(self.folder, name)
            arrays, facts = {**earlier[0], **arrays}, {**earlier[1], **facts}
        planes, lens = diagnostics.lens(self.folder, self.name)
        return ({**planes, **arrays}, {**facts, "lens": lens}) if lens else (arrays, facts)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        return self._content[0]

    @property
    def facts(self) -> dict:
        return self._content[1]

    @property
    def label(self) -> str:
        """What a reader calls it: "3", "half 1, step 10", "meeting", "classes, trial 2"."""
        if self.final:
            return "result"
        number, *rest = self.name.removeprefix(diagnostics.ITERATION).split("_")
        words = [re.sub(r"(\D)(\d)", r"\1 \2", part) for part in rest]
        return ", ".join(re.sub(r"\b0+(?=\d)", "", word) for word in words or [number])

    @property
    def length_A(self) -> float:
        return self.facts["box"] * self.facts["voxel_size_A"]

    def has(self, file: str) -> bool:
        """Whether this is the result and the folder holds ``file``."""
        return self.final and (self.folder / file).is_file()

    def json(self, file: str) -> dict:
        return json.loads((self.folder / file).read_text())

    def picture(self, plot: str, suffix: str) -> Path:
        """Where a plot of this view lies."""
        place = self.folder / "plots" if self.final else self.folder / "plots" / self.name
        return place / f"{plot}{suffix}"


@dataclass(frozen=True)
class Plot:
    """One diagnostic: file name, title, what it shows and what good looks like, whether it can be drawn, who does."""

    name: str
    title: str
    sentence: str
    possible: Callable[[View], bool]
    draw: Callable[[Figure, View], None]
    height: float = 4.2  # inches of a row; the width is 7
    rows: Callable[[View], int] = lambda view: 1


def row_of_file(view: View, name: str) -> pictures.Row:
    """Three slices of a map of the folder; masks from 0 to 1, all else between percentiles."""
    from halfmap.io import mrc

    map = mrc.read(view.folder / name)
    at = focus(view, map.box, map.voxel_size_A)
    cut = [np.take(map.data, index, axis=axis) for index, axis in zip(cuts(at, map.box), (2, 1, 0), strict=True)]
    low, high = (0, 1) if name.startswith("mask") else np.percentile(np.stack(cut), (0.5, 99.9))
    title = f"{name}, {map.box * map.voxel_size_A:.0f} A wide: slices along x, y, z"
    return pictures.Row(title, cut, low, high, cross=at)


def focus(view: View, box: int, voxel_size_A: float) -> tuple[float, float, float] | None:
    """x, y, z in voxels of a map where the fulcrum of a local refinement lies; None for other jobs."""
    at = view.facts.get("fulcrum_A")
    return None if at is None else tuple(np.clip(np.array(at) / voxel_size_A, 0, box - 1).tolist())


def cuts(at: tuple[float, float, float] | None, box: int) -> list[int]:
    """The slices along x, y, z that are shown: through the fulcrum, else through the middle."""
    return [box // 2] * 3 if at is None else [round(place) for place in at]


def files(*names: str) -> Callable[[View], bool]:
    """Any of these files, for the result."""
    return lambda view: any(view.has(name) for name in names)


def array(name: str, *files: str) -> Callable[[View], bool]:
    """This array, or any of these files for the result."""
    return lambda view: name in view.arrays or any(view.has(file) for file in files)


def rows_of(files: Sequence[str]) -> Callable[[View], int]:
    """A row for each of the files that is there, one for an iteration."""
    return lambda view: max(1, sum(view.has(file) for file in files))
