"""Normalisation of images by what surrounds the particle.

As RELION does: a plane fitted to the pixels outside a circle is taken away, then the mean and the standard deviation of
those pixels become 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CIRCLE = 0.75  # diameter of the circle over the box, unless told otherwise: RELION's default


@dataclass(frozen=True)
class Background:
    """The pixels outside a circle of ``diameter_px`` about the centre of a box; None = CIRCLE times the box."""

    box: int
    diameter_px: float | None = None

    @property
    def pixels(self) -> np.ndarray:
        """(box, box) bool."""
        diameter = CIRCLE * self.box if self.diameter_px is None else self.diameter_px
        offset = np.arange(self.box) - self.box // 2
        return np.hypot(offset[:, None], offset) > diameter / 2

    def normalised(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(images (b, N, N) float32 with a background of mean 0, slope 0 and deviation 1, (b,) bool which are flat).

        A flat background has nothing to divide by; such images are zero.
        """
        outside = self.pixels
        offset = (np.arange(self.box) - self.box // 2) / self.box
        y, x = np.broadcast_arrays(offset[:, None], offset)
        basis = np.stack([np.ones_like(x), x, y], axis=-1)
        planes = np.linalg.pinv(basis[outside]) @ images[:, outside].T.astype(np.float64)
        level = images - np.einsum("yxk,kb->byx", basis, planes)
        deviation = level[:, outside].std(axis=1)
        flat = ~(deviation > 1e-6 * np.abs(planes[0]))  # what rounding leaves of a constant
        deviation = np.where(flat, np.inf, deviation)
        return (level / deviation[:, None, None]).astype(np.float32), flat
