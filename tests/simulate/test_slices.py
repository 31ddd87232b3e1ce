"""The simulator's projector against direct sums over voxels."""

import numpy as np
import pytest

from halfmap.geometry import rotations
from halfmap.simulate import slices
from halfmap.types import Map


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def blob(box: int, rng: np.random.Generator, reach: float = 0.5) -> Map:
    """Random voxels in a ball of ``reach`` times the half box."""
    data = rng.standard_normal((box,) * 3).astype(np.float32)
    offset = np.arange(box) - box // 2
    distance = np.sqrt(offset[:, None, None] ** 2 + offset[:, None] ** 2 + offset**2)
    return Map(np.where(distance <= reach * box / 2, data, 0).astype(np.float32), 1.0)


def direct(map: Map, rotation: np.ndarray) -> np.ndarray:
    """sum over voxels v exp(-2 pi i k q / N), q = A r in the image plane, in the layout of rfft2; float64."""
    box = map.box
    z, y, x = np.nonzero(map.data)
    places = np.stack([x, y, z], axis=1) - box // 2
    seen = places @ rotation[:2].T
    ky = np.fft.fftfreq(box, 1 / box)
    along_x = np.exp(-2j * np.pi / box * np.outer(np.arange(box // 2 + 1), seen[:, 0]))
    along_y = np.exp(-2j * np.pi / box * np.outer(ky, seen[:, 1]))
    return np.einsum("yv,v,xv->yx", along_y, map.data[z, y, x].astype(float), along_x, optimize=True)


def inside(box: int) -> np.ndarray:
    return np.hypot(np.fft.fftfreq(box, 1 / box)[:, None], np.arange(box // 2 + 1)) < box // 2


@pytest.mark.parametrize(("reach", "error"), [(0.5, 1e-3), (0.7, 3e-3), (0.95, 8e-3)])
def test_slices_of_white_noise_are_those_of_the_direct_sum(reach, error, rng):
    # aliasing of the spline: (r / padded box)^4-like, largest for density at the edge (module docstring)
    map = blob(24, rng, reach)
    for rotation in rotations.random(3, rng):
        expected = direct(map, rotation) * inside(24)
        found = slices.Slices(map).at(rotation)
        assert np.linalg.norm(found - expected) < error * np.linalg.norm(expected)


def test_without_rotation_the_slice_is_the_transform_of_the_sum_along_z(rng):
    map = blob(16, rng)
    expected = np.fft.rfft2(np.fft.ifftshift(map.data.sum(axis=0, dtype=float))) * inside(16)
    found = slices.Slices(map).at(np.eye(3))
    assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)


def test_image_of_a_point_is_a_point_where_the_pose_puts_it():
    data = np.zeros((32, 32, 32), np.float32)
    data[16 + 4, 16 - 3, 16 + 7] = 1  # r = (7, -3, 4)
    quarter_turn = rotations.euler_to_matrix(0, 0, 90)  # q = A r = (y, -x)
    image = slices.image(slices.Slices(Map(data, 1.0)).at(quarter_turn))
    assert np.unravel_index(image.argmax(), image.shape) == (16 - 7, 16 - 3)


def test_moving_by_whole_pixels_rolls_the_image(rng):
    picture = rng.standard_normal((20, 20)).astype(np.float32)
    spectrum = np.fft.rfft2(np.fft.ifftshift(picture)) * inside(20)
    still = slices.image(spectrum)
    moved = slices.image(spectrum * slices.moved(20, 3, -2))
    np.testing.assert_allclose(moved, np.roll(still, (-2, 3), axis=(0, 1)), atol=1e-6)  # complex64, values of order 1


def test_the_map_is_left_as_it_was(rng):
    map = blob(16, rng)
    before = map.data.copy()
    slices.Slices(map)
    np.testing.assert_array_equal(map.data, before)
