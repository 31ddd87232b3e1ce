"""How sharpening, local resolution and the evenness of views are drawn: arrays in, one figure filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from halfmap.jobs.pictures import pictures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST_LN = -12.0  # below the largest amplitude: filtered away
CURVES = {
    "ln_amplitude": ("mean of the half-maps, MTF undone", "#777777"),
    "ln_amplitude_map": ("map.mrc: weighted and low-passed", "#1f77b4"),
    "ln_amplitude_map_sharp": ("map_sharp.mrc: sharpened, too", "#d62728"),
}


def sharpening(figure: Figure, x: np.ndarray, curves: dict[str, np.ndarray], bfactor: float | None) -> None:
    """ln amplitude against 1/d^2 (x) of the map before and after."""
    axes = figure.add_axes((0.1, 0.15, 0.86, 0.78))
    for name, values in curves.items():
        label, colour = CURVES[name]
        shown = (x > 0) & (values > values.max() + LEAST_LN)
        axes.plot(x[shown], values[shown], lw=1.6, color=colour, label=label)
    ticks = np.linspace(0, x[-1], 9)[1:]
    axes.set_xticks(ticks, [f"{tick:.4f}\n{tick**-0.5:.1f} A" for tick in ticks], fontsize=8)
    axes.set(xlim=(0, x[-1]), ylabel="ln of the mean amplitude")
    axes.set_xlabel("1 / resolution\u00b2 (1/A\u00b2)", labelpad=1)
    axes.set_title("not sharpened" if bfactor is None else f"B = {bfactor:.0f} A\u00b2", fontsize=9, pad=4)
    axes.legend(fontsize=8, loc="upper right")


def local_resolution(figure: Figure, density: list[np.ndarray], resolution: list[np.ndarray],
                     limits: tuple[float, float], title: str) -> None:
    """Central slices along x, y, z: colour = resolution in A, from fine (blue) to coarse (red), over the grey map."""
    size = density[0].shape[0]
    gap = np.full((size, max(1, size // 50)), np.nan, np.float32)
    grey, colour = (np.hstack([cut[0], gap, cut[1], gap, cut[2]]) for cut in (density, resolution))
    axes = figure.add_axes((0.01, 0.0, 0.88, 0.9))
    low, high = np.nanpercentile(grey, (0.5, 99.9))
    axes.imshow(grey, cmap="gray", vmin=low, vmax=high, origin="lower", interpolation="nearest")
    part = np.clip((grey - low) / max(high - low, 1e-30), 0.25, 1)  # weak density stays visible
    seen = np.where(colour > 0, np.nan_to_num(part), 0)
    picture = axes.imshow(colour, cmap="turbo", vmin=limits[0], vmax=limits[1], origin="lower", alpha=seen,
                          interpolation="nearest")
    axes.set_title(title, fontsize=9, pad=4)
    axes.set_axis_off()
    picture.set_clim(*limits)
    bar = figure.colorbar(_opaque(picture), cax=figure.add_axes((0.905, 0.08, 0.018, 0.78)))
    bar.set_label("local resolution (A)")


def _opaque(picture):
    """The colours of a picture without its transparency, for a bar."""
    from matplotlib.cm import ScalarMappable

    return ScalarMappable(picture.norm, picture.cmap)


def resolution_histogram(figure: Figure, edges: np.ndarray, voxels: np.ndarray, marks: dict[str, float]) -> None:
    """Voxels per resolution, in the colours of the slices."""
    from matplotlib import colormaps

    axes = figure.add_axes((0.1, 0.15, 0.86, 0.8))
    middle = (edges[1:] + edges[:-1]) / 2
    colours = colormaps["turbo"]((middle - edges[0]) / (edges[-1] - edges[0]))
    axes.bar(middle, voxels, width=np.diff(edges), color=colours)
    for (label, at), style in zip(marks.items(), ("-", "--", ":"), strict=False):
        axes.axvline(at, color="black", lw=1, ls=style, label=f"{label} {at:.2f} A")
    axes.set(xlabel="local resolution (A)", ylabel="voxels", xlim=(edges[0], edges[-1]))
    axes.legend(fontsize=8, loc="upper right")


def on_sphere(figure: Figure, directions: np.ndarray, values: np.ndarray, label: str, title: str) -> None:
    """Values of directions (n, 3), opposite ones alike, on the nearest of them; grey where they are 0."""
    from matplotlib.colors import Normalize

    sines, azimuths = (np.arange(72) + 0.5) / 36 - 1, np.deg2rad(2.5 + 5 * np.arange(72) - 180)
    sine, azimuth = np.meshgrid(sines, azimuths, indexing="ij")
    cosine = np.sqrt(1 - sine**2)
    points = np.stack([cosine * np.cos(azimuth), cosine * np.sin(azimuth), sine], axis=-1)
    shown = np.ma.masked_less_equal(values[np.argmax(np.abs(points @ directions.T), axis=-1)], 0)
    norm = Normalize(0, max(1.0, float(np.percentile(values, 99.5))))
    ticks = np.linspace(0, norm.vmax, 6)
    pictures.sphere(figure, shown, label, norm, ticks, [f"{tick:.2g}" for tick in ticks])
    figure.axes[0].set_title(title, fontsize=9, pad=4)
