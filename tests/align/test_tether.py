"""What is known of poses beforehand: turns about a fulcrum, extents, the prior, and what they do to a refinement."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.align import newton, tether
from halfmap.align.tether import Near
from halfmap.geometry import rotations
from halfmap.types import Poses
from tests import blobs
from tests.align import made

RADIUS, N = 8, 12
FULCRUM_A = np.array([9.0, -14.0, 5.0])
MAGNIFICATION = np.array([[1.03, 0.01], [-0.02, 0.96]])


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def near(poses, **more):
    settings = {"extent_rad": np.pi, "extent_A": 1e6} | more
    return Near(FULCRUM_A, poses.rotations, poses, **settings)


def poses(n, rng):
    return Poses(*blobs.views(n, 6.0, rng))


def about(poses, magnification=np.eye(2), **more):  # noqa: B008
    return near(poses, **more).of(np.arange(len(poses)), made.LENGTH_A, magnification)


def steps(n, rng, turn=0.3, push=0.05):
    return np.concatenate([rng.normal(0, turn, (n, 3)), rng.normal(0, push, (n, 2))], axis=1)


def moved(one, poses, step):
    rows = np.arange(len(poses))
    turned, shifts, taken = one.moved(rows, poses.rotations, poses.shifts_A / made.LENGTH_A, step)
    return Poses(turned, shifts * made.LENGTH_A), taken


def test_a_turn_leaves_what_lies_at_the_fulcrum_where_it_is_seen(rng):
    dot = blobs.Blobs(FULCRUM_A[None], np.array([4.0]), np.ones(1))
    start = poses(N, rng)
    turn = steps(N, rng, push=0.0)
    end, _ = moved(about(start), start, turn)
    before, after = (dot.images(p.rotations, p.shifts_A, made.BOX, made.VOXEL_A, made.VOXEL_A) for p in (start, end))
    assert abs(end.shifts_A - start.shifts_A).max() > 1.0  # while the box centre moves
    np.testing.assert_allclose(after, before, atol=1e-9)


def test_with_a_magnification_it_stays_too(rng):
    start = poses(N, rng)
    end, _ = moved(about(start, MAGNIFICATION), start, steps(N, rng, push=0.0))
    # the phase of the fulcrum at k is (M k) . (A f) - k . s
    seen = [p.rotations[:, :2] @ FULCRUM_A @ MAGNIFICATION - p.shifts_A for p in (start, end)]
    np.testing.assert_allclose(seen[1], seen[0], atol=1e-9)


def test_a_step_moves_the_fulcrum_by_its_shift(rng):
    start = poses(N, rng)
    step = steps(N, rng)
    end, taken = moved(about(start), start, step)
    change = tether.fulcrum_shifts(end, FULCRUM_A) - tether.fulcrum_shifts(start, FULCRUM_A)
    np.testing.assert_allclose(change, step[:, 3:] * made.LENGTH_A, atol=1e-9)
    np.testing.assert_allclose(taken, step, atol=1e-12)


def test_no_step_leaves_the_extents_and_the_step_told_is_the_one_taken(rng):
    start = poses(400, rng)
    one = about(start, extent_rad=0.2, extent_A=3.0)
    first, _ = moved(one, start, steps(400, rng, turn=0.1, push=0.02))
    end, taken = moved(one, first, steps(400, rng))
    angle = rotations.angle_between(end.rotations, start.rotations)
    shift = np.linalg.norm(tether.fulcrum_shifts(end, FULCRUM_A) - tether.fulcrum_shifts(start, FULCRUM_A), axis=1)
    assert angle.max() <= 0.2 + 1e-9 and shift.max() <= 3.0 + 1e-9
    assert (angle > 0.2 * tether.FULL).mean() > 0.5 and (shift > 3 * tether.FULL).mean() > 0.5
    again, _ = moved(about(start), first, taken)
    np.testing.assert_allclose(again.rotations, end.rotations, atol=1e-9)
    np.testing.assert_allclose(again.shifts_A, end.shifts_A, atol=1e-9)


def test_the_normal_equations_of_the_prior_are_its_slope_and_curvature(rng):
    start = poses(N, rng)
    one = about(start, sd_rad=0.1, sd_A=2.0)
    here, _ = moved(one, start, steps(N, rng, turn=0.05, push=0.01))
    rows, shifts = np.arange(N), here.shifts_A / made.LENGTH_A
    gradient, curvature = one.equations(rows, here.rotations, shifts, np.zeros((N, 5)), np.zeros((N, 5, 5)))

    def prior(step):
        there, _ = moved(one, here, np.tile(step, (N, 1)))
        return one.log_prior(rows, there.rotations, there.shifts_A / made.LENGTH_A)

    for axis, size in enumerate([1e-4] * 3 + [1e-5] * 2):
        up, down = (prior(sign * size * np.eye(5)[axis]) for sign in (1, -1))
        np.testing.assert_allclose((up - down) / (2 * size), 2 * gradient[:, axis], rtol=1e-4, atol=1e-4)
        bend = (up + down - 2 * prior(np.zeros(5))) / size**2
        np.testing.assert_allclose(bend, -2 * curvature[:, axis, axis], rtol=0.02)  # the log of a turn of 9 deg bends


def test_the_precision_of_the_prior_is_that_of_the_shift_of_the_box_centre(rng):
    start = poses(N, rng)
    one = about(start, sd_rad=0.1, sd_A=2.0)
    change = tether.jacobian(start.rotations, FULCRUM_A / made.LENGTH_A)
    back = np.swapaxes(change, 1, 2) @ one.precision(start.rotations) @ change
    np.testing.assert_allclose(back, np.tile(np.diag(np.r_[[100.0] * 3, [(made.LENGTH_A / 2) ** 2] * 2]), (N, 1, 1)),
                               atol=1e-6)  # fmt: skip


# ---- in a refinement


@pytest.fixture
def seen(rng):
    truth = made.object_()
    true = poses(40, rng)
    images = made.images(truth, true.rotations, true.shifts_A, RADIUS)
    return made.projector(truth, RADIUS), images, true


def refined(projector, images, start, near=tether.Anywhere(), rounds=20):  # noqa: B008
    every = np.arange(len(images))
    return newton.refine(projector, images, every, start.rotations, start.shifts_A, RADIUS, rounds, near)


def off(true, degrees, rng):
    return Poses(made.turned(true.rotations, np.deg2rad(degrees), rng), true.shifts_A)


def test_wide_limits_and_no_prior_end_where_a_free_refinement_ends(seen, rng):
    projector, images, true = seen
    images, start = made.loud(images, 1e5), off(true, 5, rng)
    free, tied = refined(projector, images, start), refined(projector, images, start, near(start))
    apart = np.rad2deg(rotations.angle_between(free.rotations, tied.rotations))
    assert apart.max() < 0.2  # noise of 0.25 degrees; each ends within a quarter of it
    np.testing.assert_allclose(tied.information, free.information, rtol=0.1, atol=0.02 * free.information.max())


def test_a_narrow_prior_keeps_poses_where_they_are_known_to_be(seen, rng):
    projector, images, true = seen
    images, start = made.loud(images, 300), off(true, 6, rng)
    turns = []
    for sd in (1e-4, np.deg2rad(3), np.inf):
        fit = refined(projector, images, start, near(start, sd_rad=sd))
        turns.append(np.rad2deg(rotations.angle_between(fit.rotations, start.rotations)))
    assert turns[0].max() < 0.01
    assert np.median(turns[0]) < np.median(turns[1]) < np.median(turns[2])


def test_an_image_that_says_nothing_has_the_information_of_the_prior(seen, rng):
    projector, images, true = seen
    silent = replace(images, ctf=np.zeros_like(images.ctf))
    fit = refined(projector, silent, true, near(true, sd_rad=0.1, sd_A=2.0))
    spread = np.linalg.inv(fit.information)
    np.testing.assert_allclose(np.einsum("pii->pi", spread)[:, :3], 0.01, rtol=1e-6)
    np.testing.assert_allclose(fit.log_prior, 0, atol=1e-12)
    # the box centre is as uncertain as the fulcrum, and the turn of the arm comes on top
    assert (np.einsum("pii->pi", spread)[:, 3:] >= 4.0 - 1e-6).all()


def test_extents_hold_poses_back_and_the_rest_of_the_pose_still_improves(seen, rng):
    projector, images, true = seen
    images = made.loud(images, 1e5)
    start = Poses(made.turned(true.rotations, np.deg2rad(6), rng), true.shifts_A + 1.0)
    fit = refined(projector, images, start, near(start, extent_rad=np.deg2rad(2)))
    turn = np.rad2deg(rotations.angle_between(fit.rotations, start.rotations))
    left = np.rad2deg(rotations.angle_between(fit.rotations, true.rotations))
    assert turn.max() <= 2 + 1e-6 and np.median(turn) > 1.99
    assert np.median(left) < 4.6  # of 6; what is not along the way there stays
