"""How an ab-initio reconstruction goes from coarse to fine: resolution, batches, learning rate, noise, likeness of
classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from halfmap.refine.batch_sizes import BatchSize
from halfmap.refine.batches import Frame


@dataclass(frozen=True)
class Step:
    """What one step does."""

    band: int  # shells
    images: int
    rate: float  # learning rate, 0..1
    similarity: float  # of the classes, 0..1
    inflation: float = 0.0  # power of the first noise scale that the noise passes with, 1..0
    parts: int = 1  # of the batch, to be told apart by their maps


@dataclass(frozen=True)
class Inflation:
    """By how much the noise is taken too large at the first step."""

    scale: float | None = None  # of its standard deviation; None: the least with which so many poses carry weight
    fraction: float = 0.0  # of all poses


@dataclass(frozen=True)
class Annealing:
    """Some steps at the first resolution, then shell by shell to the last one, then some there."""

    initial_A: float
    final_A: float
    initial_steps: int
    final_steps: int
    radius_step: float  # shells a step
    sizes: tuple[BatchSize, BatchSize]  # before and after ``initial_steps``
    rates: tuple[float, float]  # learning rates: the first falls to the second until the last resolution is reached
    similarity: float
    similar_until: tuple[int, int]  # steps between which the similarity falls to 0
    inflation: Inflation = Inflation()  # falls, evenly on a logarithmic scale, to none with the initial steps

    def steps(self, frame: Frame) -> int:
        """All of them."""
        return self.trial_steps(frame) + self.final_steps

    def trial_steps(self, frame: Frame) -> int:
        """After how many steps starts are compared: at the last resolution.

        Before that right and wrong maps tell as much: of a ribosome with one of its parts in half of the images only,
        those that ended right had 4.0 and 4.2 nats half of the way there, and one that had not found it yet had 4.4.
        """
        return self.initial_steps + self._growing(frame)

    def step(self, number: float, frame: Frame, rows: Sequence[dict] = ()) -> Step:
        """Step ``number`` from 0, infinity for the last one, after those of ``rows``, each as in a history."""
        first, last = frame.shell(self.initial_A), frame.shell(self.final_A)
        number = min(number, self.steps(frame) - 1)
        band = first + max(0.0, number - self.initial_steps) * self.radius_step
        far = min(number / max(self.trial_steps(frame) - 1, 1), 1.0)
        begin, end = self.similar_until
        alike = self.similarity * float(np.clip((end - number) / max(end - begin, 1), 0, 1))
        shell, rate = int(min(round(band), last)), self.rates[0] * (self.rates[1] / self.rates[0]) ** far
        size = self.sizes[number >= self.initial_steps]
        return Step(shell, size.images(rows, frame.resolution_A(shell), rate), rate, alike,
                    max(0.0, 1 - number / self.initial_steps), size.parts)  # fmt: skip

    def ends(self, frame: Frame) -> tuple[int, int, int]:
        """After how many steps each phase ends: of the first resolution, of finer ones, of the last."""
        return self.initial_steps, self.trial_steps(frame), self.steps(frame)

    def phase(self, number: int, frame: Frame) -> int:
        """Of step ``number`` from 0."""
        return sum(number >= end for end in self.ends(frame)[:-1])

    def _growing(self, frame: Frame) -> int:
        return int(np.ceil(max(0, frame.shell(self.final_A) - frame.shell(self.initial_A)) / self.radius_step))
