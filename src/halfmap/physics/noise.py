"""The noise of the images: one standard deviation per Fourier shell and optics group, and the grey scale.

Images are masked before they are compared, which leaves a fraction f of their noise power; the noise of the particle's
own pixels is what a likelihood needs, so measured powers are divided by f.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.ndimage

BAND, SECTORS = 8, 12  # shells and sectors of the half circle over which noise is averaged by direction
STRONGEST = (0.2, 5.0)  # power of a direction relative to the mean
LEAST_POWER = 1e-6  # smallest variance, relative to the largest shell: a shell without noise must not rule the fit


@dataclass(frozen=True)
class GroupModel:
    """What an optics group's images are made with: noise and grey scale."""

    noise_sd: np.ndarray  # (N/2 + 1,) float64 per complex coefficient, RELION 2D units (transform / N^2)
    grey: float = 1.0  # factor between map and images of this group
    angular: np.ndarray | None = None  # (N+1, N/2+1) float32, factor of the sd by direction; None where it has none

    def with_power(self, power: np.ndarray, known: np.ndarray) -> GroupModel:
        """The shells where ``known`` (len(power),) is true replaced by the root of ``power``; DC as its neighbour."""
        sd = self.noise_sd.copy()
        n = min(len(sd), len(power))
        sd[:n] = np.where(known[:n], np.sqrt(_sane(power))[:n], sd[:n])
        sd[0] = sd[1]
        return replace(self, noise_sd=sd)

    def plane(self, radius: int) -> np.ndarray:
        """Standard deviation on the half plane, (2K+1, K+1) float64, interpolated between shells."""
        ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
        sd = np.interp(np.hypot(kx, ky), np.arange(len(self.noise_sd)), self.noise_sd)
        if self.angular is None:
            return sd
        cut = self.angular.shape[-1] - 1 - radius
        return sd * self.angular[cut : cut + 2 * radius + 1, : radius + 1]


def from_power(power: np.ndarray, grey: float = 1.0) -> GroupModel:
    """Model of a power spectrum (shells,): mean squared amplitude per shell."""
    return GroupModel(np.sqrt(_sane(power)), grey)


def shell_means(plane: np.ndarray) -> np.ndarray:
    """Mean per shell of a half plane (2K+1, K+1), (K+1,) float64."""
    radius = plane.shape[-1] - 1
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    shell = np.rint(np.hypot(kx, ky)).astype(int).ravel()
    return np.bincount(shell, plane.ravel())[: radius + 1] / np.bincount(shell)[: radius + 1]


def by_direction(power: np.ndarray) -> np.ndarray:
    """How the noise sd depends on direction, (2K+1, K+1) float32 about 1, from a mean power spectrum on that plane.

    Bins of BAND shells and a twelfth of the half circle, relative to the mean of their band, linear in between.
    """
    radius = power.shape[-1] - 1
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    band = np.hypot(kx, ky) / BAND
    sector = np.arctan2(ky, np.maximum(kx, 1e-9)) / np.pi * SECTORS % SECTORS
    bands = int(band.max()) + 1
    index = band.astype(int) * SECTORS + np.floor(sector).astype(int)
    inside = (np.hypot(kx, ky) <= radius) & (band * BAND >= 0.5)
    sums, counts = (np.bincount(index[inside], w, bands * SECTORS).reshape(bands, SECTORS)
                    for w in (power[inside], np.ones(inside.sum())))
    mean = sums.sum(1, keepdims=True) / np.maximum(counts.sum(1, keepdims=True), 1)
    ratio = np.where(counts > 0, sums / np.maximum(counts, 1) / np.maximum(mean, 1e-300), 1.0)
    smooth = scipy.ndimage.map_coordinates(
        np.pad(ratio, ((0, 0), (1, 1)), mode="wrap"), [band - 0.5, sector + 0.5], order=1, mode="nearest"
    )
    return np.sqrt(np.clip(smooth, *STRONGEST)).astype(np.float32)


def _sane(power: np.ndarray) -> np.ndarray:
    power = np.asarray(power, float).copy()
    power[0] = power[1]
    return np.maximum(power, LEAST_POWER * power.max())
