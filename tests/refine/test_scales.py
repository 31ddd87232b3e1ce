"""Grey scales of single particles."""

from types import SimpleNamespace

import numpy as np
import pytest

from halfmap.refine import scales
from halfmap.refine.posed import Posed
from halfmap.types import Candidates
from tests.refine import made


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


# ---- the parts of a recipe


def posed(rows, cross, power):
    n = len(rows)
    return Posed(np.asarray(rows), Candidates(np.zeros((n, 1, 3, 3)), np.zeros((n, 1, 2)), np.zeros((n, 1))),
                 np.ones((n, 1)), np.zeros((n, 5, 5)), np.asarray(cross, float), np.asarray(power, float),
                 np.ones(n))  # fmt: skip


def table(*scale):
    """As much of a particle table as the scales look at."""
    return type("Table", (SimpleNamespace,), {"__len__": lambda self: len(self.scale)})(scale=np.array(scale))


FOUND = posed([0, 2, 3, 5], [60.0, 100.0, -5.0, 140.0], [100.0] * 4)


def test_without_a_fit_scales_stay_one_and_nobody_is_silent():
    unit, old = scales.Unit(), made.state()
    np.testing.assert_array_equal(unit.first(table(1.0, 7.0)), 1)
    np.testing.assert_array_equal(unit.updated(old, FOUND), old.scale)
    assert not unit.silent(old, FOUND).any()


def test_scales_of_the_table_are_used_and_stay():
    given, old = scales.AsGiven(), made.state()
    np.testing.assert_allclose(given.first(table(1.0, 2.0, 4.0)), [0.5, 1, 2])
    np.testing.assert_array_equal(given.updated(old, FOUND), old.scale)


@pytest.mark.parametrize("reset, first", [(True, [1, 1, 1]), (False, [0.5, 1, 2])])
def test_a_fit_begins_at_one_or_at_the_table(reset, first):
    np.testing.assert_allclose(scales.Fitted(0, reset).first(table(1.0, 2.0, 4.0)), first)


def test_scales_of_the_table_far_off_are_held_within_limits():
    assert scales.AsGiven().first(table(-1.0, 1.0, 1.0, 1e6)).tolist() == [scales.LEAST, 1, 1, scales.MOST]


def test_a_fit_changes_the_scales_of_those_that_were_posed_and_no_others():
    old = made.state(scale=np.full(6, 1.5))
    new = scales.Fitted(0, True).updated(old, FOUND)
    np.testing.assert_array_equal(new[[1, 4]], 1.5)
    np.testing.assert_array_equal(new[FOUND.rows], scales.shrunk(FOUND.cross, FOUND.power))
    np.testing.assert_array_equal(old.scale, 1.5)  # the argument stays


@pytest.mark.parametrize("start, iteration, fits", [(0, 0, True), (2, 1, False), (2, 2, True), (2, 7, True)])
def test_scales_are_fitted_after_so_many_iterations(start, iteration, fits):
    fitted, old = scales.Fitted(start, True), made.state(iteration=iteration)
    assert (fitted.updated(old, FOUND) != old.scale).any() == fits
    assert fitted.silent(old, FOUND).any() == fits


def test_particles_against_the_map_fall_silent_and_are_heard_again_when_they_follow_it():
    fitted, old = scales.Fitted(0, True), made.state(silent=np.arange(6) == 5)
    np.testing.assert_array_equal(fitted.silent(old, FOUND), np.arange(6) == 3)


def test_a_particle_that_nobody_looked_at_is_not_silent():
    assert not scales.Fitted(0, True).silent(made.state(), posed([1], [0.0], [0.0])).any()
