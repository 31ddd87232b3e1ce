"""The passes after maps have grown: how many, how far they search, and whom they search again."""

import numpy as np
import pytest

from halfmap.refine.passes import Passes
from tests.refine.test_schedules import FRAME, state

OFFSET_A = 33.0


def passes(count=3, **changes):
    return Passes(initial_lowpass_A=20.0, max_align_A=12.0, extra_final_passes=0, max_iterations=count, **changes)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("shell", [3, 32])
def test_there_are_as_many_passes_as_asked_for(count, shell):
    schedule = passes(count)
    plan, told = schedule.first(FRAME, 6, OFFSET_A), 0
    while True:
        told += 1
        after = state(iteration=told, shell=shell, reach=plan.reach)
        assert schedule.done(after, FRAME) == plan.final == (told == count)
        if plan.final:
            break
        plan = schedule.next(after, FRAME, OFFSET_A)
    assert plan.reach == FRAME.box // 2 and plan.used.all()


def test_a_single_pass_searches_all_and_reaches_nyquist():
    few = type("Few", (), {"used": lambda self, n, iteration: np.arange(n) < 2})()
    plan = passes(1, subsets=few).first(FRAME, 6, OFFSET_A)
    assert plan.final and plan.used.all() and plan.searched.all()
    assert (plan.reach, plan.box) == (FRAME.box // 2, FRAME.box)


@pytest.mark.parametrize("spread_A, reach_A", [(5.0, 15.0), (12.0, OFFSET_A), (np.inf, OFFSET_A)])
def test_the_first_search_goes_as_far_as_particles_are_spread_but_no_further_than_told(spread_A, reach_A):
    assert passes(spread_A=spread_A).first(FRAME, 6, OFFSET_A).offset_A == reach_A


def test_the_second_pass_looks_over_all_shifts_for_particles_posed_wrongly():
    cross = np.array([90.0, 90.0, 90.0, 5.0, 90.0, 90.0])
    after = state(shell=20, cross=cross, power=np.full(6, 90.0))
    plan = passes(spread_A=2.0, farther=1.5).next(after, FRAME, OFFSET_A)
    assert plan.astray_A == 1.5 * OFFSET_A
    assert np.array_equal(plan.searched, cross == 5) and np.array_equal(plan.astray, cross == 5)
