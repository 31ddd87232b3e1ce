"""Radial filters of a map.

Owns filters that depend on |k| only; all act through ``radial``. The corners of Fourier space beyond the Nyquist shell
are treated as the Nyquist shell, so no filter amplifies what no shell has measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.fft

from halfmap import device
from halfmap.errors import UsageError
from halfmap.fourier import shells
from halfmap.types import Map

Factor = Callable[[np.ndarray], np.ndarray]  # radii in Fourier pixels, any floats -> as many factors


def radial(map: Map, factor: Factor) -> Map:
    """The map with every Fourier coefficient multiplied by ``factor(shell)``, shell = |k| in Fourier pixels, a float.

    ``factor`` gets an array of radii 0..box // 2 and returns as many factors.
    """
    radii = np.minimum(shells.radii(map.box), map.box // 2)
    transform = scipy.fft.rfftn(map.data, workers=device.threads())
    filtered = shells.scaled(transform, factor(radii))
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
    shell = shell_of(map, resolution_A)
    return radial(map, lambda radii: falling_cosine(radii, shell - edge_shells / 2, shell + edge_shells / 2))


def bfactor(map: Map, bfactor_A2: float) -> Map:
    """Multiply by exp(-B |k|^2 / 4), k in 1/A: a negative B sharpens, as the B of ``validate.guinier`` does."""
    return radial(map, bfactor_factor(map, bfactor_A2))


def butterworth(map: Map, resolution_A: float, order: int = 8) -> Map:
    """Low-pass with the ``butterworth_factor`` of that resolution. Raises UsageError as ``lowpass``."""
    return radial(map, butterworth_factor(shell_of(map, resolution_A), order))


def butterworth_factor(shell: float, order: int) -> Factor:
    """1 / sqrt(1 + (k / shell)^(2 order)): 0.71 at ``shell``, the steeper the higher the order; rings less than a cut.

    An infinite shell passes all.
    """
    return lambda radii: 1 / np.sqrt(1 + (radii / shell) ** (2 * order))


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


def shell_of(map: Map, resolution_A: float) -> float:
    """Radius in Fourier pixels of a resolution. Raises UsageError for one that is not positive."""
    if not resolution_A > 0:
        raise UsageError(f"low-pass resolution {resolution_A} A: give a positive number of Angstrom")
    return map.box * map.voxel_size_A / resolution_A


def falling_cosine(x: np.ndarray, one_until: float, zero_from: float) -> np.ndarray:
    """1 up to ``one_until``, 0 from ``zero_from``, half a cosine between; a step where the two are equal."""
    if zero_from <= one_until:
        return (x <= one_until).astype(np.float64)
    part = np.clip((x - one_until) / (zero_from - one_until), 0, 1)
    return 0.5 + 0.5 * np.cos(np.pi * part)
