"""The schedule of the passes that follow maps grown from nothing: so many, and what growth has learned is made use of.

They give the particles their poses; a refinement to the end of what the data hold is another job.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from halfmap.refine.batches import Frame
from halfmap.refine.growing import FARTHEST
from halfmap.refine.schedules import Marching, Plan, with_astray
from halfmap.refine.state import State


@dataclass(frozen=True)
class Passes(Marching):
    """``max_iterations`` passes whatever the resolution does, the last one of all particles and to Nyquist.

    The first looks for particles as far off as their spread lets them lie (of a Gaussian one in ninety is beyond), the
    second for those over all shifts that the first map shows to be posed wrongly: with a longer tail they lie further
    out.
    """

    spread_A: float = np.inf  # of where particles lie, standard deviation along each axis

    def first(self, frame: Frame, n: int, offset_A: float) -> Plan:
        """All that take part are searched."""
        plan = super().first(frame, n, self._reach_A(offset_A))
        if self.max_iterations > 1:
            return plan
        everyone = np.ones(n, bool)
        return replace(plan, reach=frame.box // 2, box=frame.box, final=True, used=everyone, searched=everyone)

    def next(self, state: State, frame: Frame, offset_A: float = 0.0) -> Plan:
        plan = super().next(state, frame, self._reach_A(offset_A))
        return replace(plan, astray_A=max(self.farther * offset_A, plan.astray_A))

    def done(self, state: State, frame: Frame) -> bool:
        """Whether ``state`` is that of the last pass."""
        return state.iteration >= self.max_iterations

    def _settled(self, state: State) -> bool:
        return state.iteration >= self.max_iterations - 1

    def _looking_far(self, plan: Plan, state: State, frame: Frame) -> Plan:
        """The second pass searches the particles astray whether its band is finer or not: its map is another."""
        if plan.final or state.iteration > 1:
            return super()._looking_far(plan, state, frame)
        return with_astray(plan, state)

    def _reach_A(self, offset_A: float) -> float:
        return min(offset_A, FARTHEST * self.spread_A)
