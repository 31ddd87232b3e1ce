"""The local search: its lattice, and what it finds that a climb from the known pose misses."""

import numpy as np
import pytest

from halfmap.align import nearby, newton, tether
from halfmap.align.tether import Near
from halfmap.geometry import rotations
from halfmap.types import Poses
from tests import blobs
from tests.align import made

RADIUS, N = 12, 60
EXTENT_RAD, EXTENT_A = np.deg2rad(40.0), 6.0
FULCRUM_A = np.array([10.0, 0.0, -5.0])


@pytest.fixture(scope="module")
def seen():
    """Images, the true poses, and known ones 34 to 39 degrees off."""
    rng = np.random.default_rng(7)
    truth = made.object_(width_A=3.0)
    true = Poses(*blobs.views(N, 6.0, rng))
    images = made.loud(made.images(truth, true.rotations, true.shifts_A, RADIUS), 3000)
    near = Near(FULCRUM_A, true.rotations, true, np.pi, 1e6)
    turn = rng.standard_normal((N, 3))
    turn *= np.deg2rad(rng.uniform(34, 39, N))[:, None] / np.linalg.norm(turn, axis=1, keepdims=True)
    tied = near.of(np.arange(N), made.LENGTH_A, np.eye(2))
    step = np.concatenate([turn, np.zeros((N, 2))], axis=1)
    turned, shifts, _ = tied.moved(np.arange(N), true.rotations, true.shifts_A / made.LENGTH_A, step)
    known = Poses(turned, shifts * made.LENGTH_A)
    return made.projector(truth, RADIUS), images, true, known


def around(known):
    return Near(FULCRUM_A, known.rotations, known, EXTENT_RAD, EXTENT_A)


def lattice(resolution_A=made.LENGTH_A / RADIUS, **more):
    return nearby.lattice(EXTENT_RAD, EXTENT_A, 20.0, resolution_A, **more)


@pytest.mark.parametrize("resolution_A", [3.0, 5.0, 12.0, 40.0])
def test_the_lattice_stays_within_the_extents_and_begins_where_poses_are_known_to_be(resolution_A):
    found = lattice(resolution_A)
    assert np.linalg.norm(found.turns, axis=1).max() <= EXTENT_RAD * (1 + 1e-6)
    assert np.linalg.norm(found.shifts_A, axis=1).max() <= EXTENT_A * (1 + 1e-6)
    assert not found.turns[0].any() and not found.shifts_A[0].any()
    assert len(found) == len(found.turns) * len(found.shifts_A) <= nearby.MOST


def test_a_finer_resolution_a_larger_extent_and_a_longer_arm_take_more_points():
    cases = (0.1, 30.0, 12.0), (0.1, 30.0, 4.0), (0.6, 30.0, 4.0), (0.6, 60.0, 4.0)
    points = [len(nearby.lattice(extent, 5.0, arm, resolution, 10**6)) for extent, arm, resolution in cases]
    assert points[0] == 1 and points == sorted(points) and len(set(points)) == 4


def test_too_many_points_make_the_lattice_coarser():
    found = lattice(2.0, most=30)
    assert 1 < len(found) <= 30 and found.resolution_A > 2.0
    assert lattice(12.0, most=10**6).resolution_A == pytest.approx(12.0)


def test_the_search_finds_poses_that_a_climb_from_the_known_ones_misses(seen):
    projector, images, true, known = seen

    def right(rotations_, shifts):
        fit = newton.refine(projector, images, np.repeat(np.arange(N), rotations_.shape[1]),
                            rotations_.reshape(-1, 3, 3), shifts.reshape(-1, 2), RADIUS, 20, around(known))  # fmt: skip
        best = fit.log_likelihood.reshape(N, -1).argmax(1) + np.arange(N) * rotations_.shape[1]
        return np.rad2deg(rotations.angle_between(fit.rotations[best], true.rotations)) < 5

    search = nearby.LocalSearch(projector, around(known), lattice(), RADIUS)
    found = search.candidates(images, known.shifts_A, 6)
    assert right(known.rotations[:, None], known.shifts_A[:, None]).mean() < 0.6
    assert right(found.rotations, found.shifts_A).mean() > 0.95


def test_candidates_come_best_first_within_the_extents_whatever_the_blocks(seen, monkeypatch):
    projector, images, _, known = seen
    search = nearby.LocalSearch(projector, around(known), lattice(), RADIUS)
    found = search.candidates(images, known.shifts_A, 6)
    assert (np.diff(found.log_likelihood, axis=1) <= 0).all()
    for place in range(6):
        here = Poses(found.rotations[:, place], found.shifts_A[:, place])
        assert rotations.angle_between(here.rotations, known.rotations).max() <= EXTENT_RAD + 1e-9
        push = tether.fulcrum_shifts(here, FULCRUM_A) - tether.fulcrum_shifts(known, FULCRUM_A)
        assert np.linalg.norm(push, axis=1).max() <= EXTENT_A + 1e-9
    monkeypatch.setattr(nearby, "BLOCK", 3 * len(search.lattice))
    again = search.candidates(images, known.shifts_A, 6)
    np.testing.assert_array_equal(again.rotations, found.rotations)


def test_a_neighbourhood_of_one_point_leaves_the_other_places_empty(seen):
    projector, images, _, known = seen
    one = nearby.lattice(0.01, 0.1, 20.0, 10.0)
    found = nearby.LocalSearch(projector, around(known), one, RADIUS).candidates(images, known.shifts_A, 3)
    np.testing.assert_allclose(found.rotations[:, 0], known.rotations, atol=1e-9)
    assert np.isneginf(found.log_likelihood[:, 1:]).all() and np.isfinite(found.log_likelihood[:, 0]).all()


def test_a_narrow_prior_ranks_the_points_near_the_known_pose_first(seen):
    projector, images, _, known = seen
    wide, narrow = (
        nearby.LocalSearch(projector, Near(FULCRUM_A, known.rotations, known, EXTENT_RAD, EXTENT_A, sd), lattice(),
                           RADIUS).candidates(images, known.shifts_A, 1) for sd in (np.inf, 0.002)
    )  # fmt: skip
    turn = [rotations.angle_between(found.rotations[:, 0], known.rotations) for found in (wide, narrow)]
    assert np.median(turn[0]) > 0.2 and turn[1].max() < 1e-6
