"""Posed images, with what is needed to ask how their CTF could be better."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.geometry import rotations as so3
from halfmap.physics.projection import Projector
from halfmap.types import Images


@dataclass(frozen=True)
class Views:
    """A batch of one optics group. The fits use ``images.unmasked``: a circle cuts off what defocus has spread."""

    images: Images
    rotations: np.ndarray  # (b, 3, 3)
    shifts_A: np.ndarray  # (b, 2)
    quadrature: np.ndarray  # (b, 2K+1, K+1) float32: derivative of images.ctf by the phase of the CTF

    def __len__(self) -> int:
        return len(self.images)

    @property
    def length_A(self) -> float:
        """Box length of the images."""
        return self.images.box * self.images.pixel_size_A

    @property
    def phases(self) -> np.ndarray:
        """(b, 2) shifts over the box length."""
        return self.shifts_A / self.length_A

    @property
    def matrices(self) -> np.ndarray:
        """(b, 3, 3) poses, stretched to the grid of the map."""
        return so3.stretched(self.rotations, self.images.stretch)

    def reach(self, projector: Projector, radius: int) -> int:
        """``radius`` as far as images and map go."""
        return min(radius, projector.reach(self.images.stretch), self.images.radius, self.images.box // 2)
