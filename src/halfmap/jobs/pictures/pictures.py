"""How each diagnostic is drawn: arrays in, one matplotlib figure filled. Knows no files and no job.

Owns colours, axes and legends. Lengths are in Angstrom, angles in degrees, and frequency axes carry ticks in Angstrom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {  # one for each mask, whatever the plot
    "no_mask": "#1f77b4",
    "spherical": "#2ca02c",
    "loose": "#ff7f0e",
    "tight": "#d62728",
    "masked": "#17a2b8",
    "auto": "#e377c2",
    "mask_free": "#8c564b",
    "randomised": "#555555",
    "corrected": "#6a3d9a",
}
DASHED = ("randomised",)  # phases were randomised


@dataclass(frozen=True)
class FscPicture:
    """What the FSC plot shows; shells are numbers, one shell is 1 / ``length_A``."""

    curves: dict[str, np.ndarray]  # (shells,) each
    crossings_A: dict[str, float | None]
    descriptions: dict[str, str]  # what the legend says of a curve, its mask included
    length_A: float
    threshold: float
    randomised_from: int | None
    band: int | None  # aligned with shells up to this one
    beside: str = ""  # what the legend says after the crossing of "corrected"


def fsc(figure: Figure, shown: FscPicture) -> None:
    """All curves, dashed where phases were randomised, and the shells where randomisation begins and alignment ends."""
    axes = figure.add_axes((0.09, 0.43, 0.89, 0.55))
    for name, colour in COLOURS.items():
        if name in shown.curves:
            frequency = np.arange(len(shown.curves[name])) / shown.length_A
            style = {"ls": (0, (4, 2)), "lw": 1.2} if name in DASHED else {"lw": 2.2 if name == "corrected" else 1.4}
            axes.plot(frequency, shown.curves[name], color=colour, label=_legend(name, shown), **style)
    axes.axhline(shown.threshold, color="black", lw=0.8, ls=":")
    axes.text(0.004, shown.threshold + 0.012, f"{shown.threshold:g}", fontsize=8, transform=axes.get_yaxis_transform())
    axes.axhline(0, color="black", lw=0.5)
    _marker(axes, shown.randomised_from, shown.length_A, "#777777", "phases randomised from")
    _marker(axes, shown.band, shown.length_A, "#17806d", "aligned up to")
    axes.set(ylim=(-0.1, 1.05), xlim=(0, frequency[-1]), ylabel="Fourier shell correlation")
    resolution_ticks(axes, frequency[-1])
    axes.legend(fontsize=7.5, loc="upper left", bbox_to_anchor=(-0.06, -0.17), frameon=False)


def _legend(name: str, shown: FscPicture) -> str:
    at = shown.crossings_A.get(name)
    crossing = "" if at is None or name == "randomised" else f": {at:.2f} A"
    return shown.descriptions.get(name, name) + crossing + (shown.beside if name == "corrected" else "")


def _marker(axes: Axes, shell: int | None, length_A: float, colour: str, text: str) -> None:
    if shell:
        axes.axvline(shell / length_A, color=colour, lw=1, ls="-.", label=f"{text} {length_A / shell:.2f} A")


def resolution_ticks(axes: Axes, highest: float) -> None:
    """Ticks at even frequencies, labelled in Angstrom."""
    ticks = np.linspace(0, highest, 9)[1:]
    axes.set_xticks(ticks, [f"{1 / tick:.1f}" for tick in ticks])
    axes.set_xlabel("resolution (A)")


@dataclass(frozen=True)
class Row:
    """Three slices side by side, one line of text above."""

    title: str
    slices: Sequence[np.ndarray]  # along x, y, z
    low: float
    high: float
    colours: str = "gray"
    cross: tuple[float, float, float] | None = None  # x, y, z in pixels, marked by dotted lines


def slices(figure: Figure, rows: Sequence[Row], circles: Sequence[float | None] = (), bar: str = "") -> None:
    """One picture a row: nine axes with ticks would take half a second. ``circles``: radii in pixels, one a row."""
    for place, row in enumerate(rows):
        size = row.slices[0].shape[0]
        gap = np.full((size, max(1, size // 50)), np.nan, np.float32)
        strip = np.hstack([row.slices[0], gap, row.slices[1], gap, row.slices[2]]).astype(np.float32)
        bottom, height = 1 - (place + 1) / len(rows), 0.91 / len(rows)
        axes = figure.add_axes((0.01, bottom, 0.90 if bar else 0.98, height))
        picture = axes.imshow(strip, cmap=row.colours, vmin=row.low, vmax=row.high, origin="lower",
                              interpolation="nearest")
        axes.set_title(row.title, fontsize=9, pad=4)
        axes.set_axis_off()
        if row.cross is not None:
            _crosses(axes, size, gap.shape[1], row.cross)
        if place < len(circles) and circles[place]:
            _circles(axes, size, gap.shape[1], circles[place])
        if bar:
            figure.colorbar(picture, cax=figure.add_axes((0.92, bottom + 0.05, 0.015, height - 0.1))).set_label(bar)


def _circles(axes: Axes, size: int, gap: int, radius: float) -> None:
    from matplotlib.patches import Circle

    for place in range(3):
        centre = (place * (size + gap) + size // 2, size // 2)
        axes.add_patch(Circle(centre, radius, fill=False, color="#ff4d4d", lw=1, ls="--"))


def _crosses(axes: Axes, size: int, gap: int, at: tuple[float, float, float]) -> None:
    """Dotted lines through a point in all three slices: along x it shows (z, y), along y (z, x), along z (y, x)."""
    x, y, z = at
    for place, (across, up) in enumerate(((y, z), (x, z), (x, y))):
        left = place * (size + gap)
        for line in (((left + across,) * 2, (0, size - 1)), ((left, left + size - 1), (up, up))):
            axes.plot(*line, color="#ff4d4d", lw=0.9, ls=":")  # seen on black density and on white masks
    axes.set(xlim=(-0.5, 3 * size + 2 * gap - 0.5), ylim=(-0.5, size - 0.5))


def guinier(figure: Figure, x: np.ndarray, ln_amplitude: np.ndarray, fit: dict | None, points: dict | None) -> None:
    """ln amplitude against 1/d^2; ``fit``: slope, intercept, x (first, last); ``points``: x, y weighted by the FSC."""
    axes = figure.add_axes((0.1, 0.15, 0.86, 0.82))
    shown = np.isfinite(ln_amplitude) & (x > 0)
    axes.plot(x[shown], ln_amplitude[shown], "o-", ms=3, lw=0.8, color="#1f77b4", label="ln of the mean amplitude")
    if points:
        axes.plot(points["x"], points["y"], ".", ms=4, color="#ff7f0e", label="weighted by the FSC")
    if fit:
        ends = np.array([fit["x"][0], fit["x"][-1]])
        label = f"fit from {ends[0] ** -0.5:.1f} to {ends[-1] ** -0.5:.1f} A: B = {4 * fit['slope']:.0f} A\u00b2"
        axes.plot(ends, fit["intercept"] + fit["slope"] * ends, color="#d62728", lw=2, label=label)
    highest = x[-1]
    axes.set(ylabel="ln amplitude", xlim=(0, highest))
    ticks = np.linspace(0, highest, 9)[1:]
    axes.set_xticks(ticks, [f"{tick:.4f}\n{tick**-0.5:.1f} A" for tick in ticks], fontsize=8)
    axes.set_xlabel("1 / resolution\u00b2 (1/A\u00b2)", labelpad=1)
    axes.legend(fontsize=8, loc="upper right")


@dataclass(frozen=True)
class Spectrum:
    """Noise of one optics group: standard deviation per shell, now and one iteration before."""

    name: str
    frequency_1_A: np.ndarray
    sd: np.ndarray
    before: np.ndarray | None


def noise(figure: Figure, groups: Sequence[Spectrum]) -> None:
    """One colour a group; dotted: before."""
    axes = figure.add_axes((0.12, 0.13, 0.86, 0.84))
    few = len(groups) <= 10  # a legend of more groups would cover the curves
    for place, group in enumerate(groups):
        colour = f"C{place % 10}"
        axes.semilogy(group.frequency_1_A[1:], group.sd[1:], lw=1.3, color=colour, label=group.name if few else None)
        if group.before is not None:
            label = "one iteration before" if place == len(groups) - 1 else None
            axes.semilogy(group.frequency_1_A[1:], group.before[1:], lw=1.1, ls=":", color=colour, label=label)
    axes.set(ylabel="noise, standard deviation (transform / pixels)", xlim=(0, None))
    resolution_ticks(axes, max(group.frequency_1_A[-1] for group in groups))
    axes.grid(which="both", alpha=0.2)
    axes.legend(fontsize=8, loc="upper right")


def sphere(figure: Figure, values: np.ndarray, label: str, norm, ticks: Sequence[float], texts: Sequence[str]) -> None:
    """Values (elevation, azimuth) on the sphere, bins even in azimuth and in the sine of the elevation."""
    axes = figure.add_axes((0.09, 0.13, 0.78, 0.80))
    picture = axes.imshow(values, norm=norm, cmap="viridis", origin="lower", aspect="auto", extent=(-180, 180, -1, 1),
                          interpolation="nearest")
    bar = figure.colorbar(picture, cax=figure.add_axes((0.89, 0.13, 0.02, 0.80)), ticks=list(ticks))
    bar.ax.set_yticklabels(list(texts))
    bar.minorticks_off()
    bar.set_label(label)
    elevations = np.array([-90, -50, -30, -15, 0, 15, 30, 50, 90])
    axes.set_yticks(np.sin(np.deg2rad(elevations)), elevations)
    axes.set_xticks(range(-180, 181, 60))
    axes.set(xlabel="azimuth (deg)", ylabel="elevation (deg)", facecolor="#eeeeee")


def directions(figure: Figure, counts: np.ndarray) -> None:
    """Particles per bin, logarithmic; empty bins grey."""
    from matplotlib.colors import LogNorm

    top = max(2.0, float(counts.max()))
    levels = [level * 10**power for power in range(9) for level in (1, 2, 5) if level * 10**power <= top]
    seen = np.ma.masked_equal(counts, 0)
    sphere(figure, seen, "particles", LogNorm(vmin=1, vmax=top), levels, [str(level) for level in levels])


def precision(figure: Figure, axes_: np.ndarray, density: np.ndarray) -> None:
    """Relative precision of each Fourier direction, on the nearest of the directions (n, 3)."""
    from matplotlib.colors import LogNorm

    sines, azimuths = (np.arange(72) + 0.5) / 36 - 1, np.deg2rad(2.5 + 5 * np.arange(72) - 180)
    sine, azimuth = np.meshgrid(sines, azimuths, indexing="ij")
    cosine = np.sqrt(1 - sine**2)
    points = np.stack([cosine * np.cos(azimuth), cosine * np.sin(azimuth), sine], axis=-1)
    values = density[np.argmax(points @ axes_.T, axis=-1)]
    # never narrower than a factor of four, so that an even distribution looks even
    norm = LogNorm(vmin=min(0.5, max(float(density.min()), 1e-2)), vmax=max(2.0, float(density.max())))
    levels = [v for v in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if norm.vmin <= v <= norm.vmax]
    shown = np.ma.masked_less_equal(values, 0)
    sphere(figure, shown, "precision relative to the mean", norm, levels, [f"{v:g}" for v in levels])
    least = float(density.min())
    ratio = f"{density.max() / least:.1f}" if least > 0 else "infinite"
    figure.axes[0].set_title(f"largest / smallest: {ratio}", fontsize=9, pad=4)


@dataclass(frozen=True)
class Counts:
    """A histogram; ``label`` stands in the legend."""

    label: str
    counts: np.ndarray
    edges: np.ndarray
    limit: float | None = None  # that no value exceeds, marked by a line


def histograms(figure: Figure, rows: Sequence[Sequence[tuple[str, Counts]]]) -> None:
    """Rows of panels, each an axis label and a histogram; the last bin of each takes what lies beyond."""
    height = 1 / len(rows)
    inch = 1 / figure.get_figheight()
    for below, row in enumerate(reversed(rows)):
        width = 1 / len(row)
        for place, (label, shown) in enumerate(row):
            left, bottom = place * width + 0.085, below * height + 0.55 * inch
            axes = figure.add_axes((left, bottom, width - 0.105, height - 0.68 * inch))
            _histogram(axes, label, shown)


def _histogram(axes: Axes, label: str, shown: Counts, legend: str = "upper right") -> None:
    axes.stairs(shown.counts, shown.edges, fill=True, alpha=0.45, color="#1f77b4")
    axes.stairs(shown.counts, shown.edges, color="#1f77b4", lw=1.2, label=shown.label)
    if shown.limit is not None:
        axes.axvline(shown.limit, color="#d62728", lw=1.2, ls="--", label=f"search extent {shown.limit:g}")
        legend = "upper center"
    axes.set(xlabel=label, ylabel="particles", xlim=(shown.edges[0], None), ylim=(0, None))
    axes.legend(fontsize=8, loc=legend)
    axes.locator_params(axis="x", nbins=5)


@dataclass(frozen=True)
class Phases:
    """Phase of the lens that one optics group shows, rad, and what the fit makes of it: (2K+1, 2K+1), NaN outside."""

    title: str
    measured: np.ndarray
    fitted: np.ndarray
    length_A: float


def phases(figure: Figure, rows: Sequence[Phases]) -> None:
    """Data, fit and what the fit leaves, a row a group and kind, phases modulo a turn on one scale a row."""
    inch, height = 1 / figure.get_figheight(), 1 / len(rows)
    for below, row in enumerate(reversed(rows)):
        bottom = below * height + 0.12 * inch
        shown = [_wrapped(values) for values in (row.measured, row.fitted, row.measured - row.fitted)]
        top = _phase_scale(shown)
        for place, (name, values) in enumerate(zip(("data", "fit", "residual"), shown, strict=True)):
            axes = figure.add_axes((0.01 + 0.29 * place, bottom, 0.28, height - 0.85 * inch))
            picture = axes.imshow(values, cmap="RdBu_r", vmin=-top, vmax=top, origin="lower", interpolation="nearest")
            axes.set_title(name, fontsize=8, pad=2)
            axes.set_axis_off()
        figure.text(0.01, bottom + height - 0.17 * inch, row.title, fontsize=8, va="top")
        bar = figure.add_axes((0.89, bottom, 0.015, height - 0.85 * inch))
        figure.colorbar(picture, cax=bar).set_label("phase (rad)")


def _wrapped(phase: np.ndarray) -> np.ndarray:
    return np.angle(np.exp(1j * phase))


def _phase_scale(shown: Sequence[np.ndarray]) -> float:
    """Half the range of colours, rad: most of the fit is inside, and noise of the data does not drown it."""
    data, fit, _ = (np.percentile(np.abs(values[np.isfinite(values)]), 98) if np.isfinite(values).any() else 0
                    for values in shown)  # fmt: skip
    return float(np.clip(max(1.3 * fit, 0.5 * data), 0.05, np.pi))


@dataclass(frozen=True)
class Line:
    """A curve, its name, and the place on it that was chosen."""

    label: str
    x: np.ndarray
    y: np.ndarray
    chosen: float


def histogram_and_lines(figure: Figure, x_label: str, counts: Counts, lines: Sequence[Line], y_label: str) -> None:
    """Left a histogram; right curves over the same axis, a dot where each was left, where there are any."""
    left = figure.add_axes((0.09, 0.14, 0.40 if lines else 0.88, 0.80))
    _histogram(left, x_label, counts)
    if not lines:
        return
    axes = figure.add_axes((0.59, 0.14, 0.39, 0.80))
    for place, line in enumerate(lines):
        axes.plot(line.x, line.y, lw=1.3, color=f"C{place}", label=line.label)
        axes.plot([line.chosen], [np.interp(line.chosen, line.x, line.y)], "o", ms=5, color=f"C{place}")
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.axvline(0, color="black", lw=0.5)
    axes.legend(fontsize=8)


def mates(figure: Figure, counts: np.ndarray, certainty: Counts | None, title: str) -> None:
    """Particles per symmetry mate, a bar each with the even share as a line; right how sure each is of its mate."""
    axes = figure.add_axes((0.09, 0.14, 0.40 if certainty else 0.88, 0.76))
    axes.bar(np.arange(1, len(counts) + 1), counts, color="#1f77b4", alpha=0.6)
    axes.axhline(counts.mean(), color="black", lw=0.8, ls=":", label=f"even share, {counts.mean():.0f}")
    axes.set(xlabel="symmetry mate", ylabel="particles", ylim=(0, 1.25 * max(counts.max(), 1)))
    axes.locator_params(axis="x", integer=True)
    axes.legend(fontsize=8, loc="upper right")
    figure.text(0.09, 0.94, title, fontsize=9)
    if certainty:
        _histogram(figure.add_axes((0.59, 0.14, 0.39, 0.76)), "probability of the likeliest mate", certainty,
                   "upper left")


@dataclass(frozen=True)
class Cones:
    """The conical FSC in numbers."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    sd: np.ndarray
    resolutions_A: np.ndarray  # of each cone
    length_A: float
    cfar: float
    mask: str


def cones(figure: Figure, shown: Cones) -> None:
    """Left: band of the curves; right: where each crosses 0.143."""
    axes = figure.add_axes((0.08, 0.13, 0.53, 0.80))
    frequency = np.arange(len(shown.mean)) / shown.length_A
    axes.fill_between(frequency, shown.low, shown.high, color="#1f77b4", alpha=0.15, label="least to most")
    band = np.clip(shown.mean - shown.sd, shown.low, None), np.clip(shown.mean + shown.sd, None, shown.high)
    axes.fill_between(frequency, *band, color="#1f77b4", alpha=0.35, label="mean \u00b1 standard deviation")
    axes.plot(frequency, shown.mean, color="#1f77b4", lw=2, label="mean of the cones")
    axes.plot(frequency, shown.low, color="#d62728", lw=1, label="least")
    axes.plot(frequency, shown.high, color="#2ca02c", lw=1, label="most")
    axes.axhline(0.143, color="black", lw=0.8, ls=":")
    axes.axhline(0, color="black", lw=0.5)
    axes.set(ylim=(-0.1, 1.05), xlim=(0, frequency[-1]), ylabel="FSC in cones of 20 deg")
    axes.set_title(f"cFAR {shown.cfar:.2f}; mask: {shown.mask}", fontsize=9, pad=4)
    resolution_ticks(axes, frequency[-1])
    axes.legend(fontsize=8, loc="lower left")
    right = figure.add_axes((0.70, 0.13, 0.28, 0.80))
    finite = shown.resolutions_A[np.isfinite(shown.resolutions_A)]
    middle = float(np.median(finite)) if len(finite) else 1.0
    edges = np.linspace(0.7 * middle, 1.6 * middle, 28)
    right.hist(np.clip(finite, edges[0], edges[-1]), edges, color="#1f77b4", alpha=0.7)
    right.axvline(middle, color="black", lw=1, ls="--", label=f"median {middle:.2f} A")
    right.set(xlabel="resolution of a cone (A)", ylabel="cones")
    right.legend(fontsize=8, loc="upper right")


def images(figure: Figure, shown: Sequence[np.ndarray]) -> None:
    """Up to eight images in two rows; an empty one leaves its place free."""
    for place, image in enumerate(shown):
        if not len(image):
            continue
        axes = figure.add_subplot(2, 4, place + 1)
        low, high = np.percentile(image, (1, 99))
        axes.imshow(image, cmap="gray", vmin=low, vmax=high, origin="lower")
        axes.set_axis_off()
    figure.subplots_adjust(left=0.01, right=0.99, top=0.99, bottom=0.01, wspace=0.03, hspace=0.03)


CONTOURS = {0.05: "#ffd92f", 0.5: "#ff7f0e", 0.95: "#d62728"}  # of a mask


def contoured(figure: Figure, row: Row, mask: np.ndarray) -> None:
    """Three slices with contours of a mask (3, N, N) on them."""
    for place, (cut, values) in enumerate(zip(row.slices, mask, strict=True)):
        axes = figure.add_axes((0.01 + 0.33 * place, 0.0, 0.32, 0.91))
        axes.imshow(cut, cmap=row.colours, vmin=row.low, vmax=row.high, origin="lower", interpolation="nearest")
        for level, colour in CONTOURS.items():
            if values.min() < level < values.max():  # matplotlib warns of a contour that is not there
                axes.contour(values, [level], colors=colour, linewidths=0.9)
        axes.set_axis_off()
    figure.text(0.5, 0.95, row.title, fontsize=9, ha="center")


@dataclass(frozen=True)
class Edge:
    """Values of a mask by distance, and the least width that its edge should have."""

    distance_A: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    wanted_A: float


def edge(figure: Figure, shown: Edge) -> None:
    """Mean and band, and the cosine of the wanted width."""
    axes = figure.add_axes((0.09, 0.15, 0.89, 0.82))
    axes.fill_between(shown.distance_A, shown.low, shown.high, color="#1f77b4", alpha=0.2, label="least to largest")
    axes.plot(shown.distance_A, shown.mean, "o-", ms=3, color="#1f77b4", label="mean of the mask")
    part = np.linspace(0, 1, 100)
    axes.plot(part * shown.wanted_A, 0.5 + 0.5 * np.cos(np.pi * part), "--", color="#d62728", lw=1.2,
              label=f"least width to wish for, {shown.wanted_A:.3g} A")
    axes.set(xlabel="distance from where the mask is 1 (A)", ylabel="mask", ylim=(-0.03, 1.05),
             xlim=(0, shown.distance_A[-1]))
    axes.legend(fontsize=8, loc="upper right")


def micrograph(figure: Figure, image: np.ndarray, picks: np.ndarray, fits: np.ndarray) -> None:
    """A micrograph with circles about ``picks`` (n, 2), dashed where they do not fit."""
    from matplotlib.patches import Circle

    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    low, high = np.percentile(image, (0.5, 99.5))
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, origin="lower")
    radius = max(image.shape) / 40
    for (x, y), good in zip(picks, fits, strict=True):
        style = {"color": "#39d353"} if good else {"color": "#ff4d4d", "ls": "--"}
        axes.add_patch(Circle((x, y), radius, fill=False, lw=1, **style))
    axes.set_axis_off()
