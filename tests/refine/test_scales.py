"""Grey scales of single particles."""

import numpy as np
import pytest

from halfmap.refine import scales


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def sums(truth, power, rng):
    """cross and power of images with these scales, noise included: cross has the variance power / 2."""
    return truth * power + rng.normal(0, np.sqrt(power / 2)), power


def test_scales_of_clear_images_are_found(rng):
    truth = rng.lognormal(0, 0.3, 500)
    found = scales.shrunk(*sums(truth, np.full(500, 1e6), rng))
    np.testing.assert_allclose(found, truth / np.median(truth), rtol=0.01)


def test_the_grey_scale_of_the_map_does_not_matter(rng):
    cross, power = sums(rng.normal(1, 0.3, 500), np.full(500, 50.0), rng)
    np.testing.assert_allclose(scales.shrunk(3 * cross, 9 * power), scales.shrunk(cross, power))


def test_scales_of_noisy_images_err_less_than_the_regression_and_less_than_one(rng):
    truth = rng.normal(1, 0.2, 4000)
    cross, power = sums(truth, np.full(4000, 12.5), rng)  # noise of the regression: 0.2, as much as the scales spread
    found = scales.shrunk(cross, power)
    error = np.sqrt(((found - truth) ** 2).mean())
    assert error < 0.9 * np.sqrt(((cross / power - truth) ** 2).mean())
    assert error < 0.9 * truth.std()
    # the best linear estimate of two equal variances errs by sqrt(1/2) of either
    assert error == pytest.approx(0.2 * np.sqrt(0.5), rel=0.1)


def test_particles_that_are_all_alike_get_one_scale(rng):
    found = scales.shrunk(*sums(np.ones(2000), rng.uniform(5, 100, 2000), rng))
    assert found.std() < 0.05


def test_particles_never_seen_keep_scale_one():
    found = scales.shrunk(np.array([0.0, 90, 110, 100]), np.array([0.0, 100, 100, 100]))
    assert found[0] == 1


def test_a_map_that_says_nothing_changes_no_scale(rng):
    np.testing.assert_array_equal(scales.shrunk(rng.normal(-1, 1, 100), np.ones(100)), 1)


def test_the_median_of_given_scales_becomes_one():
    np.testing.assert_allclose(scales.relative(np.array([1.0, 2, 4])), [0.5, 1, 2])
