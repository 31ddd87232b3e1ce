"""Sums of a map in another frame: those of images laid in at the poses of that frame."""

import numpy as np
import pytest

from halfmap.geometry import frames, symmetry
from halfmap.geometry import rotations as so3
from halfmap.geometry.frames import Frame
from halfmap.maps import turn
from halfmap.reconstruct import placing, solve
from halfmap.types import Poses
from tests.reconstruct import made

CENTRE_A = np.array([2.0, -1.5, 0.7])
TURNED = Frame(so3.exp_so3(np.array([0.3, -0.2, 0.5])), CENTRE_A)
ONTO_THE_GRID = {
    "quarter turn": Frame(symmetry.normaliser(symmetry.group("D2"))[7], np.zeros(3)),
    "mirrored": frames.mirror(),
}
BETWEEN = {"moved": frames.shift(CENTRE_A), "turned": TURNED, "turned and mirrored": TURNED.after(frames.mirror())}


@pytest.fixture(scope="module")
def seen():
    """(images, poses) that show an object from 300 directions."""
    poses = Poses(*made.views(300, np.random.default_rng(4)))
    return made.images(made.object_(), poses.rotations, poses.shifts_A), poses


def solved(sums):
    return solve.unfiltered(sums, made.BOX, made.BOX).data


def summed(images, poses):
    return made.summed(images, poses.rotations, poses.shifts_A)


@pytest.mark.parametrize("frame", ONTO_THE_GRID.values(), ids=ONTO_THE_GRID)
def test_sums_moved_are_those_of_the_poses_moved_where_the_grid_falls_on_itself(seen, frame):
    images, poses = seen
    found = placing.placed(summed(images, poses), frame)
    wanted = summed(images, frame.poses(poses))
    inside = wanted.weight.shape[-1] - 3  # of the last steps the turned grid has no neighbours
    r = wanted.weight.shape[-1] - 1
    z, y, x = np.ogrid[-r : r + 1, -r : r + 1, 0 : r + 1]
    kept = x**2 + y**2 + z**2 < inside**2
    np.testing.assert_allclose(found.weight[kept], wanted.weight[kept], atol=1e-4 * wanted.weight.max())
    np.testing.assert_allclose(found.numerator[kept], wanted.numerator[kept], atol=1e-4 * abs(wanted.numerator).max())


@pytest.mark.parametrize("frame", BETWEEN.values(), ids=BETWEEN)
def test_between_grid_points_the_map_is_the_moved_one_but_for_interpolation(seen, frame):
    images, poses = seen
    found, wanted = solved(placing.placed(summed(images, poses), frame)), solved(summed(images, frame.poses(poses)))
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.98


def test_sums_and_their_map_go_to_the_same_frame(seen):
    whole = summed(*seen)
    found = solved(placing.placed(whole, ONTO_THE_GRID["mirrored"]))
    there = turn.placed(solve.unfiltered(whole, made.BOX, made.BOX), ONTO_THE_GRID["mirrored"]).data
    assert np.corrcoef(found.ravel(), there.ravel())[0, 1] > 0.995
