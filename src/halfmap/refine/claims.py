"""What resolution a refinement may claim from an FSC curve: parts of a recipe.

Half-sets that share data, or began with one map, agree about as far whatever the images show; so do few values by
chance. What they agree about beyond that is evidence. Only claims depend on it: alignment uses what the FSC allows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from halfmap.refine.batches import Frame
from halfmap.types import Curve
from halfmap.validate import fsc, fsc_masks

# Shells over which a mask spreads what the halves share, with room for what is aligned to it. Set on one set of noise:
# with 2 an iteration of it (C1, from 60 A) passed CHANCE in a single shell and 25.7 A was believed. On three other sets
# 2 lets 6.6 standard deviations pass (C1), 3 at most 4.9 (D2)
LEAK = 3
CHANCE = 6.0  # standard deviations of the mean FSC of independent shells; not a rate of error, see LEAK


@dataclass(frozen=True)
class AsMeasured:
    """The curve is believed."""

    def believed(self, corrected: Curve, mask: np.ndarray, order: int, frame: Frame) -> Curve:
        """The corrected curve of a pair of halves seen through ``mask``, as far as it is evidence.

        ``order``: of the point group that the maps obey.
        """
        return corrected

    def complaint(self, corrected: Curve, mask: np.ndarray, order: int, frame: Frame) -> str | None:
        """Why it is not believed, in a sentence; None where it is."""
        return None


@dataclass(frozen=True)
class Independent(AsMeasured):
    """It is, if the halves agree beyond what they shared: data coarser than ``split_A``, the start to ``lowpass_A``.

    Else nothing finer than the split is claimed; nothing at all of halves that share no data (an infinite split), where
    ``lowpass_A`` is what the mere shape of a particle makes them agree about.
    """

    split_A: float
    lowpass_A: float

    def believed(self, corrected, mask, order, frame):
        if self.evidence(corrected, mask, order, frame) >= CHANCE:
            return corrected
        values = np.array(corrected.values, float)
        values[np.arange(len(values)) > frame.length_A / self.split_A] = 0
        return replace(corrected, values=values)

    def evidence(self, corrected: Curve, mask: np.ndarray, order: int, frame: Frame) -> float:
        """Mean of the FSC over independent shells up to its crossing, in standard deviations of chance."""
        first = int(np.ceil(frame.length_A / min(self.split_A, self.lowpass_A))) + LEAK
        shells = np.arange(first, int(fsc.crossing(corrected)) + 1)
        if len(shells) == 0:
            return 0.0
        modes = np.array([fsc_masks.modes(mask, shell, order) for shell in shells])
        return float((modes * corrected.values[shells]).sum() / np.sqrt(max(modes.sum(), 1e-30)))

    def complaint(self, corrected, mask, order, frame):
        found = self.evidence(corrected, mask, order, frame)
        if found >= CHANCE:
            return None
        return (f"no resolution is claimed{self._shared()} they agree no better than chance ({found:.1f} standard "
                f"deviations, {CHANCE:g} are evidence); their curve ends at {fsc.resolution_A(corrected):.1f} A")

    def _shared(self) -> str:
        """Beyond what no resolution is claimed, and why."""
        if np.isinf(self.split_A):
            return f": the half-sets share nothing, and beyond {self.lowpass_A:g} A, the shape of a particle,"
        start = f", and both began with one map of {self.lowpass_A:g} A" if self.lowpass_A < self.split_A else ""
        return f" beyond {self.split_A:g} A: the half-sets share data coarser than that{start}, and beyond it"
