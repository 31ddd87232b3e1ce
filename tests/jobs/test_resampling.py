"""`halfmap volume resample`: grids as users name them."""

import struct

import numpy as np
import pytest

from halfmap.errors import InputError, UsageError
from halfmap.io import mrc
from halfmap.jobs.running import events
from halfmap.jobs.volume import resampling
from halfmap.maps import masks
from halfmap.params.geometry import VolumeResample
from halfmap.types import Map
from tests import blobs

OBJECT = blobs.scattered(6, 20.0, 6.0, np.random.default_rng(1))


@pytest.fixture
def folder(tmp_path):
    for name in ("map", "half1", "half2"):
        mrc.write(tmp_path / f"{name}.mrc", OBJECT.map(36, 2.5))
    mrc.write(tmp_path / "mask_fsc.mrc", Map(masks.sphere(36, 10, 1), 2.5))
    return tmp_path


def resampled(folder, **settings):
    """(maps by name, summary, warnings)."""
    out = folder / "out"
    out.mkdir(exist_ok=True)
    watch = events.Passing()
    params = VolumeResample(out=out, volume=settings.pop("volume", folder), **settings)
    summary = resampling.run(params, out, np.random.default_rng(0), watch)
    return {path.stem: mrc.read(path) for path in out.glob("*.mrc")}, summary, watch.warnings


def test_a_box_is_cut_in_real_space_and_a_resample_box_in_fourier_space(folder):
    cut, _, _ = resampled(folder, box_size=24)
    np.testing.assert_array_equal(cut["map"].data, OBJECT.map(36, 2.5).data[6:30, 6:30, 6:30])
    cropped, summary, _ = resampled(folder, resample_box_size=24)
    assert (summary["box_size"], summary["voxel_size_A"]) == (24, 36 * 2.5 / 24)
    # Gaussians of 6 A: exp(-2 (pi 6 / 7.5)^2) = 3e-6 of them lies beyond the new Nyquist frequency
    np.testing.assert_allclose(cropped["map"].data, OBJECT.map(24, 3.75).data, atol=2e-4)
    both, _, _ = resampled(folder, resample_box_size=24, box_size=20)
    np.testing.assert_allclose(both["map"].data, cropped["map"].data[2:22, 2:22, 2:22], atol=1e-6)


def test_voxel_size_and_box_may_both_be_given(folder):
    volumes, summary, _ = resampled(folder, voxel_size_A=3.1)
    assert summary["box_size"] == 30 and set(volumes) == {"map", "half1", "half2", "mask_fsc"}  # 29.03, made even
    volumes, summary, _ = resampled(folder, voxel_size_A=3.1, box_size=22)
    np.testing.assert_allclose(volumes["half2"].data, OBJECT.map(22, 3.1).data, atol=2e-4)


def test_masks_stay_between_0_and_1(folder):
    volumes, _, _ = resampled(folder, voxel_size_A=1.7)
    assert volumes["mask_fsc"].data.min() == 0 and volumes["mask_fsc"].data.max() == 1


def test_a_rounded_voxel_size_is_told_and_made_exact_on_request(tmp_path):
    mrc.write(tmp_path / "map.mrc", Map(np.ones((36,) * 3, np.float32), 0.885))
    # 36 x 0.885 / 26 = 1.225385
    _, summary, warnings = resampled(tmp_path, voxel_size_A=1.225)
    assert summary["voxel_size_A"] == 1.225 and "--exact-voxel-size" in warnings[0] and "1.22538" in warnings[0]
    _, summary, warnings = resampled(tmp_path, voxel_size_A=1.225, exact_voxel_size=True)
    assert summary["voxel_size_A"] == pytest.approx(36 * 0.885 / 26, rel=1e-6) and not warnings


def test_onto_takes_the_grid_of_the_other_map(folder):
    mrc.write(folder / "other.mrc", OBJECT.map(28, 3.0))
    volumes, summary, _ = resampled(folder, onto=folder / "other.mrc")
    assert (summary["box_size"], summary["voxel_size_A"]) == (28, 3.0)
    np.testing.assert_allclose(volumes["map"].data, OBJECT.map(28, 3.0).data, atol=2e-4)


def placed(path, data, voxel_size_A, origin_A):
    """An MRC file of any shape with an origin."""
    mrc.write(path, Map(data, voxel_size_A))
    raw = bytearray(path.read_bytes())
    struct.pack_into("<3f", raw, 196, *origin_A)
    path.write_bytes(raw)


def test_a_region_goes_back_where_its_origin_says(folder):
    whole = OBJECT.map(36, 2.5)
    placed(folder / "region.mrc", whole.data[4:20, 10:30, 6:31], 2.5, (6 * 2.5, 10 * 2.5, 4 * 2.5))
    volumes, _, _ = resampled(folder, volume=folder / "region.mrc", onto=folder / "map.mrc", use_origin=True)
    np.testing.assert_allclose(volumes["map"].data[4:20, 10:30, 6:31], whole.data[4:20, 10:30, 6:31], atol=1e-4)
    assert not volumes["map"].data[21:].any()


def test_an_origin_that_is_left_aside_is_told(folder):
    placed(folder / "away.mrc", OBJECT.map(36, 2.5).data, 2.5, (50.0, 0.0, 0.0))
    _, _, warnings = resampled(folder, volume=folder / "away.mrc", onto=folder / "map.mrc")
    assert "--use-origin" in warnings[0] and "50.00" in warnings[0]


def test_regions_that_do_not_meet_are_refused(folder):
    placed(folder / "away.mrc", OBJECT.map(36, 2.5).data, 2.5, (500.0, 0.0, 0.0))
    with pytest.raises(UsageError, match="do not overlap"):
        resampled(folder, volume=folder / "away.mrc", onto=folder / "map.mrc", use_origin=True)
    placed(folder / "slab.mrc", np.zeros((4, 6, 6), np.float32), 2.5, (0.0, 0.0, 0.0))
    with pytest.raises(InputError, match="must be a cube"):
        resampled(folder, onto=folder / "slab.mrc", use_origin=True)


@pytest.mark.parametrize("settings, words", [
    ({}, "nothing to do"), ({"voxel_size_A": 2, "resample_box_size": 20}, "exclude each other"),
    ({"onto": "a.mrc", "box_size": 20}, "leave out --box-size"), ({"box_size": 20, "use_origin": True}, "--use-origin"),
    ({"box_size": 20, "exact_voxel_size": True}, "--exact-voxel-size"),
])  # fmt: skip
def test_settings_that_make_no_sense_together_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        VolumeResample(out="out", volume="map.mrc", **settings)
