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


# ---- laws of all models

KINDS = list(noises.MODELS.values())


def plane(radius=8, seed=1):
    """A power spectrum on a half plane that falls with frequency and differs by direction."""
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    k = np.hypot(kx, ky)
    return (1 + 9 / (1 + k)) * (1 + 0.5 * (abs(kx) > abs(ky))) * np.random.default_rng(seed).uniform(0.9, 1.1, k.shape)


@pytest.mark.parametrize("kind", KINDS)
def test_louder_images_have_louder_noise(kind):
    part, shells = kind(), {0: sums(900, 5.0), 1: sums(100, 7.0)}
    np.testing.assert_allclose(part.first(9 * plane()).noise_sd, 3 * part.first(plane()).noise_sd)
    louder = {g: s * np.array([9, 9, 9, 1])[:, None] for g, s in shells.items()}
    for one, other in zip(part.updated(models(2), shells), part.updated(models(2), louder), strict=True):
        np.testing.assert_allclose(other.noise_sd, 3 * one.noise_sd)
        assert other.grey == pytest.approx(one.grey)


@pytest.mark.parametrize("kind", KINDS)
def test_the_factor_of_the_first_noise_is_gone_after_one_update(kind):
    plain, trebled = kind(50.0, 1.0), kind(50.0, 3.0)
    np.testing.assert_allclose(trebled.first(plane()).noise_sd, 3 * plain.first(plane()).noise_sd)
    shells = {0: sums(900, 5.0)}
    (one,), (other,) = (part.updated((part.first(plane()),), shells) for part in (plain, trebled))
    np.testing.assert_array_equal(other.noise_sd, one.noise_sd)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prior", [0.0, 50.0, 1e6])
def test_a_single_group_is_its_own_mean_whatever_the_weight_of_that(kind, prior):
    (new,) = kind(prior).updated(models(1), {0: sums(1000, 5.0)})
    # one image of prior weight 1e6 in the denominator of DC alone: all other shells hold four pixels and more
    np.testing.assert_allclose(new.noise_sd[1:] ** 2, 4.5)


def test_white_noise_is_the_mean_over_pixels_without_dc():
    power = np.r_[99.0, np.linspace(9, 1, SHELLS - 1)]
    part = sums(1000, 1.0)
    part[0] = power * part[3] + 2 * part[1] - part[2]
    (new,) = noises.White(0.0).updated(models(1), {0: part})
    np.testing.assert_allclose(new.noise_sd**2, (power[1:] * PIXELS[1:]).sum() / PIXELS[1:].sum())


def test_only_coloured_noise_knows_directions_and_keeps_them():
    for kind in KINDS:
        first = kind().first(plane())
        assert (first.angular is not None) == (kind is noises.Coloured)
        (new,) = kind().updated((first,), {0: sums(1000, 5.0)})
        assert new.angular is first.angular


def test_directions_are_factors_about_one():
    first = noises.Coloured().first(plane())
    # bins of shells and sectors, each relative to the mean of its shells: their mean square is one but for the edges
    assert (first.angular**2).mean() == pytest.approx(1, abs=0.1)
    np.testing.assert_array_equal(first.noise_sd, noises.Symmetric().first(plane()).noise_sd)
