"""What to do next: bands, searches, and when to stop. Decides; computes nothing from images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.align import posterior
from halfmap.fourier import transforms
from halfmap.refine.batches import Frame
from halfmap.refine.state import State

HEADROOM = 1.1  # alignment band beyond the shell where the FSC crosses its threshold
MARGIN_SHELLS = 4  # reconstructed beyond 1.3 x the alignment band, so that the FSC can grow
DECIDED = 0.99  # probability of the best candidate from which a particle is not searched again


@dataclass(frozen=True)
class Plan:
    """One iteration."""

    band: int  # shells that align
    reach: int  # shells that are reconstructed
    box: int  # box that holds ``reach``
    stages: tuple[tuple[int, int], ...]  # (radius, rounds) of pose refinement, in this order
    searched: np.ndarray  # (n,) bool: particles searched globally
    search_radius: int
    final: bool  # nothing follows


@dataclass(frozen=True)
class Schedule:
    """Global search at the start, frequency marching by the FSC, until neither resolution nor poses improve."""

    initial_lowpass_A: float
    max_align_A: float | None
    extra_final_passes: int
    max_iterations: int
    research_A: float = 18.0  # band of the second search of undecided particles

    def first(self, frame: Frame, n: int) -> Plan:
        band = self._allowed(frame.shell(self.initial_lowpass_A), frame)
        everyone = np.ones(n, bool)
        return self._plan(frame, band, ((band, 10),), everyone, band, False)

    def next(self, state: State, frame: Frame) -> Plan:
        band = self._allowed(max(int(np.ceil(HEADROOM * state.shell)), 4), frame)
        stages = ((band, 4),)
        if band > 1.2 * state.band:
            middle = round((state.band * band) ** 0.5)
            stages = ((middle, 4), (band, 5))
        radius = min(band, frame.shell(self.research_A))
        searched = self._doubtful(state) & (state.iteration <= 3) & (radius > frame.shell(self.initial_lowpass_A))
        return self._plan(frame, band, stages, searched, radius, self.converged(state))

    def _allowed(self, band: int, frame: Frame) -> int:
        limit = frame.shell(self.max_align_A) if self.max_align_A else frame.box // 2
        return int(min(band, limit, frame.box // 2))

    def _plan(self, frame, band, stages, searched, radius, final) -> Plan:
        reach = frame.box // 2 if final else min(frame.box // 2, int(1.3 * band) + MARGIN_SHELLS)
        box = min(frame.box, transforms.good_box(2 * reach + 2))
        return Plan(band, reach, box, stages, searched, radius, final)

    @staticmethod
    def _doubtful(state: State) -> np.ndarray:
        """Particles whose candidates disagree, or whose data are not along their projection."""
        return (state.weights[:, 0] < DECIDED) | (state.slope < 0.5)

    def converged(self, state: State) -> bool:
        """Whether the next iteration is the last: the area under the FSC no longer grows."""
        if state.iteration >= self.max_iterations - 1:
            return True
        areas = [row["fsc_area"] for row in state.history]
        calm = 0
        for i in range(3, len(areas)):
            calm = calm + 1 if areas[i] < max(areas[:i]) * 1.005 else 0
        return calm > self.extra_final_passes
