import numpy as np
import pytest

from halfmap.geometry import rotations, symmetry
from halfmap.validate import orientation


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def test_every_view_is_counted_once_where_it_looks_from(rng):
    poses = rotations.random(5000, rng)
    histogram = orientation.direction_histogram(poses, bins=(18, 36))
    assert histogram.counts.shape == (18, 36) and histogram.counts.sum() == 5000
    rot, tilt, _ = rotations.matrix_to_euler(poses[0])
    row = np.searchsorted(histogram.elevation_edges_rad, np.deg2rad(90 - tilt)) - 1
    column = np.searchsorted(histogram.azimuth_edges_rad, np.deg2rad(rot)) - 1
    alone = orientation.direction_histogram(poses[:1], bins=(18, 36))
    assert alone.counts[row, column] == 1


def test_bins_cover_equal_angles_so_even_views_fill_them_evenly(rng):
    counts = orientation.direction_histogram(rotations.random(72 * 36 * 20, rng)).counts
    # Poisson counts of mean 20 in 2592 bins: chi-square per bin 1 with sd sqrt(2/2592)
    assert abs(((counts - 20) ** 2 / 20).mean() - 1) < 5 * np.sqrt(2 / counts.size)


def test_views_exactly_along_the_poles_are_not_lost():
    poses = rotations.euler_to_matrix(0.0, np.array([0.0, 180.0]), 30.0)
    assert orientation.direction_histogram(poses).counts.sum() == 2


def test_weights_are_added_up(rng):
    poses, weights = rotations.random(100, rng), rng.random(100)
    assert orientation.direction_histogram(poses, weights=weights).counts.sum() == pytest.approx(weights.sum())


def test_even_views_cover_fourier_space_evenly(rng):
    coverage = orientation.fourier_coverage(rotations.random(20000, rng), symmetry.group("C1"))
    assert coverage.density.mean() == pytest.approx(1)
    # a direction meets 9 % of 20000 views (2 % sampling error); the grid adds a few per cent
    assert 0.8 < coverage.density.min() and coverage.density.max() < 1.2


def test_views_from_one_side_leave_that_side_of_fourier_space_empty():
    poses = rotations.euler_to_matrix(0.0, np.zeros(100), np.linspace(0, 360, 100))
    coverage = orientation.fourier_coverage(poses, symmetry.group("C1"))
    height = np.abs(coverage.directions[:, 2])
    assert np.all(coverage.density[height > np.sin(np.deg2rad(10))] == 0)
    assert coverage.density[height < np.sin(np.deg2rad(2))].min() > 1


def test_symmetry_fills_what_views_from_one_side_leave_empty():
    poses = rotations.euler_to_matrix(0.0, np.zeros(10), 0.0)
    alone = orientation.fourier_coverage(poses, symmetry.group("C1")).density
    mates = orientation.fourier_coverage(poses, symmetry.group("O")).density
    assert (mates > 0).sum() > 2.5 * (alone > 0).sum()


def test_weights_shift_the_balance_between_views():
    poses = rotations.euler_to_matrix(0.0, np.array([0.0, 90.0]), 0.0)
    coverage = orientation.fourier_coverage(poses, symmetry.group("C1"), weights=np.array([3.0, 1.0]))
    near_first = np.abs(coverage.directions[:, 2]) < 0.02
    near_second = (np.abs(coverage.directions[:, 0]) < 0.02) & (np.abs(coverage.directions[:, 2]) > 0.3)
    assert coverage.density[near_first].mean() > 2 * coverage.density[near_second].mean()
