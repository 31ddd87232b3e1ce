"""Global search on noise-free images whose poses are known."""

import numpy as np
import pytest

from halfmap.align import newton, polar
from halfmap.geometry import rotations, symmetry
from tests.align import made

RADIUS = 7
DIAMETER_A = 56.0  # blobs reach 20 A and fall off over 8 more
RANGE_A = 14.0
COUNT = 8


@pytest.fixture
def rng():
    return np.random.default_rng(13)


def searched(name: str, centres_A, matrices, shifts_A, count=COUNT):
    """(candidates, grid) of closed-form images."""
    truth = made.object_(symmetry_name=name)
    group = symmetry.group(name)
    grid = polar.grid(RADIUS, made.LENGTH_A, DIAMETER_A, RANGE_A, group)
    search = polar.PolarSearch.of(made.projector(truth, RADIUS), grid, RADIUS)
    images = made.loud(made.images(truth, matrices, shifts_A, RADIUS), 1e4)
    return search.candidates(images, centres_A, count), grid


def nearest(found, matrices, group):
    """Per image: place of the candidate nearest to the true pose, and its distance in rad."""
    b, c = found.log_likelihood.shape
    true = np.repeat(matrices, c, axis=0)
    apart = symmetry.distance(found.rotations.reshape(-1, 3, 3), true, group).reshape(b, c)
    apart[~np.isfinite(found.log_likelihood)] = np.inf
    return apart.argmin(1), apart.min(1)


def grid_error(grid) -> float:
    """Furthest a pose can be from the grid: three quarters of a step between directions, half one in the plane."""
    return float(np.hypot(0.75 * grid.step_rad, np.pi / grid.angles))


def reach(grid) -> float:
    """Furthest from the true pose that its candidate can be: a better neighbour within 1.5 steps takes its place."""
    return grid_error(grid) + 1.5 * grid.step_rad


@pytest.mark.parametrize("name", ["C1", "D2"])
def test_the_true_pose_is_among_the_candidates(name, rng):
    matrices, shifts = rotations.random(60, rng), rng.uniform(-8, 8, (60, 2))
    found, grid = searched(name, np.zeros((60, 2)), matrices, shifts)
    place, apart = nearest(found, matrices, grid.group)
    assert (apart < reach(grid)).mean() > 0.95  # some views of a small object resemble others
    assert np.median(apart) < grid_error(grid)
    step = made.LENGTH_A / RADIUS / 2
    error = np.linalg.norm(found.shifts_A[np.arange(60), place] - shifts, axis=1)
    assert np.median(error) < 0.5 * step  # 0.38 steps to the nearest point; a wrong sign would be 9 A off
    assert (error < step).mean() > 0.95  # half a diagonal is 0.7 steps, and the shift balances the turn


@pytest.mark.parametrize("name", ["C1", "D2"])
def test_pose_refinement_leads_from_the_candidates_to_the_true_pose(name, rng):
    matrices, shifts = rotations.random(60, rng), rng.uniform(-8, 8, (60, 2))
    found, grid = searched(name, np.zeros((60, 2)), matrices, shifts)
    truth = made.object_(symmetry_name=name)
    images = made.loud(made.images(truth, matrices, shifts, RADIUS), 1e4)
    image, place = np.nonzero(np.isfinite(found.log_likelihood))
    fit = newton.refine(made.projector(truth, RADIUS), images, image, found.rotations[image, place],
                        found.shifts_A[image, place], RADIUS, 10)  # fmt: skip
    scores = np.full(found.log_likelihood.shape, -np.inf)
    scores[image, place] = fit.log_likelihood
    poses = np.zeros_like(found.rotations)
    poses[image, place] = fit.rotations
    best = poses[np.arange(60), scores.argmax(1)]
    # 0.7 degrees of noise at this power, though none is there, bound what the stopping rule leaves: 0.02 rad is 1.1
    assert (symmetry.distance(best, matrices, grid.group) < 0.02).mean() > 0.95


def test_the_best_candidate_of_most_images_is_near_the_true_pose(rng):
    matrices, shifts = rotations.random(60, rng), rng.uniform(-8, 8, (60, 2))
    found, grid = searched("C1", np.zeros((60, 2)), matrices, shifts)
    apart = symmetry.distance(found.rotations[:, 0], matrices, grid.group)
    assert (apart < reach(grid)).mean() > 0.8  # a chance pose is that near with a probability of 0.3 %


@pytest.mark.parametrize("name", ["C1", "D2"])
def test_candidates_come_best_first_and_are_distinct(name, rng):
    found, grid = searched(name, np.zeros((10, 2)), rotations.random(10, rng), np.zeros((10, 2)))
    assert (np.diff(found.log_likelihood, axis=1) <= 0).all()
    for image in range(10):
        some = found.rotations[image][np.isfinite(found.log_likelihood[image])]
        np.testing.assert_allclose(np.linalg.det(some), 1)
        for i in range(1, len(some)):
            apart = symmetry.distance(np.broadcast_to(some[i], some[:i].shape), some[:i], grid.group)
            assert apart.min() > grid.step_rad


def test_shifts_are_tried_about_the_given_centres(rng):
    matrices = rotations.random(20, rng)
    centres = np.tile([[22.0, -17.0]], (20, 1))  # further out than the range
    shifts = centres + rng.uniform(-5, 5, (20, 2))
    found, grid = searched("C1", centres, matrices, shifts)
    place, apart = nearest(found, matrices, grid.group)
    assert apart.max() < reach(grid)
    best = found.shifts_A[np.arange(20), place]
    assert np.linalg.norm(best - shifts, axis=1).max() < made.LENGTH_A / RADIUS / 2
    assert np.linalg.norm(found.shifts_A - centres[:, None], axis=-1).max() <= RANGE_A * (1 + 1e-6)


def test_a_centred_particle_gets_no_shift(rng):
    matrices = rotations.random(20, rng)
    found, grid = searched("C1", np.zeros((20, 2)), matrices, np.zeros((20, 2)))
    place, _ = nearest(found, matrices, grid.group)
    np.testing.assert_array_equal(found.shifts_A[np.arange(20), place], 0)


def test_scores_are_log_likelihoods_on_the_grid(rng):
    matrices = rotations.random(10, rng)
    found, _ = searched("C1", np.zeros((10, 2)), matrices, np.zeros((10, 2)), 1)
    truth = made.object_()
    images = made.loud(made.images(truth, matrices, np.zeros((10, 2)), RADIUS), 1e4)
    poses = found.rotations[:, 0], found.shifts_A[:, 0]
    at = newton.refine(made.projector(truth, RADIUS), images, np.arange(10), *poses, RADIUS, 0)
    ratio = found.log_likelihood[:, 0] / at.log_likelihood
    # rings 1..K cover the disc to K + 1/2, (1 + 1 / 2 K)^2 of the pixels that count
    assert (ratio > 1).all() and (ratio < (1 + 0.5 / RADIUS) ** 2).all()


def test_the_spectrum_of_a_shifted_image_is_that_of_its_moved_rings(rng):
    k, half, shifts = 5, 9, 4
    rings, ramps = (rng.standard_normal((n, k, half)) + 1j * rng.standard_normal((n, k, half)) for n in (2, shifts))
    found = polar.Shifted.of(rings.astype(np.complex64), ramps.astype(np.complex64)).spectrum(1)
    moved = rings[1] * ramps
    circle = np.concatenate([moved.real + moved.imag, moved.real - moved.imag], axis=-1)  # the mates conj: Re F - Im F
    wanted = np.fft.rfft(circle).transpose(2, 0, 1)
    np.testing.assert_allclose(found, np.concatenate([wanted.real, wanted.imag], axis=-1), atol=1e-4)  # float32 of 30


@pytest.mark.parametrize("range_A, step_A", [(0.0, 3.0), (10.0, 3.0), (10.0, 20.0)])
def test_shift_grids_fill_the_circle(range_A, step_A):
    shifts = polar.shift_grid(range_A, step_A)
    assert np.linalg.norm(shifts, axis=1).max() <= range_A * (1 + 1e-9)
    assert (shifts == 0).all(axis=1).sum() == 1
    np.testing.assert_allclose(np.sort(shifts[:, 0]), np.sort(-shifts[:, 0]))
    if range_A:
        steps = np.diff(np.unique(shifts[:, 0].round(9)))
        assert steps.max() <= step_A * (1 + 1e-9)


@pytest.mark.parametrize("range_A, reach_A", [(0.0, 3.0), (2.0, 3.0), (10.0, 3.0), (33.3, 7.3), (48.0, 10.3)])
def test_no_place_is_farther_from_a_shift_than_asked_for(range_A, reach_A, rng):
    shifts = polar.covering_shifts(range_A, reach_A)
    assert np.hypot(*shifts.T).max() <= range_A * (1 + 1e-9) and (shifts == 0).all(axis=1).sum() == 1
    radius, angle = range_A * np.sqrt(rng.random(20_000)), 2 * np.pi * rng.random(20_000)
    radius[:2000] = range_A  # the edge, too
    places = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    nearest = np.linalg.norm(places[:, None] - shifts, axis=-1).min(1)
    assert nearest.max() <= reach_A * (1 + 1e-9)


@pytest.mark.parametrize("range_A", [0.0, 10.3, 12.0, 33.3])
def test_a_search_tries_no_more_shifts_than_a_square_grid_has(range_A):
    found, square = (make(range_A, 10.3) for make in (polar.fewest_shifts, polar.shift_grid))
    assert len(found) <= len(square)
    assert range_A < 33 or len(found) < 0.8 * len(square)


def test_the_two_halves_of_the_grid_look_from_opposite_sides():
    grid = polar.grid(5, made.LENGTH_A, DIAMETER_A, 0.0, symmetry.group("C1"))
    hands = len(grid.matrices) // 2
    np.testing.assert_allclose(grid.matrices[hands:, 2], -grid.matrices[:hands, 2])
    np.testing.assert_allclose(np.linalg.det(grid.matrices), 1)
