"""Poses that the E-step found."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from halfmap.types import Candidates

OF_PARTICLES = ("weights", "information", "cross", "power", "effective")  # what State keeps beside the candidates


@dataclass(frozen=True)
class Posed:
    """What the E-step found for one batch, or for many: rows of the particle table and values for them."""

    rows: np.ndarray
    candidates: Candidates
    weights: np.ndarray
    information: np.ndarray
    cross: np.ndarray
    power: np.ndarray
    effective: np.ndarray  # (b,) poses at which each image was laid in, 1 / sum of their squared weights

    def at_scale(self, scale: np.ndarray) -> Posed:
        """The same with cross and power for models of scale 1, where they were for ``scale`` (b,)."""
        return replace(self, cross=self.cross / scale, power=self.power / scale**2)

    @classmethod
    def joined(cls, parts: list[Posed]) -> Posed:
        c = [p.candidates for p in parts]
        whole = Candidates(*(np.concatenate([getattr(x, f) for x in c]) for f in Candidates.__dataclass_fields__))
        rest = (np.concatenate([getattr(p, f) for p in parts]) for f in OF_PARTICLES)
        return cls(np.concatenate([p.rows for p in parts]), whole, *rest)
