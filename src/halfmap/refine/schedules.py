"""What to do next: bands, searches, and when to stop. Decides; computes nothing from images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from halfmap.fourier import transforms
from halfmap.refine.batches import Frame
from halfmap.refine.sampling import Sampling
from halfmap.refine.state import State

HEADROOM = 1.1  # alignment band over the shell where the FSC crosses its threshold
REACH = (1.1, 12)  # reconstructed to 1.1 x the alignment band + 12 shells, so that the FSC can grow
LEAST_BAND = 4  # shells; with fewer there is no shape to align
STEPS = 3  # of pose refinement at one band: the next iteration continues from there
JUMP = 1.2  # a band that grows by more is approached in stages
RESEARCH_A = 20.0  # band of the second search: 14 and 18 A found no more on beta-galactosidase, of 200 A
# of the diameter: the same for what is smaller. Of 10,000 images of 67 kDa, 95 A wide, at an SNR of 0.03 20 A left 80 %
# within 10 degrees of the truth, 10.5 A 83 %, one shell more of the map
RESEARCH = 0.1
DECIDED = 0.99  # probability of the best candidate from which a particle is not searched again
DOUBT = 2.5  # standard deviations its data may lie off their projection before a particle is searched again
ASTRAY = 1.5  # such deviations from which it is searched over all shifts: a wrong pose brought a wrong shift along
# times the usual range of shifts, a quarter of the diameter: how far those are searched. What the first search did not
# find lies further out. Of 2,374 picks of EMPIAR-10204 0.886 and 0.906 got the same pose from two starting maps with a
# sixth, 0.915 and 0.940 with a quarter, 0.943 with a third; but picks half a diameter apart, as pickers leave them,
# would not all be kept from meeting in one particle then, which would share its noise between the half-sets
FARTHER = 1.5
SPREAD = 0.15  # of contrast between particles, beside what noise does to the slope
STOCK_IMAGES = 1000  # particles that tell the noise: 1.6 % on the variance of the smallest shell, of 4 pixels
HOPPING = 0.02  # of the particles: while more change from one symmetry mate to another, a broken symmetry still grows
FIRST_STEPS = 5  # from the lattice of a local search; 10 found nothing more in the next two iterations
AT_REST = 0.5  # of their accuracy, by which poses may still turn
GAIN = 1.005  # growth of the area under the FSC that counts as progress


@dataclass(frozen=True)
class Plan:
    """One iteration."""

    band: int  # shells that align
    reach: int  # shells that are reconstructed
    box: int  # box that holds ``reach``
    stages: tuple[tuple[int, int], ...]  # (radius, rounds) of pose refinement, in this order
    searched: np.ndarray  # (n,) bool: particles searched globally
    search_radius: int
    offset_A: float  # shifts tried about the known one
    final: bool  # nothing follows
    used: np.ndarray  # (n,) bool: particles that take part
    lowest: int = 0  # shells below this one do not align
    refit: bool = False  # CTF values are refined first
    stock_every: int = 1  # every how manieth particle takes part in the estimate of noise and grey scale
    sampling: Sampling | None = None  # of the search; None = what the band needs
    astray: np.ndarray | None = None  # (n,) bool: particles whose pose is not believed: searched about the box centre
    astray_A: float = 0.0  # shifts tried there


def _plan(frame: Frame, band: int, stages, searched, radius: int, offset_A: float, final: bool, used) -> Plan:
    whole = frame.box // 2
    reach = whole if final else min(whole, int(REACH[0] * band) + REACH[1])
    box = min(frame.box, transforms.good_box(2 * reach + 2))
    every = max(1, int(used.sum()) // STOCK_IMAGES)
    return Plan(band, reach, box, stages, searched & used, radius, offset_A, final, used, stock_every=every)


@dataclass(frozen=True)
class Everyone:
    """All particles take part from the start."""

    def used(self, n: int, iteration: int) -> np.ndarray:
        """(n,) bool: who takes part after so many iterations."""
        return np.ones(n, bool)


@dataclass(frozen=True)
class Subsets(Everyone):
    """Early iterations of large sets make do with a part: a coarse map needs no more.

    ``first`` particles to begin with, ``growth`` times as many each iteration, spread evenly over the table; all of
    them as soon as that part exceeds half of all.
    """

    first: int
    growth: float

    def used(self, n: int, iteration: int) -> np.ndarray:
        share = self.first * self.growth**iteration / max(n, 1)
        golden = np.arange(n) * 0.6180339887498949 % 1.0  # evenly spread over any stretch of the table
        return golden < (share if share <= 0.5 else 1.0)


@dataclass(frozen=True)
class Marching:
    """Global search at the start, frequency marching by the FSC, until neither resolution nor poses improve.

    Particles whose candidates disagree, or whose data do not lie along their projection, are searched again while the
    map still grows, about the shift they have. The coarse map of the beginning hardly tells poses apart; once a better
    one shows by its slope who took a wrong one, and with it a wrong shift, those are searched over all shifts.
    """

    initial_lowpass_A: float
    max_align_A: float | None
    extra_final_passes: int
    max_iterations: int
    research_A: float | None = None  # band of the second search; None = what the diameter asks for
    last_research: int = 2  # iterations after which it is done; a third about known shifts found nothing on real ones
    last_far: int = 3  # iterations after which particles astray are searched over all shifts for the last time
    subsets: Everyone = Everyone()
    min_align_A: float | None = None  # coarser shells do not align
    refits: int = 0  # iterations, once the rest has settled, that begin with a refinement of CTF values
    farther: float = 1.0  # times the range of shifts: how far from the middle particles astray are looked for

    def first(self, frame: Frame, n: int, offset_A: float) -> Plan:
        """Everything is searched, at the resolution of the starting map."""
        band = self._allowed(frame.shell(self.initial_lowpass_A), frame)
        used = self.subsets.used(n, 0)
        return self._filtered(_plan(frame, band, ((band, 10),), used, band, offset_A, False, used), frame)

    def next(self, state: State, frame: Frame, offset_A: float = 0.0) -> Plan:
        """The plan after ``state``; ``offset_A``: shifts tried of particles that nothing is known of."""
        band = self._allowed(max(int(np.ceil(HEADROOM * state.shell)), LEAST_BAND), frame)
        radius = min(band, self._research_shell(frame))
        again = self._worthwhile(radius, frame) and state.iteration <= self.last_research
        settled = self._settled(state)
        refit = settled and self._waiting(state) or self._refitting(state) and not settled
        final = settled and not refit
        used = np.ones_like(state.seen) if final else self.subsets.used(len(state.seen), state.iteration)
        new = used & ~state.seen
        offset = offset_A if new.any() else frame.resolution_A(radius) / 2
        stages = _stages(radius if new.any() else state.band, band)
        searched = (doubtful(state) & again) | new
        plan = _plan(frame, band, stages, searched, radius, offset, final, used)
        plan = replace(plan, refit=refit, astray_A=max(self.farther * offset_A, offset))
        plan = self._looking_far(plan, state, frame)
        return self._filtered(plan, frame)

    def _looking_far(self, plan: Plan, state: State, frame: Frame) -> Plan:
        """The plan with the particles astray searched over all shifts, between the first map and the last ones."""
        soon = 1 < state.iteration <= self.last_far and self._worthwhile(plan.search_radius, frame)
        if plan.final or not soon:
            return plan
        return with_astray(plan, state)

    def facts(self, state: State, plan: Plan, frame: Frame) -> dict:
        """What an iteration tells of the schedule; the line of history so far is the last of ``state``."""
        return {}

    def done(self, state: State, frame: Frame) -> bool:
        """Whether ``state`` is already what a last iteration would make: settled, of all particles, and to Nyquist."""
        whole = state.reach == frame.box // 2 and state.history[-1]["share"] == 1
        return whole and self._settled(state) and not self._waiting(state)

    def _filtered(self, plan: Plan, frame: Frame) -> Plan:
        """The plan with the shells left out that the user wants left out, but never all."""
        if not self.min_align_A:
            return plan
        finest = min(radius for radius, _ in plan.stages)
        if plan.searched.any():
            finest = min(finest, plan.search_radius)
        return replace(plan, lowest=max(min(frame.shell(self.min_align_A), finest - LEAST_BAND), 0))

    def _research_shell(self, frame: Frame) -> int:
        """Band of the second search: a small particle looks the same from many sides at the resolution of a large one.
        """
        return frame.shell(self.research_A or min(RESEARCH_A, RESEARCH * frame.diameter_A))

    def _worthwhile(self, radius: int, frame: Frame) -> bool:
        """Whether a second search could find what the first did not: it is finer."""
        return radius > frame.shell(self.initial_lowpass_A)

    def _allowed(self, band: int, frame: Frame) -> int:
        limit = frame.shell(self.max_align_A) if self.max_align_A else frame.box // 2
        return int(min(band, limit))

    def _waiting(self, state: State) -> bool:
        """Whether CTF values are still to be refined for the first time."""
        return self.refits > 0 and state.iteration < self.max_iterations and not self._refitting(state)

    def _refitting(self, state: State) -> bool:
        return any(row["refit"] for row in state.history)

    def _settled(self, state: State) -> bool:
        if state.iteration >= self.max_iterations or 0 < self.refits <= sum(row["refit"] for row in state.history):
            return True
        if (state.history[-1].get("hopped") or 0) > HOPPING:
            return False
        rows = [row for row in state.history if row["share"] == 1]
        since = next((i for i, row in enumerate(rows) if row["refit"]), 1) - 1
        areas = [row["fsc_area"] for row in rows[since:]]
        calm = 0
        for i in range(1, len(areas)):
            calm = calm + 1 if areas[i] < GAIN * max(areas[:i]) else 0
        return calm > self.extra_final_passes


@dataclass(frozen=True)
class FromSketch(Marching):
    """The same from a map that is little more than a sketch: the first search makes another reference of it, and a
    second one at the same band is worthwhile.
    """

    def _worthwhile(self, radius: int, frame: Frame) -> bool:
        return radius >= self._allowed(frame.shell(self.initial_lowpass_A), frame)


@dataclass(frozen=True)
class FromPoses(Marching):
    """The same from poses that are nearly right: searched about them, at the low band, then on to all of the map.

    A second search at the same band is worthwhile, for the reference has become another.
    """

    last_far: int = 0  # never: wherever a particle may be, it is near its known pose
    known_A: float = np.inf  # resolution of the starting map, where it is not low-passed

    def first(self, frame: Frame, n: int, offset_A: float) -> Plan:
        """Everything is searched at the low band; the alignment goes as far as the starting map does."""
        low = self._allowed(frame.shell(self.initial_lowpass_A), frame)
        band = self._allowed(max(low, int(HEADROOM * frame.length_A / self.known_A)), frame)
        stages = ((low, FIRST_STEPS), *(_stages(low, band) if band > low else ()))
        everyone = np.ones(n, bool)
        plan = _plan(frame, band, stages, everyone, low, offset_A, False, everyone)
        return self._filtered(plan, frame)

    def _worthwhile(self, radius: int, frame: Frame) -> bool:
        return radius >= self._allowed(frame.shell(self.initial_lowpass_A), frame)

    def _settled(self, state: State) -> bool:
        """As usual, and the poses have come to rest: a part that was blurred sharpens before its FSC tells."""
        row = state.history[-1]
        moving = (row.get("change_rotation_deg") or 0) > AT_REST * (row.get("accuracy_rotation_deg") or np.inf)
        return super()._settled(state) and (state.iteration >= self.max_iterations or not moving)


@dataclass(frozen=True)
class OnePass:
    """No search, no refinement: every image is laid in where it is said to be."""

    def first(self, frame: Frame, n: int, offset_A: float) -> Plan:
        """The only plan."""
        everyone = np.ones(n, bool)
        return _plan(frame, frame.box // 2, ((1, 0),), ~everyone, 1, offset_A, True, everyone)

    def done(self, state: State, frame: Frame) -> bool:
        """No state ends it: the only plan does."""
        return False

    def facts(self, state: State, plan: Plan, frame: Frame) -> dict:
        """Nothing: there is no course to tell of."""
        return {}


def _stages(old: int, band: int) -> tuple[tuple[int, int], ...]:
    """(radius, rounds) on the way from one band to another: at once where it is near, else by at most doubling it."""
    ratio = band / old
    steps = max(2, int(np.ceil(np.log2(ratio)))) if ratio > JUMP else 1
    return tuple((round(old * ratio ** (i / steps)), STEPS) for i in range(1, steps + 1))


def searching(plan: Plan, state: State, searched: np.ndarray) -> Plan:
    """The plan with a global search of particles ``searched`` (n,), about the box centre where none is believed to be.

    A particle that took a wrong pose took a wrong shift with it: of 3,000 images of a body with a hinge 72 % found
    their pose where all were searched about their shifts, 99.4 % so.
    """
    return replace(plan, searched=searched, astray=searched & mismatched(state))


def with_astray(plan: Plan, state: State) -> Plan:
    """The plan with those of its particles searched over all shifts that lie low on the map."""
    far = mismatched(state, ASTRAY) & state.seen & plan.used
    return replace(plan, searched=plan.searched | far, astray=far)


def growing(state: State) -> bool:
    """Whether the last iteration still made progress."""
    areas = [row["fsc_area"] for row in state.history]
    return len(areas) > 1 and areas[-1] >= GAIN * max(areas[:-1])


def doubtful(state: State) -> np.ndarray:
    """(n,) particles that may be posed wrongly: candidates disagree, or the slope of data on model is too low.

    Noise alone gives the slope, cross / power, a standard deviation of 1 / sqrt(2 power).
    """
    return (state.weights[:, 0] < DECIDED) | mismatched(state)


def mismatched(state: State, deviations: float = DOUBT) -> np.ndarray:
    """(n,) particles whose slope is too low by so many standard deviations: if they are any, they are posed wrongly."""
    slope = state.raw_scale
    usual = np.median(slope[state.power > 0]) if (state.power > 0).any() else 1.0
    sd = np.sqrt(1 / (2 * np.maximum(state.power, 1e-30)) + SPREAD**2)
    return slope < usual - deviations * sd
