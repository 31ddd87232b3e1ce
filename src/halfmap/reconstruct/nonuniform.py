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
Cost: a band is worked on in the smallest box that holds it. Of 256 voxels: 45 transforms of that size in all.
Memory: nine maps of the box.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np
import scipy.fft

from halfmap import device
from halfmap.fourier import shells, transforms
from halfmap.types import Map

COARSEST_A = 20.0  # nothing is filtered further: windows of three times that are as large as a protein
LEAST_SHELL = 4  # of the ladder; below there is no window within the box
RATIO = 1.15  # from one rung to the next
LEAST_FSC = 0.143  # gain below which the bar of a voxel sinks no more: half of what noise is worth anyway
LEAST_MODES = 30  # Fourier components in the region that tell a gain: with fewer, the FSC of the whole stands for it
TAIL = 0.02  # gain of a low-pass from which on it is nothing
PRODUCT = 1.35  # box of a band over twice its outer shell: what products alias stays beyond the window
WINDOW = 1.2  # box of windowed products over the outer shell, for a window of three wavelengths: 1e-4 is left there
FWHM = 2 * np.sqrt(2 * np.log(2))  # of a Gaussian, in standard deviations


class Shape(Protocol):
    """A low-pass: its gain at shells (n,) for a cut-off, and the multiple of the cut-off where it ends."""

    def gain(self, radii: np.ndarray, cutoff: float) -> np.ndarray: ...

    @property
    def ends(self) -> float: ...


@dataclass(frozen=True)
class Butterworth:
    """1 / sqrt(1 + (k / cutoff)^(2 order)): flat, and 0.71 at the cut-off."""

    order: int = 8

    def gain(self, radii: np.ndarray, cutoff: float) -> np.ndarray:
        return 1 / np.sqrt(1 + (np.asarray(radii, float) / cutoff) ** (2 * self.order))

    @property
    def ends(self) -> float:
        return TAIL ** (-1 / self.order)


@dataclass(frozen=True)
class Rectangular:
    """1 up to the cut-off, 0 beyond."""

    def gain(self, radii: np.ndarray, cutoff: float) -> np.ndarray:
        return (np.asarray(radii) <= cutoff).astype(float)

    @property
    def ends(self) -> float:
        return 1.0


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian that is 0.71 at the cut-off, as the others' Butterworth."""

    def gain(self, radii: np.ndarray, cutoff: float) -> np.ndarray:
        return 0.5 ** (0.5 * (np.asarray(radii, float) / cutoff) ** 2)

    @property
    def ends(self) -> float:
        return float(np.sqrt(2 * np.log2(1 / TAIL)))


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
        box = map.box
        spectrum = scipy.fft.rfftn(map.data, workers=device.threads())
        radii = shells.radii(box)
        whole = shells.scaled(spectrum, _lowpass(self.shape, radii, self.rungs, 0))
        for number in range(1, int(self.level.max()) + 1):
            outer = self.rungs[number]
            small = _small_box(2 * self.shape.ends * outer, box, number == len(self.rungs) - 1)
            band = _cropped(spectrum, small)
            radii = shells.radii(small)
            gain = (_lowpass(self.shape, radii, self.rungs, number)
                    - _lowpass(self.shape, radii, self.rungs, number - 1))
            part = _to_space(shells.scaled(band, gain), small)
            edge = max(len(self.level) / (2 * outer), 0.5)  # half a wavelength, in steps of the level's grid
            part *= _spread(self.level >= number, small, edge)
            _add_into(whole, scipy.fft.rfftn(part, workers=device.threads()))
        return Map(_to_space(whole, box), map.voxel_size_A)

    def resolution(self, box: int, length_A: float) -> Map:
        """Wavelength up to which the filter lets through, A at every voxel of a box of ``box``."""
        fine = _spread(np.log(self.rungs).astype(np.float32)[self.level], box, 0.5)
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
    maps: ClassVar[int] = 9

    def fitted(self, halves: tuple[Map, Map], mask: np.ndarray, values: np.ndarray) -> LocalFilter:
        """The filter for unfiltered half-maps whose FSC inside ``mask`` (N, N, N) is ``values`` (shells,)."""
        rungs = ladder(halves[0].box, halves[0].box * halves[0].voxel_size_A)
        walk = _Walk(mask, rungs, self.window_factor, values)
        spectra = [scipy.fft.rfftn(half.data, workers=device.threads()) for half in halves]
        for number in range(1, len(rungs)):
            if not walk.climb(number, *products(spectra, rungs, number, self.window_factor, walk.box)):
                break
        return LocalFilter(self.shape, rungs, walk.level, _joined(values, rungs, walk.gains))


def ladder(box: int, length_A: float) -> np.ndarray:
    """Shells of the rungs, geometric, from COARSEST_A to Nyquist; one alone where the map goes no further."""
    last = box / 2
    first = min(max(length_A / COARSEST_A, LEAST_SHELL), last)
    steps = int(np.ceil(np.log(last / first) / np.log(RATIO) - 1e-9))
    return first * (last / first) ** (np.arange(steps + 1) / max(steps, 1))


def products(spectra, rungs: np.ndarray, number: int, window_factor: float, box: int) -> tuple[np.ndarray, np.ndarray]:
    """Windowed b1 b2 and (b1^2 + b2^2) / 2 of the band below rung ``number``, each (box, box, box) float32.

    ``spectra``: rfftn of both half-maps. The window is a Gaussian of unit sum, ``window_factor`` wavelengths of the
    rung wide at half of its height; it is periodic, as the map is.
    """
    whole = spectra[0].shape[0]
    small = _small_box(2 * PRODUCT * rungs[number], whole, number == len(rungs) - 1)
    gain = _step(shells.radii(small), rungs, number) - _step(shells.radii(small), rungs, number - 1)
    b1, b2 = (_to_space(shells.scaled(_cropped(s, small), gain), small) * np.float32((small / whole) ** 3)
              for s in spectra)
    sigma = window_factor / (FWHM * rungs[number])  # in lengths of the box
    both = []
    for product in (b1 * b2, (b1**2 + b2**2) / 2):
        spectrum = scipy.fft.rfftn(product, workers=device.threads(), overwrite_x=True)
        window = np.exp(-2 * (np.pi * sigma * shells.radii(box)) ** 2)
        both.append(_to_space(shells.scaled(_cropped(spectrum, box), window), box) * np.float32((box / small) ** 3))
    return tuple(both)


class _Walk:
    """How far each place has come, and the gains on the way."""

    def __init__(self, mask: np.ndarray, rungs: np.ndarray, window_factor: float, values: np.ndarray):
        full = len(mask)
        self.rungs, self.values = rungs, values
        self.box = min(full, transforms.good_box(int(np.ceil(WINDOW * max(3 / window_factor, 1) * rungs[-1]))))
        self.inside = _spread(mask, self.box, 0.5) > 0.5
        self.walking = np.ones((self.box,) * 3, bool)
        self.level = np.zeros((self.box,) * 3, np.uint8)
        self.gains: list[float] = []

    def climb(self, number: int, cross: np.ndarray, power: np.ndarray) -> bool:
        """Try rung ``number``; whether anything inside the mask goes on."""
        gain = self._gain(number, cross, power)
        self.gains.append(gain)
        self.walking &= cross > max(gain, LEAST_FSC) / 2 * power
        self.level += self.walking
        return bool((self.walking & self.inside).any())

    def _gain(self, number: int, cross: np.ndarray, power: np.ndarray) -> float:
        """FSC of the band over the places inside the mask that reach it; of the whole where few are left to tell."""
        region = self.walking & self.inside
        low, high = self.rungs[number - 1 : number + 1]
        total = float(power[region].sum(dtype=float))
        if region.mean() * 4 / 3 * np.pi * (high**3 - low**3) < LEAST_MODES:
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


def _lowpass(shape: Shape, radii: np.ndarray, rungs: np.ndarray, number: int) -> np.ndarray:
    """Gain of rung ``number``, ended where it is next to nothing; everything, at the last: bands add up to the map."""
    if number == len(rungs) - 1:
        return np.ones_like(radii)
    return np.where(radii < shape.ends * rungs[number], shape.gain(radii, rungs[number]), 0.0)


def _small_box(wanted: float, box: int, last: bool) -> int:
    """An even box with room for ``wanted`` / 2 shells, not beyond the whole."""
    return box if last else min(box, transforms.good_box(int(np.ceil(wanted)) + 2))


def _blocks(old: int, new: int):
    """Slices (in the larger, in the smaller) of the frequencies that two rfftn layouts share, Nyquist left out."""
    half = (min(old, new) - 1) // 2
    last = slice(0, half + 1)
    axis = [(slice(0, half + 1),) * 2, (slice(old - half, old), slice(new - half, new))]
    for z in axis:
        for y in axis:
            yield (z[0], y[0], last), (z[1], y[1], last)


def _cropped(spectrum: np.ndarray, box: int) -> np.ndarray:
    """What fits of an rfftn transform in the layout of another box, 0 elsewhere."""
    if box == spectrum.shape[0]:
        return spectrum
    out = np.zeros((box, box, box // 2 + 1), spectrum.dtype)
    for mine, theirs in _blocks(spectrum.shape[0], box):
        out[theirs] = spectrum[mine]
    return out


def _add_into(whole: np.ndarray, part: np.ndarray) -> None:
    """Add the coefficients of an rfftn transform to those of a larger box, in place."""
    if whole.shape == part.shape:
        whole += part
        return
    for mine, theirs in _blocks(whole.shape[0], part.shape[0]):
        whole[mine] += part[theirs]


def _to_space(spectrum: np.ndarray, box: int) -> np.ndarray:
    return scipy.fft.irfftn(spectrum, s=(box,) * 3, workers=device.threads(), overwrite_x=True)


def _spread(values: np.ndarray, box: int, sigma: float) -> np.ndarray:
    """Values (M, M, M) on a grid of ``box`` over the same length, blurred by a Gaussian of ``sigma`` old steps."""
    old = len(values)
    apart = np.arange(box)[:, None] * (old / box) - np.arange(old)
    matrix = np.exp(-0.5 * (apart / max(sigma, 0.25)) ** 2)
    matrix = (matrix / np.maximum(matrix.sum(1, keepdims=True), 1e-30)).astype(np.float32)
    data = values.astype(np.float32)
    for _ in range(3):
        data = np.tensordot(matrix, data, axes=(1, 2))  # takes the last axis, puts the new one first
    return data


SHAPES = {"butterworth": Butterworth, "rectangular": Rectangular, "gaussian": Gaussian}
