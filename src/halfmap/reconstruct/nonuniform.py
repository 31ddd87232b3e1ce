"""The local filter of a map, found by cross-validation between its halves.

Owns the ladder of low-passes, the walk up it voxel by voxel, and the filter that comes of it. F_theta m is the estimate
of the map that half m makes with everything up to wavelength theta, each band weighed by the FSC of the voxels that
reached it (Wiener). The error of a rung at voxel x is what the other half sees of it,

    E_theta(x) = window_theta * (|F_theta m1 - m2|^2 + |m1 - F_theta m2|^2)(x),

the window as wide as the wavelength times a factor. From one rung to the next it changes, at one width of the window
and but for products of different bands, which average out in it, by

    g window * (g (b1^2 + b2^2) - 4 b1 b2),        b = the band between the two rungs, g = its gain:

it falls where the local FSC of the band is above half of its gain. A voxel stops at the first rung where the error
rises. The gain of a band is taken over voxels that were chosen by the bands before it, and products are made after the
band is cut out: neither the choice nor the edge of the region adds to it.

Method: Punjani, Zhang & Fleet, Nat. Methods 17 (2020) 1214, which has no gains (a voxel then stops at an FSC of 0.5).
Cost: a band is worked on where places still go on, on the coarsest grid that holds it. Of 256 voxels, of which the
particle takes a twentieth: as much as 15 transforms of that size to find it, and as 10 to filter a map.
Memory: four maps of the box, and seven where the particle fills it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np

from halfmap import device
from halfmap.fourier import shells, transforms
from halfmap.kernels import threads
from halfmap.maps import cuboids
from halfmap.maps.cuboids import Cuboid
from halfmap.types import Map

COARSEST_A = 20.0  # nothing is filtered further: windows of three times that are as large as a protein
LEAST_SHELL = 4  # of the ladder; below there is no window within the box
RATIO = 1.15  # from one rung to the next
LEAST_FSC = 0.143  # gain below which the bar of a voxel sinks no more: half of what noise is worth anyway
LEAST_MODES = 30  # Fourier components in the region that tell a gain: with fewer, the FSC of the whole stands for it
TAIL = 0.02  # gain of a low-pass from which on it is nothing
PRODUCT = 1.35  # box of a band over twice its outer shell: what products alias stays beyond the window
WINDOW = 1.2  # box of windowed products over the outer shell, for a window of three wavelengths: 1e-4 is left there
LEAST_REACH = 2.0  # wavelengths: so far the edge of the places where a band counts is blurred
WINDOW_MARGIN = 4.0  # standard deviations of the window about the places where the halves are compared
ENDS = 5.0  # standard deviations at which a window is nothing
FWHM = 2 * np.sqrt(2 * np.log(2))  # of a Gaussian, in standard deviations


class Shape(Protocol):
    """A low-pass: its gain at shells (n,) for a cut-off, and the multiple of the cut-off where it ends.

    ``reach``: how far, in wavelengths of the cut-off, what is at one place has any part in what comes out at another.
    """

    def gain(self, radii: np.ndarray, cutoff: float) -> np.ndarray: ...

    @property
    def ends(self) -> float: ...

    @property
    def reach(self) -> float: ...


@dataclass(frozen=True)
class Butterworth:
    """1 / sqrt(1 + (k / cutoff)^(2 order)): flat, and 0.71 at the cut-off."""

    order: int = 8

    def gain(self, radii: np.ndarray, cutoff: float) -> np.ndarray:
        return 1 / np.sqrt(1 + (np.asarray(radii, float) / cutoff) ** (2 * self.order))

    @property
    def ends(self) -> float:
        return TAIL ** (-1 / self.order)

    @property
    def reach(self) -> float:
        return max(0.4 * self.order, LEAST_REACH)  # the steeper, the longer it rings: 1e-3 of the map is left there


@dataclass(frozen=True)
class Rectangular:
    """1 up to the cut-off, 0 beyond."""

    def gain(self, radii: np.ndarray, cutoff: float) -> np.ndarray:
        return (np.asarray(radii) <= cutoff).astype(float)

    @property
    def ends(self) -> float:
        return 1.0

    @property
    def reach(self) -> float:
        return np.inf  # rings without end


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian that is 0.71 at the cut-off, as the others' Butterworth."""

    def gain(self, radii: np.ndarray, cutoff: float) -> np.ndarray:
        return 0.5 ** (0.5 * (np.asarray(radii, float) / cutoff) ** 2)

    @property
    def ends(self) -> float:
        return float(np.sqrt(2 * np.log2(1 / TAIL)))

    @property
    def reach(self) -> float:
        return LEAST_REACH


@dataclass(frozen=True)
class Uniform:
    """No local filter: the same everywhere. ``values`` (shells,): the FSC that weighs the map."""

    values: np.ndarray

    def judged(self, values: np.ndarray) -> Uniform:
        """The same for another FSC of the whole."""
        return Uniform(values)

    def trusting(self, trusted) -> Uniform:
        """The same: its FSC is one of the whole map, and trusted already."""
        return self

    def applied(self, map: Map) -> Map:
        """The map as it is."""
        return map

    def resolution(self, box: int, length_A: float) -> Map | None:
        """The filter's resolution at every voxel: there is none."""
        return None


@dataclass(frozen=True)
class LocalFilter:
    """A low-pass whose cut-off depends on the place.

    ``rungs`` (J+1,): shells of the ladder; ``level`` (M, M, M) uint8: how many rungs each place went up, on a grid of
    its own that spans the box; ``values`` (shells,): FSC of the places that reach each shell.
    """

    shape: Shape
    rungs: np.ndarray
    level: np.ndarray
    values: np.ndarray

    def judged(self, values: np.ndarray) -> LocalFilter:
        """The same for another FSC of the whole, which counts up to the first rung."""
        shell = np.arange(len(self.values))
        whole = np.interp(shell, np.arange(len(values)), values)
        return replace(self, values=np.where(shell <= self.rungs[0], whole, self.values))

    def trusting(self, trusted) -> LocalFilter:
        """The same with its FSC as far as ``trusted`` (values to values) goes with it."""
        return replace(self, values=trusted(self.values))

    def applied(self, map: Map) -> Map:
        """The map, filtered: its coarsest low-pass, and each further band where places went so far."""
        result = np.zeros_like(map.data)
        for cuboid, numbers in self._parts(map.box):
            spectrum, total = cuboid.transform(map.data), cuboid.nothing()
            for number in numbers:
                band = self._band(spectrum, cuboid, number)
                if band.shape == cuboid.shape:
                    result[cuboid.slices] += band
                else:
                    cuboid.add(total, band)
            result[cuboid.slices] += cuboid.to_space(total, cuboid.shape)
        return Map(result, map.voxel_size_A)

    def _parts(self, box: int) -> list[tuple[Cuboid, list[int]]]:
        """The cuboids to work in, from the whole box on, and the rungs whose bands count nowhere else."""
        parts = [(Cuboid.whole(box), [0])]
        for number in range(1, int(self.level.max()) + 1):
            block = cuboids.block(self.level >= number)
            cuboid = parts[-1][0].narrowed(block, len(self.level), self.shape.reach / self.rungs[number])
            if cuboid != parts[-1][0]:
                parts.append((cuboid, []))
            parts[-1][1].append(number)
        return parts

    def _band(self, spectrum: np.ndarray, cuboid: Cuboid, number: int) -> np.ndarray:
        """What a transform of the cuboid holds below a rung and not below the one before, where places went so far.

        On a coarser grid, where that holds it.
        """
        outer, old = self.rungs[number], len(self.level)
        points = cuboid.shape if number == len(self.rungs) - 1 else cuboid.coarser(self.shape.ends * outer)
        table = cuboid.table(lambda radii: self._gain(radii, number) - self._gain(radii, number - 1), points)
        band = cuboid.to_space(cuboid.filtered(spectrum, points, table), points)
        edge = max(old / (2 * outer), 0.5)  # half a wavelength, in steps of the level's grid
        block = cuboids.block(self.level >= number)
        blurs = [_blur(place * old, old, edge)[:, each]
                 for place, each in zip(cuboid.places(points), block, strict=True)]
        band *= _resampled((self.level[block] >= number).astype(np.float32), blurs)
        return band

    def _gain(self, radii: np.ndarray, number: int) -> np.ndarray:
        """Of the low-pass of a rung, ended where it is next to nothing. The last lets all through: bands add up."""
        if number < 0:
            return np.zeros_like(radii)
        if number == len(self.rungs) - 1:
            return np.ones_like(radii)
        cutoff = self.rungs[number]
        return np.where(radii < self.shape.ends * cutoff, self.shape.gain(radii, cutoff), 0.0)

    def resolution(self, box: int, length_A: float) -> Map:
        """Wavelength up to which the filter lets through, A at every voxel of a box of ``box``."""
        old = len(self.level)
        blur = _blur(np.arange(box) * (old / box), old, 0.5)
        fine = _resampled(np.log(self.rungs).astype(np.float32)[self.level], [blur] * 3)
        return Map((length_A / np.exp(fine)).astype(np.float32), length_A / box)


@dataclass(frozen=True)
class Everywhere:
    """The part of a prior that knows no places: the FSC of the whole is that of every voxel."""

    maps: ClassVar[int] = 0  # of the size of the box that it holds beside its arguments

    def fitted(self, halves: tuple[Map, Map], mask: np.ndarray, values: np.ndarray) -> Uniform:
        """The filter for half-maps whose FSC inside ``mask`` is ``values`` (shells,)."""
        return Uniform(values)


@dataclass(frozen=True)
class CrossValidated:
    """The part that finds a filter for every place. ``window_factor``: width of the window in wavelengths (FWHM)."""

    shape: Shape = Butterworth()
    window_factor: float = 3.0
    maps: ClassVar[int] = 7

    def fitted(self, halves: tuple[Map, Map], mask: np.ndarray, values: np.ndarray) -> LocalFilter:
        """The filter for unfiltered half-maps whose FSC inside ``mask`` (N, N, N) is ``values`` (shells,)."""
        rungs = ladder(halves[0].box, halves[0].box * halves[0].voxel_size_A)
        walk = _Walk(mask, rungs, self.window_factor, values)
        cuboid = Cuboid.whole(halves[0].box)
        spectra = [cuboid.transform(half.data) for half in halves]
        for number in range(1, len(rungs)):
            window = Window(self.window_factor / (FWHM * rungs[number]), walk.box, walk.block)
            needed = cuboid.narrowed(walk.block, walk.box, WINDOW_MARGIN * window.sigma)
            if needed != cuboid:
                cuboid, spectra = needed, [needed.transform(half.data) for half in halves]
            if not walk.climb(number, *products(cuboid, spectra, rungs, number, window)):
                break
        return LocalFilter(self.shape, rungs, walk.level, _joined(values, rungs, walk.gains))


def ladder(box: int, length_A: float) -> np.ndarray:
    """Shells of the rungs, geometric, from COARSEST_A to Nyquist; one alone where the map goes no further."""
    last = box / 2
    first = min(max(length_A / COARSEST_A, LEAST_SHELL), last)
    return shells.ladder(first, last, RATIO)


@dataclass(frozen=True)
class Window:
    """A Gaussian of unit sum about the points ``block`` of a grid of ``grid`` to the box; ``sigma``: in lengths.

    It is periodic, as the map is.
    """

    sigma: float
    grid: int
    block: tuple[slice, slice, slice]

    def seen(self, values: np.ndarray, cuboid: Cuboid) -> np.ndarray:
        """Means of ``values``, on a coarser grid of the cuboid, seen through the window about every point."""
        steps = [n / cuboid.box / m for n, m in zip(cuboid.shape, values.shape, strict=True)]
        return _resampled(values, [self._weights(np.arange(self.grid)[each] / self.grid, place, step) for each, place,
                                   step in zip(self.block, cuboid.places(values.shape), steps, strict=True)])

    def _weights(self, here: np.ndarray, there: np.ndarray, step: float) -> np.ndarray:
        """(here, there) of each sample, ``step`` apart, on one axis; all in lengths."""
        apart = here[:, None] - there
        around = int(np.ceil(ENDS * self.sigma)) + 1  # images of the box that the window reaches
        images = sum(np.exp(-0.5 * ((apart + turn) / self.sigma) ** 2) for turn in range(-around, around + 1))
        return (images * (step / (self.sigma * np.sqrt(2 * np.pi)))).astype(np.float32)


def products(cuboid: Cuboid, spectra, rungs: np.ndarray, number: int, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Windowed b1 b2 and (b1^2 + b2^2) / 2 of the band below rung ``number``, both float32 at the window's points.

    ``spectra``: transforms of what both half-maps have in the cuboid.
    """
    points = cuboid.shape if number == len(rungs) - 1 else cuboid.coarser(PRODUCT * rungs[number])
    table = cuboid.table(lambda radii: _step(radii, rungs, number) - _step(radii, rungs, number - 1), points)
    b1, b2 = (cuboid.to_space(cuboid.filtered(each, points, table), points) for each in spectra)
    cross = window.seen(b1 * b2, cuboid)
    np.square(b1, out=b1)
    b1 += np.square(b2, out=b2)
    return cross, window.seen(b1, cuboid) / 2


class _Walk:
    """How far each place has come, and the gains on the way."""

    def __init__(self, mask: np.ndarray, rungs: np.ndarray, window_factor: float, values: np.ndarray):
        full = len(mask)
        self.rungs, self.values = rungs, values
        self.box = min(full, transforms.good_box(int(np.ceil(WINDOW * max(3 / window_factor, 1) * rungs[-1]))))
        blur = _blur(np.arange(self.box) * (full / self.box), full, 0.5)
        self.inside = _resampled(mask.astype(np.float32), [blur] * 3) > 0.5
        self.walking = np.ones((self.box,) * 3, bool)
        self.block = (slice(0, self.box),) * 3
        self.level = np.zeros((self.box,) * 3, np.uint8)
        self.gains: list[float] = []

    def climb(self, number: int, cross: np.ndarray, power: np.ndarray) -> bool:
        """Try rung ``number``; whether anything inside the mask goes on. Products: of the block still walking."""
        walking, inside = self.walking[self.block], self.inside[self.block]
        gain = self._gain(number, cross, power, walking & inside)
        self.gains.append(gain)
        walking &= cross > max(gain, LEAST_FSC) / 2 * power
        self.level[self.block] += walking
        goes_on = bool((walking & inside).any())
        if goes_on:
            self.block = cuboids.block(self.walking)
        return goes_on

    def _gain(self, number: int, cross: np.ndarray, power: np.ndarray, region: np.ndarray) -> float:
        """FSC of the band over the places inside the mask that reach it; of the whole where few are left to tell."""
        low, high = self.rungs[number - 1 : number + 1]
        total = float(power[region].sum(dtype=float))
        if region.sum() / self.box**3 * 4 / 3 * np.pi * (high**3 - low**3) < LEAST_MODES:
            return float(np.interp(np.sqrt(low * high), np.arange(len(self.values)), self.values))
        return float(np.clip(cross[region].sum(dtype=float) / total, 0, 1)) if total > 0 else 0.0


def _joined(values: np.ndarray, rungs: np.ndarray, gains: list[float]) -> np.ndarray:
    """FSC per shell: of the whole up to the first rung, then of the bands, linear between their middles; then 0."""
    first = rungs[0]
    middles = np.sqrt(rungs[1 : len(gains) + 1] * rungs[: len(gains)])
    shell = np.arange(len(values))
    start = np.interp(first, shell, values)
    local = np.interp(shell, np.r_[first, middles], np.r_[start, gains], right=0.0)
    if len(gains) == len(rungs) - 1 and gains:
        local[shell > middles[-1]] = gains[-1]  # the map ends before its agreement does
    return np.where(shell <= first, values, local)


def _step(radii: np.ndarray, rungs: np.ndarray, number: int) -> np.ndarray:
    """A sharp low-pass at rung ``number``: half a cosine over one ratio; everything, at the last."""
    if number == len(rungs) - 1:
        return np.ones_like(radii)
    at = np.log(np.maximum(radii, 1e-3) / rungs[number]) / np.log(rungs[1] / rungs[0])
    return 0.5 - 0.5 * np.sin(np.pi * np.clip(at, -0.5, 0.5))


def _blur(at: np.ndarray, old: int, sigma: float) -> np.ndarray:
    """(n, old) float32: weights of the points 0..old-1 at the places ``at``, a Gaussian of ``sigma`` old steps."""
    matrix = np.exp(-0.5 * ((at[:, None] - np.arange(old)) / max(sigma, 0.25)) ** 2)
    return (matrix / np.maximum(matrix.sum(1, keepdims=True), 1e-30)).astype(np.float32)


def _resampled(values: np.ndarray, weights) -> np.ndarray:
    """Values (z, y, x), each axis multiplied by its matrix (new, old) of ``weights`` (z, y, x).

    One plane at a time, on threads of our own: those of the matrix library wait in a loop, which on a busy machine took
    six times the processor's time of the products themselves.
    """
    along_z, along_y, along_x = weights
    planes = np.empty((len(values), len(along_y), len(along_x)), np.float32)
    out = np.empty((len(along_z), *planes.shape[1:]), np.float32)
    before, after = planes.transpose(1, 0, 2), out.transpose(1, 0, 2)

    def in_plane(first: int, last: int) -> None:
        np.matmul(along_y, values[first:last] @ along_x.T, out=planes[first:last])

    def across(first: int, last: int) -> None:
        np.matmul(along_z, before[first:last], out=after[first:last])

    with device.one_blas_thread():
        threads.share(in_plane, len(planes))
        threads.share(across, len(before))
    return out


SHAPES = {"butterworth": Butterworth, "rectangular": Rectangular, "gaussian": Gaussian}
