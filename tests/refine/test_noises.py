"""Noise models: noise and grey scale follow the residuals."""

import numpy as np
import pytest

from halfmap.physics import noise
from halfmap.refine import noises

SHELLS = 9
PIXELS = np.r_[1.0, 4 * np.arange(1, SHELLS)]  # of a half plane, about


def sums(images, data_power, slope=1.0, model_power=0.5):
    """Sums |x|^2, x m, m^2, pixels of images whose data follow the model with this slope."""
    pixels = images * PIXELS
    return np.stack([data_power * pixels, slope * model_power * pixels, model_power * pixels, pixels])


def models(n, grey=1.0):
    return tuple(noise.GroupModel(np.ones(SHELLS), grey) for _ in range(n))


def test_the_noise_is_what_the_model_does_not_explain():
    (new,) = noises.Symmetric().updated(models(1), {0: sums(1000, data_power=5.0)})
    # |x|^2 - 2 x m + m^2 with slope 1 is |x|^2 - m^2
    np.testing.assert_allclose(new.noise_sd**2, 4.5)


def test_one_group_keeps_its_grey_scale_whatever_the_slope():
    (new,) = noises.Symmetric().updated(models(1, 3.0), {0: sums(1000, 5.0, slope=1.3)})
    assert new.grey == pytest.approx(3.0)


def test_grey_scales_of_groups_move_relative_to_each_other():
    first, second = noises.Symmetric().updated(models(2), {0: sums(500, 5.0, slope=1.2), 1: sums(500, 5.0, slope=0.8)})
    assert (first.grey, second.grey) == (pytest.approx(1.2), pytest.approx(0.8))


def test_a_grey_scale_takes_no_leap():
    first, _ = noises.Symmetric().updated(models(2), {0: sums(1, 5.0, slope=90.0), 1: sums(5000, 5.0)})
    assert first.grey == noises.GREY_STEP[1]


def test_a_large_group_keeps_its_own_noise_and_a_small_one_leans_on_all():
    large, small = noises.Symmetric().updated(models(2), {0: sums(10000, 5.0), 1: sums(5, 25.0)})
    mean = (10000 * 4.5 + 5 * 24.5) / 10005
    prior = noises.Symmetric().prior_images
    np.testing.assert_allclose(small.noise_sd[2:] ** 2, (5 * 24.5 + prior * mean) / (5 + prior), rtol=1e-6)
    np.testing.assert_allclose(large.noise_sd**2, 4.5, rtol=0.01)


def test_a_group_without_images_in_the_sample_keeps_its_model():
    before = (*models(1), noise.GroupModel(np.full(SHELLS, 7.0), 2.0))
    after = noises.Symmetric().updated(before, {0: sums(100, 5.0), 1: np.zeros((4, SHELLS))})
    assert after[1] is before[1]


def test_shells_a_group_does_not_have_are_left_alone():
    part = sums(100, 5.0)
    part[:, 6:] = 0
    new, _ = noises.Symmetric().updated(models(2), {0: part, 1: sums(100, 5.0)})
    np.testing.assert_array_equal(new.noise_sd[6:], 1.0)


def test_the_weight_of_the_mean_is_what_the_user_says():
    shells = {0: sums(10000, 5.0), 1: sums(5, 25.0)}
    alone, leaning = (noises.Symmetric(prior).updated(models(2), shells)[1] for prior in (0.0, 5000.0))
    np.testing.assert_allclose(alone.noise_sd**2, 24.5)
    np.testing.assert_allclose(leaning.noise_sd[2:] ** 2, 4.5, rtol=0.01)
