"""What growing maps from nothing will need of time and memory, from its size alone; ``forecast`` is of refinements.

Owns the model. How fast the machine is comes from ``calibration_growth``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.align import soft
from halfmap.fourier import transforms
from halfmap.refine import settling
from halfmap.refine.annealing import Step
from halfmap.refine.batches import Frame
from halfmap.refine.forecast import Power
from halfmap.refine.stochastic import FEWEST_JUDGES, JUDGES, Method

# Steps at the last resolution end where two windows of them tell of no gain. EMPIAR-10204, a demonstration and their
# halves took 30, 30, 32 and 59 of 60
LAST_STEPS = 2.5 * settling.WINDOW
JUDGED_SHIFTS = 4.0  # shifts that a particle is judged at, over those of a step, which looks near a place only
COMPLEX_BYTES, REAL_BYTES = 8, 4


@dataclass(frozen=True)
class Pace:
    """Seconds of this machine, of a step, by its Fourier radius."""

    image: Power  # an image against a map
    map: Power  # a map, whatever the number of images: made ready for the search, and made anew
    prepare: float  # an image: read, windowed, transformed


def steps(method: Method, frame: Frame) -> tuple[Step, ...]:
    """The steps that are expected of all starts."""
    plan = method.annealing
    trial = tuple(plan.step(number, frame) for number in range(plan.trial_steps(frame)))
    last = min(plan.final_steps, round(LAST_STEPS))
    return trial * method.starts + (plan.step(np.inf, frame),) * last


def most_steps(method: Method, frame: Frame) -> int:
    """Those of all starts, where no phase ends early."""
    return method.starts * method.annealing.trial_steps(frame) + method.annealing.final_steps


def seconds(method: Method, frame: Frame, particles: int, pace: Pace) -> float:
    """Seconds of all starts on so many particles."""
    judges = min(max(particles // 12, FEWEST_JUDGES), particles // 3, JUDGES)
    total = sum(_step_seconds(method, step.band, min(step.images, particles - judges), pace)
                for step in steps(method, frame))  # fmt: skip
    judgements = 2 + method.starts * (method.starts > 1)  # of the starts, of the result, of a ball
    last = method.annealing.step(np.inf, frame).band
    judging = method.classes * JUDGED_SHIFTS * pace.image.at(last) + pace.prepare
    return total + judgements * judges * judging


def _step_seconds(method: Method, band: int, images: int, pace: Pace) -> float:
    return method.classes * (images * pace.image.at(band) + pace.map.at(band)) + images * pace.prepare


def memory_bytes(method: Method, frame: Frame, threads: int) -> float:
    """Bytes alive in the last step: the slices of the maps, what images send back to them, poses of an image a thread.

    It grows with the fourth power of the resolution.
    """
    band = method.annealing.step(np.inf, frame).band
    near_A = min(method.offset_A, frame.resolution_A(band) / 2)
    grid = soft.scattered(band, frame.length_A, frame.diameter_A, near_A, np.eye(3)[None], np.random.default_rng(0))
    views, orders = len(grid.matrices), 2 * (grid.angles // 2 + 1)
    slices = REAL_BYTES * orders * 2 * band * views
    poses = 2 * REAL_BYTES * grid.angles * len(grid.shifts_A) * views  # probabilities, and carried back
    sums = (COMPLEX_BYTES + REAL_BYTES) * (4 * band + 1) ** 2 * (2 * band + 1)
    maps = REAL_BYTES * transforms.good_box(2 * band + 8) ** 3
    return method.classes * ((soft.PARTS + 3) * slices + 4 * sums + 4 * maps) + threads * method.classes * poses


def assumptions(method: Method, frame: Frame) -> str:
    """What the time rests on, in words."""
    starts = f"{method.starts} start{'s' * (method.starts > 1)}"
    expected, most = len(steps(method, frame)), most_steps(method, frame)
    more = f"; up to {most} where the last ones still gain" if most > expected else ""
    return f"maps that grow in {expected} steps ({starts}{more})"
