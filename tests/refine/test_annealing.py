"""How an ab-initio reconstruction goes from coarse to fine."""

from dataclasses import replace

import pytest

from halfmap.refine.annealing import Annealing
from halfmap.refine.batch_sizes import Told
from halfmap.refine.batches import Frame

FRAME = Frame(64, 3.5, 180.0)  # 224 A: 40 A is shell 6, 20 A is shell 11
PLAN = Annealing(40, 20, 30, 10, 0.1, (Told(90), Told(300)), (0.5, 0.1), 0.4, (20, 40))


def bands(plan):
    return [plan.step(number, FRAME).band for number in range(plan.steps(FRAME))]


def test_resolution_goes_from_the_first_to_the_last():
    found = bands(PLAN)
    assert found[:30] == [6] * 30 and found[-11:] == [11] * 11
    assert found == sorted(found) and PLAN.step(float("inf"), FRAME).band == 11


def test_the_radius_grows_by_its_step():
    assert PLAN.steps(FRAME) == 30 + 50 + 10
    assert replace(PLAN, radius_step=0.5).steps(FRAME) == 30 + 10 + 10


def test_batches_grow_after_the_first_phase():
    assert (PLAN.step(29, FRAME).images, PLAN.step(30, FRAME).images) == (90, 300)


def test_the_learning_rate_falls_until_the_last_resolution():
    for plan in (PLAN, replace(PLAN, final_steps=60)):
        rates = [plan.step(number, FRAME).rate for number in range(plan.steps(FRAME))]
        assert rates[0] == pytest.approx(0.5) and rates[79:] == pytest.approx([0.1] * (len(rates) - 79))
        assert all(later < earlier for earlier, later in zip(rates[:79], rates[1:80], strict=True))


def test_classes_part_between_two_steps():
    alike = [PLAN.step(number, FRAME).similarity for number in (0, 20, 30, 40, 80)]
    assert alike == pytest.approx([0.4, 0.4, 0.2, 0, 0])


def test_inflated_noise_falls_to_what_it_is_with_the_initial_steps():
    powers = [PLAN.step(number, FRAME).inflation for number in range(PLAN.steps(FRAME))]
    assert powers[0] == 1 and powers[15] == pytest.approx(0.5) and powers[30:] == [0.0] * 60
    assert all(later < earlier for earlier, later in zip(powers[:30], powers[1:31], strict=True))


def test_starts_are_compared_at_the_last_resolution():
    assert PLAN.trial_steps(FRAME) == 30 + 50 and PLAN.step(79, FRAME).band == 11


def test_a_coarser_end_than_the_beginning_is_no_growth():
    assert set(bands(replace(PLAN, final_A=80.0))) == {FRAME.shell(80.0)}
