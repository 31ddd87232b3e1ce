"""Every rule of the advisor: where it speaks, what it says, and where it is silent."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.maps.sharpness import Mixture
from halfmap.refine import advice
from halfmap.types import Curve

SHELLS, BOX, VOXEL_A = 51, 100, 2.0


def curve(name, values):
    return Curve(name, np.asarray(values, float), BOX, VOXEL_A)


def falling(to, width=3.0):
    """A curve that falls through 0.5 at shell ``to``."""
    return 1 / (1 + np.exp((np.arange(SHELLS) - to) / width))


def curves(**changed):
    parts = {"no_mask": falling(22), "tight": falling(30), "randomised": np.zeros(SHELLS), **changed}
    return {name: curve(name, values) for name, values in {"corrected": parts["tight"], **parts}.items()}


# a sound refinement: nothing to say
SOUND = advice.Evidence(
    curves(), split_A=20.0, box=BOX, voxel_size_A=VOXEL_A, particle_box=BOX, pixel_size_A=VOXEL_A,
    cfar=0.8, precision_ratio=2.0, scales=np.random.default_rng(1).normal(1, 0.1, 2000),
    cross=np.full(2000, 100.0), power=np.full(2000, 100.0), halves=(1000, 1000), halves_given=(1000, 1000),
    iterations=5, max_iterations=20,
)  # fmt: skip


def said(**changes):
    return advice.advise(replace(SOUND, **changes))


def only(**changes):
    """The one sentence that these changes bring about."""
    (sentence,) = said(**changes)
    return sentence


def test_a_sound_refinement_gets_no_advice():
    assert said() == []


def test_a_run_that_knows_only_its_curves_gets_advice_on_them_alone():
    assert advice.advise(advice.Evidence(curves(), np.inf, BOX, VOXEL_A, BOX, VOXEL_A)) == []


def test_halves_that_agree_only_where_they_share_data_are_no_evidence():
    low = falling(8, 1.0)
    sentence = only(curves=curves(tight=low, no_mask=low))
    assert "no finer than the 20 A" in sentence and "no evidence" in sentence


def test_independent_halves_that_agree_nowhere_are_told_so():
    nothing = np.r_[1.0, np.full(SHELLS - 1, 0.05)]
    assert "at no resolution" in only(split_A=np.inf, curves=curves(tight=nothing, no_mask=nothing))


def test_halves_that_agree_further_than_they_share_are():
    assert said(curves=curves(tight=falling(14, 1.0), no_mask=falling(13, 1.0))) == []


def test_a_box_smaller_than_the_images_is_the_limit_and_a_larger_one_is_named():
    ones = np.ones(SHELLS)
    sentence = only(curves=curves(tight=ones, no_mask=ones), particle_box=180, pixel_size_A=VOXEL_A * BOX / 180)
    assert "Nyquist" in sentence and "4.00 A" in sentence and "--box-size 150" in sentence


def test_images_that_are_the_limit_are_to_be_extracted_finer():
    ones = np.ones(SHELLS)
    sentence = only(curves=curves(tight=ones, no_mask=ones))
    assert "less binned" in sentence and "150 pixels of 1.33 A" in sentence


def test_a_mask_that_correlates_everything_is_not_mistaken_for_a_small_box():
    ones = np.ones(SHELLS)
    assert "too tight" in only(curves=curves(tight=ones, randomised=0.9 * ones), mask_faults=("the mask is too tight",))


def test_a_resolution_just_short_of_nyquist_is_free():
    values = np.where(np.arange(SHELLS) < 0.95 * (SHELLS - 1), 0.5, 0.0)
    values[:20] = 1.0
    assert said(curves=curves(tight=values, no_mask=np.minimum(values, falling(22)))) == []


def test_a_mask_that_could_not_judge_is_told_and_a_good_one_is_not():
    assert only(mask_faults=("the tight FSC mask is too tight",)) == "the tight FSC mask is too tight"
    assert said() == []


def test_directions_of_unequal_resolution_are_told_with_their_number():
    sentence = only(cfar=0.31)
    assert "cFAR 0.31" in sentence and "add views" in sentence


def test_cones_that_differ_by_noise_alone_are_not():
    assert said(cfar=0.31, directions_differ=False) == []


@pytest.mark.parametrize("ratio, words", [(25.0, "25 times"), (np.inf, "not measured at all")])
def test_directions_of_unequal_precision_are_told(ratio, words):
    assert words in only(precision_ratio=ratio)


def test_precision_within_one_order_of_magnitude_is_fine():
    assert said(precision_ratio=9.9) == []


def test_many_scales_far_from_the_usual_are_told():
    scales = SOUND.scales.copy()
    scales[:200] = 0.1
    assert "200 of 2000 particles (10 %)" in only(scales=scales)


def test_scales_are_judged_relative_to_their_median():
    assert said(scales=40 * SOUND.scales) == []


def test_halves_that_became_unequal_are_told():
    assert "1000 and 600 particles" in only(halves=(1000, 600))


@pytest.mark.parametrize("halves, given", [((1000, 600), (1000, 600)), ((1000, 960), (1000, 1000)), ((5, 2), (5, 5))])
def test_halves_told_of_before_nearly_equal_or_tiny_are_not(halves, given):
    assert said(halves=halves, halves_given=given) == []


def test_particles_against_the_map_are_told():
    cross = SOUND.cross.copy()
    cross[:60] = -5
    assert "60 of 2000 particles (3 %) show nothing" in only(cross=cross)


def test_a_few_particles_against_the_map_are_not():
    cross = SOUND.cross.copy()
    cross[:15] = -5
    assert said(cross=cross) == []


def test_a_large_fraction_of_junk_is_told():
    cross = SOUND.cross.copy()
    cross[:500] = 20
    assert "500 of 2000 particles (25 %) follow the map less than half" in only(cross=cross)


def test_images_too_noisy_to_tell_are_not_called_junk():
    cross = np.full(2000, 1.0)
    cross[:500] = 0.2
    # power 1: the slope of one particle has a standard deviation of 0.7
    assert said(cross=cross, power=np.ones(2000)) == []


def test_a_dynamic_mask_that_gave_way_is_told():
    assert "--dynamic-mask-threshold" in only(mask_gave_way=True)


def test_mates_that_cannot_be_told_apart_are_told():
    even = np.random.default_rng(1).uniform(0.25, 0.6, 500)
    words = only(mate_certainty=even, mates=4)
    assert "the 4 symmetry mates cannot be told apart" in words and "0 of 500" in words and "--relax-symmetry" in words
    assert f"{np.median(even):.2f}; 0.25" in words


@pytest.mark.parametrize("sure, silent", [(0.7, True), (0.6, False)])
def test_two_thirds_of_the_particles_must_know_their_mate(sure, silent):
    certainty = np.where(np.arange(1000) < 1000 * sure, 0.99, 0.5)
    assert (said(mate_certainty=certainty, mates=2) == []) == silent


def test_without_competing_mates_nothing_is_said_of_them():
    assert said(mate_certainty=None) == said(mate_certainty=np.array([])) == []


def test_a_run_stopped_while_it_grew_is_told():
    assert "after 20 iterations" in only(iterations=20, still_growing=True)


@pytest.mark.parametrize("end", [{"iterations": 20}, {"iterations": 19, "still_growing": True},
                                 {"iterations": 20, "still_growing": True, "max_iterations": None}])  # fmt: skip
def test_a_run_that_had_settled_or_had_no_limit_is_not(end):
    assert said(**end) == []


@pytest.mark.parametrize("count, words", [(1, "1 image could"), (3, "3 images could")])
def test_images_left_out_are_counted(count, words):
    assert words in only(rejected=count)


@pytest.mark.parametrize("count, words", [(1, "1 pair of particles"), (1200, "1,200 pairs of particles")])
def test_picks_of_both_half_sets_that_are_one_particle_are_told(count, words):
    sentence = only(met=(count, 18.0))
    assert words in sentence and "within 18 A" in sentence and "--duplicate-distance 18 " in sentence


def test_picks_that_do_not_meet_are_not():
    assert said(met=(0, 18.0)) == []


def test_the_gravest_comes_first():
    low = falling(8, 1.0)
    first, *_, last = said(rejected=3, cfar=0.2, curves=curves(tight=low, no_mask=low))
    assert "no evidence" in first and "left out" in last


# ---- of a local refinement

NEARBY = {"held_back": {"rotation": (0.02, 20.0), "shift": (0.01, 10.0)}, "course": ((6.0, 20.0), (8.0, 25.0))}


def test_a_sound_local_refinement_gets_no_advice():
    assert said(**NEARBY, curves=curves(masked=falling(30))) == []


def test_particles_at_the_edge_of_an_extent_ask_for_more_of_it_or_another_fulcrum():
    sentence = only(**NEARBY | {"held_back": {"rotation": (0.08, 20.0), "shift": (0.01, 10.0)}})
    assert "8 % of the particles are turned as far as --rotation-search-extent 20 deg" in sentence
    assert "--fulcrum" in sentence and "--use-alignment-prior" in sentence and "shift-search" not in sentence


def test_a_corrected_curve_far_below_that_of_the_mask_asks_for_a_softer_mask():
    apart = curves(masked=falling(30), corrected=0.8 * falling(26))
    assert "softer edge" in only(**NEARBY, curves=apart)
    assert said(curves=apart) == []  # the rule is one of parts; others have their own


def test_poses_that_wander_while_the_map_gets_noisier_ask_for_a_prior():
    sentence = only(**NEARBY | {"course": ((6.0, 25.0), (9.0, 22.0))})
    assert "6.0 to 9.0 degrees" in sentence and "--use-alignment-prior" in sentence
    assert said(**NEARBY | {"course": ((6.0, 25.0), (6.5, 22.0))}) == []


@pytest.mark.parametrize("mixture, told", [
    (None, False),
    (Mixture(blurred=0.8, sharp_detail=0.3), False),  # the part that moves, and what hangs on it
    (Mixture(blurred=0.1, sharp_detail=0.8), False),  # nothing moves
    (Mixture(blurred=0.6, sharp_detail=0.6), True),
])  # fmt: skip
def test_a_mask_of_a_part_must_not_hold_the_detail_of_the_rest(mixture, told):
    sentence = advice.rest_in_mask(mixture)
    assert (sentence is not None) == told
    assert not told or ("60 % of its detail" in sentence and "--operation difference" in sentence)
