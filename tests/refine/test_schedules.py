"""Bands, searches and the end of a refinement."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.refine import schedules
from halfmap.refine.batches import Frame
from tests.refine.made import state

FRAME = Frame(64, 2.0, 90.0)  # 128 A long: shell 32 is Nyquist
NYQUIST = 32


def marching(lowpass_A=32.0, max_align_A=None, extra=0, most=20, **more) -> schedules.Marching:
    return schedules.Marching(lowpass_A, max_align_A, extra, most, **more)


def grown(*areas) -> tuple[dict, ...]:
    return tuple({"fsc_area": area, "share": 1.0, "refit": False} for area in areas)


def holds(plan) -> bool:
    """Whether the box of the plan holds the shells it reconstructs."""
    return plan.band <= plan.reach <= plan.box // 2 and plan.box <= FRAME.box


def test_the_first_plan_searches_everything_at_the_resolution_of_the_starting_map():
    plan = marching(lowpass_A=16.0).first(FRAME, 9, 15.0)
    assert plan.searched.all() and len(plan.searched) == 9
    assert plan.band == plan.search_radius == 8  # 128 A / 16 A
    assert plan.offset_A == 15.0 and not plan.final and holds(plan)


@pytest.mark.parametrize("shell", [1, 3.2, 5, 9.7, 12, 20.5, 28, 31, 32])
def test_the_band_follows_the_fsc_with_headroom(shell):
    plan = marching().next(state(shell=shell), FRAME)
    expected = np.ceil(schedules.HEADROOM * shell)
    assert plan.band == min(max(expected, schedules.LEAST_BAND), NYQUIST)
    assert holds(plan)


def test_a_better_fsc_never_gives_a_narrower_band():
    bands = [marching().next(state(shell=s), FRAME).band for s in np.linspace(0, NYQUIST, 100)]
    assert (np.diff(bands) >= 0).all()


def test_there_is_room_for_the_fsc_to_grow_until_nyquist():
    for shell in np.linspace(1, 30, 59):
        plan = marching().next(state(shell=shell), FRAME)
        assert plan.reach > shell + 1 or plan.reach == NYQUIST


@pytest.mark.parametrize("limit_A, shell", [(40.0, 3), (12.8, 10), (4.0, 32)])
def test_no_alignment_goes_beyond_the_limit_of_the_user(limit_A, shell):
    schedule = marching(lowpass_A=10.0, max_align_A=limit_A)
    plans = [schedule.first(FRAME, 6, 15.0), *(schedule.next(state(shell=s), FRAME) for s in (2, 8, 15, 32))]
    for plan in plans:
        assert plan.band <= shell and plan.search_radius <= shell
        assert max(radius for radius, _ in plan.stages) <= shell


def test_a_band_that_grows_fast_is_approached_in_two_stages():
    (calm,) = marching().next(state(shell=8.5, band=9), FRAME).stages
    half, whole = marching().next(state(shell=18, band=5), FRAME).stages
    assert calm[0] == 10
    assert 5 < half[0] < whole[0] == 20
    assert half[0] == 10  # the geometric mean of 5 and 20


def test_the_refinement_goes_on_while_the_fsc_grows():
    grow = grown(*schedules.GAIN ** (1.1 * np.arange(15)))
    assert not marching().next(state(history=grow), FRAME).final


def test_the_last_plan_reconstructs_to_nyquist():
    plan = marching().next(state(shell=6, history=grown(5, 5)), FRAME)
    assert plan.final and plan.reach == NYQUIST and plan.box == FRAME.box
    assert plan.band == 7  # it aligns no finer for it


@pytest.mark.parametrize("extra", [0, 1, 3])
def test_extra_passes_follow_the_last_progress(extra):
    schedule = marching(extra=extra)
    finals = [schedule.next(state(history=grown(4, *(5,) * calm)), FRAME).final for calm in range(1, 7)]
    # the first 5 is progress; each further one is calm, and more than ``extra`` of them end it
    assert finals == [calm - 1 > extra for calm in range(1, 7)]


def test_progress_starts_the_count_of_extra_passes_anew():
    assert not marching(extra=1).next(state(history=grown(5, 5, 6, 6)), FRAME).final
    assert marching(extra=1).next(state(history=grown(5, 5, 6, 6, 6)), FRAME).final


def test_recovering_from_a_loss_is_no_progress():
    assert marching(extra=1).next(state(history=grown(10, 8, 9)), FRAME).final


def test_the_refinement_ends_at_the_largest_number_of_iterations():
    grow = grown(1, 2, 3, 4)
    assert marching(most=4).next(state(iteration=4, history=grow), FRAME).final
    assert not marching(most=5).next(state(iteration=4, history=grow), FRAME).final


def test_a_settled_state_is_done_only_when_it_reaches_nyquist():
    settled = {"history": grown(5, 5)}
    assert marching().done(state(reach=NYQUIST, **settled), FRAME)
    assert not marching().done(state(reach=NYQUIST - 1, **settled), FRAME)
    assert not marching().done(state(reach=NYQUIST, history=grown(4, 5)), FRAME)


def test_only_doubtful_particles_are_searched_again():
    weights = np.array([[1, 0], [0.6, 0.4], [1, 0], [0.99, 0.01]])
    plan = marching().next(state(4, weights=weights, cross=np.array([100, 100, 20, 99.0])), FRAME)
    np.testing.assert_array_equal(plan.searched, [False, True, True, False])
    assert plan.offset_A == FRAME.resolution_A(plan.search_radius) / 2


def test_the_second_search_is_never_finer_than_it_needs_to_be():
    large = replace(FRAME, diameter_A=300.0)
    plan = marching().next(state(shell=30), large)
    assert plan.search_radius == large.shell(schedules.RESEARCH_A) < plan.band


def test_a_small_particle_is_searched_again_at_a_resolution_that_tells_its_sides_apart():
    small = replace(FRAME, diameter_A=80.0)
    plan = marching().next(state(shell=30), small)
    assert plan.search_radius == small.shell(8.0) > small.shell(schedules.RESEARCH_A)


def test_nothing_is_searched_again_with_a_map_no_finer_than_the_first():
    doubt = np.tile([0.5, 0.5], (6, 1))
    assert not marching(lowpass_A=16.0).next(state(shell=5, weights=doubt), FRAME).searched.any()


def test_nothing_is_searched_again_late():
    doubt = np.tile([0.5, 0.5], (6, 1))
    last = marching().last_research
    assert marching().next(state(shell=12, weights=doubt, iteration=last), FRAME).searched.all()
    assert not marching().next(state(shell=12, weights=doubt, iteration=last + 1), FRAME).searched.any()


def test_noise_alone_makes_few_particles_doubtful():
    n, rng = 20000, np.random.default_rng(4)
    power = rng.uniform(20, 400, n)
    cross = power * rng.normal(0.8, schedules.SPREAD, n) + rng.normal(0, np.sqrt(power / 2), n)
    flagged = schedules.doubtful(state(n, cross=cross, power=power)).mean()
    # a Gaussian lies 2.5 standard deviations below its mean in 0.62 % of cases; 20,000 tell that to 0.06 %
    assert flagged == pytest.approx(0.0062, abs=0.0018)


def test_a_search_of_particles_off_their_model_is_about_the_box_centre():
    power = np.full(6, 200.0)
    cross = power * np.array([1, 1, 1, 1, 0.0, 0.0])  # the last two do not lie along their projections
    found = state(6, shell=12, cross=cross, power=power)
    plan = marching().next(found, FRAME, 25.0)
    assert plan.astray is None and plan.astray_A == 25.0  # as far off as at the first search
    told = schedules.searching(plan, found, np.arange(6) < 5)
    assert told.searched.tolist() == [True] * 5 + [False] and np.flatnonzero(told.astray).tolist() == [4]


def lying_low(iteration, **more):
    """A state of ten particles of which the third takes too little of its model for two standard deviations."""
    power = np.full(10, 200.0)
    low = 2 * np.sqrt(1 / 400 + schedules.SPREAD**2)
    return state(10, shell=12, cross=power * (1 - low * (np.arange(10) == 2)), power=power, iteration=iteration, **more)


def test_a_better_map_has_particles_that_lie_low_on_it_searched_over_all_shifts():
    assert not schedules.doubtful(lying_low(2)).any()
    last = marching().last_far
    for iteration in (2, last):
        plan = marching().next(lying_low(iteration), FRAME, 25.0)
        assert np.flatnonzero(plan.searched).tolist() == np.flatnonzero(plan.astray).tolist() == [2]
        assert plan.astray_A == 25.0
    for early_or_late in (1, last + 1):
        plan = marching().next(lying_low(early_or_late), FRAME, 25.0)
        assert plan.astray is None and not plan.searched.any()


@pytest.mark.parametrize("farther, usual_A, range_A", [(1.0, 25.0, 25.0), (1.5, 25.0, 37.5), (1.5, 0.0, 4.0)])
def test_particles_astray_are_looked_for_farther_out_than_the_others(farther, usual_A, range_A):
    plan = marching(farther=farther).next(lying_low(2), FRAME, usual_A)
    assert plan.astray_A == max(range_A, plan.offset_A) and plan.astray.any()


def test_no_particle_is_searched_far_in_the_last_iteration_nor_about_a_given_pose():
    settled = grown(5, 5, 5)
    last = marching().next(lying_low(2, history=settled), FRAME, 25.0)
    assert last.final and last.astray is None and not last.searched.any()
    given = schedules.FromPoses(32.0, None, 0, 20).next(lying_low(2), FRAME, 25.0)
    assert given.astray is None


def test_particles_off_their_model_are_doubtful():
    power = np.full(100, 200.0)
    cross = np.where(np.arange(100) < 10, 0.0, power)
    np.testing.assert_array_equal(schedules.doubtful(state(100, cross=cross, power=power)), np.arange(100) < 10)


def test_doubt_does_not_depend_on_the_common_scale_of_map_and_images():
    rng = np.random.default_rng(4)
    power = rng.uniform(20, 400, 500)
    cross = power * rng.normal(1, 0.5, 500)
    made = [schedules.doubtful(state(500, cross=cross, power=power, weights=np.tile([w, 1 - w], (500, 1))))
            for w in (1.0, 0.995)]  # fmt: skip
    np.testing.assert_array_equal(*made)
    assert made[0].any() and not made[0].all()


@pytest.mark.parametrize("n, every", [(1, 1), (1000, 1), (1999, 1), (2000, 2), (75000, 75)])
def test_about_a_thousand_particles_tell_the_noise(n, every):
    assert marching().first(FRAME, n, 15.0).stock_every == every


def test_one_pass_lays_every_image_in_where_it_is_said_to_be():
    plan = schedules.OnePass().first(FRAME, 7, 0.0)
    assert plan.final and not plan.searched.any()
    assert plan.reach == NYQUIST and plan.box == FRAME.box
    assert all(rounds == 0 for _, rounds in plan.stages)


# ---- shells that do not align


def plans(schedule):
    """The first plan, one with a second search, one without a search."""
    doubt = np.tile([0.5, 0.5], (6, 1))
    calm = schedule.next(state(shell=20, band=22, iteration=5), FRAME)
    return schedule.first(FRAME, 6, 15.0), schedule.next(state(shell=20, weights=doubt), FRAME), calm


def test_all_shells_align_unless_the_user_says_otherwise():
    assert [plan.lowest for plan in plans(marching(lowpass_A=12.8))] == [0, 0, 0]


def test_shells_coarser_than_the_limit_do_not_align():
    # 128 A / 42.7 A = shell 3; the first search goes to shell 10
    assert [plan.lowest for plan in plans(marching(lowpass_A=12.8, min_align_A=42.7))] == [3, 3, 3]


@pytest.mark.parametrize("limit_A", [1.0, 5.0, 9.0, 16.0, 30.0, 60.0, 500.0])
def test_some_shells_align_in_every_step_whatever_the_limit(limit_A):
    for lowpass_A in (12.8, 20.0, 40.0):
        for plan in plans(marching(lowpass_A=lowpass_A, min_align_A=limit_A)):
            finest = [radius for radius, _ in plan.stages] + ([plan.search_radius] if plan.searched.any() else [])
            assert plan.lowest == max(min(FRAME.shell(limit_A), min(finest) - schedules.LEAST_BAND), 0)


def test_the_limit_is_kept_once_nothing_is_searched_any_more():
    # 128 A / 9.14 A = shell 14, beyond the band of a second search (20 A, shell 6)
    *_, calm = plans(marching(lowpass_A=12.8, min_align_A=9.14))
    assert not calm.searched.any() and calm.band == 22 and calm.lowest == 14


def test_a_limit_changes_nothing_else_of_a_plan():
    for plain, limited in zip(plans(marching()), plans(marching(min_align_A=40.0)), strict=True):
        for name in ("band", "reach", "box", "stages", "search_radius", "offset_A", "final", "stock_every"):
            assert getattr(plain, name) == getattr(limited, name)
        np.testing.assert_array_equal(plain.searched, limited.searched)
        np.testing.assert_array_equal(plain.used, limited.used)


# ---- early subsets

SUBSETS = schedules.Subsets(1000, 3.0)


@pytest.mark.parametrize("iteration", range(4))
def test_a_subset_has_the_size_that_was_asked_for(iteration):
    # the sequence of golden sections fills an interval with a discrepancy of less than 3 ln(n) / n
    wanted = 1000 * 3**iteration
    assert abs(SUBSETS.used(200_000, iteration).sum() - wanted) < 3 * np.log(200_000)


def test_a_subset_is_spread_evenly_over_the_table():
    used = SUBSETS.used(60_000, 0)
    parts = used.reshape(20, -1).sum(1)  # twenty stretches of 3000 with 50 each; discrepancy as above
    assert abs(parts - 50).max() < 3 * np.log(3000)


def test_a_particle_that_takes_part_goes_on_doing_so():
    used = [SUBSETS.used(50_000, i) for i in range(6)]
    assert all((later | ~earlier).all() for earlier, later in zip(used, used[1:], strict=False))


@pytest.mark.parametrize("n, iteration", [(1, 0), (1999, 0), (5999, 1), (10**5, 4)])
def test_more_than_half_of_all_are_all(n, iteration):
    assert SUBSETS.used(n, iteration).all()


def test_half_of_all_are_not_yet_all():
    assert not SUBSETS.used(2000, 0).all()


def test_a_faster_growth_is_done_sooner():
    done = [next(i for i in range(50) if schedules.Subsets(100, growth).used(10**5, i).all()) for growth in (1.5, 3, 9)]
    # 100 growth^i > 50,000
    assert done == [int(np.log(500) / np.log(growth)) + 1 for growth in (1.5, 3, 9)]


@pytest.mark.parametrize("n, iteration", [(7, 0), (10**6, 0), (10**6, 9)])
def test_without_subsets_everyone_takes_part(n, iteration):
    assert schedules.Everyone().used(n, iteration).all() and len(schedules.Everyone().used(n, iteration)) == n


def half_seen(n=6, **changes):
    """A state of which the second half of the particles was never looked for."""
    before = state(n)
    likelihood = before.candidates.log_likelihood.copy()
    likelihood[n // 2 :] = -np.inf
    weights = before.weights.copy()
    weights[n // 2 :] = 0
    unseen = replace(before, candidates=replace(before.candidates, log_likelihood=likelihood), weights=weights)
    return replace(unseen, **changes)


def test_particles_that_join_late_are_searched_over_all_shifts():
    plan = marching().next(half_seen(iteration=9), FRAME, 15.0)
    np.testing.assert_array_equal(plan.searched, np.arange(6) >= 3)
    assert plan.offset_A == 15.0
    # what was found at low resolution climbs to the band from there
    assert plan.stages[0][0] <= 2 * plan.search_radius


def test_only_those_that_take_part_are_searched():
    few = marching(subsets=schedules.Subsets(10, 2.0))
    first, later = few.first(FRAME, 1000, 15.0), few.next(half_seen(1000, iteration=1), FRAME, 15.0)
    np.testing.assert_array_equal(first.searched, first.used)
    assert abs(first.used.sum() - 10) <= 3 and abs(later.used.sum() - 20) <= 3
    np.testing.assert_array_equal(later.searched, later.used & (np.arange(1000) >= 500))


def test_the_last_iteration_uses_all_and_looks_for_those_never_seen():
    few = marching(most=1, subsets=schedules.Subsets(10, 2.0))
    plan = few.next(half_seen(1000), FRAME, 15.0)
    assert plan.final and plan.used.all()
    np.testing.assert_array_equal(plan.searched, np.arange(1000) >= 500)


def test_a_state_of_a_part_of_the_particles_is_never_done():
    whole = {"iteration": 4, "reach": NYQUIST}
    partial = state(history=(*grown(5), {"fsc_area": 5.0, "share": 0.3, "refit": False}), **whole)
    assert not marching(most=4).done(partial, FRAME) and marching(most=4).next(partial, FRAME).final
    assert marching(most=4).done(state(history=grown(5, 6), **whole), FRAME)


def test_a_part_of_the_particles_is_never_enough_to_settle():
    partial = tuple({"fsc_area": 5.0, "share": 0.3, "refit": False} for _ in range(9))
    assert not marching().next(state(history=partial), FRAME).final
    assert not marching().next(state(history=(*partial, *grown(5))), FRAME).final
    assert marching().next(state(history=(*partial, *grown(5, 5))), FRAME).final


def refitted(*areas, before=(5.0, 5.0)) -> tuple[dict, ...]:
    """History of a refinement that settled at ``before`` and then began to refine CTF values."""
    return grown(*before) + tuple({**row, "refit": True} for row in grown(*areas))


def test_ctf_values_are_refined_once_the_rest_has_settled():
    schedule = replace(marching(), refits=4)
    assert not schedule.next(state(history=grown(4, 5)), FRAME).refit
    plan = schedule.next(state(history=grown(5, 5)), FRAME)
    assert plan.refit and not plan.final
    assert not schedule.done(state(reach=NYQUIST, history=grown(5, 5)), FRAME)


def test_ctf_values_are_refined_on_while_that_helps_and_the_end_follows():
    schedule = replace(marching(), refits=4)
    growing, calm = (schedule.next(state(history=refitted(*areas)), FRAME) for areas in ((6.0,), (6.0, 6.0)))
    assert growing.refit and not growing.final
    assert calm.final and not calm.refit


def test_ctf_values_are_refined_no_more_often_than_asked_for():
    schedule = replace(marching(), refits=2)
    plan = schedule.next(state(history=refitted(6.0, 7.0)), FRAME)
    assert plan.final and not plan.refit


def test_without_ctf_refinement_nothing_is_refitted():
    assert not any(marching().next(state(history=h), FRAME).refit for h in (grown(4, 5), grown(5, 5)))
