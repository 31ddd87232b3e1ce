"""Slicing: its laws, and the numba body against the definition."""

import numpy as np
import pytest

from halfmap.kernels.project import project, reference
from tests.kernels import made


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def test_slicing_is_linear(rng):
    a, b = made.half_space(9, rng), made.half_space(9, rng)
    poses = made.poses(3, rng)
    both = project(a + 2 * b, poses, 8, 1)
    # float32 additions of numbers of order 1 to 10
    np.testing.assert_allclose(both, project(a, poses, 8, 1) + 2 * project(b, poses, 8, 1), atol=1e-5)


def test_a_half_turn_in_the_image_plane_conjugates_the_slice(rng):
    half = made.half_space(9, rng)
    pose = made.poses(1, rng)[:1]
    turned = np.diag([-1.0, -1.0, 1.0]) @ pose
    # A'^T k = -A^T k, and the map is real; the value is computed from the same eight corners
    np.testing.assert_allclose(project(half, turned, 8, 1), project(half, pose, 8, 1).conj(), atol=2e-6)


def test_without_rotation_the_slice_is_the_plane_z_0(rng):
    half = made.half_space(17, rng)
    for padding, radius in ((1, 16), (2, 8)):
        step = slice(17 - padding * radius, 18 + padding * radius, padding)
        plane = half[17, step, 0 : padding * radius + 1 : padding]
        expected = plane * reference.in_band(radius, radius)
        np.testing.assert_array_equal(project(half, np.eye(3)[None], radius, padding)[0], expected)


def test_pixels_beyond_the_radius_and_mates_are_zero(rng):
    slices = project(made.half_space(8, rng), made.poses(1, rng), 7, 1)
    outside = ~reference.in_band(7, 7)
    assert not slices[:, outside].any()
    assert slices[:, ~outside].all()


@pytest.mark.parametrize("radius", [1, 2, 7, 8])
@pytest.mark.parametrize("padding", [1, 2])
@pytest.mark.parametrize("spare", [1, 4])  # the half space may reach further than the slices
def test_body_agrees_with_the_definition(radius, padding, spare, rng):
    half = made.half_space(padding * radius + spare, rng)
    poses = made.poses(6, rng)
    found = project(half, poses, radius, padding)
    assert found.dtype == np.complex64
    # values of order 1, three float32 interpolations: a few times 6e-8 each
    np.testing.assert_allclose(found, reference.project(half, poses, radius, padding), atol=4e-6)


def test_stretched_matrices_sample_a_finer_grid(rng):
    half = made.half_space(17, rng)
    pose = made.poses(1, rng)[:1]
    np.testing.assert_array_equal(project(half, 2 * pose, 8, 1), project(half, pose, 8, 2))


def test_arguments_stay_as_they_are(rng):
    half, poses = made.half_space(9, rng), made.poses(1, rng)
    before = half.copy(), poses.copy()
    project(half, poses, 8, 1)
    np.testing.assert_array_equal(half, before[0])
    np.testing.assert_array_equal(poses, before[1])
