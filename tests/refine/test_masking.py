"""Masks of the reference."""

import numpy as np
import pytest

from halfmap.maps import masks
from halfmap.refine import masking
from halfmap.refine.batches import EDGE_PX, Frame
from halfmap.types import Map
from tests import blobs

FRAME = Frame(64, 2.0, 80.0)
DYNAMIC = masking.DynamicMask(6.0, 14.0, 12.0, 0.2)
PARTS = [masking.SphereMask(), DYNAMIC, masking.StaticMask(Map(masks.sphere(48, 10, 6), 3.0)), masking.NoMask()]


@pytest.fixture(scope="module")
def density():
    return blobs.scattered(8, 18.0, 5.0, np.random.default_rng(2)).map(64, 2.0)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_every_mask_is_on_the_grid_of_the_map_and_between_zero_and_one(part, density):
    mask = part.of(density, 10.0, FRAME)
    assert mask.data.shape == density.data.shape and mask.voxel_size_A == density.voxel_size_A
    assert mask.data.min() >= 0 and mask.data.max() == pytest.approx(1, abs=1e-6)


def test_the_sphere_has_the_diameter_of_the_particle(density):
    mask = masking.SphereMask().of(density, 30.0, FRAME).data
    line = mask[32, 32, 32:]
    inside = FRAME.diameter_A / 2 / 2.0
    assert (line[: int(inside) + 1] == 1).all()
    assert (line[int(inside + EDGE_PX) :] == 0).all()


def test_the_sphere_is_the_same_in_any_sampling(density):
    coarse = Map(np.zeros((32,) * 3, np.float32), 4.0)
    fine = masking.SphereMask().of(density, 30.0, FRAME).data
    # voxel 16 of 32 and voxel 32 of 64 are the centre: every other voxel lies at the same place
    np.testing.assert_allclose(masking.SphereMask().of(coarse, 30.0, FRAME).data, fine[::2, ::2, ::2], atol=1e-6)


def test_a_sphere_as_large_as_the_box_ends_at_its_border(density):
    mask = masking.SphereMask().of(density, 30.0, Frame(64, 2.0, 128.0)).data
    for face in (mask[0], mask[:, 0], mask[:, :, 0]):
        assert not face.any()


def test_the_dynamic_mask_is_a_sphere_until_the_map_is_good_enough(density):
    sphere = masking.SphereMask().of(density, 13.0, FRAME).data
    np.testing.assert_array_equal(DYNAMIC.of(density, 13.0, FRAME).data, sphere)
    assert (DYNAMIC.of(density, 12.0, FRAME).data != sphere).any()


def test_the_dynamic_mask_holds_the_density_and_follows_it(density):
    mask = DYNAMIC.of(density, 10.0, FRAME).data
    assert (mask[density.data > 0.3 * density.data.max()] == 1).all()
    moved = DYNAMIC.of(Map(np.roll(density.data, 3, axis=2), 2.0), 10.0, FRAME).data
    np.testing.assert_array_equal(moved, np.roll(mask, 3, axis=2))
    assert mask.sum() < 0.8 * masking.SphereMask().of(density, 10.0, FRAME).data.sum()


def test_a_map_without_a_particle_gets_the_sphere(density):
    flat = Map(1 + 0.1 * density.data / density.data.max(), 2.0)  # everything exceeds a fifth of the maximum
    for nothing in (Map(-1 - density.data, 2.0), flat, Map(0 * density.data, 2.0)):
        sphere = masking.SphereMask().of(nothing, 8.0, FRAME).data
        np.testing.assert_array_equal(DYNAMIC.of(nothing, 8.0, FRAME).data, sphere)


def test_the_mask_of_the_user_is_used_as_it_is(density):
    given = Map(masks.sphere(64, 12.3, 7), 2.0)
    part = masking.StaticMask(given)
    for resolution_A in (5.0, 40.0):
        np.testing.assert_array_equal(part.of(density, resolution_A, FRAME).data, given.data)


def test_the_mask_of_the_user_keeps_its_size_in_another_sampling():
    given = Map(masks.sphere(64, 12, 8), 2.0)
    coarse = masking.StaticMask(given).of(Map(np.zeros((32,) * 3, np.float32), 4.0), 10.0, FRAME)
    # a soft edge of 4 coarse voxels is band-limited but for some 1 %
    np.testing.assert_allclose(coarse.data, given.data[::2, ::2, ::2], atol=0.02)


def test_no_mask_leaves_the_whole_box(density):
    assert (masking.NoMask().of(density, 3.0, FRAME).data == 1).all()
