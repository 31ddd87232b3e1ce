"""The schedule of `refine auto`: sampling, searches, and the end."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.align import polar
from halfmap.refine import autorefine, sampling, schedules
from halfmap.refine.batches import Frame
from tests.refine.made import state

FRAME = Frame(64, 2.0, 90.0)  # 128 A long: shell 32 is Nyquist, 4 A; at 8 A a step of 10 degrees will do


def auto(**changes) -> autorefine.Auto:
    return autorefine.Auto(**{"initial_lowpass_A": 32.0, "max_align_A": None, "extra_final_passes": 0,
                              "max_iterations": 50, **changes})  # fmt: skip


def rows(*areas, order=3, accuracy=2.0, changes=None) -> tuple[dict, ...]:
    changes = changes or [None, *(4.0 / i for i in range(1, len(areas)))]
    return tuple({"fsc_area": area, "share": 1.0, "refit": False, "healpix_order": order, "resolution_A": 8.0,
                  "accuracy_rotation_deg": accuracy, "change_rotation_deg": change, "searched": 0}
                 for area, change in zip(areas, changes, strict=True))  # fmt: skip


def doubtful(n=6, who=(1, 4), **changes):
    made = state(n, **changes)
    weights = made.weights.copy()
    weights[list(who), 0] = 0.5
    return replace(made, weights=weights)


GROWING, CALM = (5, 7, 9), (5, 9, 9, 9)


def test_the_first_search_is_of_all_particles_at_the_step_asked_for():
    plan = auto(initial_deg=3.7, offset_range_px=6.0, offset_step_px=1.5).first(FRAME, 9, 15.0)
    assert plan.searched.all() and plan.sampling.order == 4 and not plan.sampling.local
    assert plan.sampling.offset_range_A == 12.0 and plan.sampling.offset_step_A == 3.0  # pixels of 2 A


def test_shifts_are_never_coarser_than_half_the_resolution_of_the_search():
    plan = auto(offset_step_px=30.0).first(FRAME, 9, 15.0)
    assert plan.sampling.offset_step_A == 16.0 and plan.sampling.offset_range_A == 15.0


def test_only_particles_in_doubt_are_searched_again_and_only_for_another_map():
    plan = auto().next(doubtful(history=rows(*GROWING)), FRAME)
    assert np.flatnonzero(plan.searched).tolist() == [1, 4] and not plan.sampling.local
    assert not auto().next(doubtful(history=rows(*CALM)), FRAME).searched.any()


def test_the_sampling_waits_for_resolution_and_poses_to_rest():
    moving = rows(*CALM, changes=[None, 30, 20, 10])
    assert auto().next(doubtful(shell=16, history=moving), FRAME).sampling.order == 3
    resting = rows(*CALM, changes=[None, 9, 0.5, 0.5])
    plan = auto().next(doubtful(shell=16, history=resting), FRAME)
    assert plan.sampling.order == 4 and np.flatnonzero(plan.searched).tolist() == [1, 4]


def test_faster_is_what_the_resolution_needs_at_once():
    growing = doubtful(shell=30, history=rows(*GROWING, accuracy=0.3))
    assert auto().next(growing, FRAME).sampling.order == 3
    plan = auto(faster=True).next(growing, FRAME)
    needed = sampling.needed_deg(128 / 30, 90.0)
    assert sampling.step_deg(plan.sampling.order) <= needed < sampling.step_deg(plan.sampling.order - 1)


@pytest.mark.parametrize("faster", [True, False])
def test_no_sampling_is_finer_than_the_accuracy_justifies(faster):
    accuracy = 9.0  # three quarters of the turn of one per cent are 11.8 degrees
    history = rows(5, 5, 5, 5, 5, accuracy=accuracy, changes=[None, 1, 1, 1, 1])
    assert auto(faster=faster).next(doubtful(shell=32, history=history), FRAME).sampling.order == 3
    fine = auto(faster=faster).next(doubtful(shell=32, history=rows(*CALM, accuracy=0.2)), FRAME)
    assert fine.sampling.order > 3 or not faster


def test_no_search_in_all_directions_is_finer_than_its_band_needs():
    growing = doubtful(shell=30, history=rows(*GROWING, accuracy=0.1))
    plan = auto(faster=True, local_from_deg=0.1).next(growing, FRAME)
    enough = polar.coarsest_order(FRAME.resolution_A(plan.search_radius), FRAME.diameter_A)
    assert plan.sampling.far_order == max(enough, 3) < plan.sampling.order
    asked = auto(faster=True, local_from_deg=0.1, initial_deg=3.7).next(growing, FRAME)
    assert asked.sampling.far_order == 4  # what the user begins with stays


def test_from_the_step_asked_for_searches_are_near_the_known_pose():
    history = rows(*CALM, order=4, accuracy=0.3, changes=[None, 9, 0.1, 0.1])
    far, near = (auto(local_from_deg=d).next(doubtful(history=history), FRAME) for d in (0.9, 1.8))
    assert far.sampling.order == near.sampling.order == 5
    assert not far.sampling.local and near.sampling.local
    assert near.searched.any()


def test_it_ends_when_a_finer_sampling_is_useless_and_nothing_moves():
    resting = rows(*CALM, accuracy=9.0, changes=[None, 9, 0.5, 0.5])
    assert auto().next(state(shell=6, history=resting), FRAME).final
    useful = rows(*CALM, accuracy=0.1, changes=[None, 9, 0.01, 0.01])
    assert not auto().next(state(shell=6, history=useful), FRAME).final
    assert auto(faster=True).next(state(shell=6, history=useful), FRAME).final
    moving = rows(*CALM, accuracy=9.0, changes=[None, 90, 60, 30])
    assert not auto().next(state(shell=6, history=moving), FRAME).final
    assert auto(faster=True).next(state(shell=6, history=moving), FRAME).final


def test_the_end_can_be_forced():
    assert auto(force=True).next(state(history=rows(*GROWING)), FRAME).final
    assert auto(max_iterations=1).next(state(history=rows(*GROWING)), FRAME).final


def test_after_a_change_of_sampling_the_counting_starts_anew():
    history = (*rows(*CALM, changes=[None, 9, 0.1, 0.1]), *rows(9, order=4, changes=[0.1]))
    told = auto().facts(state(history=history), auto().first(FRAME, 6, 15.0), FRAME)
    assert told["iterations_without_gain"] == told["iterations_at_rest"] == 3  # the plan is of order 3 again
    plan = replace(auto().first(FRAME, 6, 15.0), sampling=sampling.Sampling(4, False, 4, 15.0, 16.0))
    told = auto().facts(state(history=history), plan, FRAME)
    assert told["iterations_without_gain"] == 1 and told["iterations_at_rest"] == 1


def test_an_iteration_tells_what_was_used():
    plan = auto().first(FRAME, 6, 15.0)
    told = auto().facts(state(history=rows(5.0)), plan, FRAME)
    assert told["angular_step_deg"] == 7.5 and told["healpix_order"] == 3 and told["image_size"] == 2 * plan.band
    assert told["offset_range_A"] == 15.0 and not told["converged"] and not told["last"]
    assert schedules.OnePass().facts(None, None, None) == {}
