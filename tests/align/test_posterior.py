"""Probabilities, order and expected errors of candidate poses."""

import numpy as np
import pytest

from halfmap.align import posterior
from halfmap.geometry import rotations, symmetry
from halfmap.types import Candidates

ALONE = np.eye(3)[None]


@pytest.fixture
def rng():
    return np.random.default_rng(14)


def candidates(matrices, likelihood) -> Candidates:
    return Candidates(matrices, np.zeros((*likelihood.shape, 2)), likelihood)


def test_probabilities_are_the_softmax(rng):
    weights = rng.normal(0, 3, (5, 4)) + 1e5  # large likelihoods do not overflow
    p = posterior.probabilities(weights)
    np.testing.assert_allclose(p.sum(-1), 1)
    np.testing.assert_allclose(np.log(p[:, 1:] / p[:, :1]), weights[:, 1:] - weights[:, :1], atol=1e-9)


def test_absent_candidates_have_no_probability():
    p = posterior.probabilities(np.array([[0.0, -np.inf], [-np.inf, -np.inf]]))
    np.testing.assert_array_equal(p, [[1, 0], [0, 0]])


def test_weights_are_integrals_of_gaussian_modes():
    # two modes of the same volume: integral = height x (2 pi)^(5/2) / sqrt(det)
    narrow, wide = np.diag([4.0] * 5), np.eye(5)
    height = np.array([1.0, 0.5])
    weights = posterior.log_weight(np.log(height), np.stack([narrow, wide]))
    volume = height / np.sqrt([4.0**5, 1.0])
    np.testing.assert_allclose(posterior.probabilities(weights), volume / volume.sum())


def test_candidates_come_out_best_first_with_their_own_values(rng):
    matrices = rotations.random(12, rng).reshape(3, 4, 3, 3)
    likelihood = rng.normal(0, 1, (3, 4))
    weights = likelihood + rng.normal(0, 1, (3, 4))
    best, p, order = posterior.ranked(candidates(matrices, likelihood), weights, ALONE)
    assert (np.diff(p, axis=1) <= 0).all()
    for image in range(3):
        np.testing.assert_array_equal(best.rotations[image], matrices[image, order[image]])
        np.testing.assert_array_equal(best.log_likelihood[image], likelihood[image, order[image]])
        assert (np.diff(weights[image, order[image]]) <= 0).all()


@pytest.mark.parametrize("name", ["C1", "D2"])
def test_repeats_modulo_symmetry_count_once(name, rng):
    group = symmetry.group(name)
    pose = rotations.random(1, rng)[0]
    near = rotations.exp_so3(np.array([0.9 * posterior.SAME_RAD, 0, 0])) @ pose @ group[-1]
    far = rotations.exp_so3(np.array([3 * posterior.SAME_RAD, 0, 0])) @ pose @ group[-1]
    likelihood = np.array([[3.0, 2.0, 1.0]])
    best, p, _ = posterior.ranked(candidates(np.stack([pose, near, far])[None], likelihood), likelihood, group)
    np.testing.assert_array_equal(np.isfinite(best.log_likelihood), [[True, True, False]])
    np.testing.assert_allclose(p[0], np.array([1, np.exp(-2), 0]) / (1 + np.exp(-2)))


def test_hopeless_candidates_are_dropped_and_the_best_is_kept(rng):
    matrices = rotations.random(3, rng)[None]
    likelihood = np.array([[0.0, -0.9 * posterior.MARGIN, -1.1 * posterior.MARGIN]])
    best, p, _ = posterior.ranked(candidates(matrices, likelihood), likelihood, ALONE)
    np.testing.assert_array_equal(np.isfinite(best.log_likelihood), [[True, True, False]])
    assert p[0, 2] == 0


def test_ranking_leaves_the_candidates_as_they_are(rng):
    matrices, likelihood = rotations.random(4, rng)[None], np.array([[1.0, 3.0, 2.0, -50.0]])
    before = matrices.copy(), likelihood.copy()
    posterior.ranked(candidates(matrices, likelihood), likelihood, ALONE)
    np.testing.assert_array_equal(matrices, before[0])
    np.testing.assert_array_equal(likelihood, before[1])


def test_expected_errors_are_the_roots_of_the_variances(rng):
    spread = np.array([0.01, 0.02, 0.05, 1.0, 3.0])
    turn = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    mixed = np.zeros((2, 5, 5))
    mixed[0] = np.diag(1 / spread**2)
    mixed[1] = turn @ np.diag([1.0, 2, 3, 4, 5]) @ turn.T
    rotation, shift = posterior.expected_errors(mixed)
    assert rotation[0] == pytest.approx(np.linalg.norm(spread[:3]))
    assert shift[0] == pytest.approx(np.linalg.norm(spread[3:]))
    variance = np.diag(np.linalg.inv(mixed[1]))
    assert rotation[1] == pytest.approx(np.sqrt(variance[:3].sum()))
    assert shift[1] == pytest.approx(np.sqrt(variance[3:].sum()))


def test_without_information_the_expected_errors_are_infinite():
    rotation, shift = posterior.expected_errors(np.zeros((1, 5, 5)))
    assert np.isinf(rotation).all() and np.isinf(shift).all()


def test_absent_candidates_come_last_whatever_took_them_out(rng):
    poses = rotations.random(4, rng)
    twice = poses[[0, 0, 1, 1, 2, 3]][None]
    candidates = Candidates(twice, np.arange(12.0).reshape(1, 6, 2), np.array([[9.0, 8, 7, 6, 5, 4]]))
    kept, probability, order = posterior.ranked(candidates, candidates.log_likelihood, np.eye(3)[None])
    np.testing.assert_array_equal(kept.log_likelihood, [[9, 7, 5, 4, -np.inf, -np.inf]])
    np.testing.assert_array_equal(order[0, :4], [0, 2, 4, 5])
    np.testing.assert_array_equal(kept.shifts_A[0], candidates.shifts_A[0, order[0]])
    assert (np.diff(probability) <= 0).all() and not probability[0, 4:].any()


def test_covariances_are_inverse_informations_whatever_the_units(rng):
    root = rng.normal(size=(6, 5, 5))
    information = root @ np.swapaxes(root, -1, -2) + np.eye(5)
    units = np.array([1e3, 1e3, 1e3, 1e-2, 1e-2])  # radians are sharp, Angstroms are not
    scaled = information * units[:, None] * units
    found = posterior.covariance(scaled) * units[:, None] * units
    # a ridge of 1e-9 on the unit diagonal, times a condition of some 100
    np.testing.assert_allclose(found, np.linalg.inv(information), rtol=1e-4, atol=1e-6)
