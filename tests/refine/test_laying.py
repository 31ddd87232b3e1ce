"""At how many poses an image is laid in, where they are and what it counts there."""

import numpy as np
import pytest

from halfmap.geometry import rotations as so3
from halfmap.refine import laying
from halfmap.refine.laying import AtBest, AtModes, AtPosterior, Scale
from halfmap.refine.posed import Posed
from halfmap.types import Candidates

SCALE = Scale(lever_A=40.0, wavelength_A=5.0)
UNIT = np.array([40.0, 40, 40, 1, 1])  # what a step moves, A


def posed(sd_A, weights=(1.0, 0.0), n=3, seed=1):
    """Particles whose best pose is known to these standard deviations (5,) in A."""
    rng = np.random.default_rng(seed)
    information = np.diag((UNIT / np.asarray(sd_A, float)) ** 2)
    candidates = Candidates(so3.random(2 * n, rng).reshape(n, 2, 3, 3), rng.normal(size=(n, 2, 2)),
                            np.tile([50.0, 45.0], (n, 1)))  # fmt: skip
    return Posed(np.arange(10, 10 + n), candidates, np.tile(weights, (n, 1)), np.tile(information, (n, 1, 1)),
                 np.ones(n), np.ones(n), np.ones(n))  # fmt: skip


def gaussian(known):
    """The likelihood that the information describes exactly."""
    return lambda rows, rotations, shifts: known.candidates.log_likelihood[rows, 0] - 0.5 * np.einsum(
        "pi,pij,pj->p", *(steps(known, rows, rotations, shifts),), known.information[rows],
        steps(known, rows, rotations, shifts))  # fmt: skip


def steps(known, rows, rotations, shifts):
    """(p, 5) rotation vectors in the image frame and shifts from the best poses."""
    turn = rotations @ known.candidates.rotations[rows, 0].transpose(0, 2, 1)
    skew = (turn - turn.transpose(0, 2, 1)) / 2
    w = np.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], axis=1)
    return np.concatenate([w, shifts - known.candidates.shifts_A[rows, 0]], axis=1)


def laid(part, known, heard=None, look=None):
    heard = np.arange(len(known.rows)) if heard is None else np.asarray(heard)
    return part.laid(heard, known, look or gaussian(known), SCALE)


def test_a_sharply_determined_particle_is_laid_in_once():
    known = posed([0.05] * 5)
    found = laid(AtPosterior(), known)
    np.testing.assert_array_equal(found.rows, [0, 1, 2])
    np.testing.assert_array_equal(found.rotations, known.candidates.rotations[:, 0])
    np.testing.assert_array_equal(found.effective(3), 1)


@pytest.mark.parametrize("sd_A, poses", [
    ([2, 0.05, 0.05, 0.05, 0.05], 3), ([2, 2, 0.05, 0.05, 0.05], 5), ([2, 2, 2, 0.05, 2], 9), ([2] * 5, 11)])
def test_each_uncertain_direction_costs_two_more_poses(sd_A, poses):
    assert np.bincount(laid(AtPosterior(), posed(sd_A)).rows).tolist() == [poses] * 3


def test_directions_sharper_than_asked_for_have_no_points():
    known = posed([1.2] * 5)  # of 5 A: 24 per cent
    assert len(laid(AtPosterior(), known).rows) == 33
    assert len(laid(AtPosterior(sharp=0.25), known).rows) == 3


@pytest.mark.parametrize("sd_A", [[1.5, 1.1, 2, 0.7, 1.2], [2, 0.05, 0.05, 1.0, 0.05]])
def test_of_a_gaussian_the_points_have_mean_and_covariance(sd_A):
    known = posed(sd_A)
    found = laid(AtPosterior(), known)
    one = found.rows == 0
    moved = steps(known, found.rows[one], found.rotations[one], found.shifts_A[one]) * UNIT
    share = found.shares[one].astype(float)
    wide = np.array(sd_A) > laying.SHARP * SCALE.wavelength_A
    # rotations of up to 0.12 rad: sin w differs from w by 0.3 % there; their squares by twice that
    np.testing.assert_allclose(share @ moved, 0, atol=1e-3)
    np.testing.assert_allclose((moved.T * share) @ moved, np.diag(np.where(wide, np.square(sd_A), 0)), atol=0.03)


def test_points_count_what_the_likelihood_says_and_not_what_the_gaussian_promised():
    known = posed([2, 0.05, 0.05, 0.05, 0.05], n=1)
    expected = gaussian(known)

    def lopsided(rows, rotations, shifts):
        return expected(rows, rotations, shifts) + np.where(steps(known, rows, rotations, shifts)[:, 0] > 0, 1.0, -1.0)

    found = laid(AtPosterior(), known, look=lopsided)
    side = steps(known, found.rows, found.rotations, found.shifts_A)[:, 0]
    plus, minus = (float(found.shares[chosen][0]) for chosen in (side > 1e-3, side < -1e-3))
    assert plus / minus == pytest.approx(np.exp(2), rel=1e-3)


def test_a_broader_peak_than_promised_draws_weight_from_other_modes():
    known = posed([2] * 5, weights=(0.6, 0.4), n=1)
    exact = laid(AtPosterior(), known)
    flat = laid(AtPosterior(), known, look=lambda rows, *rest: known.candidates.log_likelihood[rows, 0])

    def other(found):
        return found.shares[np.abs(found.rotations - known.candidates.rotations[0, 1]).max((1, 2)) < 1e-6].sum()

    # the rule integrates the Gaussian itself exactly; ``steps`` has sines for angles of 0.12 rad
    assert other(exact) == pytest.approx(0.4, abs=5e-3)
    assert other(flat) < 0.1


@pytest.mark.parametrize("part", [AtModes(), AtPosterior()])
@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.7, 0.3), (0.9995, 0.0005)])
def test_shares_of_each_image_add_up_to_one_and_are_in_its_order(part, weights):
    found = laid(part, posed([0.9, 0.05, 0.05, 2, 0.05], weights), heard=[0, 2])
    assert (np.diff(found.rows) >= 0).all() and set(found.rows) == {0, 2}
    np.testing.assert_allclose(np.bincount(found.rows, found.shares)[[0, 2]], 1, rtol=1e-5)
    assert found.effective(3)[1] == 1 and (found.effective(3)[[0, 2]] >= 1 - 1e-6).all()


def test_the_effective_number_is_that_of_equal_shares():
    found = laid(AtModes(), posed([0.05] * 5, weights=(0.5, 0.5)))
    np.testing.assert_allclose(found.effective(3), 2)


def test_an_image_that_says_nothing_is_laid_in_at_its_modes_alone():
    known = posed([1] * 5)
    nothing = Posed(known.rows, known.candidates, known.weights, np.zeros((3, 5, 5)), *(np.ones(3),) * 3)
    np.testing.assert_array_equal(laid(AtPosterior(), nothing).rows, [0, 1, 2])


def test_at_best_is_one_pose_without_shares():
    found = laid(AtBest(), posed([2] * 5), heard=[1])
    assert found.rows.tolist() == [1] and found.shares is None
    np.testing.assert_array_equal(found.effective(3), 1)
    assert AtBest().columns(np.ones(3)) == {} and set(AtModes().columns(np.ones(3))) == {"effective_poses"}


def test_no_point_is_further_than_the_gaussian_means_anything():
    known = posed([500] * 5)
    found = laid(AtPosterior(), known, look=lambda rows, *rest: known.candidates.log_likelihood[rows, 0])
    apart = so3.angle_between(found.rotations, known.candidates.rotations[found.rows, 0])
    assert 0.5 < apart.max() <= laying.FARTHEST * np.sqrt(6) + 1e-6
