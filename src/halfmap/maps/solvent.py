"""The contour at which a particle stands out of the noise around it.

Owns the automatic threshold of masks. Knows nothing of their shapes. That of regions, of a map with all its detail, is
higher: ``segment.automatic_threshold``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.errors import InputError
from halfmap.maps import filters, masks
from halfmap.types import Map

# In a sphere of 10^4 to 10^6 independent values the largest of normal noise lies near 4.3 to 4.9 standard deviations
NOISE_SDS = 5.0
# Of the maximum above the solvent: a noise-free map still has the tails of its low-pass and ripples of the CTF
# about it. Four experimental maps lie above it by themselves (0.07 to 0.11 at 15 A)
LEAST_FRACTION = 0.05
MOST_FRACTION = 0.5  # of it: above it only scraps of a particle would be left
SPHERE = 0.97  # of half the box: corners of a reconstruction hold other noise, or none
# Resolutions of the low-pass: solvent begins this far from the particle. Further away lies less noise than beside it
AWAY = 1.0
LEAST_SOLVENT = 0.02  # of the sphere: less tells nothing of noise
ROUNDS = 20  # six or seven are enough; the end of a region that flickers
SETTLED = 1e-3  # change of the standard deviation
NORMAL = 1.4826  # standard deviation of normal noise over its median absolute deviation


@dataclass(frozen=True)
class Contour:
    """A threshold, what it was set from, and how in words."""

    threshold: float
    solvent: float  # median
    solvent_sd: float
    words: str


def contour(map: Map, lowpass_A: float) -> tuple[Map, Contour]:
    """The map low-passed (Gaussian, half power at ``lowpass_A``: no ringing), and the contour of its particle.

    Threshold: median + NOISE_SDS x standard deviation (from the median absolute deviation) of the solvent, but at least
    LEAST_FRACTION of the way from the median to the maximum. Solvent: the sphere in the box without what lies within
    AWAY ``lowpass_A`` of the largest part above the threshold; both are found in turn until the threshold rests.
    Raises InputError where no particle stands out.
    Source: noise of the solvent as in Beckers, Jakobi & Sachse 2019 (confidence maps); the rest is our own.
    """
    smooth = filters.coarser(map, lowpass_A, filters.gaussian_rolloff)
    middle, deviation = _noise(smooth, AWAY * lowpass_A)
    height = float(smooth.data.max()) - middle
    noise = NOISE_SDS * deviation
    if not (height > max(middle - float(smooth.data.min()), noise / MOST_FRACTION)):
        told = f"its values go from {smooth.data.min():.3g} to {smooth.data.max():.3g}, solvent {middle:.3g}"
        raise InputError(f"no particle stands out of the map low-passed to {lowpass_A:.3g} A ({told} +- {deviation:.3g}"
                         "): check that the particle is white, give a coarser --lowpass, or a --threshold of your own")
    if noise >= LEAST_FRACTION * height:
        words = f"{NOISE_SDS:g} standard deviations of its noise above the solvent, {noise / height:.3f} of the maximum"
        return smooth, Contour(middle + noise, middle, deviation, f"{words} at {lowpass_A:.3g} A")
    words = f"{LEAST_FRACTION:g} of the maximum at {lowpass_A:.3g} A; the noise of the solvent is less than that"
    return smooth, Contour(middle + LEAST_FRACTION * height, middle, deviation, words)


def _noise(smooth: Map, away_A: float) -> tuple[float, float]:
    """Median and standard deviation of the solvent."""
    sphere = masks.sphere(smooth.box, SPHERE * smooth.box / 2, 0.0) > 0
    peak = float(smooth.data.max())
    reach = away_A / smooth.voxel_size_A
    middle, deviation = _robust(smooth.data[sphere])
    for _ in range(ROUNDS):
        threshold = middle + max(NOISE_SDS * deviation, LEAST_FRACTION * (peak - middle))
        particle = masks.without_islands(smooth.data > threshold, 1.0)
        solvent = sphere & (masks.squared_distances(particle, reach) > reach**2)
        if solvent.sum() < LEAST_SOLVENT * sphere.sum():
            break  # the particle fills its box: the robust values of before stand
        before = deviation
        middle, deviation = _robust(smooth.data[solvent])
        if abs(deviation - before) <= SETTLED * before:
            break
    return middle, deviation


def _robust(values: np.ndarray) -> tuple[float, float]:
    middle = float(np.median(values))
    return middle, NORMAL * float(np.median(np.abs(values - middle)))
