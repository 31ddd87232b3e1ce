"""How far the noise has to be inflated for a part of all poses to carry weight.

The effective number of poses of an image, 1 / sum w^2 of their probabilities w, grows with the noise that the image is
taken to have: from the best pose alone to all that are likely beforehand. Its mean over some images of a batch is set
to what is wanted. The noise that begins inflated keeps the first, chance poses from being all that a map learns of
(Punjani et al. 2017, Nat Methods 14:290).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from halfmap import device
from halfmap.align import soft
from halfmap.align.polar import PolarSearch
from halfmap.kernels import polar as kernel
from halfmap.types import Images

LARGEST = 64.0  # noise scale: of any image that a map of nothing explains, all poses carry weight long before
CLOSE = 0.01  # relative, of the fraction: its mean over some images is known to a tenth
TRIES = 20  # noise scales tried: as many bisections find it to 4e-6 of its logarithm


@dataclass(frozen=True)
class Told:
    """What one image tells of all maps."""

    correlations: tuple[np.ndarray, ...]  # (n, s, v) with each map
    powers: tuple[np.ndarray, ...]  # (v,) half the power of each map at each direction
    prior: np.ndarray  # (s,) log

    def fraction(self, noise_scale: float, similarity: float) -> float:
        """Of the poses that are likely beforehand, how many carry weight; the mean over the maps by their shares."""
        sharpness = noise_scale**-2
        found = [kernel.weigh(one, soft.penalty(power * sharpness, self.prior), sharpness)
                 for one, power in zip(self.correlations, self.powers, strict=True)]
        evidence, effective = (np.array(values) for values in zip(*found, strict=True))
        poses = self.correlations[0].size / np.exp(2 * self.prior).mean()
        return float(soft.mixed(evidence, similarity) @ effective / poses)


@dataclass(frozen=True)
class Sample:
    """Some images, every pose of which has been compared with every map."""

    images: tuple[Told, ...]
    similarity: float

    @classmethod
    def of(cls, searches: Sequence[PolarSearch], batches: Iterable[tuple[Images, np.ndarray]], similarity: float = 0.0,
           spread_A: float = np.inf) -> Sample:
        """Of images and what their shifts are counted from; arguments as of ``soft.posterior``."""
        with device.one_blas_thread():
            told = [one for images, centres_A in batches for one in _told(searches, images, centres_A, spread_A)]
        return cls(tuple(told), similarity)

    def fraction(self, noise_scale: float) -> float:
        """Of all poses, how many carry weight: 0..1, rising with the noise."""
        with ThreadPoolExecutor(device.threads()) as pool:
            found = pool.map(partial(Told.fraction, noise_scale=noise_scale, similarity=self.similarity), self.images)
            return float(np.mean(list(found)))

    def noise_scale(self, fraction: float) -> float:
        """The least noise scale, from 1 on, at which so many poses carry weight; LARGEST where none does."""
        low, high = (0.0, self.fraction(1.0)), (np.log(LARGEST), 1.0)
        if low[1] >= fraction:
            return 1.0
        middle = high[0]
        for number in range(TRIES):
            middle = _between(low, high, fraction) if number % 2 == 0 else (low[0] + high[0]) / 2
            here = middle, self.fraction(np.exp(middle))
            if abs(np.log(here[1] / fraction)) < CLOSE:
                break
            low, high = (here, high) if here[1] < fraction else (low, here)
        return float(np.exp(middle))


def _told(searches: Sequence[PolarSearch], images: Images, centres_A: np.ndarray, spread_A: float) -> list[Told]:
    first = searches[0]
    signal, half_power = first.on_rings(images)
    prior = soft.log_prior(centres_A[:, None] + first.grid.shifts_A, spread_A)
    shifted, turn = first.shifted(signal, images, centres_A), soft.Turn.of(first.grid.angles)

    def one(row: int) -> Told:
        spectrum = shifted.spectrum(row)
        both = np.concatenate([spectrum, spectrum])
        return Told(tuple(soft.correlation(search, both, turn) for search in searches),
                    tuple(half_power[row] @ search.power for search in searches), prior[row])  # fmt: skip

    with ThreadPoolExecutor(device.threads()) as pool:
        return list(pool.map(one, range(len(images))))


def _between(low: tuple[float, float], high: tuple[float, float], fraction: float) -> float:
    """Where a line through two points (log noise scale, fraction), of the logarithm of the latter, is at a fraction."""
    part = np.log(fraction / low[1]) / np.log(high[1] / low[1])
    return low[0] + float(np.clip(part, 0.02, 0.98)) * (high[0] - low[0])
