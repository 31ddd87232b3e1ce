"""Pose refinement on images whose poses are known."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.align import newton
from halfmap.geometry import rotations
from halfmap.types import Images
from tests import blobs
from tests.align import made

RADIUS = 8


@pytest.fixture
def rng():
    return np.random.default_rng(12)


@pytest.fixture(scope="module")
def truth():
    return made.object_()


@pytest.fixture(scope="module")
def projector(truth):
    return made.projector(truth, RADIUS)


def poses(n, rng):
    return rotations.random(n, rng), rng.uniform(-6, 6, (n, 2))


def own_images(projector, matrices, shifts_A) -> Images:
    """What the projector itself makes of the poses: no interpolation error."""
    ky, kx = np.mgrid[-RADIUS : RADIUS + 1, 0 : RADIUS + 1]
    turns = (kx * shifts_A[:, 0, None, None] + ky * shifts_A[:, 1, None, None]) / made.LENGTH_A
    return blobs.white_images(projector.slices(matrices) * np.exp(2j * np.pi * turns), made.BOX, made.VOXEL_A)


def refined(projector, images, matrices, shifts_A, rounds=20):
    return newton.refine(projector, images, np.arange(len(images)), matrices, shifts_A, RADIUS, rounds)


def degrees_apart(a, b):
    return np.rad2deg(rotations.angle_between(a, b))


@pytest.mark.parametrize("parameter", range(5))
def test_log_likelihood_is_a_parabola_of_the_reported_information(parameter, projector, rng):
    matrices, shifts = poses(20, rng)
    images = made.loud(own_images(projector, matrices, shifts), 1e6)
    at = refined(projector, images, matrices, shifts, rounds=0)
    moves = np.eye(5)[parameter] * (0.02 if parameter < 3 else 0.3)  # rad, A: a tenth of what turns or moves a shell
    information = at.information[:, parameter, parameter]
    drop = []
    for sign in (1, -1):
        turned = rotations.exp_so3(sign * moves[:3]) @ matrices
        there = refined(projector, images, turned, shifts + sign * moves[3:], rounds=0)
        drop.append(at.log_likelihood - there.log_likelihood)
    expected = 0.5 * information * moves.max() ** 2
    # the parabola's error is of relative order (move x largest frequency x 2 pi)^2 / 12 = 2 %; the slope of a trilinear
    # slice jumps between grid cells, which the mean over many pixels and both directions leaves at a few per cent
    np.testing.assert_allclose(np.mean(drop, axis=0), expected, rtol=0.1)


def test_poses_of_its_own_images_are_found_again(projector, rng):
    matrices, shifts = poses(40, rng)
    images = made.loud(own_images(projector, matrices, shifts), 1e6)
    fit = refined(projector, images, made.turned(matrices, np.deg2rad(5), rng), shifts + rng.normal(0, 1.5, (40, 2)))
    # errors of 0.07 degrees allowed by the noise at this power, of which the last step leaves sqrt(2 x 0.01) at most
    assert degrees_apart(fit.rotations, matrices).max() < 0.05
    assert np.linalg.norm(fit.shifts_A - shifts, axis=1).max() < 0.02
    np.testing.assert_allclose(fit.cross, fit.power, rtol=1e-3)


def test_poses_of_true_images_are_found_up_to_the_error_of_interpolation(truth, rng):
    matrices, shifts = poses(40, rng)
    images = made.loud(made.images(truth, matrices, shifts, RADIUS), 1e6)
    start = made.turned(matrices, np.deg2rad(5), rng), shifts + rng.normal(0, 1.5, (40, 2))
    errors = []
    for padding in (2, 4):
        fit = refined(made.projector(truth, RADIUS, padding), images, *start)
        errors.append(np.sqrt((degrees_apart(fit.rotations, matrices) ** 2).mean()))
        assert np.linalg.norm(fit.shifts_A - shifts, axis=1).max() < 0.1
    # slices are wrong by (pi u)^2 / sqrt(15) = 2.8 % (u = 20 / 96 / 2, tests/physics/test_projection.py) in a pattern
    # unlike that of a rotation: over some 60 independent pixels and 5 parameters, a turn of 0.028 / sqrt(60) of the
    # 0.4 rad that change a slice completely: 0.08 degrees. A quarter of that at twice the padding.
    assert errors[0] < 0.12
    assert errors[1] < errors[0] / 2


def test_the_covariance_is_that_of_the_errors_in_noise(projector, rng):
    each, n = 3, 450
    matrices, shifts = poses(each, rng)
    matrices, shifts = np.repeat(matrices, n // each, axis=0), np.repeat(shifts, n // each, axis=0)
    clean = made.loud(own_images(projector, matrices, shifts), 2e4)
    noisy = (clean.masked + blobs.white_noise(clean.masked.shape, rng)).astype(np.complex64)
    fit = refined(projector, replace(clean, masked=noisy), matrices, shifts)
    error = np.concatenate(
        [rotations.log_so3(fit.rotations @ matrices.transpose(0, 2, 1)), fit.shifts_A - shifts], axis=1
    )
    squared = np.einsum("ni,nij,nj->n", error, fit.information, error)  # chi^2 with 5 degrees of freedom
    assert squared.mean() == pytest.approx(5, rel=0.25)  # sampling: sqrt(2 / 5 / 450) = 3 %
    variance = np.einsum("nii->ni", fit.covariance())
    ratio = (error**2).mean(0) / variance.mean(0)
    np.testing.assert_allclose(ratio, 1, atol=0.25)  # sampling: sqrt(2 / 450) = 7 %


def test_images_of_another_length_are_refined_on_the_same_grid(truth, rng):
    matrices, shifts = poses(30, rng)
    stretch = 1.06
    length = made.LENGTH_A / stretch
    planes = truth.half_planes(matrices, shifts, RADIUS, length, made.VOXEL_A) / stretch**2
    images = made.loud(blobs.white_images(planes, made.BOX, length / made.BOX, stretch), 1e6)
    fit = refined(made.projector(truth, 10), images, made.turned(matrices, np.deg2rad(4), rng), shifts + 1.0)
    error = degrees_apart(fit.rotations, matrices)
    assert np.sqrt((error**2).mean()) < 0.12  # interpolation, as above
    assert np.linalg.norm(fit.shifts_A - shifts, axis=1).max() < 0.1
    np.testing.assert_allclose(fit.cross / fit.power, 1, atol=0.02)


TURN = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
ANISOTROPIC = TURN @ np.diag([1.015, 1 / 1.015]) @ TURN.T  # 3 % between its axes
SLANTED = np.array([[1.02, 0.03], [-0.02, 0.97]])


def distorted_images(truth, matrices, shifts, magnification):
    """Images that show at k what the object has at M k, and how they are described."""
    ky, kx = np.mgrid[-RADIUS : RADIUS + 1, 0 : RADIUS + 1]
    q = np.einsum("ij,jyx->iyx", magnification, np.stack([kx, ky]).astype(float)) / made.LENGTH_A
    place = np.einsum("nij,mj->nmi", matrices[:, :2], truth.centres_A)
    q3 = np.einsum("nij,iyx->njyx", matrices[:, :2], q)
    height = truth.weights * (2 * np.pi) ** 1.5 * truth.widths_A**3 / (made.VOXEL_A * made.LENGTH_A**2)
    damping = np.exp(-2 * np.pi**2 * np.einsum("m,yx->myx", truth.widths_A**2, (q**2).sum(0)))
    phase = np.einsum("nmi,iyx->nmyx", place, q)
    assert np.allclose(np.linalg.norm(q3, axis=1), np.linalg.norm(q, axis=0))
    planes = np.einsum("m,myx,nmyx->nyx", height, damping, np.exp(-2j * np.pi * phase), optimize=True)
    turns = (kx * shifts[:, 0, None, None] + ky * shifts[:, 1, None, None]) / made.LENGTH_A
    images = blobs.white_images(planes * np.exp(2j * np.pi * turns), made.BOX, made.VOXEL_A)
    return made.loud(replace(images, stretch=magnification), 1e6)


def test_without_distortion_the_direct_images_are_those_of_the_object(truth, rng):
    matrices, shifts = poses(3, rng)
    found = distorted_images(truth, matrices, shifts, np.eye(2))
    expected = made.loud(made.images(truth, matrices, shifts, RADIUS), 1e6)
    np.testing.assert_allclose(found.masked, expected.masked, atol=1e-5 * abs(expected.masked).max())


@pytest.mark.parametrize("magnification", [ANISOTROPIC, SLANTED], ids=["3 %", "slanted"])
def test_poses_of_distorted_images_are_found_though_the_derivatives_are_approximate(truth, magnification, rng):
    matrices, shifts = poses(40, rng)
    images = distorted_images(truth, matrices, shifts, magnification)
    start = made.turned(matrices, np.deg2rad(5), rng), shifts + rng.normal(0, 1.5, (40, 2))
    fit = refined(made.projector(truth, RADIUS + 2), images, *start)
    error = degrees_apart(fit.rotations, matrices)
    assert np.sqrt((error**2).mean()) < 0.12  # interpolation, as above
    assert np.linalg.norm(fit.shifts_A - shifts, axis=1).max() < 0.1
    np.testing.assert_allclose(fit.cross / fit.power, 1, atol=0.02)
    ignored = refined(made.projector(truth, RADIUS + 2), replace(images, stretch=np.eye(2)), *start)
    # phase errors of 2 pi x 0.015 x k r = 0.05 rad (rms k = 5, r = 10 / 96), squared, less what a pose can take up
    assert (ignored.log_likelihood < (1 - 1e-4) * fit.log_likelihood).mean() > 0.95
    # as many rounds as without a distortion: the derivatives cost nothing that is seen
    few = refined(made.projector(truth, RADIUS + 2), images, *start, rounds=5)
    assert np.median(degrees_apart(few.rotations, fit.rotations)) < 0.02


def test_a_strongly_magnified_image_stays_on_the_grid(truth, rng):
    matrices, shifts = poses(5, rng)
    tight = made.projector(truth, RADIUS)
    images = replace(made.loud(made.images(truth, matrices, shifts, RADIUS), 1e4), stretch=1.5 * np.eye(2))
    found = refined(tight, images, matrices, shifts, rounds=0)
    reach = tight.reach(images.stretch)
    assert reach == 5
    expected = newton.refine(tight, images, np.arange(5), matrices, shifts, reach, 0)
    np.testing.assert_array_equal(found.log_likelihood, expected.log_likelihood)


def test_several_poses_of_one_image_are_climbed_on_their_own(projector, rng):
    matrices, shifts = poses(4, rng)
    images = made.loud(own_images(projector, matrices, shifts), 1e6)
    which = np.array([2, 0, 2, 3, 1, 0])
    starts = made.turned(matrices[which], np.deg2rad(3), rng)
    together = newton.refine(projector, images, which, starts, shifts[which], RADIUS, 20)
    for i, image in enumerate(which):
        alone = newton.refine(projector, images, which[i : i + 1], starts[i : i + 1], shifts[[image]], RADIUS, 20)
        np.testing.assert_allclose(alone.rotations[0], together.rotations[i], atol=1e-9)
        assert alone.log_likelihood[0] == pytest.approx(together.log_likelihood[i])


def test_the_log_likelihood_never_falls(projector, rng):
    matrices, shifts = poses(30, rng)
    images = made.loud(own_images(projector, matrices, shifts), 1e4)
    start = made.turned(matrices, np.deg2rad(25), rng)
    last = refined(projector, images, start, shifts, rounds=0).log_likelihood
    for rounds in (1, 2, 4, 8):
        now = refined(projector, images, start, shifts, rounds=rounds).log_likelihood
        assert (now >= last - 1e-3).all()  # float32 sums of 1e4
        last = now


def test_where_the_image_says_nothing_the_covariance_is_huge_and_finite(projector, rng):
    matrices, shifts = poses(2, rng)
    images = own_images(projector, matrices, shifts)
    silent = replace(images, ctf=np.zeros_like(images.ctf))
    fit = refined(projector, silent, matrices, shifts)
    np.testing.assert_array_equal(fit.rotations, matrices)
    assert np.isfinite(fit.covariance()).all()
    assert (np.einsum("nii->ni", fit.covariance()) > 1e20).all()


def test_starting_poses_stay_as_they_are(projector, rng):
    matrices, shifts = poses(3, rng)
    images = made.loud(own_images(projector, matrices, shifts), 1e4)
    start = made.turned(matrices, 0.1, rng)
    before = start.copy(), shifts.copy()
    refined(projector, images, start, shifts)
    np.testing.assert_array_equal(start, before[0])
    np.testing.assert_array_equal(shifts, before[1])
