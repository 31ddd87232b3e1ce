"""Local resolution: the FSC of two half-maps seen through a soft window about every voxel.

Owns the estimate. One band of frequencies at a time: both halves are band-passed, their product and their squares are
averaged by a Gaussian window whose width is a fixed number of wavelengths, and the ratio is the FSC of that band in
that window (Parseval: a sum over the Fourier values of a window is one over its voxels). A handful of transforms serves
all voxels, where a box per voxel (blocres: Cardone, Heymann & Steven 2013, J Struct Biol 184:226) takes millions.

Maps are band-passed whole and the mask weights the products afterwards, so that its edge correlates nothing (the order
of steps of Penczek 2020, IUCrJ 7:995) and solvent does not count; no random phases are needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy.fft
import scipy.ndimage

from halfmap import device
from halfmap.errors import InputError
from halfmap.fourier import shells, transforms
from halfmap.types import Map

BAND = 0.12  # standard deviation of a band over its frequency: ripples of 1.3 wavelengths, within the window
BAND_REACH = 2.5  # standard deviations kept of a band
SPACING = 1.07  # from one band to the next; bands overlap, the crossing is interpolated
EFFECTIVE = np.sqrt(2 * np.pi) * BAND  # width of a band in which all power weighs alike, over its frequency
WINDOW = (np.pi / 6) ** (1 / 3) / (2 * np.sqrt(np.pi))  # sigma of the Gaussian with the effective volume of a ball of 1
ROOM = 2.85  # grid over the shell of a band: the band, and room for the window of squares beside their double frequency
COARSEST_A = 50.0  # as relion_postprocess --locres_minres
COARSEST_SHELL = 6.0  # never a coarser band: the window would be wider than the box
CHANCE = 4.0  # standard deviations that noise may reach in a window; nothing is claimed below
LEVEL = 0.5  # width of the window in which amplitudes are levelled, over that of the window
INSIDE = 0.5  # of the mask: voxels that get a value
EMPTY = 1e-12  # power of a shell over the largest: nothing but rounding


@dataclass(frozen=True)
class Settings:
    """What a user may choose."""

    threshold: float = 0.5
    window_factor: float = 7.0  # diameter of the ball with the effective volume of the window, in wavelengths
    step: int = 1  # voxels between estimates; linear in between


@dataclass(frozen=True)
class LocalResolution:
    """Angstrom per voxel inside the mask, 0 outside; ``coarsest_A``: the halves agree in no band that was tried."""

    map: Map
    inside: np.ndarray  # (z, y, x) bool: voxels with a value
    coarsest_A: float

    @property
    def values(self) -> np.ndarray:
        """(n,) of the voxels inside."""
        return self.map.data[self.inside]

    @property
    def unresolved(self) -> float:
        """Part of the mask where the halves agree nowhere."""
        return float(np.mean(self.values >= 0.9999 * self.coarsest_A))


def local_resolution(half1: Map, half2: Map, mask: np.ndarray, settings: Settings,
                     heard: Callable[[int, int], None] = lambda done, total: None) -> LocalResolution:
    """Where the local FSC of two half-maps first falls below the threshold, from coarse to fine.

    ``mask`` (z, y, x), 0 to 1: the region looked at, and the weight of its voxels. ``heard`` is told the number of
    bands done and of all. A window in which noise alone would reach the threshold (CHANCE) demands more.
    Raises InputError for an empty mask.
    """
    inside = mask >= INSIDE
    if not inside.any():
        raise InputError("local resolution: the mask holds nothing; give one that surrounds the particle")
    length_A, ladder = half1.box * half1.voxel_size_A, bands(half1.box, half1.voxel_size_A)
    box = max(4, -(-half1.box // settings.step))
    whitened = [_whitened(half, mask) for half in (half1, half2)]
    weight = cache(lambda n: _sampled(np.clip(mask, 0, 1).astype(np.float32), n))
    walk = _Walk(box, ladder[0])
    for done, shell in enumerate(ladder, start=1):
        window = Window(shell, settings.window_factor * half1.box / shell, half1.box)
        floor = np.maximum(settings.threshold, chance(window.modes(weight(box))))
        walk.go(*window.correlation(whitened, weight, box), floor)
        heard(done, len(ladder))
        if not (walk.alive & (weight(box) > 0)).any():
            break
    found = length_A / _sampled(walk.reached, half1.box)
    return LocalResolution(Map(np.where(inside, found, 0).astype(np.float32), half1.voxel_size_A), inside,
                           length_A / ladder[0])


def bands(box: int, voxel_size_A: float) -> np.ndarray:
    """Shells of the band middles, from COARSEST_A or COARSEST_SHELL to Nyquist, each SPACING times the one before."""
    last = box / 2
    first = min(max(COARSEST_SHELL, box * voxel_size_A / COARSEST_A), last)
    return shells.ladder(first, last, SPACING)


def chance(modes: np.ndarray) -> np.ndarray:
    """FSC that noise reaches in a window of so many independent Fourier values, mates not counted, at CHANCE sd.

    Fisher's z of a correlation of 2 x modes real numbers: tanh(CHANCE / sqrt(2 modes - 3)).
    """
    return np.tanh(CHANCE / np.sqrt(np.maximum(2 * modes - 3, 0.1)))


@dataclass(frozen=True)
class Window:
    """A band about ``shell`` of maps of ``box`` voxels, seen through Gaussians as wide as a ball of ``diameter_px``."""

    shell: float
    diameter_px: float
    box: int

    @property
    def sigma_px(self) -> float:
        """Standard deviation in voxels of the maps."""
        return WINDOW * self.diameter_px

    def correlation(self, pair: list[np.ndarray], weight: Callable[[int], np.ndarray], box: int
                    ) -> tuple[np.ndarray, np.ndarray]:
        """(FSC, shell that it stands for) in the window about every voxel of a grid of ``box``, (box, box, box) both.

        ``pair``: rfftn transforms of both halves; ``weight``: the mask on a grid of so many voxels. The shell is the
        root mean square frequency of what both halves share: where strong shells end just before the band, they fill it
        with their last remains, and what is seen is where they end, not the middle of the band.
        """
        n = min(self.box, transforms.good_box(int(np.ceil(ROOM * self.shell))))
        radii = shells.radii(n)
        away = (radii - self.shell) / (BAND * self.shell)
        band = np.where((np.abs(away) <= BAND_REACH) & (radii <= self.box / 2), np.exp(-(away**2) / 2), 0)
        steep = band * radii / (self.shell * _rms_of_even(band, radii, self.shell))
        bands, steeper = [], []
        for transform in (_resized(f, n) for f in pair):
            one, other = (_inverse(shells.scaled(transform, factor), n) for factor in (band, steep))
            level = self._level(one)
            bands.append(one * level)
            steeper.append(other * level)
        return self._judged(weight(n), bands, steeper, box)

    def _judged(self, mask: np.ndarray, bands: list[np.ndarray], steeper: list[np.ndarray], box: int
                ) -> tuple[np.ndarray, np.ndarray]:
        (a, b), (c, d) = bands, steeper
        cross, power1, power2, moved = (self._averaged(mask * product, box, self.sigma_px)
                                        for product in (a * b, a * a, b * b, c * d))
        # what is below the rounding of the transforms is nothing, and may be negative
        power = np.sqrt(np.maximum(power1, 0) * np.maximum(power2, 0))
        least = max(1e-5 * float(power.max()), np.finfo(np.float32).tiny)
        fsc = np.where(power > least, cross / np.maximum(power, least), 0)
        shift = np.sqrt(np.clip(moved / np.maximum(cross, least), (1 - BAND_REACH * BAND) ** 2, 1))
        return fsc, self.shell * np.where(cross > least, shift, 1)

    def modes(self, weight: np.ndarray) -> np.ndarray:
        """Independent Fourier values of the band in the window about every voxel of the grid of the mask ``weight``.

        Volume in space, (sum w)^2 / sum w^2 of the weights, times volume of the band, Friedel mates not counted.
        """
        box = len(weight)
        level = self._averaged(weight, box, self.sigma_px)
        # the square of a Gaussian is one of sigma / sqrt 2 over (4 pi)^1.5 sigma^3
        squares = self._averaged(weight**2, box, self.sigma_px / np.sqrt(2))
        volume_px = (4 * np.pi) ** 1.5 * self.sigma_px**3 * level**2 / np.maximum(squares, 1e-4)
        whole = np.minimum(volume_px / self.box**3, 1.0)  # the Gaussian goes round the box
        return 2 * np.pi * EFFECTIVE * self.shell**3 * whole

    def _level(self, band: np.ndarray) -> np.ndarray:
        """1 / local root mean square of a band-passed map: strong density far away must not outshout the near.

        So the window averages the FSC of places, each of LEVEL of its width, and a border between good and bad lies
        where the window holds as much of both.
        """
        power = self._averaged(band * band, len(band), LEVEL * self.sigma_px)
        return 1 / np.sqrt(np.maximum(power, max(1e-6 * float(power.max()), np.finfo(np.float32).tiny)))

    def _averaged(self, values: np.ndarray, box: int, sigma_px: float) -> np.ndarray:
        """Values (n, n, n) averaged by a Gaussian of ``sigma_px`` voxels of the maps, on a grid of ``box``."""
        n = len(values)
        small = _resized(scipy.fft.rfftn(values, workers=device.threads()), box)
        gaussian = np.exp(-2 * (np.pi * sigma_px / self.box * shells.radii(box)) ** 2)
        return _inverse(shells.scaled(small, gaussian), box) * np.float32((box / n) ** 3)


class _Walk:
    """How far each voxel of a grid has come on the way from coarse to fine."""

    def __init__(self, box: int, first: float):
        self.alive = np.ones((box,) * 3, bool)
        self.reached = np.full((box,) * 3, first, np.float32)  # shell
        self._above = np.zeros((box,) * 3, np.float32)  # FSC less its floor, one band before

    def go(self, fsc: np.ndarray, shell: np.ndarray, floor: np.ndarray) -> None:
        """The next band. A voxel that falls has reached the crossing, linear between the bands; none goes back."""
        above = fsc - floor
        falls = self.alive & ~(above >= 0)
        part = self._above[falls] / np.maximum(self._above[falls] - above[falls], 1e-6)
        gain = np.maximum(shell - self.reached, 0)
        self.reached[falls] += gain[falls] * part
        self.alive &= ~falls
        self.reached[self.alive] += gain[self.alive]
        self._above = above


def _rms_of_even(band: np.ndarray, radii: np.ndarray, shell: float) -> float:
    """Root mean square frequency of an even spectrum in a band, over ``shell``; ``radii``: of every k^2 = 0, 1, 2 .."""
    power = band**2 * radii  # the number of coefficients at k^2 grows as its root
    return float(np.sqrt((power * radii**2).sum() / power.sum())) / shell


def _whitened(half: Map, mask: np.ndarray) -> np.ndarray:
    """The rfftn transform of a half, every shell of which has the same power inside the mask.

    So a band is judged by its middle, not by its coarser end, which is the stronger one of a protein.
    """
    transform, inside = (scipy.fft.rfftn(data, workers=device.threads()) for data in (half.data, half.data * mask))
    power = shells.power(inside)
    factor = np.where(power > EMPTY * power.max(), 1 / np.sqrt(np.maximum(power, np.finfo(float).tiny)), 0)
    return shells.scaled(transform, np.interp(shells.radii(half.box), np.arange(len(factor)), factor))


def _resized(transform: np.ndarray, box: int) -> np.ndarray:
    """An rfftn transform on a grid of ``box`` voxels: cut, or zeros added. Voxel 0 stays where it is."""
    old = transform.shape[0]
    if old == box:
        return transform
    kept = min(old, box)
    out = np.zeros((box, box, box // 2 + 1), transform.dtype)
    low, high = slice(0, (kept + 1) // 2), slice(-(kept // 2), None)
    for z in (low, high):
        for y in (low, high):
            out[z, y, : kept // 2 + 1] = transform[z, y, : kept // 2 + 1]
    return out


def _inverse(transform: np.ndarray, box: int) -> np.ndarray:
    return scipy.fft.irfftn(transform, s=(box,) * 3, workers=device.threads(), overwrite_x=True)


def _sampled(values: np.ndarray, box: int) -> np.ndarray:
    """Values (n, n, n) on a grid of ``box`` voxels of the same extent, linear in between, round the edges."""
    if len(values) == box:
        return values
    step = np.full(3, len(values) / box)
    return scipy.ndimage.affine_transform(values, step, output_shape=(box,) * 3, order=1, mode="grid-wrap")
