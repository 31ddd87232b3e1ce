"""How many images a step of maps that grow takes: as many as told, or as many as the noise of the maps asks for.

A map keeps 1 - r of what it was and takes r from the batch, r the learning rate. At rest the noise of the batch,
relative variance v, leaves it with v r / (2 - r). Two halves of every batch, made maps of and held against each other,
tell v, which falls with the number of images; that of a map which part p of the particles show is larger by 1 / p.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

WINDOW = 10  # steps that are looked back on: the noise of one batch is known to a fifth


class BatchSize(Protocol):
    """How many images the next step takes."""

    @property
    def parts(self) -> int:
        """In how many parts a batch becomes maps: two tell its noise, which takes a tenth more time."""

    def images(self, rows: Sequence[dict], band_A: float, rate: float) -> int:
        """``rows``: all steps so far, as in a history; ``band_A``, ``rate``: resolution and learning rate of the next.
        """


@dataclass(frozen=True)
class Told:
    """As many as told."""

    number: int
    parts = 1

    def images(self, rows: Sequence[dict], band_A: float, rate: float) -> int:
        return self.number


@dataclass(frozen=True)
class Measured:
    """So many that the noise of maps at rest is a part ``epsilon`` of them, in bounds."""

    first: int  # before anything has been measured
    least: int
    most: int
    epsilon: float
    least_share: float  # of the particles: maps with less do not count
    parts = 2

    def images(self, rows: Sequence[dict], band_A: float, rate: float) -> int:
        nearest = sorted(reversed(rows), key=lambda row: abs(np.log(row["band_A"] / band_A)))[:WINDOW]
        variances = [value for row in nearest if np.isfinite(value := self._variance(row))]
        if not variances:
            return self.first
        wanted = np.median(variances) * rate / (2 - rate) / self.epsilon**2
        return int(np.clip(np.ceil(wanted), self.least, self.most))

    def _variance(self, row: dict) -> float:
        """Relative variance that one image would leave the noisiest map with; not a number where no map counts."""
        noise, share = (np.array(row[name], float) for name in ("batch_noise", "occupancy"))
        counts = np.isfinite(noise) & (share >= self.least_share)
        return float(row["images"] * (noise[counts] ** 2).max()) if counts.any() else np.nan
