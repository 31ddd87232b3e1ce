"""Masks of the reference."""

from pathlib import Path

import numpy as np
import pytest

from halfmap.maps import masks
from halfmap.params.homogeneous import Homogeneous
from halfmap.refine import masking, recipes
from halfmap.refine.batches import EDGE_PX, Frame
from halfmap.types import Map
from halfmap.validate import fsc_masks, fsc_report
from tests import blobs
from tests.refine import made

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


def test_a_scaled_mask_is_the_dynamic_one_with_distances_in_resolutions(density):
    scaled = masking.ScaledMask(2.0, 5.0, 12.0, 0.2)
    for resolution_A in (4.0, 10.0):
        fixed = masking.DynamicMask(2 * resolution_A, 5 * resolution_A, 12.0, 0.2)
        one, other = (part.made(density, resolution_A, FRAME) for part in (scaled, fixed))
        np.testing.assert_array_equal(one.data, other.data)
        assert one.words == other.words
    coarse, fine = (scaled.of(density, resolution_A, FRAME).data.sum() for resolution_A in (10.0, 4.0))
    assert fine < coarse
    sphere = masking.SphereMask().of(density, 13.0, FRAME).data
    np.testing.assert_array_equal(scaled.of(density, 13.0, FRAME).data, sphere)


def test_negative_density_counts_where_its_absolute_value_does(density):
    inverted = Map(-density.data, density.voxel_size_A)
    part = masking.DynamicMask(6.0, 14.0, 12.0, 0.2, masks.absolute)
    np.testing.assert_array_equal(part.of(inverted, 8.0, FRAME).data, part.of(density, 8.0, FRAME).data)
    # without it the inverted map holds no particle, and the sphere is left
    assert (DYNAMIC.of(inverted, 8.0, FRAME).data != part.of(inverted, 8.0, FRAME).data).any()


def test_a_static_mask_with_a_start_waits_for_its_resolution(density):
    static = masking.StaticMask(Map(masks.sphere(64, 12, 6), 2.0), "given mask body.mrc")
    part = masking.Later(static, 10.0)
    early, late = (part.made(density, resolution_A, FRAME) for resolution_A in (10.1, 10.0))
    np.testing.assert_array_equal(early.data, masking.SphereMask().of(density, 10.1, FRAME).data)
    np.testing.assert_array_equal(late.data, static.of(density, 10.0, FRAME).data)
    assert early.words.startswith("sphere") and late.words == "given mask body.mrc"


def test_a_window_takes_the_corners_and_leaves_the_rest(density):
    windowed = masking.Windowed(masking.NoMask()).of(density, 8.0, FRAME).data
    radius = np.sqrt(sum((np.indices((64,) * 3)[i] - 32.0) ** 2 for i in range(3)))
    assert (windowed[radius <= 0.85 * 32] == 1).all() and not windowed[radius >= 32].any()
    part = masking.StaticMask(Map(masks.sphere(64, 12, 6), 2.0))  # ends within the window
    one, other = (each.of(density, 8.0, FRAME).data for each in (masking.Windowed(part), part))
    np.testing.assert_array_equal(one, other)


def test_words_name_the_mask_that_was_made(density):
    assert DYNAMIC.made(density, 8.0, FRAME).words == "0.20 max at 8 A, 1 to 6 A, 0 from 14 A"
    assert DYNAMIC.made(density, 30.0, FRAME).words == "sphere, 1 to 40 A from the centre, 0 from 50 A"
    assert DYNAMIC.made(Map(0 * density.data, 2.0), 8.0, FRAME).words.startswith("sphere")


def _mask_of(**settings):
    return made.homogeneous(**settings).mask


def test_settings_choose_the_mask_of_the_reference():
    given = Map(masks.sphere(64, 12, 6), 2.0)
    paths = {name: Path("not-read") for name in ("out", "particles", "volume")}
    assert _mask_of() == masking.Windowed(DYNAMIC)
    assert _mask_of(window_structure=False) == DYNAMIC
    assert _mask_of(mask="none", window_structure=False) == masking.NoMask()
    scaled = _mask_of(dynamic_mask_scaling="resolution", dynamic_mask_near_factor=1.5, dynamic_mask_far_factor=4.0,
                      dynamic_mask_use_abs=True)  # fmt: skip
    assert scaled == masking.Windowed(masking.ScaledMask(1.5, 4.0, 12.0, 0.2, masks.absolute))
    static = Homogeneous(**paths, mask="body.mrc", mask_start_resolution=9.0, window_structure=False)
    recipe = recipes.homogeneous(static, given)
    assert isinstance(recipe.mask, masking.Later) and recipe.mask.start_A == 9.0
    assert recipe.mask.mask.mask is given and recipe.judge.mask is given


def test_the_fsc_mask_judges_and_leaves_the_reference_alone():
    given = Map(masks.sphere(64, 12, 6), 2.0)
    paths = {name: Path("not-read") for name in ("out", "particles", "volume")}
    recipe = recipes.homogeneous(Homogeneous(**paths, fsc_mask="judge.mrc"), None, given)
    assert recipe.judge.mask is given and recipe.judge.name == "given FSC mask judge.mrc"
    assert recipe.mask == made.homogeneous().mask and made.homogeneous().judge is None


def test_settings_choose_the_masks_of_the_curves():
    plain = made.homogeneous().curves
    assert plain == fsc_report.Settings(fsc_masks.Fixed(), fsc_masks.Tightened())
    chosen = made.homogeneous(fsc_mask_scaling="resolution", fsc_mask_near_factor=1.0, fsc_mask_far_factor=3.0,
                              auto_tighten_fsc_mask=False, molecular_weight_kDa=465.0).curves  # fmt: skip
    assert chosen == fsc_report.Settings(fsc_masks.Scaled(1.0, 3.0), fsc_masks.AsMade(), 465e3)
