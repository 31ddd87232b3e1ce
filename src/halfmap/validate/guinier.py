"""Fall-off of amplitudes with resolution (Guinier plot) and the B-factor that undoes it.

Owns the fit. The sharpening itself is ``maps.filters.bfactor``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from halfmap import device
from halfmap.fourier import shells
from halfmap.types import Curve, Map

FEWEST_SHELLS = 5  # a line through fewer follows single shells: proteins have structure at 10 and 4.5 A


@dataclass(frozen=True)
class Guinier:
    """ln(mean amplitude) = intercept + slope / d^2, and what it was fitted to."""

    bfactor_A2: float  # 4 x slope; negative = the map falls off, sharpening by it flattens it
    slope: float  # A^2
    intercept: float
    x: np.ndarray  # 1/d^2 in 1/A^2 of the shells used, float64
    y: np.ndarray  # ln of their mean amplitude, weighted where weights were given


def profile(map: Map) -> Curve:
    """Mean |F| of each shell, F = sum over voxels, no normalisation."""
    transform = scipy.fft.rfftn(map.data, workers=device.threads())
    return Curve("amplitude", shells.amplitude(transform), map.box, map.voxel_size_A)


def fit(map: Map, from_A: float = 10.0, to_A: float | None = None, fsc: Curve | None = None) -> Guinier | None:
    """Least-squares line through ln(mean amplitude) against 1/d^2 between ``from_A`` and ``to_A`` (Nyquist if None).

    ``fsc``: half-map FSC; amplitudes are weighted by sqrt(2 FSC / (1 + FSC)) first, so that noise does not flatten the
    line. Shells where FSC <= 0 or the amplitude is 0 are left out. None where fewer than FEWEST_SHELLS shells remain:
    the map is too coarse for a B-factor. Source: Rosenthal & Henderson 2003, J Mol Biol 333:721; RELION 5, postprocess.
    """
    return fit_profile(profile(map), from_A, to_A, fsc)


def fit_profile(
    profile: Curve, from_A: float = 10.0, to_A: float | None = None, fsc: Curve | None = None
) -> Guinier | None:
    """``fit`` of a map whose ``profile`` is known."""
    amplitude = profile.values
    if fsc is not None:
        positive = np.clip(fsc.values, 0, 1)
        amplitude = amplitude * np.sqrt(2 * positive / (1 + positive))
    frequency = np.arange(len(amplitude)) / (profile.box * profile.voxel_size_A)
    # 1e-9: a shell exactly at a limit belongs to the range whatever its rounding
    lowest, highest = (1 - 1e-9) / from_A, (1 + 1e-9) / (to_A or 2 * profile.voxel_size_A)
    used = (frequency > lowest) & (frequency < highest) & (amplitude > 0)
    if used.sum() < FEWEST_SHELLS:
        return None
    x, y = frequency[used] ** 2, np.log(amplitude[used])
    slope, intercept = np.polyfit(x, y, 1)
    return Guinier(4 * float(slope), float(slope), float(intercept), x, y)
