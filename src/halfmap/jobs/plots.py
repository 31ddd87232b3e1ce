"""The plots of a job folder: which there are, what each shows, where its numbers lie, and drawing them as PNG and SVG.

Owns the list, in the order of the report, and the sentence under each plot. A plot is drawn for a *view* of the folder:
"final", the result, into plots/, or "iteration_003" into plots/iteration_003/. How it looks is in `pictures`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from halfmap.jobs import diagnostics, pictures
from halfmap.jobs.diagnostics import FINAL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 110  # 770 pixels for a plot 7 inches wide
SMALL_DPI = 80  # of iterations: a report of 20 of them stays below 5 MB
THRESHOLD = 0.143  # what the curves of an iteration were judged by: Rosenthal & Henderson 2003
LEAST_DECADES = -4.0  # of the Fourier slices: below lies rounding
MAPS, MASKS = ("map.mrc", "map_sharp.mrc"), ("mask_refine.mrc", "mask_fsc.mrc", "mask_fsc_auto.mrc")


@dataclass(frozen=True)
class View:
    """A job folder as one iteration, or the result, shows it. The result also shows what the last iteration left."""

    folder: Path
    name: str = FINAL

    @property
    def final(self) -> bool:
        return self.name == FINAL

    @cached_property
    def _content(self) -> tuple[dict[str, np.ndarray], dict]:
        arrays, facts = diagnostics.read(self.folder, self.name)
        last = diagnostics.iterations(self.folder)[-1:] if self.final else []
        for name in last:
            earlier = diagnostics.read(self.folder, name)
            arrays, facts = {**earlier[0], **arrays}, {**earlier[1], **facts}
        return arrays, facts

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        return self._content[0]

    @property
    def facts(self) -> dict:
        return self._content[1]

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


def _fsc(figure: Figure, view: View) -> None:
    pictures.fsc(figure, _final_fsc(view) if view.final else _iteration_fsc(view))


def _final_fsc(view: View) -> pictures.FscPicture:
    content = view.json("fsc.json")
    crossings = {name: at[f"{content['threshold']:g}"] for name, at in content["crossings_A"].items()}
    curves = {name: np.array(content[name], float) for name in pictures.COLOURS if name in content}
    return pictures.FscPicture(curves, crossings, content["descriptions"], content["box"] * content["voxel_size_A"],
                               content["threshold"], content["randomised_from_shell"], view.facts.get("band"))


def _iteration_fsc(view: View) -> pictures.FscPicture:
    curves = {name.removeprefix("fsc_"): v for name, v in view.arrays.items() if name.startswith("fsc_")}
    crossings = {name: view.length_A / shell if shell else None for name, shell in view.facts["radii"].items()}
    descriptions = {"no_mask": "no mask", "masked": f"masked: {view.facts['fsc_mask']}",
                    "randomised": "the same mask, random phases", "corrected": "corrected"}  # fmt: skip
    return pictures.FscPicture(curves, crossings, descriptions, view.length_A, THRESHOLD, view.facts["randomised_from"],
                               view.facts["band"])


def _slices(figure: Figure, view: View) -> None:
    if view.final:
        pictures.slices(figure, [_row_of_file(view, name) for name in MAPS if view.has(name)])
        return
    cut = view.arrays["map_slices"].astype(np.float32)
    title = f"map of iteration {view.facts['iteration']}, {view.length_A:.0f} A wide: slices along x, y, z"
    pictures.slices(figure, [pictures.Row(title, cut, *np.percentile(cut, (0.5, 99.9)))])


def _masks(figure: Figure, view: View) -> None:
    if view.final:
        pictures.slices(figure, [_row_of_file(view, name) for name in MASKS if view.has(name)])
        return
    cut = view.arrays["mask_slices"].astype(np.float32) * np.float32(view.arrays["mask_unit"])
    title = f"mask of the reference ({view.facts['mask']}), {view.length_A:.0f} A wide: slices along x, y, z"
    pictures.slices(figure, [pictures.Row(title, cut, 0, 1)])


def _row_of_file(view: View, name: str) -> pictures.Row:
    from halfmap.io import mrc

    map = mrc.read(view.folder / name)
    cut = [np.take(map.data, map.box // 2, axis=axis) for axis in (2, 1, 0)]
    low, high = (0, 1) if name.startswith("mask") else np.percentile(np.stack(cut), (0.5, 99.9))
    title = f"{name}, {map.box * map.voxel_size_A:.0f} A wide: slices along x, y, z"
    return pictures.Row(title, cut, low, high)


def _fourier(figure: Figure, view: View) -> None:
    planes = view.arrays["fourier_slices"].astype(np.float32)
    at = view.facts.get("resolution_A")
    words = f"; circle: {at:.2f} A" if at else ""
    title = f"central planes across x, y, z, edge at {2 * view.facts['voxel_size_A']:.2f} A{words}"
    row = pictures.Row(title, planes, max(LEAST_DECADES, float(np.percentile(planes, 1))), 0.0, "magma")
    pictures.slices(figure, [row], [view.length_A / at if at else None], "log10 amplitude")


def _guinier(figure: Figure, view: View) -> None:
    if view.final:
        content = view.json("guinier.json")
        x, y = np.array(content["frequency2_1_A2"]), np.array(content["ln_amplitude"], float)
        pictures.guinier(figure, x, y, content["fit"], content["fit"])
        return
    amplitude = view.arrays["guinier_amplitude"]
    x = (np.arange(len(amplitude)) / view.length_A) ** 2
    fit = view.arrays.get("guinier_fit")
    line = None if fit is None else {"slope": fit[0], "intercept": fit[1], "x": fit[2:]}
    pictures.guinier(figure, x, np.log(np.maximum(amplitude, np.finfo(float).tiny)), line, None)


def _noise(figure: Figure, view: View) -> None:
    if "noise_sd" not in view.arrays:
        groups = view.json("noise.json")["groups"]
        parts = ((g["name"], np.array(g["frequency_1_A"]), np.array(g["noise_sd"], float), None) for g in groups)
    else:
        sd, before = view.arrays["noise_sd"], view.arrays["noise_sd_before"]
        frequency = np.arange(sd.shape[1]) / view.length_A
        parts = zip(view.facts["groups"], [frequency] * len(sd), sd, before, strict=True)
    pictures.noise(figure, [pictures.Spectrum(*part) for part in parts])


def _directions(figure: Figure, view: View) -> None:
    from halfmap.validate import orientation

    counts = view.arrays.get("directions")
    if counts is None:
        counts = orientation.direction_histogram(_poses(view.folder).rotations).counts
    pictures.directions(figure, counts)


def _poses(folder: Path):
    """Poses of the job's particles, of simulated ones the true poses; None where the table has none."""
    from halfmap.data import relion

    truth = folder / "truth.star"
    return relion.read_table(truth if truth.is_file() else folder / "particles.star").poses


def _precision(figure: Figure, view: View) -> None:
    pictures.precision(figure, view.arrays["precision_directions"], view.arrays["precision"])


def _changes(figure: Figure, view: View) -> None:
    rows = [
        [
            (f"turned by (deg), since {SINCE[since]}", _change(view, f"rotation_change_{since}", "deg")),
            (f"shifted by (A), since {SINCE[since]}", _change(view, f"shift_change_{since}", "A")),
        ]
        for since in _compared(view)
    ]
    pictures.histograms(figure, rows)


SINCE = {"last": "the last iteration", "input": "the input"}


def _compared(view: View) -> list[str]:
    """What poses are compared with: "last", "input"."""
    return [since for since in SINCE if f"rotation_change_{since}" in view.arrays]


def _change(view: View, key: str, unit: str) -> pictures.Counts:
    median = float(view.arrays[f"{key}_median"])
    return pictures.Counts(f"median {median:.2f} {unit}", view.arrays[key], view.arrays[f"{key}_edges"])


def _scales(figure: Figure, view: View) -> None:
    label = f"mean {float(view.arrays['scales_mean']):.3f}"
    counts = pictures.Counts(label, view.arrays["scales"], view.arrays["scales_edges"])
    pictures.histograms(figure, [[("scale of a particle", counts)]])


def _cones(figure: Figure, view: View) -> None:
    parts = [view.arrays[f"cfsc_{name}"] for name in ("mean", "min", "max", "sd", "resolutions_A")]
    pictures.cones(figure, pictures.Cones(*parts, view.length_A, view.facts["cfar"], view.facts["mask"]))


def _images(figure: Figure, view: View) -> None:
    from halfmap.io import mrc

    path = view.folder / "particles.mrcs"
    pictures.images(figure, mrc.read_images(path, np.arange(min(8, mrc.read_header(path).nz))).astype(np.float32))


def _files(*names: str) -> Callable[[View], bool]:
    """Any of these files, for the result."""
    return lambda view: any(view.has(name) for name in names)


def _array(name: str, *files: str) -> Callable[[View], bool]:
    """This array, or any of these files for the result."""
    return lambda view: name in view.arrays or any(view.has(file) for file in files)


def _rows_of(files: Sequence[str]) -> Callable[[View], int]:
    """A row for each of the files that is there, one for an iteration."""
    return lambda view: max(1, sum(view.has(file) for file in files))


def _some_directions(view: View) -> bool:
    return "directions" in view.arrays or (view.has("particles.star") and _poses(view.folder) is not None)


PLOTS = (
    Plot(
        "slices",
        "Map",
        "The map cut through its centre along x, y and z. Good: clear protein on a flat, even background, no streaks "
        "in one direction, no rings.",
        lambda view: "map_slices" in view.arrays if not view.final else view.has("map.mrc"),
        _slices,
        2.55,
        _rows_of(MAPS),
    ),
    Plot(
        "fourier",
        "Fourier space",
        "Strength of the map's Fourier components in the same planes, centre = low resolution. Good: round and the "
        "same in all three; missing or weak wedges are directions that no particle shows.",
        _array("fourier_slices"),
        _fourier,
        2.4,
    ),
    Plot(
        "masks",
        "Masks",
        "The masks cut in the same way: of the reference, and of the FSC. Good: all of the density inside, with a wide "
        "soft edge; a mask that cuts density makes the FSC too good.",
        lambda view: _files(*MASKS)(view) if view.final else "mask_slices" in view.arrays,
        _masks,
        2.55,
        _rows_of(MASKS),
    ),
    Plot(
        "fsc",
        "Fourier shell correlation",
        "How well the two half-maps agree at each resolution. Good: the curves stay near 1 and fall once, smoothly; "
        "corrected follows tight closely (a gap means that the mask adds correlation), random phases stay near 0, and "
        "all end near 0 unless the data reach Nyquist.",
        lambda view: "fsc_corrected" in view.arrays if not view.final else view.has("fsc.json"),
        _fsc,
        height=5.6,  # the legend names every mask in full, below the axes
    ),
    Plot(
        "guinier",
        "Guinier plot",
        "How the amplitudes of the map fall off with resolution; the slope of the line gives the B-factor of "
        "map_sharp.mrc. Good: a straight stretch from 10 A to the resolution; B of -50 to -200 A^2 is common.",
        lambda view: "guinier_amplitude" in view.arrays if not view.final else view.has("guinier.json"),
        _guinier,
    ),
    Plot(
        "noise",
        "Noise spectrum",
        "What is left of the images when the model is taken away, one curve for each optics group. Good: a smooth "
        "curve that falls steeply at low and slowly at high resolution; a spike means bad images.",
        _array("noise_sd", "noise.json"),
        _noise,
    ),
    Plot(
        "directions",
        "Viewing directions",
        "How many particles are seen from each side; every bin covers the same solid angle. Good: counts within a "
        "factor of ten everywhere, for symmetric molecules within the asymmetric unit; one bright spot means a "
        "preferred orientation.",
        _some_directions,
        _directions,
    ),
    Plot(
        "precision",
        "Precision by Fourier direction",
        "How well each direction of Fourier space is measured: a particle counts for the great circle perpendicular "
        "to its view, with its CTF^2 over the noise. Good: largest over smallest below ten; dark patches are where the "
        "map will be smeared.",
        _array("precision"),
        _precision,
    ),
    Plot(
        "changes",
        "Changes of poses",
        "How far particles were turned and shifted since the last iteration and, where it had poses, since the input; "
        "the last bin takes all larger changes. Good: all near 0 at the end; a far bin that stays means particles that "
        "cannot make up their mind.",
        lambda view: bool(_compared(view)),
        _changes,
        3.2,
        lambda view: len(_compared(view)),
    ),
    Plot(
        "scales",
        "Scales of particles",
        "How strongly each particle shows the map, relative to the others. Good: one peak at 1; values near 0 are "
        "empty images, values above 2 crowded ones.",
        _array("scales"),
        _scales,
    ),
    Plot(
        "cfsc",
        "Conical FSC",
        "The FSC within cones of 20 degrees half-angle around many axes, and the resolution of each cone. Good: a "
        "narrow band and a narrow histogram; cFAR, the smallest over the largest area under the curves, above 0.5.",
        _array("cfsc_mean"),
        _cones,
    ),
    Plot(
        "images",
        "Example images",
        "The first particles as they were simulated. Good: the particle can just be made out by eye at an SNR of 0.1 "
        "and more.",
        _files("particles.mrcs"),
        _images,
        3.6,
    ),
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
