import numpy as np
import pytest

from halfmap.geometry import rotations, symmetry
from halfmap.reconstruct import sums
from halfmap.types import Images
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


PADDING, RADIUS = 2, 12


def weight_of(poses, group="C1", ctf2=None):
    """The weights that images of constant CTF, laid in at these poses, leave in the sums."""
    n, size = len(poses), 2 * RADIUS + 1
    plane = np.ones((n, size, RADIUS + 1), np.float32)
    root = plane if ctf2 is None else plane * np.sqrt(ctf2, dtype=np.float32)[:, None, None]
    images = Images(np.arange(n), plane + 0j, (plane + 0j).astype(np.complex64), root, np.ones(RADIUS + 1), 32, 2.0)
    growing = sums.Accumulator(RADIUS, 32, 2.0, PADDING)
    growing.add(images, np.arange(n), poses, np.zeros((n, 2)))
    return growing.sums(symmetry.group(group)).weight


def precision(poses, **how):
    return orientation.precision(weight_of(poses, **how), PADDING, RADIUS // 2, RADIUS)


def test_even_views_measure_all_directions_alike(rng):
    found = precision(rotations.random(3000, rng))
    assert found.density.mean() == pytest.approx(1)
    # a direction of 7 degrees meets a fraction of about 0.11 of 3000 views: 5 % sampling error, 768 directions
    assert 0.75 < found.density.min() and found.density.max() < 1.25
    assert found.ratio < 1.6


def test_views_from_one_side_leave_that_side_unmeasured():
    found = precision(rotations.euler_to_matrix(0.0, np.zeros(50), np.linspace(0, 360, 50)))
    height = np.abs(found.directions[:, 2])
    # a slice is two grid steps thick at 6 shells of two steps: 5 degrees, and a direction is 7 degrees wide
    assert np.all(found.density[height > np.sin(np.deg2rad(20))] == 0)
    assert found.density[height < np.sin(np.deg2rad(2))].min() > 1
    assert found.ratio == np.inf


def test_symmetry_fills_what_views_from_one_side_leave_empty():
    poses = rotations.euler_to_matrix(0.0, np.zeros(10), 0.0)
    alone, mates = (precision(poses, group=name).density for name in ("C1", "O"))
    assert (mates > 0).sum() > 2 * (alone > 0).sum()


def test_images_that_transfer_more_count_more():
    found = precision(rotations.euler_to_matrix(0.0, np.array([0.0, 90.0]), 0.0), ctf2=np.array([3.0, 1.0]))
    near_first = np.abs(found.directions[:, 2]) < 0.02
    near_second = (np.abs(found.directions[:, 0]) < 0.02) & (np.abs(found.directions[:, 2]) > 0.5)
    # the two circles are 3 to 1; both lie alike on the grid
    assert found.density[near_first].mean() == pytest.approx(3 * found.density[near_second].mean(), rel=0.4)


# ---- sampling


def views_about(axis_z, n=20_000, seed=1):
    """Views from all sides about z, their z drawn by ``axis_z(rng, n)``."""
    rng = np.random.default_rng(seed)
    z, azimuth = axis_z(rng, n), rng.uniform(0, 2 * np.pi, n)
    across = np.sqrt(1 - z**2)
    return np.stack([across * np.cos(azimuth), across * np.sin(azimuth), z], axis=1)


def test_even_views_have_an_scf_of_one():
    found = orientation.sampling_map(views_about(lambda rng, n: rng.uniform(-1, 1, n)), 23)
    # 20,000 views of 1 / 46 of the sphere each: 435 a direction, a scatter of 5 %, 0.002 of the harmonic mean
    assert found.scf == pytest.approx(1, abs=0.01) and found.unsampled == 0
    assert found.density.mean() == pytest.approx(1, abs=0.01)


def test_views_from_all_sides_about_an_axis_have_the_scf_of_the_closed_form():
    found = orientation.sampling_map(views_about(lambda rng, n: np.zeros(n)), 50)
    # the density is 2 / (pi sin), its harmonic mean 8 / pi^2; near the pole, 1 / 50 wide, it is cut
    assert found.scf == pytest.approx(8 / np.pi**2, abs=0.01)


def test_views_along_one_axis_measure_one_slice():
    found = orientation.sampling_map(np.tile([[0.0, 0.0, 1.0]], (50, 1)), 23)
    assert found.scf == pytest.approx(1 / 46, rel=0.1) and found.unsampled == pytest.approx(1 - 1 / 46, abs=0.005)


def test_views_in_a_cone_leave_a_cone_unmeasured():
    found = orientation.sampling_map(views_about(lambda rng, n: rng.uniform(np.cos(np.deg2rad(30)), 1, n)), 23)
    # directions less than 60 degrees from z are across no view: half the sphere, less half a slice
    assert found.unsampled == pytest.approx(0.5, abs=0.03) and found.scf < 0.5


def test_a_larger_radius_counts_thinner_slices():
    views = np.tile([[0.0, 0.0, 1.0]], (50, 1))
    assert orientation.sampling_map(views, 10).unsampled < orientation.sampling_map(views, 40).unsampled


@pytest.mark.parametrize("cfar, scf, words", [
    (0.9, 0.95, "even directions: the map"), (0.3, 0.4, "preferred views"), (0.3, 0.95, "junk or misaligned"),
    (0.9, 0.4, "though the views are uneven"), (None, 0.4, "uneven directions: SCF"), (0.9, None, "even directions: c"),
    (None, None, "nothing to judge"),
])  # fmt: skip
def test_the_verdict_says_what_both_numbers_mean(cfar, scf, words):
    assert words in orientation.verdict(cfar, scf)
