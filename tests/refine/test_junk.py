"""What each particle counts: junk is told from particles where that can be done, and particles are left alone."""

import numpy as np
import pytest

from halfmap.refine import junk


def drawn(particles: int, noise: int, seed: int, mean_match: float = 15.0, spread: float = 0.15):
    """(cross, power, is a particle): matches of particles of many CTFs, and of noise at the best of many poses."""
    rng = np.random.default_rng(seed)
    n = particles + noise
    power = mean_match**2 / 2 * rng.uniform(0.5, 1.5, n)
    good = np.arange(n) < particles
    contrast = 1.1 * (1 + spread * rng.standard_normal(n))
    match = np.where(good, contrast * np.sqrt(2 * power) + rng.standard_normal(n), 4 + 0.7 * rng.standard_normal(n))
    return match * np.sqrt(power / 2), power, good


def area_under_roc(weights: np.ndarray, good: np.ndarray) -> float:
    ranks = np.argsort(np.argsort(weights + 1e-9 * np.random.default_rng(0).random(len(weights)))) + 1
    n, m = good.sum(), (~good).sum()
    return float((ranks[good].sum() - n * (n + 1) / 2) / (n * m))


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.7])
def test_junk_is_told_from_particles(share):
    n = 2000
    cross, power, good = drawn(round((1 - share) * n), round(share * n), 1)
    weights = junk.Probable().weights(cross, power, np.ones(n, int))
    assert area_under_roc(weights, good) > 0.97
    assert weights[good].mean() > 0.97 and weights[~good].mean() < 0.1
    fit = junk.fitted(cross, power)
    assert fit.share == pytest.approx(share, abs=0.03) and fit.contrast == pytest.approx(1.1, rel=0.03)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spread", [0.0, 0.1, 0.3])
def test_where_all_are_particles_all_count_alike(spread, seed):
    cross, power, _ = drawn(2000, 0, seed, spread=spread)
    assert (junk.Probable().weights(cross, power, np.ones(2000, int)) == 1).all()


def test_where_there_is_nothing_but_noise_none_is_singled_out():
    cross, power, _ = drawn(0, 2000, 3)
    assert (junk.Probable().weights(cross, power, np.ones(2000, int)) == 1).all()


def test_faint_particles_that_junk_resembles_are_left_alone():
    cross, power, _ = drawn(1600, 400, 4, mean_match=5.0)
    assert (junk.Probable().weights(cross, power, np.ones(2000, int)) == 1).all()


def test_few_particles_are_left_alone():
    cross, power, _ = drawn(80, 20, 5)
    assert (junk.Probable().weights(cross, power, np.ones(100, int)) == 1).all()


def test_a_better_match_never_counts_less():
    cross, power, _ = drawn(1600, 400, 6)
    fit = junk.fitted(cross, power)
    match = np.linspace(0, 100, 400)
    assert (np.diff(fit.probability(match * np.sqrt(100 / 2), np.full(400, 100.0))) >= 0).all()


def test_the_halves_do_not_know_of_each_other():
    cross, power, _ = drawn(1600, 400, 7)
    half = 1 + np.arange(2000) % 2
    other = np.where(half == 2, cross * np.random.default_rng(8).uniform(0.5, 2, 2000), cross)
    both, changed = (junk.Probable().weights(c, power, half) for c in (cross, other))
    assert np.array_equal(both[half == 1], changed[half == 1]) and not np.array_equal(both, changed)


def test_particles_that_nobody_has_looked_at_count_whole():
    cross, power, _ = drawn(1600, 400, 9)
    cross[:50] = power[:50] = 0
    assert (junk.Probable().weights(cross, power, np.ones(2000, int))[:50] == 1).all()


def test_the_table_tells_weights_and_contrasts_relative_to_the_usual_particle():
    told = junk.Probable().columns(np.array([1.0, 1.0, 1.0, 0.0]), np.array([1.1, 2.2, 4.4, 0.2]))
    np.testing.assert_allclose(told["contrast"], [0.5, 1, 2, 0.2 / 2.2])
    assert told["particle_probability"].tolist() == [1, 1, 1, 0]
    assert junk.Everybody().columns(np.ones(2), np.ones(2)) == {}
