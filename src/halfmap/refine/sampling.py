"""The grid that poses are looked for on in one iteration, as a user of RELION reads it: order, steps, ranges.

Owns the arithmetic of steps. Poses do not stay on the grid: pose refinement takes each to the top of its peak.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TURN_OF_ONE_PERCENT = 3.035  # sd about one axis at which the likelihood has fallen to 1 %: sqrt(2 ln 100)
FINE_ENOUGH = 0.75  # of that turn: a finer grid finds nothing. RELION 5, updateAngularSampling
COARSEST, FINEST = 1, 9  # HEALPix orders, 30 to 0.12 degrees


@dataclass(frozen=True)
class Sampling:
    """Where poses are looked for: HEALPix order, and shifts within a range about the known one, A.

    ``local``: near the known pose of a particle, else in all directions; ``far_order``: of the search in all
    directions of particles whose pose is not believed.
    """

    order: int
    local: bool
    far_order: int
    offset_range_A: float
    offset_step_A: float

    @property
    def step_deg(self) -> float:
        """Distance of neighbouring directions as RELION counts it, 60 / 2^order."""
        return step_deg(self.order)


def step_deg(order: int) -> float:
    """Nominal step of a HEALPix order in degrees."""
    return 60 / 2**order


def order_of(degrees: float) -> int:
    """The HEALPix order whose step is nearest (7.5 -> 3, 3.7 -> 4, 1.8 -> 5)."""
    return int(np.clip(round(np.log2(60 / degrees)), COARSEST, FINEST))


def needed_deg(resolution_A: float, diameter_A: float) -> float:
    """The step at which the edge of the particle moves by one resolution: RELION 5, 360 / ceil(pi D / d)."""
    return float(360 / np.ceil(np.pi * diameter_A / resolution_A))


def useful_deg(accuracy_deg: float | None) -> float:
    """The step below which no grid helps; ``accuracy_deg``: root mean square error over three axes."""
    return 0.0 if accuracy_deg is None else FINE_ENOUGH * TURN_OF_ONE_PERCENT * accuracy_deg / np.sqrt(3)
