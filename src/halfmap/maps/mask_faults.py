"""What is wrong with a mask: numbers of it, then plain sentences, each with what to change.

Owns the rules and their limits. A mask may be any file with values 0 to 1; how it was made is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.ndimage

from halfmap.maps import masks
from halfmap.types import Map

EDGE_RESOLUTIONS = 5.0  # width of a soft edge over the resolution. Source: CryoSPARC's guide, 5 x resolution / pixel
NARROW = 0.9  # of that: widths are measured to a few per cent
HARD = 0.5  # a fall by more than this from voxel to voxel; a cosine of three voxels' width has it
HARD_SHARE = 0.02  # of the surface
BINARY_SHARE = 0.9
OVERSHOOT = 0.01  # masks that were resampled go a little beyond 0 and 1
TINY = 5e-4  # of the box: a ball of a tenth of its width
AT_BORDER = 0.01  # the largest value on the faces of the box
EDGE_VALUES = (0.1, 0.9)  # where the slope of the edge is measured


@dataclass(frozen=True)
class Measures:
    """A mask in numbers."""

    low: float
    high: float
    width_px: float | None  # of the soft edge, 1 to 0, median over the surface; None where it has no soft edge
    hard_share: float  # of the surface: where it falls by more than HARD from voxel to voxel
    filled: float  # mean over the box
    at_border: float  # largest value on the faces of the box
    islands: int  # parts smaller than masks.SMALLEST_ISLAND of the largest, at 0.5


@dataclass(frozen=True)
class Case:
    """A mask to be judged; ``resolution_A`` of the map it is for, None = unknown, then the Nyquist limit stands in."""

    measures: Measures
    voxel_size_A: float
    resolution_A: float | None

    @property
    def wanted_px(self) -> float:
        """Least width of the soft edge."""
        return EDGE_RESOLUTIONS * (self.resolution_A or 2 * self.voxel_size_A) / self.voxel_size_A


Rule = Callable[[Case], str | None]  # the sentence, where the rule is broken


def faults(mask: Map, resolution_A: float | None = None, rules: Sequence[Rule] | None = None) -> list[str]:
    """Every sentence of the rules (None = all) that applies, the gravest first."""
    case = Case(measured(mask.data), mask.voxel_size_A, resolution_A)
    return [sentence for rule in rules or RULES if (sentence := rule(case)) is not None]


def measured(data: np.ndarray) -> Measures:
    """The numbers of a mask (z, y, x)."""
    faces = [np.take(data, end, axis=axis) for axis in range(3) for end in (0, -1)]
    return Measures(
        low=float(data.min()),
        high=float(data.max()),
        width_px=edge_width(data),
        hard_share=hard_share(data),
        filled=float(data.mean(dtype=np.float64)),
        at_border=max(float(face.max()) for face in faces),
        islands=islands(data),
    )


def edge_width(data: np.ndarray) -> float | None:
    """Median width in voxels of the raised cosine that has the slopes of the edge; None without values in between.

    m = 0.5 + 0.5 cos(pi t / w) has |grad m| = pi / w sqrt(m (1 - m)), so each voxel tells w by itself. Slopes are
    central differences: a width of 10 voxels is measured 2 % too large, one of 3 about 20 %.
    """
    inner = (slice(1, -1),) * 3
    values = data[inner]
    place = np.nonzero((values > EDGE_VALUES[0]) & (values < EDGE_VALUES[1]))
    if len(place[0]) == 0:
        return None
    square = np.zeros(len(place[0]))
    for axis in range(3):
        after, before = (tuple(index + 1 + step * (axis == a) for a, index in enumerate(place)) for step in (1, -1))
        square += ((data[after] - data[before]) / 2.0) ** 2
    m = values[place].astype(np.float64)
    steep = square > 0  # a plateau has no width
    return float(np.median(np.pi * np.sqrt(m * (1 - m))[steep] / np.sqrt(square[steep]))) if steep.any() else None


def hard_share(data: np.ndarray) -> float:
    """Of all neighbours on both sides of 0.5, the share that differs by more than HARD."""
    crossings = hard = 0
    for axis in range(3):
        after, before = (np.moveaxis(data, axis, 0)[part] for part in (slice(1, None), slice(None, -1)))
        crossing = (after >= 0.5) != (before >= 0.5)
        crossings += int(crossing.sum())
        hard += int((np.abs(after[crossing] - before[crossing]) > HARD).sum())
    return hard / max(crossings, 1)


def islands(data: np.ndarray) -> int:
    """Connected parts at 0.5 that ``masks.without_islands`` would drop."""
    region = data >= 0.5
    small = region & ~masks.without_islands(region)
    return scipy.ndimage.label(small, structure=np.ones((3, 3, 3)))[1] if small.any() else 0


def out_of_range(c: Case) -> str | None:
    low, high = c.measures.low, c.measures.high
    if low >= -OVERSHOOT and 1 - OVERSHOOT <= high <= 1 + OVERSHOOT:
        return None
    return (f"its values go from {low:.3g} to {high:.3g}, those of a mask from 0 to 1: make a mask of it with a "
            "threshold (halfmap volume mask)")


def hard_edge(c: Case) -> str | None:
    if c.measures.hard_share <= HARD_SHARE:
        return None
    share = c.measures.hard_share
    what = "is binary" if share > BINARY_SHARE else f"has a hard edge on {share:.0%} of its surface"
    return f"it {what}, and a hard edge makes noise correlate: give it {_wanted(c)} (--soft-padding)"


def narrow_edge(c: Case) -> str | None:
    width = c.measures.width_px
    if c.measures.hard_share > HARD_SHARE or width is None or width >= NARROW * c.wanted_px:
        return None
    return f"its soft edge is only {width:.1f} voxels wide: give it {_wanted(c)} (--soft-padding)"


def _wanted(c: Case) -> str:
    of = f"a resolution of {c.resolution_A:.3g} A" if c.resolution_A else "the best resolution these voxels allow"
    voxels = math.ceil(round(c.wanted_px, 3))
    return f"a soft edge of {voxels} voxels or more, {EDGE_RESOLUTIONS:g} times {of}"


def at_border(c: Case) -> str | None:
    if c.measures.at_border <= AT_BORDER or c.measures.filled > masks.LARGEST_REGION:
        return None
    return (f"it has not fallen to 0 at the border of the box ({c.measures.at_border:.2f} there): make dilation and "
            "soft edge smaller, or the box larger")


def fills_box(c: Case) -> str | None:
    if c.measures.filled <= masks.LARGEST_REGION:
        return None
    return (f"it fills {c.measures.filled:.0%} of the box and removes little: give a higher threshold, unless all but "
            "a part is wanted")


def tiny(c: Case) -> str | None:
    if c.measures.filled >= TINY or c.measures.high <= 0:
        return None
    return (f"it covers {c.measures.filled:.2g} of the box, less than any particle in its box: is its voxel size, its "
            "threshold or its place right?")


def has_islands(c: Case) -> str | None:
    if c.measures.islands == 0:
        return None
    what = "1 island" if c.measures.islands == 1 else f"{c.measures.islands} islands"
    return (f"{what} of less than {masks.SMALLEST_ISLAND:.0%} of its largest part: give a higher threshold or drop "
            f"them (--smallest-island {masks.SMALLEST_ISLAND:g})")


RULES: Sequence[Rule] = (
    out_of_range, hard_edge, narrow_edge, at_border, fills_box, tiny, has_islands,
)  # fmt: skip


@dataclass(frozen=True)
class Profile:
    """How a mask falls off: its values by the distance from where it is 1, (bins,) each."""

    distance_px: np.ndarray
    mean: np.ndarray
    low: np.ndarray  # least and largest value at that distance
    high: np.ndarray


MOST_VOXELS = 128  # a side: a profile needs no finer one
FULL = 0.999  # of the largest value: where a mask counts as 1


def profile(data: np.ndarray, reach_px: float) -> Profile:
    """The profile up to ``reach_px`` from where the mask exceeds FULL of its largest value."""
    step = -(-data.shape[0] // MOST_VOXELS)
    coarse = data[::step, ::step, ::step]
    square = masks.squared_distances(coarse > FULL * coarse.max(), reach_px / step)
    bins = int(reach_px / step) + 1
    near = square <= (bins - 1) ** 2
    index, values = np.rint(np.sqrt(square[near])).astype(np.int64), coarse[near].astype(np.float64)
    count = np.bincount(index, minlength=bins)
    low, high = np.full(bins, np.inf), np.full(bins, -np.inf)
    np.minimum.at(low, index, values)
    np.maximum.at(high, index, values)
    seen = count > 0
    mean = np.bincount(index, weights=values, minlength=bins)[seen] / count[seen]
    return Profile(step * np.arange(bins)[seen].astype(np.float64), mean, low[seen], high[seen])
