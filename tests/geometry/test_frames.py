"""A change of frame: its algebra, and that poses moved along show the same images, in closed form."""

import numpy as np
import pytest

from halfmap.geometry import frames, rotations
from halfmap.geometry.frames import Frame
from halfmap.types import Poses
from tests import blobs

RNG = np.random.default_rng(1)
TURN = rotations.random(1, RNG)[0]
FRAMES = {
    "shift": frames.shift(np.array([4.0, -7.0, 2.0])),
    "turn": Frame(TURN, np.zeros(3)),
    "turn and centre": Frame(TURN, np.array([3.0, 5.0, -6.0])),
    "mirror": frames.mirror(),
    "mirror, turn and centre": Frame(TURN, np.array([3.0, 5.0, -6.0])).after(frames.mirror()),
}


@pytest.fixture(params=FRAMES.values(), ids=FRAMES.keys())
def frame(request):
    return request.param


def test_there_and_back_is_nowhere(frame):
    for both in (frame.after(frame.inverse()), frame.inverse().after(frame)):
        np.testing.assert_allclose(both.rotation, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(both.centre_A, 0, atol=1e-12)


def test_one_after_another_moves_points_as_both_do(frame):
    points = RNG.normal(size=(5, 3))
    second = FRAMES["turn and centre"]
    np.testing.assert_allclose(second.after(frame).points(points), second.points(frame.points(points)), atol=1e-12)


def test_the_centre_comes_to_the_centre(frame):
    np.testing.assert_allclose(frame.points(frame.centre_A), 0, atol=1e-12)


def test_moved_poses_show_the_moved_object_as_the_old_ones_showed_the_old(frame):
    object_ = blobs.scattered(8, 20.0, 3.0, np.random.default_rng(2))
    moved = blobs.Blobs(frame.points(object_.centres_A), object_.widths_A, object_.weights)
    poses = Poses(*blobs.views(6, 3.0, np.random.default_rng(3)))
    along = frame.poses(poses)
    np.testing.assert_allclose(np.linalg.det(along.rotations), 1, atol=1e-12)
    before = object_.images(poses.rotations, poses.shifts_A, 32, 2.0, 2.0)
    after = moved.images(along.rotations, along.shifts_A, 32, 2.0, 2.0)
    np.testing.assert_allclose(after, before, atol=1e-10)


def test_a_magnified_image_is_moved_as_it_was_recorded():
    """True k = M k: the object's shift d is seen as exp(-2 pi i k . M^T d)."""
    lens = np.array([[1.02, 0.01], [-0.005, 0.97]])
    poses = Poses(TURN[None], np.zeros((1, 2)))
    frame = FRAMES["shift"]
    seen = (poses.rotations[0] @ frame.centre_A)[:2]
    k = np.array([0.03, -0.05])
    np.testing.assert_allclose(frame.poses(poses, lens[None]).shifts_A[0] @ k, -(lens @ k) @ seen, rtol=1e-12)


def test_a_mirror_keeps_shifts_and_a_second_one_brings_the_poses_back():
    poses = Poses(*blobs.views(4, 3.0, np.random.default_rng(5)))
    once = frames.mirror().poses(poses)
    np.testing.assert_array_equal(once.shifts_A, poses.shifts_A)
    np.testing.assert_allclose(frames.mirror().poses(once).rotations, poses.rotations, atol=1e-15)
    assert frames.mirror().mirrored and not FRAMES["turn"].mirrored


def test_the_angle_is_that_of_the_turn_with_or_without_a_mirror():
    turn = Frame(rotations.exp_so3(np.array([0.0, 0.3, 0.0])), np.ones(3))
    for frame in (turn, turn.after(frames.mirror())):
        assert frame.angle_deg == pytest.approx(np.rad2deg(0.3))
    assert frames.identity().angle_deg == 0
