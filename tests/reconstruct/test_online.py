"""Running sums of stochastic gradient steps and the map they make."""

import numpy as np
import pytest

from halfmap.geometry import rotations as so3
from halfmap.geometry import symmetry
from halfmap.kernels.polar import sample_slices
from halfmap.physics.projection import Projector
from halfmap.reconstruct import online, sums
from halfmap.types import Map
from tests import blobs

BOX, VOXEL_A, RADIUS, ANGLES = 32, 3.0, 10, 72


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def seen(truth: Map, views: int, rng, group=np.eye(3)[None]):  # noqa: B008
    """Sums of the map's own slices, all of weight 1."""
    projector = Projector.of(truth, RADIUS, BOX)
    poses = so3.random(views, rng)
    rings = sample_slices(projector.half, poses, RADIUS, ANGLES, projector.padding)
    empty = sums.empty(RADIUS, BOX, VOXEL_A)
    return online.of_rings(rings, np.ones(rings.shape[:2]), poses, ANGLES, empty, group)


def likeness(a: Map, b: Map) -> float:
    return float(np.corrcoef(a.data.ravel(), b.data.ravel())[0, 1])


def object_(rng, name="C1") -> Map:
    return blobs.scattered(6, 18.0, 7.0, rng).symmetrised(symmetry.group(name)).map(BOX, VOXEL_A)


def test_slices_of_a_map_make_that_map(rng):
    truth = object_(rng)
    assert likeness(online.to_map(seen(truth, 400, rng), RADIUS, BOX), truth) > 0.99


def test_symmetry_makes_up_for_views(rng):
    truth = object_(rng, "D2")
    group = symmetry.group("D2")
    few, more = (online.to_map(seen(truth, 60, np.random.default_rng(1), g), RADIUS, BOX)
                 for g in (np.eye(3)[None], group))
    assert likeness(more, truth) > likeness(few, truth)


def test_at_rate_one_only_the_last_batch_counts(rng):
    old, new = seen(object_(rng), 20, rng), seen(object_(rng), 20, rng)
    assert np.array_equal(online.followed(old, new, 1.0).numerator, new.numerator)


def test_a_map_goes_by_the_rate_towards_each_batch(rng):
    old, new = seen(object_(rng), 20, rng), seen(object_(rng), 20, rng)
    held = online.followed(old, new, 0.25)
    np.testing.assert_allclose(held.weight, 0.75 * old.weight + new.weight, rtol=1e-5)


def test_sums_are_moved_with_their_map(rng):
    truth = object_(rng)
    found = seen(truth, 400, rng)
    moved = online.to_map(online.moved(found, np.array([2 * VOXEL_A, -VOXEL_A, 3 * VOXEL_A])), RADIUS, BOX)
    still = online.to_map(found, RADIUS, BOX)
    assert likeness(moved, Map(np.roll(still.data, (-3, 1, -2), (0, 1, 2)), VOXEL_A)) > 0.99
