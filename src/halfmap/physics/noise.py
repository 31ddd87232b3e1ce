"""The noise of the images: one standard deviation per Fourier shell and optics group, and the grey scale.

Images are masked before they are compared, which leaves a fraction f of their noise power; the noise of the particle's
own pixels is what a likelihood needs, so measured powers are divided by f.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEAST_POWER = 1e-6  # smallest variance, relative to the largest shell: a shell without noise must not rule the fit


@dataclass(frozen=True)
class GroupModel:
    """What an optics group's images are made with: noise and grey scale."""

    noise_sd: np.ndarray  # (N/2 + 1,) float64 per complex coefficient, RELION 2D units (transform / N^2)
    grey: float = 1.0  # factor between map and images of this group

    def with_power(self, power: np.ndarray, known: np.ndarray) -> GroupModel:
        """The shells where ``known`` (len(power),) is true replaced by the root of ``power``; DC as its neighbour."""
        sd = self.noise_sd.copy()
        n = min(len(sd), len(power))
        sd[:n] = np.where(known[:n], np.sqrt(_sane(power))[:n], sd[:n])
        sd[0] = sd[1]
        return GroupModel(sd, self.grey)


def from_power(power: np.ndarray, grey: float = 1.0) -> GroupModel:
    """Model of a power spectrum (shells,): mean squared amplitude per shell."""
    return GroupModel(np.sqrt(_sane(power)), grey)


def _sane(power: np.ndarray) -> np.ndarray:
    power = np.asarray(power, float).copy()
    power[0] = power[1]
    return np.maximum(power, LEAST_POWER * power.max())
