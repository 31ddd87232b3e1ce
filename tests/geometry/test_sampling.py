import numpy as np
import pytest

from halfmap.geometry import rotations, sampling, symmetry

GROUPS = ["C1", "C2", "C5", "D1", "D2", "D7", "T", "O", "I1", "I2", "I3", "I4"]


@pytest.mark.parametrize("order", range(7))
def test_directions_are_those_of_healpy(order):
    healpy = pytest.importorskip("healpy", reason="healpy, the oracle of this test, is not installed")
    oracle = np.stack(healpy.pix2vec(2**order, np.arange(12 * 4**order), nest=True), axis=1)
    # rounding only
    np.testing.assert_allclose(sampling.healpix_directions(order), oracle, atol=1e-14)


@pytest.mark.parametrize("order", range(5))
def test_directions_are_unit_vectors_spread_evenly(order):
    d = sampling.healpix_directions(order)
    assert d.shape == (12 * 4**order, 3)
    np.testing.assert_allclose(np.linalg.norm(d, axis=1), 1, atol=1e-15)
    # pixels come in opposite pairs and the grid has cubic second moments
    np.testing.assert_allclose(d.sum(axis=0), 0, atol=1e-10)


def test_four_children_surround_their_parent():
    parents, children = sampling.healpix_directions(2), sampling.healpix_directions(3)
    mean = children.reshape(-1, 4, 3).mean(axis=1)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    # a fraction of the parents' step; the distortion of HEALPix pixels moves the mean a little
    assert np.arccos(np.clip((mean * parents).sum(axis=1), -1, 1)).max() < 0.1 * sampling.step_rad(2)


def test_step_is_the_distance_between_neighbours():
    d = sampling.healpix_directions(3)
    cosine = d @ d.T - 2 * np.eye(len(d))
    nearest = np.arccos(cosine.max(axis=1))
    # nominal step 7.5 degrees; the pixel area gives sqrt(4 pi / 768) = 7.33; nearest neighbours are closer
    assert 0.7 * sampling.step_rad(3) < nearest.mean() < sampling.step_rad(3)


@pytest.mark.parametrize("psi", [0.0, 33.0])
def test_rotations_of_directions_look_from_there(psi):
    d = sampling.healpix_directions(2)
    a = sampling.directions_to_rotations(d, psi)
    np.testing.assert_allclose(a[:, 2], d, atol=1e-15)
    np.testing.assert_allclose(rotations.matrix_to_euler(a)[2], psi, atol=1e-9)


def test_rotations_of_the_poles_have_no_rot():
    a = sampling.directions_to_rotations(np.array([[0, 0, 1.0], [0, 0, -1.0]]), 10.0)
    np.testing.assert_allclose(a, rotations.euler_to_matrix(0.0, np.array([0.0, 180.0]), 10.0), atol=1e-15)


@pytest.mark.parametrize("name", GROUPS)
def test_exactly_one_mate_of_a_generic_direction_is_kept(name):
    ops = symmetry.group(name)
    d = rotations.random(2000, np.random.default_rng(5))[:, 2]
    kept = np.stack([sampling.asymmetric_unit(d @ op, ops) for op in ops])
    np.testing.assert_array_equal(kept.sum(axis=0), 1)


@pytest.mark.parametrize("name", GROUPS)
def test_asymmetric_unit_holds_its_share_of_the_grid(name):
    ops = symmetry.group(name)
    kept = sampling.asymmetric_unit(sampling.healpix_directions(5), ops)
    # seams: of 12288 / g pixels in the cell about 2 sqrt(pi n) lie on its border, half of them to either side by chance
    n = len(kept) / len(ops)
    assert abs(kept.sum() - n) < 4 * np.sqrt(np.sqrt(np.pi * n)) + (len(ops) == 1)


@pytest.mark.parametrize("name", GROUPS)
def test_images_of_the_kept_directions_cover_the_sphere(name):
    from scipy.spatial import cKDTree

    ops = symmetry.group(name)
    d = sampling.healpix_directions(4)
    kept = d[sampling.asymmetric_unit(d, ops)]
    images = np.concatenate([kept @ op for op in ops])
    gap = cKDTree(images).query(rotations.random(5000, np.random.default_rng(6))[:, 2])[0]
    # the grid itself leaves gaps of up to 0.75 steps; at a seam a pixel may miss on either side
    assert gap.max() < 1.3 * sampling.step_rad(4)


def test_directions_on_an_axis_or_a_seam_are_not_lost():
    ops = symmetry.group("D2")
    special = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1.0]])
    kept = special[sampling.asymmetric_unit(special, ops)]
    np.testing.assert_array_equal(np.abs(kept).sum(axis=0), 1)


def test_a_direction_on_the_seam_is_kept_once():
    ops = symmetry.group("C2")
    normal = symmetry.CELL_CENTRE - ops[1] @ symmetry.CELL_CENTRE
    seam = np.cross(normal, [0.3, -0.2, 0.4])
    seam /= np.linalg.norm(seam)
    assert sampling.asymmetric_unit(np.stack([seam, seam @ ops[1]]), ops).sum() == 1


def test_canonical_poses_look_from_the_asymmetric_unit():
    ops = symmetry.group("O")
    poses = symmetry.canonical(rotations.random(3000, np.random.default_rng(7)), ops)
    assert sampling.asymmetric_unit(poses[:, 2], ops).all()


@pytest.mark.parametrize("name", ["C1", "C3", "D2", "O"])
def test_mirrors_reduce_the_asymmetric_unit_like_any_operator(name):
    ops = symmetry.group(name)
    both_hands = np.concatenate([ops, -ops])
    d = rotations.random(2000, np.random.default_rng(8))[:, 2]
    kept = np.stack([sampling.asymmetric_unit(d @ op, both_hands) for op in both_hands])
    np.testing.assert_array_equal(kept.sum(axis=0), 1)


@pytest.mark.parametrize("n", [1, 7, 50, 1000])
def test_directions_of_a_spiral_are_even_whatever_their_number(n):
    found = sampling.spiral(n)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-12)
    if n >= 50:
        nearest = np.sort(np.arccos(np.clip(found @ found.T, -1, 1)), axis=1)[:, 1]
        even = np.sqrt(4 * np.pi / n)  # the side of a square of each one's share of the sphere
        assert nearest.min() > 0.8 * even and nearest.max() < 1.1 * even
        assert np.linalg.norm(found.mean(0)) < 0.05
