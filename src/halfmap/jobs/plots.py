"""Draws the plots of a job folder from its result files, each as PNG and SVG in plots/.

``python -m halfmap.jobs.plots FOLDER`` draws them again at any time. Owns the pictures and the sentence under each;
report.html takes both from here. Knows nothing of how the results were made.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 110  # 770 pixels for a plot 7 inches wide
COLOURS = {
    "no_mask": "#1f77b4",
    "spherical": "#2ca02c",
    "loose": "#ff7f0e",
    "tight": "#d62728",
    "masked": "#d62728",
    "randomised": "#999999",
    "corrected": "#6a3d9a",
}


@dataclass(frozen=True)
class Plot:
    """One diagnostic: file name, title, what it shows and what good looks like, what it needs, who draws it."""

    name: str
    title: str
    sentence: str
    needs: tuple[str, ...]
    draw: Callable[[Figure, Path], None]
    size: tuple[float, float] = (7.0, 4.2)  # inches
    when: Callable[[Path], bool] = lambda folder: True  # whether the files that are there hold what is to be drawn


def _fsc(figure: Figure, folder: Path) -> None:
    content = json.loads((folder / "fsc.json").read_text())
    axes = figure.add_axes((0.1, 0.15, 0.87, 0.81))
    frequency = content["frequency_1_A"]
    for name, colour in COLOURS.items():
        if name in content:
            at = content["crossings_A"][name][f"{content['threshold']:g}"]
            label = name.replace("_", " ") + ("" if name == "randomised" or at is None else f" ({at:.2f} A)")
            axes.plot(frequency, content[name], color=colour, label=label, lw=2 if name == "corrected" else 1.2)
    axes.axhline(content["threshold"], color="black", lw=0.8, ls="--", label=f"{content['threshold']:g}")
    axes.axhline(0, color="black", lw=0.5)
    axes.set(ylim=(-0.1, 1.05), xlim=(0, frequency[-1]), ylabel="Fourier shell correlation")
    _resolution_ticks(axes, frequency[-1])
    axes.legend(fontsize=8, loc="lower left")


def _resolution_ticks(axes, highest: float) -> None:
    """Ticks at even frequencies, labelled in Angstrom."""
    ticks = np.linspace(0, highest, 9)[1:]
    axes.set_xticks(ticks, [f"{1 / tick:.1f}" for tick in ticks])
    axes.set_xlabel("resolution (A)")


def _slices(figure: Figure, folder: Path) -> None:
    """One picture a row, the slices along x, y and z side by side: nine axes with ticks would take half a second."""
    names = [name for name in ("map", "mask_refine", "mask_fsc") if (folder / f"{name}.mrc").is_file()]
    for row, name in enumerate(names):
        data, voxel_size_A = _map(folder / f"{name}.mrc")
        low, high = (0, 1) if name.startswith("mask") else np.percentile(data, (0.5, 99.9))
        centre = data.shape[0] // 2
        slices = [np.take(data, centre, axis=axis) for axis in (2, 1, 0)]  # along x, y, z
        gap = np.full((data.shape[0], max(1, data.shape[0] // 50)), np.nan, np.float32)
        picture = np.hstack([slices[0], gap, slices[1], gap, slices[2]])
        axes = figure.add_axes((0.01, 1 - (row + 1) / len(names), 0.98, 0.91 / len(names)))
        axes.imshow(picture, cmap="gray", vmin=low, vmax=high, origin="lower")
        axes.set_title(f"{name}, {data.shape[0] * voxel_size_A:.0f} A wide: slices along x, y, z", fontsize=8)
        axes.set_axis_off()


def _map(path: Path) -> tuple[np.ndarray, float]:
    from halfmap.io import mrc

    map = mrc.read(path)
    return map.data, map.voxel_size_A


def _poses(folder: Path):
    """Poses of the job's particles, of simulated ones the true poses; None where the table has none."""
    from halfmap.data import relion

    truth = folder / "truth.star"
    return relion.read_table(truth if truth.is_file() else folder / "particles.star").poses


def _has_poses(folder: Path) -> bool:
    return _poses(folder) is not None


def _directions(figure: Figure, folder: Path) -> None:
    from matplotlib.colors import LogNorm

    from halfmap.validate import orientation

    counts = orientation.direction_histogram(_poses(folder).rotations).counts
    axes = figure.add_axes((0.09, 0.14, 0.78, 0.82))
    norm = LogNorm(vmin=1, vmax=max(2.0, float(counts.max())))
    # bins are even in azimuth and in the sine of the elevation, so the histogram is a plain picture
    seen = np.ma.masked_equal(counts, 0)
    picture = axes.imshow(seen, norm=norm, cmap="viridis", origin="lower", aspect="auto", extent=(-180, 180, -1, 1))
    levels = [level * 10**power for power in range(9) for level in (1, 2, 5) if level * 10**power <= norm.vmax]
    bar = figure.colorbar(picture, cax=figure.add_axes((0.89, 0.14, 0.02, 0.82)), ticks=levels, format="%d")
    bar.minorticks_off()
    bar.set_label("particles")
    ticks = np.array([-90, -50, -30, -15, 0, 15, 30, 50, 90])
    axes.set_yticks(np.sin(np.deg2rad(ticks)), ticks)
    axes.set_xticks(range(-180, 181, 60))
    axes.set(xlabel="azimuth (deg)", ylabel="elevation (deg)", facecolor="#eeeeee")


def _guinier(figure: Figure, folder: Path) -> None:
    content = json.loads((folder / "guinier.json").read_text())
    axes = figure.add_axes((0.1, 0.15, 0.87, 0.81))
    x, y = np.array(content["frequency2_1_A2"]), np.array(content["ln_amplitude"])
    axes.plot(x[1:], y[1:], "o-", ms=3, lw=0.8, color="#1f77b4", label="ln of the mean amplitude")
    fit = content["fit"]
    if fit:
        ends = np.array([fit["x"][0], fit["x"][-1]])
        label = f"fit: B = {content['bfactor_fitted_A2']:.0f} A$^2$"
        axes.plot(fit["x"], fit["y"], ".", ms=4, color="#ff7f0e", label="weighted by the FSC")
        axes.plot(ends, fit["intercept"] + fit["slope"] * ends, color="#d62728", label=label)
    axes.set(xlabel="1 / resolution$^2$ (1/A$^2$)", ylabel="ln amplitude")
    axes.legend(fontsize=8, loc="upper right")


def _noise(figure: Figure, folder: Path) -> None:
    axes = figure.add_axes((0.14, 0.15, 0.83, 0.81))
    groups = json.loads((folder / "noise.json").read_text())["groups"]
    for group in groups:
        sd = np.array(group["noise_sd"], dtype=np.float64)
        axes.semilogy(group["frequency_1_A"][1:], sd[1:], lw=1.2, label=group["name"])
    _resolution_ticks(axes, max(group["frequency_1_A"][-1] for group in groups))
    axes.set(ylabel="noise, standard deviation")
    if len(groups) <= 12:  # a legend of more groups would cover the curves
        axes.legend(fontsize=8, loc="upper right")


def _images(figure: Figure, folder: Path) -> None:
    from halfmap.io import mrc

    path = folder / "particles.mrcs"
    images = mrc.read_images(path, np.arange(min(8, mrc.read_header(path).nz))).astype(np.float32)
    for place, image in enumerate(images):
        axes = figure.add_subplot(2, 4, place + 1)
        low, high = np.percentile(image, (1, 99))
        axes.imshow(image, cmap="gray", vmin=low, vmax=high, origin="lower")
        axes.set_axis_off()
    figure.subplots_adjust(left=0.01, right=0.99, top=0.99, bottom=0.01, wspace=0.03, hspace=0.03)


PLOTS = (
    Plot(
        "fsc",
        "Fourier shell correlation",
        "How well the two half-maps agree at each resolution. Good: the curves stay near 1 and fall once, smoothly; "
        "corrected follows tight closely (a gap means that the mask adds correlation), and all end near 0 unless the "
        "data reach Nyquist.",
        ("fsc.json",),
        _fsc,
    ),
    Plot(
        "slices",
        "Central slices",
        "The final map and its masks cut through the centre along x, y and z, in Angstrom. Good: clear protein on a "
        "flat, even background, and masks that hold all of the density with a wide soft edge.",
        ("map.mrc",),
        _slices,
        (7.0, 7.0),
    ),
    Plot(
        "directions",
        "Viewing directions",
        "How many particles are seen from each side; every bin covers the same solid angle. Good: counts within a "
        "factor of ten everywhere, for symmetric molecules within the asymmetric unit; one bright spot means a "
        "preferred orientation.",
        ("particles.star",),
        _directions,
        when=_has_poses,
    ),
    Plot(
        "guinier",
        "Guinier plot",
        "How the amplitudes of the map fall off with resolution; the slope of the line gives the B-factor of "
        "map_sharp.mrc. Good: a straight stretch from 10 A to the resolution; B of -50 to -200 A^2 is common.",
        ("guinier.json",),
        _guinier,
    ),
    Plot(
        "noise",
        "Noise spectrum",
        "What is left of the images when the model is taken away, one curve for each optics group. Good: a smooth "
        "curve that falls steeply at low and slowly at high resolution; a spike means bad images.",
        ("noise.json",),
        _noise,
    ),
    Plot(
        "images",
        "Example images",
        "The first particles as they were simulated. Good: the particle can just be made out by eye at an SNR of 0.1 "
        "and hardly at 0.01.",
        ("particles.mrcs",),
        _images,
        (7.0, 3.6),
    ),
)


def drawable(folder: Path) -> list[Plot]:
    """The plots whose result files are there."""
    return [plot for plot in PLOTS if all((folder / name).is_file() for name in plot.needs) and plot.when(folder)]


def draw_all(folder: Path) -> None:
    """Draw every plot the result files of ``folder`` allow, one process a core."""
    (folder / "plots").mkdir(exist_ok=True)
    _import_all()
    fork = multiprocessing.get_context("fork")  # inherits the imports, which cost more than the drawing
    with fork.Pool(len(os.sched_getaffinity(0))) as pool:
        pool.starmap(draw, [(plot.name, folder) for plot in drawable(folder)], chunksize=1)


def draw(name: str, folder: Path) -> None:
    """Draw the plot called ``name`` as PNG and SVG. No pyplot: importing it costs as much as all the drawing."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    plot = next(plot for plot in PLOTS if plot.name == name)
    with matplotlib.rc_context({"svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=plot.size, dpi=DPI)
        plot.draw(figure, folder)
        stem = folder / "plots" / plot.name
        FigureCanvasAgg(figure).print_png(stem.with_suffix(".png"))
        FigureCanvasSVG(figure).print_svg(stem.with_suffix(".svg"))


def _import_all() -> None:
    """Everything drawing needs, so that after waiting, or in a forked process, nothing is left to import."""
    import matplotlib.backends.backend_agg  # noqa: F401
    import matplotlib.backends.backend_svg  # noqa: F401
    import matplotlib.colors  # noqa: F401

    from halfmap.data import relion  # noqa: F401
    from halfmap.io import mrc  # noqa: F401
    from halfmap.validate import orientation  # noqa: F401


def main(arguments: list[str]) -> None:
    """``FOLDER``: draw now. ``FOLDER --wait``: import, wait for a line on standard input, draw; end if none comes."""
    folder, *options = arguments
    if "--wait" in options:
        _import_all()
        if not sys.stdin.readline():
            return
    draw_all(Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
