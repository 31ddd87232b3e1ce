"""Parts of a map: watershed regions, grouped by smoothing, chosen by number or by a point in them.

Every voxel above a threshold belongs to the density maximum that steepest ascent leads it to: a *basin*. Then the map
is smoothed more and more. A basin's maximum climbs to a maximum of the smoothed map; basins that arrive at the same one
are one *region* from there on. Regions are numbered from 1, the largest first. Their grouping is kept, so that a region
can be ungrouped again into what it was made of.

Owns regions and their numbers; masks of them are `masks`'. Positions of voxels are z, y, x inside, x, y, z from the box
corner where a user sees them.

Source: Pintilie, Zhang, Goddard, Chiu & Gossard 2010, J Struct Biol 170:427 (watershed, scale-space grouping).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.spatial

from halfmap.errors import InputError, UsageError
from halfmap.kernels import watershed
from halfmap.maps import filters
from halfmap.types import Map

LEAST_OF_MAXIMUM = 0.1  # automatic threshold: half of what draws a refinement mask, so that weak domains are kept
NOISE_SDS = 5.0  # automatic threshold: of a million independent values of noise fewer than one is higher
NORMAL_MAD = 0.6745  # median absolute deviation of a normal distribution of unit standard deviation
FINEST_STEP = 1 / 16  # of a smoothing step: how closely the moment is looked for when a wanted number is reached
WIDEST = 0.25  # of the box: smoothed with more, neighbouring copies of the periodic box run into each other


@dataclass(frozen=True)
class Basins:
    """The watershed of a map: ``labels`` (z, y, x) int32, 0 where it is not above the threshold, else 1..n.

    All else is a row for each basin: flat index of its maximum, number of voxels, sum of their positions (z, y, x), sum
    and maximum of the density. ``contacts`` (m, 3): a pair of basins, a < b, and how many voxel faces they share.
    """

    labels: np.ndarray
    peaks: np.ndarray
    voxels: np.ndarray
    positions: np.ndarray
    densities: np.ndarray
    highest: np.ndarray
    contacts: np.ndarray


@dataclass(frozen=True)
class Level:
    """Which basins are one region (``group``: (basins,) int, 0..count-1) in the map smoothed by ``sdev_px``."""

    sdev_px: float
    group: np.ndarray

    @property
    def count(self) -> int:
        return int(self.group.max()) + 1


@dataclass(frozen=True)
class Part:
    """A region, or a part of one, in numbers."""

    voxels: int
    volume_A3: float
    centre_px: tuple[float, float, float]  # x, y, z from the box corner, voxels
    mean_density: float
    max_density: float
    peak_px: tuple[int, int, int]  # x, y, z of the maximum


@dataclass(frozen=True)
class Segmentation:
    """Regions of a map. ``number``: (basins,) int32, the region of each basin; ``ungrouped``: region -> its parts."""

    map: Map
    threshold: float
    basins: Basins
    levels: tuple[Level, ...]  # the watershed itself first, then with growing smoothing
    number: np.ndarray
    ungrouped: dict[int, tuple[int, ...]]

    @cached_property
    def labels(self) -> np.ndarray:
        """(z, y, x) int32: the number of the region of every voxel, 0 outside."""
        return np.concatenate([[0], self.number]).astype(np.int32)[self.basins.labels]

    @property
    def numbers(self) -> list[int]:
        """Those that exist, in order."""
        return sorted(set(self.number.tolist()))

    def part(self, members: np.ndarray) -> Part:
        """What the basins ``members`` are together."""
        basins, size = self.basins, self.map.voxel_size_A
        voxels = int(basins.voxels[members].sum())
        centre = basins.positions[members].sum(axis=0) / voxels
        first = members[np.argmax(basins.highest[members])]
        peak = np.unravel_index(basins.peaks[first], self.map.data.shape)
        return Part(voxels, voxels * size**3, tuple(map(float, centre[::-1])),
                    float(basins.densities[members].sum() / voxels), float(basins.highest[first]),
                    tuple(map(int, peak[::-1])))  # fmt: skip

    def region(self, number: int) -> Part:
        """Region ``number`` in numbers."""
        return self.part(self._members(number))

    def subregions(self, number: int) -> list[np.ndarray]:
        """Basins of each part that ungrouping makes of a region, the largest first; one if it is a single basin."""
        members = self._members(number)
        for level in reversed(self.levels):
            parts = [members[level.group[members] == group] for group in np.unique(level.group[members])]
            if len(parts) > 1:
                return _by_size(parts, self.basins)
        return [members]

    def neighbours(self) -> dict[int, dict[int, float]]:
        """Area in A^2 by which each region touches its neighbours: voxel faces, up to 1.5 times a smooth surface."""
        found: dict[int, dict[int, float]] = {number: {} for number in self.numbers}
        for a, b, faces in self.basins.contacts:
            one, other = int(self.number[a - 1]), int(self.number[b - 1])
            if one != other:
                area = float(faces) * self.map.voxel_size_A**2
                found[one][other] = found[one].get(other, 0.0) + area
                found[other][one] = found[other].get(one, 0.0) + area
        return found

    def _members(self, number: int) -> np.ndarray:
        return np.flatnonzero(self.number == number)


def smoothed(map: Map, sdev_px: float) -> Map:
    """The map convolved with a Gaussian of standard deviation ``sdev_px`` voxels; itself for 0."""
    if sdev_px == 0:
        return map
    # exp(-2 pi^2 s^2 k^2), the transform of the Gaussian, is that of a B-factor of 8 pi^2 s^2
    return filters.bfactor(map, 8 * np.pi**2 * (sdev_px * map.voxel_size_A) ** 2)


def automatic_threshold(map: Map) -> float:
    """LEAST_OF_MAXIMUM of the map's maximum, or NOISE_SDS over the median where the solvent is noisier than that.

    The noise is judged by the median of the absolute deviations from the median: a particle that fills less than half
    of the box does not show in it. Not ``solvent.contour``, which masks are drawn at: that is the lowest level at which
    a low-passed particle still stands out of its noise, half as high where the noise is low, and regions need the map
    at the detail they are looked for in, where valleys between them lie above the threshold.
    """
    middle = float(np.median(map.data))
    noise = float(np.median(np.abs(map.data - np.float32(middle)))) / NORMAL_MAD
    return max(LEAST_OF_MAXIMUM * float(map.data.max()), middle + NOISE_SDS * noise)


def segment(map: Map, threshold: float | None = None, steps: int = 4, step_px: float = 1.0,
            wanted: int | None = None) -> Segmentation:
    """Regions of the map above ``threshold`` (None = ``automatic_threshold``).

    ``steps`` smoothings by ``step_px``, 2 ``step_px``, ... voxels; with ``wanted``, as many as bring the regions down
    to that number. Raises InputError where nothing is above the threshold.
    """
    threshold = automatic_threshold(map) if threshold is None else threshold
    peak = float(map.data.max())
    if not peak > threshold:
        raise InputError(f"segment: nothing is above the threshold {threshold:.4g}: the maximum of the map, smoothed "
                         f"as asked for, is {peak:.4g}; give a --threshold between 0 and that, and check the "
                         "contrast (particle white)")
    basins = _basins(map, threshold)
    levels = _grouped(map, basins, steps, step_px) if wanted is None else _down_to(map, basins, wanted, step_px)
    return Segmentation(map, float(threshold), basins, tuple(levels), _numbered(levels[-1], basins), {})


def ungroup(found: Segmentation, number: int) -> Segmentation:
    """Region ``number`` replaced by what it was made of; the parts get the next free numbers, the largest first.

    All other numbers stay. Raises UsageError for a region that does not exist or is a single basin.
    """
    _require(found, [number])
    parts = found.subregions(number)
    if len(parts) == 1:
        raise UsageError(f"--ungroup {number}: region {number} has one density maximum only and cannot be ungrouped; "
                         "a smaller --gaussian-sdev or --threshold may split it")
    numbers = found.number.copy()
    first = max([*found.numbers, *found.ungrouped]) + 1
    for place, members in enumerate(parts):
        numbers[members] = first + place
    made = tuple(range(first, first + len(parts)))
    return replace(found, number=numbers, ungrouped={**found.ungrouped, number: made})


def at(found: Segmentation, point_px: Sequence[float]) -> int:
    """The region of the voxel nearest to ``point_px``, x, y, z from the box corner. Raises UsageError outside."""
    told = ",".join(f"{value:g}" for value in point_px)
    place = np.rint(np.asarray(point_px, float)[::-1]).astype(int)
    if not ((place >= 0) & (place < found.map.box)).all():
        raise UsageError(f"--at {told}: outside the box; x, y and z count from its corner, 0 to {found.map.box - 1} px")
    number = int(found.labels[tuple(place)])
    if number == 0:
        value = float(found.map.data[tuple(place)])
        raise UsageError(f"--at {told} px: in no region: the density there is {value:.4g}, not above the threshold "
                         f"{found.threshold:.4g}; {_nearest(found, place)}")
    return number


def chosen(found: Segmentation, numbers: Iterable[int], points_px: Iterable[Sequence[float]] = (),
           excluded: Iterable[int] = ()) -> list[int]:
    """The regions named, those at the points, less those excluded; with exclusions only: all others.

    Raises UsageError for numbers that do not exist, points in no region, and where nothing is left.
    """
    numbers, excluded = list(numbers), list(excluded)
    _require(found, [*numbers, *excluded])
    wanted = {*numbers, *(at(found, point) for point in points_px)}
    left = sorted((wanted or set(found.numbers)) - set(excluded))
    if not left:
        raise UsageError("--exclude: no region is left of those chosen; exclude fewer")
    return left


def within(found: Segmentation, numbers: Sequence[int]) -> np.ndarray:
    """Where the regions ``numbers`` are: (z, y, x) bool."""
    inside = np.concatenate([[False], np.isin(found.number, numbers)])
    return inside[found.basins.labels]


def border(found: Segmentation, numbers: Sequence[int]) -> tuple[float, float, float] | None:
    """x, y, z from the box corner, in voxels: the middle of the faces by which the regions ``numbers`` touch others.

    Where a domain hangs on the rest, that is about where it turns. None where nothing touches them.
    """
    inside, others = within(found, numbers), ~within(found, numbers) & (found.basins.labels > 0)
    met = []
    for axis in range(3):
        one, other = (np.moveaxis(part, axis, 0) for part in (inside, others))
        faces = np.argwhere((one[:-1] & other[1:]) | (other[:-1] & one[1:])) + [0.5, 0, 0]
        met.append(faces[:, [[0, 1, 2], [1, 0, 2], [1, 2, 0]][axis]])
    met = np.concatenate(met)
    return tuple(map(float, met.mean(axis=0)[::-1])) if len(met) else None


def base(found: Segmentation, numbers: Sequence[int]) -> Map:
    """The mask base: the map, as it was segmented, within the regions ``numbers``, 0 elsewhere."""
    return Map(np.where(within(found, numbers), found.map.data, np.float32(0)), found.map.voxel_size_A)


def _basins(map: Map, threshold: float) -> Basins:
    """The watershed, everything about its basins counted in one pass over the voxels above the threshold."""
    summit = watershed.summits(map.data, threshold)
    inside = np.flatnonzero(summit.ravel() >= 0)
    peaks, label = np.unique(summit.ravel()[inside], return_inverse=True)
    labels = np.zeros(map.data.size, np.int32)
    labels[inside] = label + 1
    labels = labels.reshape(map.data.shape)
    place = np.unravel_index(inside, map.data.shape)
    count = len(peaks)
    positions = np.stack([np.bincount(label, axis, count) for axis in place], axis=1)
    densities = np.bincount(label, map.data.ravel()[inside], count)
    return Basins(labels, peaks, np.bincount(label, minlength=count), positions, densities, map.data.ravel()[peaks],
                  _contacts(labels))


def _contacts(labels: np.ndarray) -> np.ndarray:
    """(m, 3) int64: pairs of labels that share voxel faces, the smaller first, and how many."""
    count = int(labels.max()) + 1
    met = []
    for axis in range(3):
        a, b = np.moveaxis(labels, axis, 0)[:-1], np.moveaxis(labels, axis, 0)[1:]
        touching = (a != b) & (a > 0) & (b > 0)
        a, b = a[touching].astype(np.int64), b[touching].astype(np.int64)
        met.append(np.minimum(a, b) * count + np.maximum(a, b))
    pairs, faces = np.unique(np.concatenate(met), return_counts=True)
    return np.stack([pairs // count, pairs % count, faces], axis=1)


@dataclass(frozen=True)
class _Climbers:
    """A level, and the place (regions, 3) that each of its regions has reached in the smoothed map."""

    level: Level
    places: np.ndarray


def _start(map: Map, basins: Basins) -> _Climbers:
    places = np.stack(np.unravel_index(basins.peaks, map.data.shape), axis=1)
    return _Climbers(Level(0.0, np.arange(len(basins.peaks))), places)


def _climbed(map: Map, before: _Climbers, sdev_px: float) -> _Climbers:
    """The next level: every region climbs to a maximum of the map smoothed by ``sdev_px``."""
    ends = watershed.climb(smoothed(map, sdev_px).data, before.places)
    places, group = np.unique(ends, axis=0, return_inverse=True)
    return _Climbers(Level(sdev_px, group.ravel()[before.level.group]), places)


def _grouped(map: Map, basins: Basins, steps: int, step_px: float) -> list[Level]:
    reached = [_start(map, basins)]
    for step in range(1, steps + 1):
        reached.append(_climbed(map, reached[-1], step * step_px))
    return [climbers.level for climbers in reached]


def _down_to(map: Map, basins: Basins, wanted: int, step_px: float) -> list[Level]:
    """Smooth on until ``wanted`` regions are left, the last step divided until it just does so.

    Symmetric maps lose several at once: then fewer are left. Regions too far apart to meet stay: then more.
    """
    reached = [_start(map, basins)]
    while reached[-1].level.count > wanted:
        sdev_px = reached[-1].level.sdev_px + step_px
        if sdev_px > max(WIDEST * map.box, step_px):
            break
        reached.append(_climbed(map, reached[-1], sdev_px))
    if len(reached) > 1 and reached[-1].level.count < wanted:
        reached[-1:] = _divided(map, reached[-2], reached[-1], wanted)
    return [climbers.level for climbers in reached]


def _divided(map: Map, more: _Climbers, fewer: _Climbers, wanted: int) -> list[_Climbers]:
    """Levels between two, the last with ``wanted`` regions or, where no step is fine enough, fewer."""
    kept, step = [], fewer.level.sdev_px - more.level.sdev_px
    smallest = step * FINEST_STEP
    while fewer.level.count < wanted and step > smallest:
        step /= 2
        middle = _climbed(map, more, more.level.sdev_px + step)
        if middle.level.count > wanted:
            kept.append(middle)
            more = middle
        else:
            fewer = middle
    return [*kept, fewer]


def _numbered(level: Level, basins: Basins) -> np.ndarray:
    """The number of each basin's region: 1 for the largest."""
    members = [np.flatnonzero(level.group == group) for group in range(level.count)]
    number = np.empty(len(level.group), np.int32)
    for place, part in enumerate(_by_size(members, basins), start=1):
        number[part] = place
    return number


def _by_size(parts: Sequence[np.ndarray], basins: Basins) -> list[np.ndarray]:
    """Groups of basins, most voxels first; of equal ones that with the higher maximum."""
    return sorted(parts, key=lambda part: (-int(basins.voxels[part].sum()), -float(basins.highest[part].max())))


def _require(found: Segmentation, numbers: Sequence[int]) -> None:
    """Raise UsageError naming the numbers that do not exist and those that do."""
    exist = set(found.numbers)
    for number in numbers:
        if number in found.ungrouped:
            made = ", ".join(map(str, found.ungrouped[number]))
            raise UsageError(f"region {number} was ungrouped; its parts are {made}")
    missing = sorted(set(numbers) - exist)
    if missing:
        told = ", ".join(map(str, missing))
        raise UsageError(f"there is no region {told}: regions are {_ranges(sorted(exist))}; regions.json lists them")


def _ranges(numbers: Sequence[int]) -> str:
    """1, 2, 3, 7 as "1-3, 7"."""
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in _runs(numbers))


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    for run in np.split(np.asarray(numbers), breaks):
        yield int(run[0]), int(run[-1])


def _nearest(found: Segmentation, place: np.ndarray) -> str:
    """The region next to a voxel, in words."""
    voxels = np.argwhere(found.labels > 0)
    distance, row = scipy.spatial.cKDTree(voxels).query(place)
    where = ",".join(map(str, voxels[row][::-1]))
    return f"the nearest is region {found.labels[tuple(voxels[row])]}, {distance:.1f} px away at {where}"
