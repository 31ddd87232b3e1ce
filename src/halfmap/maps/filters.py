"""Radial filters of a map.

Owns filters that depend on |k| only; all act through ``radial``. The corners of Fourier space beyond the Nyquist shell
are treated as the Nyquist shell, so no filter amplifies what no shell has measured; only ``gaussian``, which amplifies
nothing, goes on into the corners.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import scipy.fft

from halfmap import device
from halfmap.errors import UsageError
from halfmap.fourier import shells
from halfmap.types import Map

Factor = Callable[[np.ndarray], np.ndarray]  # radii in Fourier pixels, any floats -> as many factors
Rolloff = Callable[[np.ndarray, float], np.ndarray]  # (radii, cutoff shell) -> amplitudes of a low-pass



def radial(map: Map, factor: Factor) -> Map:
    """The map with every Fourier coefficient multiplied by ``factor(shell)``, shell = |k| in Fourier pixels, a float.

    ``factor`` gets an array of radii 0..box // 2 and returns as many factors.
    """
    return _scaled(map, factor(np.minimum(shells.radii(map.box), map.box // 2)))


def _scaled(map: Map, factor_of_square: np.ndarray) -> Map:
    """The map times a factor for every k^2, as ``shells.scaled`` takes them."""
    transform = scipy.fft.rfftn(map.data, workers=device.threads())
    filtered = shells.scaled(transform, factor_of_square)
    data = scipy.fft.irfftn(filtered, s=map.data.shape, workers=device.threads(), overwrite_x=True)
    return Map(data.astype(np.float32, copy=False), map.voxel_size_A)


def apply_curve(map: Map, factors: np.ndarray) -> Map:
    """Multiply by a factor per shell, ``factors`` (box // 2 + 1,), linear in between."""
    assert len(factors) == map.box // 2 + 1, "one factor for each shell"
    return radial(map, curve_factor(factors))


def lowpass(map: Map, resolution_A: float, edge_shells: float = 2.0) -> Map:
    """Keep what is coarser than ``resolution_A``; a raised cosine ``edge_shells`` wide is centred on that shell.

    A resolution beyond Nyquist leaves the map as it is. Raises UsageError for a resolution that is not positive.
    """
    return coarser(map, resolution_A, partial(raised_cosine, edge_shells=edge_shells))


def coarser(map: Map, resolution_A: float, rolloff: Rolloff) -> Map:
    """Low-pass: keep what is coarser than ``resolution_A``. Raises UsageError unless that is positive."""
    shell = shell_of(map, resolution_A, "low-pass")
    return radial(map, lambda radii: rolloff(radii, shell))


def finer(map: Map, resolution_A: float, rolloff: Rolloff) -> Map:
    """High-pass: keep what is finer than ``resolution_A``, sqrt(1 - low^2): the power that the low-pass takes away.

    Of Butterworth's that is 1 / sqrt(1 + (k0 / k)^(2 n)). The mean becomes 0. Raises UsageError unless positive.
    """
    shell = shell_of(map, resolution_A, "high-pass")
    return radial(map, lambda radii: np.sqrt(1 - rolloff(radii, shell) ** 2))


def shell_of(map: Map, resolution_A: float, name: str = "low-pass") -> float:
    """Radius in Fourier pixels of a resolution. Raises UsageError for one that is not positive."""
    if not resolution_A > 0:
        raise UsageError(f"{name} resolution {resolution_A} A: give a positive number of Angstrom")
    return map.box * map.voxel_size_A / resolution_A


def butterworth(radii: np.ndarray, shell: float, order: float = 8.0) -> np.ndarray:
    """1 / sqrt(1 + (k / k0)^(2 order)): half of the power at the cutoff. Source: Butterworth 1930; CryoSPARC 5."""
    with np.errstate(over="ignore"):  # infinity is a factor of 0
        return 1 / np.sqrt(1 + (radii / shell) ** (2 * order))


def rectangular(radii: np.ndarray, shell: float) -> np.ndarray:
    """1 up to the cutoff, 0 beyond."""
    return (radii <= shell).astype(np.float64)


def raised_cosine(radii: np.ndarray, shell: float, edge_shells: float = 2.0) -> np.ndarray:
    """1, half a cosine ``edge_shells`` wide about the cutoff, 0: half of the amplitude at the cutoff."""
    return falling_cosine(radii, shell - edge_shells / 2, shell + edge_shells / 2)


def gaussian_rolloff(radii: np.ndarray, shell: float) -> np.ndarray:
    """exp(-ln 2 / 2 (k / k0)^2): half of the power at the cutoff, no ringing."""
    return np.exp(-np.log(2) / 2 * (radii / shell) ** 2)


def gaussian(map: Map, sdev_px: float) -> Map:
    """Convolved with a Gaussian of ``sdev_px`` voxels standard deviation: exp(-2 pi^2 sdev^2 |k|^2), k per voxel.

    The sDev of ChimeraX's ``volume gaussian``, for voxels of 1 A. Raises UsageError unless it is positive.
    """
    if not sdev_px > 0:
        raise UsageError(f"Gaussian of {sdev_px} voxels: give a positive standard deviation")
    return _scaled(map, np.exp(-2 * (np.pi * sdev_px * shells.radii(map.box) / map.box) ** 2))


def bfactor(map: Map, bfactor_A2: float) -> Map:
    """Multiply by exp(-B |k|^2 / 4), k in 1/A: a negative B sharpens, as the B of ``validate.guinier`` does."""
    return radial(map, bfactor_factor(map, bfactor_A2))


def bfactor_factor(map: Map, bfactor_A2: float, up_to_A: float = 0.0) -> Factor:
    """exp(-B |k|^2 / 4), k in 1/A, the same from the resolution ``up_to_A`` on."""
    unit = 1 / (map.box * map.voxel_size_A)
    last = 1 / up_to_A if up_to_A > 0 else np.inf
    return lambda radii: np.exp(-bfactor_A2 / 4 * np.minimum(radii * unit, last) ** 2)


def curve_factor(factors: np.ndarray) -> Factor:
    """A factor per shell (shells,), linear in between."""
    return lambda radii: np.interp(radii, np.arange(len(factors)), factors)


def product(factors: Sequence[Factor]) -> Factor:
    """All of them one after the other, in one transform."""
    return lambda radii: np.prod([factor(radii) for factor in factors], axis=0) * np.ones_like(radii)


def falling_cosine(x: np.ndarray, one_until: float, zero_from: float) -> np.ndarray:
    """1 up to ``one_until``, 0 from ``zero_from``, half a cosine between; a step where the two are equal."""
    if zero_from <= one_until:
        return (x <= one_until).astype(np.float64)
    part = np.clip((x - one_until) / (zero_from - one_until), 0, 1)
    return 0.5 + 0.5 * np.cos(np.pi * part)
