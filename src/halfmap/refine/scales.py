"""Grey scales of single particles: parts of a recipe. Thick ice and partly occupied particles are fainter than others.

Scales are relative: their median is 1, the common factor is in the maps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.data.particles import Particles
from halfmap.refine.posed import Posed
from halfmap.refine.state import State

LEAST, MOST = 0.05, 10.0  # a fitted scale goes no further; fainter particles say nothing anyway
NARROWEST = 0.02  # smallest spread of scales that the fit believes in


@dataclass(frozen=True)
class Unit:
    """All particles alike."""

    def first(self, particles: Particles) -> np.ndarray:
        """(n,) the scales to begin with."""
        return np.ones(len(particles))

    def updated(self, old: State, posed: Posed) -> np.ndarray:
        """(n,) the scales after an iteration that found ``posed``."""
        return old.scale

    def silent(self, old: State, posed: Posed) -> np.ndarray:
        """(n,) bool: particles whose own image denies the map; they do not make the next one."""
        return old.silent


@dataclass(frozen=True)
class AsGiven(Unit):
    """The scales of the particle table."""

    def first(self, particles: Particles) -> np.ndarray:
        return np.clip(relative(particles.scale), LEAST, MOST)


@dataclass(frozen=True)
class Fitted(Unit):
    """Every particle's own, by regression of its image on its projection, after ``start_iteration`` iterations."""

    start_iteration: int
    reset: bool  # begin at 1, not at the scales of the particle table

    def first(self, particles: Particles) -> np.ndarray:
        return np.ones(len(particles)) if self.reset else AsGiven().first(particles)

    def updated(self, old: State, posed: Posed) -> np.ndarray:
        if old.iteration < self.start_iteration:
            return old.scale
        scale = old.scale.copy()
        scale[posed.rows] = shrunk(posed.cross, posed.power)
        return scale

    def silent(self, old: State, posed: Posed) -> np.ndarray:
        if old.iteration < self.start_iteration:
            return old.silent
        silent = old.silent.copy()
        silent[posed.rows] = (posed.power > 0) & (posed.cross <= 0)
        return silent


def relative(scale: np.ndarray) -> np.ndarray:
    """Scales divided by their median, where that is positive."""
    middle = np.median(scale) if len(scale) else 1.0
    return scale / middle if middle > 0 else scale


def shrunk(cross: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Scales (n,) from sums over each image with its projection of scale 1, x = s m + noise.

    The regression cross / power has the variance 1 / (2 power). What the scales spread beyond that is the spread of
    the particles, and the prior: the noisier an image, the nearer its scale to the median of all (empirical Bayes).
    """
    known = power > 0
    if not known.any():
        return np.ones(len(power))
    raw = cross / np.maximum(power, 1e-30)
    noise = 1 / (2 * np.maximum(power, 1e-30))
    middle = float(np.median(raw[known]))
    if middle <= 0:
        return np.ones(len(power))  # the map says nothing yet
    spread = max(_spread(raw[known] / middle, noise[known] / middle**2), NARROWEST) * middle
    gain = spread**2 / (spread**2 + noise)
    return np.where(known, np.clip((middle + gain * (raw - middle)) / middle, LEAST, MOST), 1.0)


def _spread(scale: np.ndarray, noise: np.ndarray) -> float:
    """Standard deviation of the scales (n,) beyond that of their noise, without the outermost 5 % on either side."""
    low, high = np.quantile(scale, [0.05, 0.95])
    kept = (scale >= low) & (scale <= high)
    whole = scale[kept].var() / 0.62 if kept.sum() > 10 else 0.0  # a normal cut at 1.645 sd keeps 0.62 of its variance
    return float(np.sqrt(max(whole - np.median(noise), 0.0)))
