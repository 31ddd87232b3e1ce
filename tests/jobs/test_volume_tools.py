"""Jobs that bring in, filter and cut volumes."""

import json
import os
import struct
from functools import partial

import numpy as np
import pydantic
import pytest

from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.jobs import catalog
from halfmap.jobs.running import events, run
from halfmap.jobs.volume import volume_filter, volume_import, volume_threshold
from halfmap.maps import filters
from halfmap.params.volume_tools import FilterVolume, ImportVolume, ThresholdVolume
from halfmap.types import Map
from tests import blobs

BOX, VOXEL_A = 24, 3.0
RNG = np.random.default_rng(1)


def density():
    return blobs.scattered(6, 20.0, 6.0, np.random.default_rng(1)).map(BOX, VOXEL_A)


def mask():
    z, y, x = np.indices((BOX,) * 3) - BOX // 2
    return Map(np.clip((10 - np.sqrt(x**2 + y**2 + z**2)) / 6, 0, 1).astype(np.float32), VOXEL_A)


@pytest.fixture
def source(tmp_path):
    """A job folder with a map, its half-maps, and a mask."""
    folder = tmp_path / "J1"
    folder.mkdir()
    for name, factor in (("map", 1.0), ("map_sharp", 3.0), ("half1", 0.9), ("half2", 1.1)):
        mrc.write(folder / f"{name}.mrc", Map(density().data * np.float32(factor), VOXEL_A))
    mrc.write(folder / "mask_fsc.mrc", mask())
    return folder


def done(module, params):
    """Run a job's runner in its folder; (summary, warnings and notes)."""
    params.out.mkdir()
    heard = []
    watch = events.Passing([lambda event: heard.append(event.get("message") or event.get("text"))])
    return module.run(params, params.out, RNG, watch), " | ".join(map(str, heard))


def brought(tmp_path, path, **settings):
    params = ImportVolume(volume=path, out=tmp_path / "J2", **settings)
    return *done(volume_import, params), params.out / f"{params.kind}.mrc"


@pytest.mark.parametrize("kind", ["map", "map_sharp", "half1", "half2"])
def test_a_volume_is_linked_under_the_name_of_its_kind(source, tmp_path, kind):
    found, told, path = brought(tmp_path, source / "map.mrc", kind=kind)
    assert path.is_symlink() and os.readlink(path) == "../J1/map.mrc"
    assert "linked" in found["how"] and path.name in told
    np.testing.assert_array_equal(mrc.read(path).data, density().data)


def test_a_link_holds_when_both_folders_move_together(source, tmp_path):
    brought(tmp_path, source / "map.mrc")
    (tmp_path / "moved").mkdir()
    for name in ("J1", "J2"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    assert mrc.read(tmp_path / "moved" / "J2" / "map.mrc").box == BOX


def test_a_replaced_import_leaves_its_source_alone(source, tmp_path):
    job = partial(run.run, "import volume")
    params = ImportVolume(volume=source / "map.mrc", out=tmp_path / "J2")
    assert job(params).exit_code == 0
    again = params.model_copy(update={"overwrite": True, "contrast": "dark"})
    assert job(again).exit_code == 0
    np.testing.assert_array_equal(mrc.read(source / "map.mrc").data, density().data)
    np.testing.assert_array_equal(mrc.read(params.out / "map.mrc").data, -density().data)
    record = json.loads((params.out / "job.json").read_text())
    assert record["inputs"]["volume"]["path"] == str(source / "map.mrc")


def test_statistics_of_a_volume_are_in_the_summary(source, tmp_path):
    found, told, _ = brought(tmp_path, source / "map.mrc")
    data = density().data
    for name in ("min", "max", "mean"):
        assert found[name] == pytest.approx(getattr(data.astype(float), name)())
    assert (found["box_size"], found["voxel_size_A"]) == (BOX, VOXEL_A)
    place = np.stack(np.indices(data.shape)[::-1], axis=-1)
    centre = (place * data[..., None].astype(float)).sum(axis=(0, 1, 2)) / data.sum(dtype=float)
    np.testing.assert_allclose(found["centre_of_mass_px"], centre, atol=1e-3)
    np.testing.assert_allclose(found["centre_of_mass_A"], centre * VOXEL_A, atol=2e-3)
    assert f"{centre[0]:.1f},{centre[1]:.1f},{centre[2]:.1f} px" in told


def test_another_voxel_size_is_written_into_a_copy(source, tmp_path):
    found, _, path = brought(tmp_path, source / "map.mrc", voxel_size_A=1.5)
    assert not path.is_symlink() and "3 becomes 1.5 A" in found["how"]
    assert mrc.read(path).voxel_size_A == 1.5
    assert mrc.read(source / "map.mrc").voxel_size_A == VOXEL_A


def test_the_voxel_size_that_a_file_has_anyway_needs_no_copy(source, tmp_path):
    assert brought(tmp_path, source / "map.mrc", voxel_size_A=VOXEL_A)[2].is_symlink()


def edited(path, offset, form, *values):
    raw = bytearray(path.read_bytes())
    struct.pack_into(form, raw, offset, *values)
    path.write_bytes(raw)
    return path


def test_a_header_without_voxel_size_asks_for_it(source, tmp_path):
    path = edited(source / "map.mrc", 40, "<3f", 0, 0, 0)
    with pytest.raises(InputError, match="map.mrc: the header has no voxel size: give it with --voxel-size"):
        brought(tmp_path, path)
    (tmp_path / "J2").rmdir()
    assert mrc.read(brought(tmp_path, path, voxel_size_A=2.5)[2]).voxel_size_A == 2.5


def test_axes_in_another_order_are_put_right(source, tmp_path):
    path = edited(source / "map.mrc", 64, "<3i", 3, 2, 1)
    found, _, written = brought(tmp_path, path)
    assert "axes" in found["how"] and mrc.read_header(written).axes == (1, 2, 3)
    np.testing.assert_array_equal(mrc.read(written).data, density().data.transpose())


def test_a_dark_map_is_made_white(source, tmp_path):
    found, _, path = brought(tmp_path, source / "map.mrc", contrast="dark")
    np.testing.assert_array_equal(mrc.read(path).data, -density().data)
    assert "sign" in found["how"]


def test_a_map_that_looks_dark_and_one_that_is_constant_are_told(source, tmp_path):
    mrc.write(tmp_path / "dark.mrc", Map(-density().data, VOXEL_A))
    mrc.write(tmp_path / "flat.mrc", Map(np.full((BOX,) * 3, 2.0, np.float32), VOXEL_A))
    assert "--contrast dark" in brought(tmp_path, tmp_path / "dark.mrc")[1]
    for path in (tmp_path / "J2").iterdir():
        path.unlink()
    (tmp_path / "J2").rmdir()
    assert "is 2 everywhere" in brought(tmp_path, tmp_path / "flat.mrc")[1]


def test_a_mask_is_judged_and_a_map_is_no_mask(source, tmp_path):
    found, told, path = brought(tmp_path, source / "mask_fsc.mrc", kind="mask")
    assert path.name == "mask.mrc" and "voxels wide: give it a soft edge of 10 voxels" in told
    assert 0 < found["mask_fraction"] < 1 and found["mask_volume_A3"] > 0
    mrc.write(tmp_path / "no.mrc", Map(density().data * 5, VOXEL_A))
    with pytest.raises(InputError, match="a mask has 0 to 1; .*halfmap volume mask --threshold.*--kind map"):
        volume_import.read(ImportVolume(volume=tmp_path / "no.mrc", kind="mask", out=tmp_path / "J3"))
    with pytest.raises(pydantic.ValidationError, match="complement"):
        ImportVolume(volume=path, kind="mask", contrast="dark", out=tmp_path / "J3")


def filtered(source, tmp_path, **settings):
    params = FilterVolume(volume=source, out=tmp_path / "J2", **settings)
    done(volume_filter, params)
    return {path.stem: mrc.read(path).data for path in params.out.glob("*.mrc")}


@pytest.mark.parametrize("settings, change", [
    ({"lowpass": 12.0}, lambda map: filters.coarser(map, 12.0, filters.butterworth)),
    ({"lowpass": 12.0, "filter_order": 3},
     lambda map: filters.coarser(map, 12.0, partial(filters.butterworth, order=3))),
    ({"lowpass": 12.0, "filter_type": "rectangular"}, lambda map: filters.coarser(map, 12.0, filters.rectangular)),
    ({"lowpass": 12.0, "filter_type": "cosine"}, lambda map: filters.lowpass(map, 12.0)),
    ({"lowpass": 12.0, "filter_type": "gaussian"}, lambda map: filters.coarser(map, 12.0, filters.gaussian_rolloff)),
    ({"highpass": 30.0}, lambda map: filters.finer(map, 30.0, filters.butterworth)),
    ({"gaussian_sdev": 1.5}, lambda map: filters.gaussian(map, 1.5)),
    ({"gaussian_sdev": 1.5, "lowpass": 12.0, "highpass": 30.0},
     lambda map: filters.gaussian(filters.coarser(filters.finer(map, 30.0, filters.butterworth), 12.0,
                                                  filters.butterworth), 1.5)),
])  # fmt: skip
def test_every_density_is_filtered_as_asked_and_masks_stay(source, tmp_path, settings, change):
    written = filtered(source, tmp_path, **settings)
    assert set(written) == {"map", "map_sharp", "half1", "half2", "mask_fsc"}
    np.testing.assert_array_equal(written["mask_fsc"], mask().data)
    expected = change(density()).data
    for name, factor in (("map", 1.0), ("map_sharp", 3.0), ("half1", 0.9), ("half2", 1.1)):
        np.testing.assert_allclose(written[name], factor * expected, atol=3e-6)


@pytest.mark.parametrize("settings, text", [
    ({}, "nothing to do"), ({"lowpass": 20.0, "highpass": 10.0}, "--highpass must be the larger"),
    ({"lowpass": -1.0}, "greater than 0"),
])  # fmt: skip
def test_filters_that_make_no_sense_are_refused(source, tmp_path, settings, text):
    with pytest.raises(pydantic.ValidationError, match=text):
        FilterVolume(volume=source, out=tmp_path / "J2", **settings)


@pytest.mark.parametrize("keep", [False, True])
def test_a_threshold_leaves_ones_or_values(source, tmp_path, keep):
    level = 0.4 * float(density().data.max())
    params = ThresholdVolume(volume=source, threshold=level, keep_values=keep, out=tmp_path / "J2")
    found, _ = done(volume_threshold, params)
    data = density().data
    expected = np.where(data > np.float32(level), data if keep else 1, 0)
    np.testing.assert_array_equal(mrc.read(params.out / "map.mrc").data, expected)
    assert found["region_voxels"] == np.count_nonzero(expected)


def test_a_threshold_above_the_map_ends_with_its_maximum_and_writes_no_map(source, tmp_path):
    ended = run.run("volume threshold", ThresholdVolume(volume=source, threshold=1e6, out=tmp_path / "J2"))
    assert ended.exit_code == 3
    assert f"the maximum of the map is {density().data.max():.6g}" in ended.summary["faults"][0]
    assert not list((tmp_path / "J2").glob("*.mrc"))


@pytest.mark.parametrize("name, settings", [
    ("import volume", {}), ("volume filter", {"lowpass": 12.0}), ("volume threshold", {"threshold": 0.1}),
    ("volume mask", {"threshold": 0.1}), ("mask from-map", {"resolution_A": 8.0}),
])  # fmt: skip
def test_a_dry_run_tells_and_writes_nothing(source, tmp_path, name, settings):
    settings = catalog.find(name).params(volume=source / "map.mrc", out=tmp_path / "J2", dry_run=True, **settings)
    ended = run.run(name, settings)
    assert ended.exit_code == 0 and ended.summary["resolved"]
    assert not (tmp_path / "J2").exists()
