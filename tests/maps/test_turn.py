"""Maps turned and moved: against closed forms, and there and back."""

import numpy as np
import pytest

from halfmap.geometry import rotations
from halfmap.maps import turn
from tests import blobs

BOX, VOXEL_A = 48, 2.0


@pytest.fixture(scope="module")
def place():
    rng = np.random.default_rng(1)
    return rotations.random(1, rng)[0], np.array([3.0, -4.5, 1.7])


@pytest.fixture(scope="module")
def object_():
    # Gaussians of 5 A fall to 3e-4 of their transform at half the Nyquist frequency: exp(-2 (pi 5 / 8)^2)
    return blobs.scattered(12, 22.0, 5.0, np.random.default_rng(2))


def test_a_turned_map_is_that_of_the_turned_object(object_, place):
    rotation, centre = place
    found = turn.turned(object_.map(BOX, VOXEL_A), rotation, centre)
    # V'(r) = V(R r + c): what lay at p lies at R^T (p - c)
    moved = blobs.Blobs((object_.centres_A - centre) @ rotation, object_.widths_A, object_.weights)
    true = moved.map(BOX, VOXEL_A).data
    # a cubic spline errs by (pi x)^4 / 360 or so at x of the sampling frequency: 1e-3 at a quarter of it
    np.testing.assert_allclose(found.data, true, atol=2e-3 * true.max())


def test_there_and_back_is_where_it_was(object_, place):
    rotation, centre = place
    map = object_.map(BOX, VOXEL_A)
    back = turn.turned(turn.turned(map, rotation, centre), rotation.T, -rotation.T @ centre)
    # twice the error of one way
    np.testing.assert_allclose(back.data, map.data, atol=4e-3 * map.data.max())


def test_the_map_itself_stays_as_it_was(object_, place):
    map = object_.map(BOX, VOXEL_A)
    before = map.data.copy()
    turn.turned(map, *place)
    np.testing.assert_array_equal(map.data, before)


def test_what_comes_from_outside_the_box_is_zero():
    map = blobs.Blobs(np.zeros((1, 3)), np.array([5.0]), np.ones(1)).map(BOX, VOXEL_A)
    found = turn.turned(map, np.eye(3), np.array([BOX * VOXEL_A, 0, 0]))
    assert not found.data.any()
