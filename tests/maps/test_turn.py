"""Maps turned and moved: against closed forms, and there and back."""

import numpy as np
import pytest

from halfmap.fourier import shells
from halfmap.geometry import frames, rotations
from halfmap.geometry.frames import Frame
from halfmap.maps import turn
from halfmap.types import Map, Poses
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
    # the kernel errs by 2e-5; the box cuts the Gaussians of 5 A at 24 A from the furthest: 1e-5
    np.testing.assert_allclose(found.data, true, atol=1e-4 * true.max())


def test_there_and_back_is_where_it_was(object_, place):
    rotation, centre = place
    map = object_.map(BOX, VOXEL_A)
    back = turn.turned(turn.turned(map, rotation, centre), rotation.T, -rotation.T @ centre)
    # twice the error of one way
    np.testing.assert_allclose(back.data, map.data, atol=2e-4 * map.data.max())


def test_noise_turned_there_and_back_is_the_same_up_to_nine_tenths_of_nyquist(place):
    rotation, centre = place
    axis = np.arange(BOX) - BOX // 2
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    window = np.clip((0.38 * BOX - radius) / (0.2 * BOX), 0, 1)
    noise = Map((np.random.default_rng(3).standard_normal((BOX,) * 3) * window).astype(np.float32), VOXEL_A)
    back = turn.turned(turn.turned(noise, rotation, centre), rotation.T, -rotation.T @ centre)
    before, after = np.fft.rfftn(noise.data), np.fft.rfftn(back.data)
    kept = int(0.9 * BOX / 2) + 1
    assert shells.correlation(before, after, BOX)[:kept].min() > 0.99
    # the window spreads each coefficient over a few shells, and those beyond Nyquist are gone
    np.testing.assert_allclose((shells.power(after) / shells.power(before))[1:kept], 1, atol=0.02)


def test_a_whole_shift_moves_every_voxel_and_drops_what_leaves():
    noise = Map(np.random.default_rng(4).standard_normal((12,) * 3).astype(np.float32), VOXEL_A)
    found = turn.placed(noise, frames.shift(VOXEL_A * np.array([2.0, -1.0, 3.0]))).data
    np.testing.assert_allclose(found[3:, :-1, 2:], noise.data[:-3, 1:, :-2], atol=1e-5)
    assert not found[:3].any() and not found[:, -1:].any() and not found[:, :, :2].any()


@pytest.mark.parametrize("box", [12, 13])
def test_a_mirror_takes_every_voxel_to_its_mate(box):
    noise = Map(np.random.default_rng(5).standard_normal((box,) * 3).astype(np.float32), VOXEL_A)
    found = turn.placed(noise, frames.mirror()).data
    first = 1 - box % 2
    np.testing.assert_allclose(found[first:], noise.data[first:][::-1], atol=1e-6)


def test_another_grid_and_a_turn_at_once_are_the_object_on_that_grid(object_, place):
    rotation, centre = place
    frame = Frame(rotation, centre).after(frames.mirror())
    found = turn.placed(object_.map(BOX, VOXEL_A), frame, 40, 2.6)
    true = blobs.Blobs(frame.points(object_.centres_A), object_.widths_A, object_.weights).map(40, 2.6).data
    assert found.voxel_size_A == 2.6
    np.testing.assert_allclose(found.data, true, atol=1e-4 * true.max())


def test_the_sum_along_the_beam_of_a_moved_map_is_that_of_the_map_before(object_, place):
    """project(moved map, moved pose) = project(map, pose): here with poses along z, where both are sums of voxels."""
    frame = Frame(*place)
    upright = frame.inverse().poses(Poses(np.eye(3)[None], np.zeros((1, 2))))
    seen = turn.placed(object_.map(BOX, VOXEL_A), frame).data.sum(axis=0)
    expected = object_.images(upright.rotations, upright.shifts_A, BOX, VOXEL_A, VOXEL_A)[0]
    np.testing.assert_allclose(seen, expected, atol=3e-4 * expected.max())


def test_the_map_itself_stays_as_it_was(object_, place):
    map = object_.map(BOX, VOXEL_A)
    before = map.data.copy()
    turn.turned(map, *place)
    np.testing.assert_array_equal(map.data, before)


def test_what_comes_from_outside_the_box_is_zero():
    map = blobs.Blobs(np.zeros((1, 3)), np.array([5.0]), np.ones(1)).map(BOX, VOXEL_A)
    found = turn.turned(map, np.eye(3), np.array([BOX * VOXEL_A, 0, 0]))
    assert not found.data.any()
