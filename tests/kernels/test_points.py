"""Values of a half space at points: the numba body against the definition, and its symmetry."""

import numpy as np
import pytest

from halfmap.kernels.points import points, reference
from tests.kernels import made


@pytest.fixture
def rng():
    return np.random.default_rng(4)


@pytest.mark.parametrize("padding", [1, 2])
def test_body_agrees_with_the_definition(padding, rng):
    half = made.half_space(padding * 7 + 2, rng)
    at = rng.uniform(-4, 4, (40, 3))  # within 7 of the centre
    poses = made.poses(3, rng)
    found = points(half, poses, at, padding)
    assert found.dtype == np.complex64
    # values of order 1, three float32 interpolations: a few times 6e-8 each
    np.testing.assert_allclose(found, reference.points(half, poses, at, padding), atol=4e-6)


def test_opposite_points_are_conjugate(rng):
    half, at = made.half_space(9, rng), rng.uniform(-4, 4, (20, 3))
    pose = made.poses(1, rng)[:1]
    np.testing.assert_allclose(points(half, pose, -at, 1), points(half, pose, at, 1).conj(), atol=2e-6)


def test_at_whole_points_nothing_is_interpolated(rng):
    half = made.half_space(5, rng)
    at = np.array([[0.0, 0, 0], [1, -2, 3], [4, 0, -1]])
    expected = [half[int(z) + 5, int(y) + 5, int(x)] for x, y, z in at]
    np.testing.assert_array_equal(points(half, np.eye(3)[None], at, 1)[0], expected)


def test_arguments_stay_as_they_are(rng):
    half, poses = made.half_space(9, rng), made.poses(1, rng)
    before = half.copy(), poses.copy()
    points(half, poses, np.ones((1, 3)), 1)
    np.testing.assert_array_equal(half, before[0])
    np.testing.assert_array_equal(poses, before[1])
