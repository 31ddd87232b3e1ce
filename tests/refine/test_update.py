"""The new state: what was not touched stays, noise and grey scale follow the residuals."""

import numpy as np
import pytest

from halfmap.physics import noise
from halfmap.refine import update
from halfmap.types import Map
from tests.refine import made

SHELLS = 9
PIXELS = np.r_[1.0, 4 * np.arange(1, SHELLS)]  # of a half plane, about


def sums(images, data_power, slope=1.0, model_power=0.5):
    """Sums |x|^2, x m, m^2, pixels of images whose data follow the model with this slope."""
    pixels = images * PIXELS
    return np.stack([data_power * pixels, slope * model_power * pixels, model_power * pixels, pixels])


def models(n, grey=1.0):
    return tuple(noise.GroupModel(np.ones(SHELLS), grey) for _ in range(n))


def test_the_noise_is_what_the_model_does_not_explain():
    (new,) = update.new_models(models(1), {0: sums(1000, data_power=5.0)})
    # |x|^2 - 2 x m + m^2 with slope 1 is |x|^2 - m^2
    np.testing.assert_allclose(new.noise_sd**2, 4.5)


def test_one_group_keeps_its_grey_scale_whatever_the_slope():
    (new,) = update.new_models(models(1, 3.0), {0: sums(1000, 5.0, slope=1.3)})
    assert new.grey == pytest.approx(3.0)


def test_grey_scales_of_groups_move_relative_to_each_other():
    first, second = update.new_models(models(2), {0: sums(500, 5.0, slope=1.2), 1: sums(500, 5.0, slope=0.8)})
    assert (first.grey, second.grey) == (pytest.approx(1.2), pytest.approx(0.8))


def test_a_grey_scale_takes_no_leap():
    first, _ = update.new_models(models(2), {0: sums(1, 5.0, slope=90.0), 1: sums(5000, 5.0)})
    assert first.grey == update.GREY_STEP[1]


def test_a_large_group_keeps_its_own_noise_and_a_small_one_leans_on_all():
    large, small = update.new_models(models(2), {0: sums(10000, 5.0), 1: sums(5, 25.0)})
    mean = (10000 * 4.5 + 5 * 24.5) / 10005
    # the mean counts as NOISE_PRIOR_IMAGES images
    prior = update.NOISE_PRIOR_IMAGES
    np.testing.assert_allclose(small.noise_sd[2:] ** 2, (5 * 24.5 + prior * mean) / (5 + prior), rtol=1e-6)
    np.testing.assert_allclose(large.noise_sd**2, 4.5, rtol=0.01)


def test_a_group_without_images_in_the_sample_keeps_its_model():
    before = (*models(1), noise.GroupModel(np.full(SHELLS, 7.0), 2.0))
    after = update.new_models(before, {0: sums(100, 5.0), 1: np.zeros((4, SHELLS))})
    assert after[1] is before[1]


def test_shells_a_group_does_not_have_are_left_alone():
    part = sums(100, 5.0)
    part[:, 6:] = 0
    new, _ = update.new_models(models(2), {0: part, 1: sums(100, 5.0)})
    np.testing.assert_array_equal(new.noise_sd[6:], 1.0)


def test_a_reference_that_has_the_size_already_is_the_same_state():
    state = made.state()
    assert update.resampled(state, state.references.shape[-1]) is state


def test_resampling_keeps_the_length_of_the_box_and_the_values():
    z, y, x = np.mgrid[:16, :16, :16] - 8
    blob = np.exp(-(x**2 + y**2 + z**2) / 18).astype(np.float32)
    state = made.state(references=np.stack([blob, 2 * blob])[None])
    bigger = update.resampled(state, 24)
    assert bigger.references.shape == (1, 2, 24, 24, 24)
    assert bigger.reference_voxel_A * 24 == pytest.approx(state.reference_voxel_A * 16)
    # a Gaussian of 3 voxels has 1e-4 of its spectrum beyond the old Nyquist shell
    assert isinstance(bigger.reference(1), Map) and bigger.reference(1).data[12, 12, 12] == pytest.approx(2, abs=1e-3)


def test_seconds_are_added_to_the_last_line_of_history_only():
    state = made.state(history=({"iteration": 1}, {"iteration": 2}))
    rows = update.with_seconds(state, 3.0, {"poses": 1.0}).history
    assert rows == ({"iteration": 1}, {"iteration": 2, "seconds": 3.0, "seconds_poses": 1.0})
