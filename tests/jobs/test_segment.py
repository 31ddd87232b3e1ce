"""`halfmap mask segment` from the command line: files, table, choice, mask, faults."""

import json

import numpy as np
import pytest

from halfmap.cli import main as cli
from halfmap.io import mrc
from halfmap.jobs.pictures import gallery_segment, plots
from halfmap.jobs.pictures.views import View
from halfmap.jobs.running import diagnostics
from halfmap.maps import masks, segment
from halfmap.types import Map
from tests.maps.test_segment import CENTRES, blob

BOX, VOXEL_A = 48, 2.0


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    """A map of two blobs, the first of two lumps that little smoothing joins."""
    (z, y, x), second = CENTRES
    data = blob((z - 4, y, x)) + 0.95 * blob((z + 4, y, x)) + 0.8 * blob(second)
    path = tmp_path_factory.mktemp("volume") / "map.mrc"
    mrc.write(path, Map(data.astype(np.float32), VOXEL_A))
    return path


def segmented(volume, out, *flags):
    """(exit code, summary, regions.json) of a job."""
    code = cli.main(["mask", "segment", "--volume", str(volume), "--out", str(out), *flags])
    summary = json.loads((out / "summary.json").read_text())
    table = json.loads((out / "regions.json").read_text()) if code == 0 else None
    return code, summary, table


def rehearsed(volume, capsys, *flags):
    """What a dry run found, which makes all of the regions and no file."""
    words = ["mask", "segment", "--volume", str(volume), "--out", str(volume.parent / "never"), "--dry-run", "--json"]
    assert cli.main([*words, *flags]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def chosen(volume, tmp_path_factory):
    """A finished job that made a mask of region 2."""
    folder = tmp_path_factory.mktemp("job") / "chosen"
    assert segmented(volume, folder, "--choose", "2", "--dilation", "4", "--soft-edge", "10")[0] == 0
    return folder


def read(folder, name):
    return mrc.read(folder / f"{name}.mrc").data


def test_a_first_look_makes_regions_a_table_and_pictures_but_no_mask(volume, tmp_path):
    code, summary, table = segmented(volume, tmp_path / "job")
    assert code == 0 and summary["n_regions"] == 2 and summary["warnings"] == []
    assert not (tmp_path / "job" / "mask.mrc").exists() and not (tmp_path / "job" / "mask_base.mrc").exists()
    names = {plot.name for plot in gallery_segment.PLOTS}
    assert {path.stem for path in (tmp_path / "job" / "plots").glob("*.png")} == names
    assert all(f'id="{name}"' in (tmp_path / "job" / "report.html").read_text() for name in names)
    assert "region   volume" in (tmp_path / "job" / "log.txt").read_text() and table["chosen"] == []


def test_the_table_tells_what_the_labels_show(chosen):
    table = json.loads((chosen / "regions.json").read_text())
    labels = read(chosen, "regions")
    assert (table["box"], table["voxel_size_A"], table["chosen"]) == (BOX, VOXEL_A, [2])
    assert [row["number"] for row in table["regions"]] == [1, 2] == np.unique(labels)[1:].tolist()
    for row in table["regions"]:
        voxels = np.argwhere(labels == row["number"])
        assert row["voxels"] == len(voxels) and row["volume_A3"] == len(voxels) * VOXEL_A**3
        np.testing.assert_allclose(row["centre_px"], voxels.mean(axis=0)[::-1], rtol=1e-9)
        np.testing.assert_allclose(row["centre_A"], np.multiply(row["centre_px"], VOXEL_A))
        assert row["neighbours"] == []
    assert [level["sdev_px"] for level in table["levels"]] == [0, 1, 2, 3, 4]


def test_the_base_is_the_smoothed_map_in_the_chosen_region(volume, chosen):
    smooth = segment.smoothed(mrc.read(volume), 2.0).data
    np.testing.assert_array_equal(read(chosen, "mask_base"), np.where(read(chosen, "regions") == 2, smooth, 0))


def test_the_mask_is_one_to_the_dilation_and_falls_as_a_cosine(chosen):
    square = masks.squared_distances(read(chosen, "regions") == 2, 15)
    expected = 0.5 + 0.5 * np.cos(np.pi * np.clip((np.sqrt(square) - 4) / 10, 0, 1))
    np.testing.assert_allclose(read(chosen, "mask"), expected, atol=1e-6)


def test_the_base_gives_the_same_mask_at_any_threshold_up_to_that_of_the_summary(chosen):
    summary = json.loads((chosen / "summary.json").read_text())
    for part in (0.01, 1.0):
        binary = read(chosen, "mask_base") > part * summary["base_threshold"]
        np.testing.assert_array_equal(masks.soft(binary, 4, 14), read(chosen, "mask"))


@pytest.mark.parametrize("flags, regions, chosen", [
    ([], 2, []), (["--gaussian-sdev", "0"], 2, []), (["--gaussian-sdev", "0", "--smoothing-steps", "0"], 3, []),
    (["--gaussian-sdev", "0", "--smoothing-steps", "1", "--step-size", "0.2"], 3, []),
    (["--gaussian-sdev", "0", "--smoothing-steps", "1", "--step-size", "4"], 2, []),
    (["--gaussian-sdev", "0", "--smoothing-steps", "0", "--regions", "2"], 2, []),
    (["--gaussian-sdev", "0", "--ungroup", "1", "--choose", "4"], 3, [4]),
    (["--choose", "1", "--exclude", "2"], 2, [1]), (["--exclude", "1"], 2, [2]), (["--at", "62,60,66A"], 2, [2]),
    (["--at", "31,30,33", "--at", "15,16,18", "--exclude", "2"], 2, [1]), (["--pixel-size", "4"], 2, []),
    (["--choose", "1-2"], 2, [1, 2]), (["--choose", "1,2", "--exclude", "1"], 2, [2]),
    (["--at", "30,32,28 A", "--choose", "2"], 2, [1, 2]),
])  # fmt: skip
def test_a_setting_decides_which_regions_there_are_and_which_are_chosen(volume, capsys, flags, regions, chosen):
    resolved = rehearsed(volume, capsys, *flags)["resolved"]
    assert (resolved["regions"], resolved["chosen"]) == (regions, chosen)
    assert resolved["voxel_size_A"] == (4.0 if "--pixel-size" in flags else VOXEL_A)


@pytest.mark.parametrize("flags, edge", [
    ([], 12), (["--soft-edge", "3.5"], 3.5), (["--soft-edge", "0"], 0), (["--resolution", "5.1"], 13),
])  # fmt: skip
def test_the_soft_edge_is_as_given_or_five_resolutions(volume, capsys, flags, edge):
    assert rehearsed(volume, capsys, *flags)["resolved"]["soft_edge_px"] == edge


def test_a_threshold_is_the_one_given_and_by_default_a_tenth_of_the_maximum(volume, capsys):
    assert rehearsed(volume, capsys, "--threshold", "0.05")["resolved"]["threshold"] == 0.05
    maximum = float(segment.smoothed(mrc.read(volume), 2.0).data.max())
    assert rehearsed(volume, capsys)["resolved"]["threshold"] == pytest.approx(0.1 * maximum)


def test_a_mask_that_the_box_cuts_is_told_of(chosen):
    warnings = json.loads((chosen / "summary.json").read_text())["warnings"]
    assert len(warnings) == 1 and "reaches the faces of the box" in warnings[0]


def test_a_number_of_regions_that_cannot_be_had_is_told_of(volume, capsys):
    assert "watershed finds no more" in rehearsed(volume, capsys, "--regions", "9")["warnings"][0]
    flags = ["--gaussian-sdev", "0", "--regions", "1", "--step-size"]
    assert rehearsed(volume, capsys, *flags, "1")["warnings"] == []
    assert "too far apart" in rehearsed(volume, capsys, *flags, "7")["warnings"][0]  # 14 px is beyond the widest


def test_a_threshold_in_the_solvent_is_told_of(volume, capsys):
    assert "100 % of the box is above the threshold" in rehearsed(volume, capsys, "--threshold", "-1")["warnings"][0]


@pytest.mark.parametrize("flags, code, words", [
    (["--threshold", "3"], 3, "maximum of the map"), (["--choose", "7"], 2, "no region 7: regions are 1-2"),
    (["--at", "2,2,2"], 2, "in no region"), (["--choose", "1", "--exclude", "1"], 2, "no region is left"),
    (["--ungroup", "2"], 2, "cannot be ungrouped"),
])  # fmt: skip
def test_a_wrong_choice_is_refused_and_leaves_no_mask(volume, tmp_path, flags, code, words):
    found, summary, _ = segmented(volume, tmp_path / "job", *flags)
    assert found == code and words in summary["faults"][0]
    assert not list((tmp_path / "job").glob("*.mrc")) and not (tmp_path / "job" / "regions.json").exists()


@pytest.mark.parametrize("flags, words", [
    (["--choose", "one"], "--choose: 'one' is no list of region numbers"), (["--at", "1,2"], "--at: '1,2' is no point"),
    (["--at", "1,2,z"], "is no point"), (["--soft-edge", "3", "--resolution", "8"], "drop one"),
])  # fmt: skip
def test_what_cannot_be_read_is_refused_before_the_map_is_touched(volume, tmp_path, capsys, flags, words):
    assert cli.main(["mask", "segment", "--volume", str(volume), "--out", str(tmp_path / "job"), *flags]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "job").exists()


def test_the_folder_of_a_job_is_its_map(volume, capsys):
    words = ["mask", "segment", "--volume", str(volume.parent), "--dry-run", "--json", "--out"]
    assert cli.main([*words, str(volume.parent / "never")]) == 0
    assert json.loads(capsys.readouterr().out)["resolved"]["box_size"] == BOX


def test_pictures_show_the_regions_where_they_are(chosen):
    arrays, facts = diagnostics.read(chosen, "final")
    labels, corner = read(chosen, "regions").astype(int), arrays["corner"]
    side = arrays["projection_z"].shape[0]
    cube = labels[tuple(slice(start, start + side) for start in corner)]
    assert set(np.unique(cube)) == {0, 1, 2} and (cube > 0).sum() == (labels > 0).sum()
    for row, axis in enumerate((2, 1, 0)):
        for column, plane in enumerate(arrays["slice_planes"][row]):
            np.testing.assert_array_equal(arrays["slice_labels"][row, column],
                                          np.take(cube, plane - corner[axis], axis=axis))
    y, x = np.argwhere((cube > 0).any(0))[7]
    along = cube[:, y, x]
    assert arrays["surface_minus_z_labels"][y, x] == along[along > 0][0]
    assert arrays["surface_plus_z_labels"][y, x] == along[along > 0][-1]
    assert arrays["surface_plus_z"][y, x] == np.argmax(along[::-1] > 0)
    assert arrays["slice_mask"].shape == arrays["slice_labels"].shape and facts["chosen"] == [2]


def test_plots_belong_to_segmentations_only(chosen, tmp_path):
    drawn = [plot.name for plot in plots.drawable(View(chosen))]
    assert [name for name in drawn if name != "masks"] == [plot.name for plot in gallery_segment.PLOTS]
    assert plots.drawable(View(tmp_path)) == []


def test_regions_keep_their_colours_and_neighbours_in_the_list_differ():
    colours = np.array([gallery_segment.colour(number) for number in range(1, 60)])
    apart = np.abs(colours[1:] - colours[:-1]).max(axis=1)
    assert apart.min() > 0.15 and colours.min() >= 0 and colours.max() <= 1


def test_a_folder_of_half_maps_is_their_mean(volume, tmp_path):
    folder = tmp_path / "halves"
    folder.mkdir()
    for name in ("half1", "half2"):
        (folder / f"{name}.mrc").write_bytes(volume.read_bytes())
    assert cli.main(["mask", "segment", str(folder), "--dry-run", "--out", str(tmp_path / "never")]) == 0
