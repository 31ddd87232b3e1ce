"""What lies around the circle that masks an image: nothing, or noise. Parts of a recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from halfmap.fourier import transforms
from halfmap.physics.noise import GroupModel


@dataclass(frozen=True)
class Zeros:
    """Nothing: the images are 0 outside."""

    def filled(self, masked: np.ndarray, kept: float, rows: np.ndarray, model: GroupModel,
               windowed: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, float]:
        """Images (b, N, N) of particles ``rows`` after the mask, and the fraction of the noise power that they have.

        ``windowed`` masks other images in the same way; ``model``: of their noise, in the units of their transforms.
        """
        return masked, kept


@dataclass(frozen=True)
class Noise(Zeros):
    """Noise of the spectrum of the images' own, the same in every iteration: drawn by seed and row of the table."""

    seed: int

    def filled(self, masked, kept, rows, model, windowed):
        noise = self._drawn(rows, model, masked.shape[-1])
        return masked + noise - windowed(noise), 1.0

    def _drawn(self, rows: np.ndarray, model: GroupModel, box: int) -> np.ndarray:
        white = np.stack([np.random.default_rng([self.seed, row]).standard_normal((box, box), np.float32)
                          for row in rows.tolist()])  # fmt: skip
        # white noise of variance 1 has a complex variance of 1 / N^2 in the units of half planes
        sd = (box * model.plane(box // 2)).astype(np.float32)
        return transforms.to_images(transforms.half_plane(white, box // 2) * sd, box)
