"""The schedule of `refine auto`: RELION's 3D auto-refine as a user sees it. Decides; computes nothing from images.

Sampling follows what the resolution needs and never passes what the accuracy justifies; a particle is searched again,
everywhere or near its pose, only if its own posterior says so; the end comes when neither resolution nor poses move.
Source: Scheres, J. Struct. Biol. 180 (2012) 519; RELION 5, MlOptimiser::updateAngularSampling and checkConvergence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from halfmap.align import polar
from halfmap.refine import junk, sampling
from halfmap.refine.batches import Frame
from halfmap.refine.sampling import Sampling
from halfmap.refine.schedules import AT_REST, GAIN, Marching, Plan, doubtful, searching
from halfmap.refine.state import State

GROWN = 1.05  # of the area under the FSC: by so much more a map shows a search what the last one could not see
CALMER = 0.97  # of the smallest change so far: less counts as a change that still shrinks. RELION 5


@dataclass(frozen=True)
class Auto(Marching):
    """Marching, with the sampling of the searches told and limited.

    ``faster``: the sampling is as fine as the resolution needs at once, and what the poses still do is not waited for;
    else it goes one step finer each time that resolution and poses have come to rest.
    """

    last_far: int = 0  # never: whom to search over all shifts follows from the sampling
    initial_deg: float = 7.5
    local_from_deg: float = 1.8
    faster: bool = False
    offset_range_px: float | None = None
    offset_step_px: float | None = None
    force: bool = False  # the next iteration is the last

    def first(self, frame: Frame, n: int, offset_A: float) -> Plan:
        plan = super().first(frame, n, self._range_A(frame, offset_A))
        order = sampling.order_of(self.initial_deg)
        return replace(plan, sampling=Sampling(order, False, order, plan.offset_A, self._step_A(plan, frame)))

    def next(self, state: State, frame: Frame, offset_A: float = 0.0) -> Plan:
        plan = super().next(state, frame, self._range_A(frame, offset_A))
        order = self._order(state, frame)
        local = order >= sampling.order_of(self.local_from_deg)
        used = Sampling(order, local, self._far_order(order, plan, frame), plan.offset_A, self._step_A(plan, frame))
        news = order > self._last_order(state) or _another_map(state)
        return searching(replace(plan, sampling=used), state, plan.used & (news and not plan.final) & doubtful(state))

    def facts(self, state: State, plan: Plan, frame: Frame) -> dict:
        row, used = state.history[-1], plan.sampling
        far = plan.searched & plan.astray if used.local and plan.astray is not None else plan.searched
        told = {
            "healpix_order": used.order,
            "angular_step_deg": used.step_deg,
            "offset_range_A": used.offset_range_A,
            "offset_step_A": used.offset_step_A,
            "global_step_deg": sampling.step_deg(used.far_order),
            "searched_globally": int(far.sum()),
            "searched_locally": int((plan.searched & ~far).sum()),
            "image_size": 2 * plan.band,
            "junk_particles": int((state.trust[state.seen] < junk.HALF).sum()),
            "best_resolution_A": min(r["resolution_A"] for r in state.history),
        }
        state = replace(state, history=(*state.history[:-1], {**row, **told}))
        return told | {
            "iterations_without_gain": self._without_gain(state),
            "iterations_at_rest": self._at_rest(state),
            "converged": self._settled(state),
            "last": plan.final or self.done(state, frame),
        }

    def _settled(self, state: State) -> bool:
        if self.force or state.iteration >= self.max_iterations:
            return True
        fine = self.faster or not self._finer_is_useful(state)
        calm = self._without_gain(state) > self.extra_final_passes
        return fine and calm and (self.faster or self._at_rest(state) > 0)

    def _order(self, state: State, frame: Frame) -> int:
        """The sampling of the next iteration."""
        order = self._last_order(state)
        if self.faster:
            needed = sampling.needed_deg(frame.resolution_A(state.shell), frame.diameter_A)
            while sampling.step_deg(order) > needed and self._justified(state, order):
                order += 1
        elif self._without_gain(state) and self._at_rest(state) and self._justified(state, order):
            order += 1
        return min(order, sampling.FINEST)

    def _far_order(self, order: int, plan: Plan, frame: Frame) -> int:
        """The sampling of a search in all directions: no finer than a peak at the band of the search is wide."""
        enough = polar.coarsest_order(frame.resolution_A(plan.search_radius), frame.diameter_A)
        return min(order, max(enough, sampling.order_of(self.initial_deg)))

    def _finer_is_useful(self, state: State) -> bool:
        return self._justified(state, self._last_order(state))

    def _justified(self, state: State, order: int) -> bool:
        """Whether a finer grid than that of ``order`` could find better poses."""
        accuracy = state.history[-1].get("accuracy_rotation_deg")
        return order < sampling.FINEST and sampling.step_deg(order) > sampling.useful_deg(accuracy)

    def _last_order(self, state: State) -> int:
        return state.history[-1].get("healpix_order", sampling.order_of(self.initial_deg))

    def _without_gain(self, state: State) -> int:
        """Iterations in a row, at the sampling in force, in which the resolution did not improve."""
        areas = [row["fsc_area"] for row in state.history]
        calm = 0
        for i in range(1, len(areas)):
            calm = calm + 1 if areas[i] < GAIN * max(areas[:i]) else 0
        return min(calm, self._here(state))

    def _at_rest(self, state: State) -> int:
        """Iterations in a row, at the sampling in force, in which poses hardly moved or went on as before."""
        changes = [(row.get("change_rotation_deg"), row.get("accuracy_rotation_deg")) for row in state.history]
        count, smallest = 0, np.inf
        for change, accuracy in changes:
            small = change is not None and change <= AT_REST * (accuracy or np.inf)
            still = change is not None and change > CALMER * smallest
            count = count + 1 if small or still else 0
            smallest = min(smallest, np.inf if change is None else change)
        return min(count, self._here(state))

    def _here(self, state: State) -> int:
        """Iterations at the sampling in force."""
        orders = [row.get("healpix_order") for row in state.history]
        return len(orders) - max((i for i, order in enumerate(orders) if order != orders[-1]), default=-1) - 1

    def _range_A(self, frame: Frame, usual_A: float) -> float:
        return usual_A if self.offset_range_px is None else self.offset_range_px * frame.voxel_size_A

    def _step_A(self, plan: Plan, frame: Frame) -> float:
        """Shifts are at most half the resolution of the search apart."""
        widest = frame.resolution_A(plan.search_radius) / 2
        return widest if self.offset_step_px is None else min(widest, self.offset_step_px * frame.voxel_size_A)


def _another_map(state: State) -> bool:
    """Whether the map became so much better that particles in doubt may now find their pose."""
    areas = [row["fsc_area"] for row in state.history]
    return len(areas) < 2 or areas[-1] > GROWN * max(areas[:-1])
