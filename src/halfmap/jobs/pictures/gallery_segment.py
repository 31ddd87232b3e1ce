"""Plots of regions, from which a user chooses by number: surfaces, projections, slices, and a list of volumes.

A region has one colour everywhere. Once regions are chosen, all others are grey, their numbers too.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from halfmap.jobs.pictures import views

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Twenty colours that are told apart at a glance; those of later regions go round the colour circle
FIRST_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#ffb000", "#911eb4", "#46d3e0", "#f05be6", "#a06a2c", "#7f9a00",
                 "#1d7a86", "#f58231", "#b8a1ff", "#7a0019", "#a8f0c0", "#1a1a80", "#ffd0a0", "#5a4200", "#ff9fb5",
                 "#00c878", "#fff3a0")  # fmt: skip
GOLDEN = 0.618034  # of the colour circle: neighbours in the row are far apart on it
GREY = (0.75, 0.75, 0.75)
LISTED = 32  # regions in the list beside the pictures
LABEL_ROOM_PX = 2.0  # between a number and the edge of what is seen of its region, in voxels of a 100 px picture
FINE_PX = 400  # pixels of a slice at least: an outline is one of them wide
PLANES = {"x": ("y", "z"), "y": ("x", "z"), "z": ("x", "y")}  # seen along -> horizontal, vertical axis
LIGHT = np.array([-0.4, 0.5, 0.77])  # from the upper left, towards the viewer
# what a surface picture looks along; the second word: whether the horizontal axis runs to the left
SIDES = (("plus_z", "from +z", False), ("plus_x", "from +x", False), ("minus_y", "from -y", False),
         ("minus_z", "from -z", True), ("minus_x", "from -x", True), ("plus_y", "from +y", True))  # fmt: skip


@dataclass(frozen=True)
class Regions:
    """The numbers behind the pictures of one job."""

    view: views.View

    @cached_property
    def colours(self) -> np.ndarray:
        """(largest number + 1, 3) RGB; 0 is black."""
        numbers = [region["number"] for region in self.view.facts["regions"]]
        table = np.zeros((max(numbers) + 1, 3))
        for number in numbers:
            table[number] = colour(number) if number in self.shown else GREY
        return table

    @cached_property
    def shown(self) -> set[int]:
        """Those in colour: the chosen ones, all if none is chosen."""
        chosen = self.view.facts["chosen"]
        return set(chosen or (region["number"] for region in self.view.facts["regions"]))

    @property
    def side(self) -> int:
        """Voxels of the cube that the pictures show."""
        return self.view.arrays["projection_z"].shape[0]

    def ends(self, axis: str) -> tuple[float, float]:
        """Outer edges of the cube along an axis, voxels from the box corner; a voxel's centre is a whole number."""
        start = int(self.view.arrays["corner"]["zyx".index(axis)])
        return start - 0.5, start + self.side - 0.5

    def extent(self, along: str) -> tuple[float, float, float, float]:
        """Of a picture along an axis: left, right, bottom, top."""
        across, up = PLANES[along]
        return (*self.ends(across), *self.ends(up))


def colour(number: int) -> tuple[float, float, float]:
    """RGB of a region, the same whatever other regions there are."""
    if number <= len(FIRST_COLOURS):
        code = FIRST_COLOURS[number - 1]
        return tuple(int(code[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue = number * GOLDEN % 1
    return colorsys.hsv_to_rgb(hue, (0.85, 0.5, 0.65)[number % 3], (0.75, 0.95, 0.6)[number // 3 % 3])


def _surfaces(figure: Figure, view: views.View) -> None:
    regions = Regions(view)
    for place, (name, title, mirrored) in enumerate(SIDES):
        axes = _panel(figure, regions, name[-1], f"{title}", place, 2)
        labels, depth = view.arrays[f"surface_{name}_labels"], view.arrays[f"surface_{name}"].astype(float)
        axes.imshow(shaded(regions.colours[labels], depth, labels, mirrored), origin="lower", interpolation="nearest",
                    extent=regions.extent(name[-1]))
        if mirrored:
            axes.invert_xaxis()
        _name_regions(axes, labels, regions, name[-1])
    _list(figure, regions)


def shaded(colours: np.ndarray, depth: np.ndarray, labels: np.ndarray, mirrored: bool) -> np.ndarray:
    """Picture (n, n, 3) of a surface of ``depth`` (n, n), darker where it turns from the light and between regions."""
    import scipy.ndimage

    seen = labels > 0
    # depth is of whole voxels: smoothed within the surface so that it has slopes, not steps
    weight = scipy.ndimage.gaussian_filter(seen.astype(float), 1.2)
    smooth = scipy.ndimage.gaussian_filter(np.where(seen, depth, 0), 1.2) / np.maximum(weight, 1e-6)
    up, across = np.gradient(smooth)
    normal = np.stack([across, up, np.ones_like(up)], axis=-1)  # depth grows away from the viewer
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    light = LIGHT * (-1 if mirrored else 1, 1, 1)
    bright = 0.35 + 0.65 * np.clip(normal @ light, 0, 1)
    bright *= np.where(border(labels), 0.55, 1.0)
    return np.where(seen[..., None], np.clip(colours * bright[..., None] * 1.15, 0, 1), 1.0)


def border(labels: np.ndarray) -> np.ndarray:
    """(n, n) bool: pixels of a region beside one of another, or of none."""
    found = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        change = np.diff(labels, axis=axis) != 0
        before, after = ((slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None)))
        found[before] |= change
        found[after] |= change
    return found & (labels > 0)


def _projections(figure: Figure, view: views.View) -> None:
    regions = Regions(view)
    for place, along in enumerate("xyz"):
        axes = _panel(figure, regions, along, f"highest density along {along}", place, 1)
        highest, labels = view.arrays[f"projection_{along}"], view.arrays[f"projection_{along}_labels"]
        scale = np.clip(highest / np.percentile(highest[labels > 0], 99.5), 0, 1)[..., None]
        picture = np.where(labels[..., None] > 0, regions.colours[labels] * (0.25 + 0.85 * scale), 0)
        axes.imshow(np.clip(picture, 0, 1), origin="lower", interpolation="nearest", extent=regions.extent(along))
        _name_regions(axes, labels, regions, along)
    _list(figure, regions)


def _slices(figure: Figure, view: views.View) -> None:
    regions = Regions(view)
    density = view.arrays["slice_density"]
    low, high = 0.0, float(np.percentile(density[view.arrays["slice_labels"] > 0], 99.5))
    for row, along in enumerate("xyz"):
        for column in range(density.shape[1]):
            plane = view.arrays["slice_planes"][row, column]
            axes = _panel(figure, regions, along, f"{along} = {plane}", 3 * row + column, 3)
            labels = view.arrays["slice_labels"][row, column]
            grey = np.clip((density[row, column] - low) / (high - low), 0, 1)
            axes.imshow(outlined(grey, labels, regions.colours), origin="lower", interpolation="nearest",
                        extent=regions.extent(along))
            _outline_of_mask(axes, view, row, column, regions.extent(along))
            _name_regions(axes, labels, regions, along)
    _list(figure, regions)


def outlined(grey: np.ndarray, labels: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Picture (pixels, pixels, 3), whole pixels a voxel: density in grey, tinted and outlined by region."""
    times = -(-FINE_PX // len(labels))
    fine = labels.repeat(times, axis=0).repeat(times, axis=1)
    base = grey.repeat(times, axis=0).repeat(times, axis=1)[..., None]
    tint = np.where(fine[..., None] > 0, 0.72 * base + 0.28 * colours[fine], base)
    return np.clip(np.where(border(fine)[..., None], colours[fine], tint), 0, 1)  # rounding in float32


def _outline_of_mask(axes: Axes, view: views.View, row: int, column: int, extent: tuple) -> None:
    if "slice_mask" not in view.arrays:
        return
    mask = view.arrays["slice_mask"][row, column].astype(np.float32)
    for level, style in ((0.5, "-"), (0.02, ":")):
        if mask.min() < level < mask.max():
            axes.contour(mask, levels=[level], colors="white", linewidths=1.0, linestyles=style, extent=extent)


def _panel(figure: Figure, regions: Regions, along: str, title: str, place: int, rows: int) -> Axes:
    """One of three square axes in a row, ticks in voxels from the box corner; the list is at the right."""
    inch_x, inch_y = 1 / figure.get_figwidth(), 1 / figure.get_figheight()
    row, column = divmod(place, 3)
    height = (1 - 0.02) / rows
    box = (0.42 * inch_x + column * 1.92 * inch_x, 1 - (row + 1) * height + 0.42 * inch_y, 1.52 * inch_x,
           height - 0.68 * inch_y)  # fmt: skip
    axes = figure.add_axes(box)
    across, up = PLANES[along]
    axes.set_title(title, fontsize=8, pad=3)
    axes.set_xlabel(f"{across} (px)", fontsize=7, labelpad=1)
    axes.set_ylabel(f"{up} (px)", fontsize=7, labelpad=1)
    axes.tick_params(labelsize=6.5, length=2, pad=1.5)
    axes.locator_params(nbins=5, integer=True)
    return axes


def _name_regions(axes: Axes, labels: np.ndarray, regions: Regions, along: str) -> None:
    """Each region's number where the most of it is seen around, if it is seen wide enough."""
    import scipy.ndimage
    from matplotlib.patheffects import withStroke

    left, _, bottom, _ = regions.extent(along)
    room = LABEL_ROOM_PX * max(1.0, regions.side / 100)
    for number in sorted(set(np.unique(labels).tolist()) - {0}):
        distance = scipy.ndimage.distance_transform_edt(np.pad(labels == number, 1))[1:-1, 1:-1]
        y, x = np.unravel_index(distance.argmax(), distance.shape)
        if distance[y, x] >= room:
            style = {"color": "white", "fontsize": 8} if number in regions.shown else {"color": GREY, "fontsize": 6.5}
            axes.text(left + x + 0.5, bottom + y + 0.5, str(number), fontweight="bold", ha="center", va="center",
                      path_effects=[withStroke(linewidth=1.8, foreground="black")], **style)


def _list(figure: Figure, regions: Regions) -> None:
    """Number, colour, volume and share of each region, the largest first; chosen ones before all others."""
    from matplotlib.patches import Rectangle

    facts = regions.view.facts
    whole = sum(region["volume_A3"] for region in facts["regions"])
    inch_y = 1 / figure.get_figheight()
    axes = figure.add_axes((1 - 1.2 / figure.get_figwidth(), 0, 1.19 / figure.get_figwidth(), 1))
    axes.set(xlim=(0, 1), ylim=(0, figure.get_figheight()))
    axes.set_axis_off()
    room = int((figure.get_figheight() - 0.6) / 0.145)
    rows = sorted(facts["regions"], key=lambda region: (region["number"] not in regions.shown, -region["volume_A3"]))
    top = 1 / inch_y - 0.16
    axes.text(0.0, top, "region, 10\u00b3 \u00c5\u00b3, share", fontsize=7, va="center")
    for place, region in enumerate(rows[: min(room, LISTED)], start=1):
        y = top - 0.145 * place
        axes.add_patch(Rectangle((0, y - 0.05), 0.1, 0.1, color=regions.colours[region["number"]]))
        volume = region["volume_A3"]
        columns = (0.28, f"{region['number']}"), (0.66, f"{volume / 1e3:,.0f}"), (0.98, f"{100 * volume / whole:.1f} %")
        for x, text in columns:
            axes.text(x, y, text, fontsize=7, va="center", ha="right")
    left = len(rows) - min(room, LISTED)
    if left > 0:
        y = top - 0.145 * (min(room, LISTED) + 1)
        axes.text(0.0, y, f"{left} more: regions.json", fontsize=6.5, va="center")


def _there(view: views.View) -> bool:
    return "slice_labels" in view.arrays


PLOTS = (
    views.Plot(
        "regions",
        "Regions",
        "The surface of the map from six sides, each region in its colour; numbers are those for --choose, axes count "
        "voxels from the box corner as --at does. Good: each domain you know is one region or several whole ones; "
        "--regions with a larger or smaller number, --ungroup and --threshold change the cut.",
        _there,
        _surfaces,
        2.25,
        lambda view: 2,
    ),
    views.Plot(
        "region_projections",
        "Regions, highest density",
        "The highest density along x, y and z in the colour of its region: shows regions that others hide. Good: "
        "bright cores inside each region, borders where the density is weak.",
        _there,
        _projections,
        2.3,
    ),
    views.Plot(
        "region_slices",
        "Regions, slices",
        "The smoothed map in grey at a quarter, half and three quarters of the regions' extent along x, y and z, each "
        "region outlined; once regions are chosen, the mask at 0.5 (white) and where it ends (dotted). Good: outlines "
        "follow the molecule and leave the solvent; the mask holds all of what was chosen.",
        _there,
        _slices,
        2.2,
        lambda view: 3,
    ),
)
