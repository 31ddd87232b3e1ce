"""How much each particle counts: parts of a recipe. Junk is down-weighted, not thrown away: it may yet find its pose.

A particle shows itself by the signal-to-noise ratio of its match, t = cross sqrt(2 / power), of unit variance. Of a
true particle, with a contrast of s (1 +- d), that is s sqrt(2 power) on average, with variance 1 + 2 (s d)^2 power; so
a faint CTF or a view with little signal asks for less. What is no particle has found the best pose for its noise: a
value a +- b, whatever the power. Shares and widths of both kinds are fitted to all particles of a half-set (EM), and
the weight is the probability to be a particle. Where one kind explains the data as well, or the two overlap, all count
alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

LEAST = 0.01  # weight below which a particle is not laid in
HALF = 0.5  # weight below which a particle is called junk
ROUNDS = 60  # of EM
FEWEST = 200  # particles of a half-set that such a fit needs
APART = 3.0  # standard deviations between the two kinds; nearer ones are not told apart
NOISE_SD = (0.5, 2.0)  # of the matches of noise: the best of many, 0.6 where nothing else adds to it
SPREAD = (0.02, 0.5)  # of the contrast of particles, relative
EVIDENCE = 10.0  # log likelihood that the second kind must add: three parameters, 2000 particles, and some
SHARE = (0.002, 0.9)  # of junk


@dataclass(frozen=True)
class Everybody:
    """All particles count alike."""

    judges: ClassVar[bool] = False  # whether particles are told apart

    def weights(self, cross: np.ndarray, power: np.ndarray, half: np.ndarray) -> np.ndarray:
        """(n,) what each particle counts; ``cross``, ``power``: see State; ``half``: its half-set."""
        return np.ones(len(cross))

    def columns(self, weights: np.ndarray, contrast: np.ndarray) -> dict[str, np.ndarray]:
        """What the particle table says of the weights (n,) and of the contrast (n,) that each image has by itself:
        nothing, all are alike."""
        return {}


@dataclass(frozen=True)
class Probable(Everybody):
    """Each by its probability to be a particle. The half-sets are judged apart: none knows of the other."""

    judges: ClassVar[bool] = True

    def weights(self, cross, power, half):
        found = np.ones(len(cross))
        for number in np.unique(half):
            rows = np.flatnonzero((half == number) & (power > 0))
            fit = fitted(cross[rows], power[rows])
            if fit is not None:
                found[rows] = fit.probability(cross[rows], power[rows])
        return found

    def columns(self, weights, contrast):
        known = (weights >= HALF) & (contrast > 0)
        usual = float(np.median(contrast[known])) if known.any() else 1.0
        return {"particle_probability": weights, "contrast": contrast / usual}


@dataclass(frozen=True)
class Kinds:
    """Particles and junk: contrast s and its relative spread, mean and sd of the matches of junk, its share."""

    contrast: float
    spread: float
    noise: float
    noise_sd: float
    share: float

    def log_densities(self, match: np.ndarray, power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density (n,) as a particle and as junk, shares included."""
        mean = self.contrast * np.sqrt(2 * power)
        variance = 1 + (self.spread * mean) ** 2
        good = -0.5 * (match - mean) ** 2 / variance - 0.5 * np.log(variance)
        bad = -0.5 * ((match - self.noise) / self.noise_sd) ** 2 - np.log(self.noise_sd)
        with np.errstate(divide="ignore"):
            return good + np.log1p(-self.share), bad + np.log(self.share)

    def probability(self, cross: np.ndarray, power: np.ndarray) -> np.ndarray:
        """(n,) to be a particle: never less for a better match, whatever the tails of the curves say."""
        match = matches(cross, power)
        good, bad = self.log_densities(np.clip(match, self.noise, self.contrast * np.sqrt(2 * power)), power)
        return 1 / (1 + np.exp(np.clip(bad - good, -500, 500)))

    def log_likelihood(self, match: np.ndarray, power: np.ndarray) -> float:
        return float(np.logaddexp(*self.log_densities(match, power)).sum())

    def apart(self, power: np.ndarray) -> bool:
        """Whether the two kinds can be told apart at the median power."""
        mean = self.contrast * np.sqrt(2 * np.median(power))
        return mean - self.noise > APART * np.sqrt((1 + (self.spread * mean) ** 2 + self.noise_sd**2) / 2)


def matches(cross: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Signal-to-noise ratio (n,) of images with their projections."""
    return cross * np.sqrt(2 / np.maximum(power, 1e-30))


def fitted(cross: np.ndarray, power: np.ndarray) -> Kinds | None:
    """The two kinds in these particles (n,); None where there is but one, or where they cannot be told apart."""
    if len(cross) < FEWEST:
        return None
    match = matches(cross, power)
    one = _climbed(_start(match, power, 0.0), match, power)
    two = _climbed(_start(match, power, 0.1), match, power)
    gain = two.log_likelihood(match, power) - one.log_likelihood(match, power)
    return two if gain > EVIDENCE and two.apart(power) else None


def _start(match: np.ndarray, power: np.ndarray, share: float) -> Kinds:
    """From the upper half, which are particles, and the lowest, which may not be."""
    contrast = float(np.median(match / np.sqrt(2 * power)))
    return Kinds(max(contrast, 1e-6), 0.15, float(np.quantile(match, 0.02)), 1.0, share)


def _climbed(kinds: Kinds, match: np.ndarray, power: np.ndarray) -> Kinds:
    """Expectation maximisation; a share of nothing stays nothing."""
    mean = np.sqrt(2 * power)
    for _ in range(ROUNDS):
        good, bad = kinds.log_densities(match, power)
        p = 1 / (1 + np.exp(np.clip(bad - good, -500, 500)))
        q = 1 - p
        contrast, spread = _particles(match, mean, p, kinds)
        noise, noise_sd = _junk(match, q, kinds)
        share = float(np.clip(q.mean(), *SHARE)) if kinds.share > 0 else 0.0
        kinds = Kinds(contrast, spread, noise, noise_sd, share)
    return kinds


def _particles(match: np.ndarray, mean: np.ndarray, p: np.ndarray, kinds: Kinds) -> tuple[float, float]:
    """Contrast and spread of particles of probability p; each weighs by what it tells of the contrast."""
    raw = match / mean
    weight = p / (1 / mean**2 + (kinds.spread * kinds.contrast) ** 2)
    total = max(weight.sum(), 1e-30)
    contrast = max(float((weight * raw).sum() / total), 1e-6)
    excess = float((weight * ((raw - contrast) ** 2 - 1 / mean**2)).sum() / total)
    return contrast, float(np.clip(np.sqrt(max(excess, 0.0)) / contrast, *SPREAD))


def _junk(match: np.ndarray, q: np.ndarray, kinds: Kinds) -> tuple[float, float]:
    """Mean and sd of the matches of junk of probability q."""
    total = q.sum()
    if total < 1:
        return kinds.noise, kinds.noise_sd
    noise = float((q * match).sum() / total)
    return noise, float(np.clip(np.sqrt((q * (match - noise) ** 2).sum() / total), *NOISE_SD))
