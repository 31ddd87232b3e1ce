import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from halfmap.geometry import rotations

# float64 rounding through a handful of products of numbers below 1
ROUNDING = 1e-14


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def test_euler_matrix_is_the_product_of_three_passive_turns(rng):
    rot, tilt, psi = rng.uniform(-180, 180, (3, 500))
    # scipy's matrices are active; a passive turn is the transpose
    oracle = Rotation.from_euler("ZYZ", np.stack([rot, tilt, psi], axis=1), degrees=True).as_matrix()
    passive = np.swapaxes(oracle, 1, 2)
    np.testing.assert_allclose(rotations.euler_to_matrix(rot, tilt, psi), passive, atol=ROUNDING)


def test_third_row_is_the_viewing_direction():
    row = rotations.euler_to_matrix(30.0, 60.0, 77.0)[2]
    expected = [np.sin(np.pi / 3) * np.cos(np.pi / 6), np.sin(np.pi / 3) * 0.5, 0.5]
    np.testing.assert_allclose(row, expected, atol=ROUNDING)


def test_euler_angles_survive_the_round_trip(rng):
    rot, psi = rng.uniform(-180, 180, (2, 1000))
    tilt = rng.uniform(0.01, 179.99, 1000)
    back = rotations.matrix_to_euler(rotations.euler_to_matrix(rot, tilt, psi))
    # rounding is divided by sin(tilt) > 1.7e-4, times 57 degrees
    np.testing.assert_allclose(np.stack(back), np.stack([rot, tilt, psi]), atol=1e-9)


def test_every_matrix_survives_the_round_trip_through_euler_angles(rng):
    matrices = rotations.random(1000, rng)
    np.testing.assert_allclose(rotations.euler_to_matrix(*rotations.matrix_to_euler(matrices)), matrices, atol=1e-12)


@pytest.mark.parametrize("tilt", [0.0, 180.0])
def test_at_the_poles_psi_carries_the_whole_in_plane_angle(tilt):
    rot, psi = np.meshgrid(np.arange(-170, 180, 40.0), np.arange(-170, 180, 40.0))
    matrices = rotations.euler_to_matrix(rot, tilt, psi)
    back = rotations.matrix_to_euler(matrices)
    assert np.all(back[0] == 0) and np.all(back[1] == tilt)
    # the sine of 180 degrees is 1.2e-16 and the rule drops tilts below 2e-6 rad altogether
    np.testing.assert_allclose(rotations.euler_to_matrix(*back), matrices, atol=1e-14)


def test_exponential_and_logarithm_agree_with_scipy(rng):
    vectors = rng.standard_normal((500, 3))
    vectors *= (rng.uniform(0, np.pi, 500) / np.linalg.norm(vectors, axis=1))[:, None]
    oracle = Rotation.from_rotvec(vectors)
    np.testing.assert_allclose(rotations.exp_so3(vectors), oracle.as_matrix(), atol=ROUNDING)
    np.testing.assert_allclose(rotations.log_so3(oracle.as_matrix()), vectors, atol=1e-13)


@pytest.mark.parametrize("angle", [0.0, 1e-300, 1e-12, 1e-6, np.pi - 1e-9, np.pi])
def test_logarithm_undoes_the_exponential_at_both_ends(angle):
    vectors = angle * np.array([[1.0, 0, 0], [0, 0.6, 0.8], [-0.48, 0.6, 0.64]])
    back = rotations.log_so3(rotations.exp_so3(vectors))
    # at pi the axis has two signs
    error = np.minimum(np.abs(back - vectors).max(axis=1), np.abs(back + vectors).max(axis=1) if angle == np.pi else 9)
    assert error.max() < 1e-14


def test_small_angles_between_rotations_are_exact(rng):
    a = rotations.random(50, rng)
    b = a @ rotations.exp_so3(np.array([1e-9, 0, 0]))
    # entries carry 1e-16 absolute
    np.testing.assert_allclose(rotations.angle_between(a, b), 1e-9, atol=1e-15)
    flipped = a @ rotations.exp_so3(np.array([0, np.pi, 0]))
    np.testing.assert_allclose(rotations.angle_between(a, flipped), np.pi, atol=1e-14)


def test_random_rotations_are_proper_and_uniform(rng):
    matrices = rotations.random(20000, rng)
    np.testing.assert_allclose(matrices @ np.swapaxes(matrices, 1, 2), np.broadcast_to(np.eye(3), (20000, 3, 3)),
                               atol=ROUNDING)
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=ROUNDING)
    # uniform: each entry has mean 0 and variance 1/3, so the mean of 20000 has sd 0.0041; five of them
    assert np.abs(matrices.mean(axis=0)).max() < 5 * 0.0041
    # entries are uniform on -1..1: var of the square is 4/45
    assert np.abs((matrices**2).mean(axis=0) - 1 / 3).max() < 5 * np.sqrt(4 / 45 / 20000)


def test_quaternions_survive_the_round_trip(rng):
    q = rng.standard_normal((500, 4))
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    q[q[:, 0] < 0] *= -1
    np.testing.assert_allclose(rotations.to_quaternion(rotations.from_quaternion(q)), q, atol=1e-13)


def test_leading_axes_are_kept(rng):
    w = rng.standard_normal((2, 5, 3))
    assert rotations.exp_so3(w).shape == (2, 5, 3, 3)
    assert rotations.log_so3(rotations.exp_so3(w)).shape == (2, 5, 3)
    assert rotations.angle_between(rotations.exp_so3(w), np.eye(3)).shape == (2, 5)
    assert rotations.exp_so3(w[0, 0]).shape == (3, 3)


def test_a_stretched_matrix_slices_at_the_stretched_frequency():
    rng = np.random.default_rng(8)
    matrices, stretch = rotations.random(5, rng), np.array([[1.03, 0.02], [-0.01, 0.97]])
    k = rng.normal(size=2)
    found = np.swapaxes(rotations.stretched(matrices, stretch), 1, 2) @ np.append(k, 0)
    expected = np.swapaxes(matrices, 1, 2) @ np.append(stretch @ k, 0)
    np.testing.assert_allclose(found, expected, atol=1e-14)


def test_stretching_all_directions_alike_is_multiplying():
    matrices = rotations.random(3, np.random.default_rng(8))
    np.testing.assert_allclose(rotations.stretched(matrices, 1.04 * np.eye(2)), 1.04 * matrices, atol=1e-14)
    np.testing.assert_array_equal(rotations.stretched(matrices, np.eye(2)), matrices)
