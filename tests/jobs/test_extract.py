"""`halfmap extract`: boxes at coordinates, re-centring, normalisation; what cannot be cut is named."""

import json
from dataclasses import replace

import numpy as np
import pytest

from halfmap.cli import main as cli
from halfmap.data import relion, relion_columns
from halfmap.data.relion_micrographs import micrograph_pixel_A, positions, write_picks
from halfmap.data.stack import Stack
from halfmap.io import mrc, star

pytestmark = pytest.mark.usefixtures("no_plots")

BOX, N = 32, 20


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """Twenty particles in four micrographs, hardly any noise."""
    folder = tmp_path_factory.mktemp("field") / "simulated"
    flags = f"-n {N} --box-size {BOX} --pixel-size 5 --snr 50 --noise-rise 0 --micrographs 4 --seed 1".split()
    assert cli.main(["simulate", *flags, "--micrograph-size", "400", "--out", str(folder)]) == 0
    return folder


def extracted(folder, out, *flags, box=BOX):
    words = ("extract", *flags, "--box-size", box, "--out", out)
    assert cli.main([str(word) for word in words]) == 0
    return relion.read(out / "particles.star"), json.loads((out / "summary.json").read_text())


def refused(capsys, out, *flags, box=BOX):
    words = ("extract", *flags, "--box-size", box, "--out", out)
    code = cli.main([str(word) for word in words])
    assert not list(out.glob("*.mrcs")) and not list(out.glob("particles*"))
    return code, capsys.readouterr().err


def picks(field):
    return "--micrographs", field / "micrographs.star", "--coordinates", field / "coordinates.star"


def images_of(table):
    return Stack(table).images(np.arange(len(table)))


def micrograph(field, row):
    truth = relion.read_table(field / "truth.star")
    x, y = (star.Block("", truth.columns).numbers(tag)[row] for tag in relion_columns.COORDINATES)
    return mrc.read_images(truth.files[truth.file[row]], [0])[0], int(x), int(y)


def test_boxes_are_what_the_micrograph_shows_at_the_coordinates(field, tmp_path):
    table, told = extracted(field, tmp_path, *picks(field), "--no-normalize", "--no-invert-contrast")
    assert told["n_particles"] == N and told["n_micrographs"] == 4 and table.poses is None
    for row in (0, 7, N - 1):
        image, x, y = micrograph(field, row)
        np.testing.assert_array_equal(images_of(table)[row], image[y - 16 : y + 16, x - 16 : x + 16])


def test_protein_is_white_and_the_background_normal_unless_told_otherwise(field, tmp_path):
    white, _ = extracted(field, tmp_path / "a", *picks(field))
    dark, _ = extracted(field, tmp_path / "b", *picks(field), "--no-invert-contrast")
    np.testing.assert_allclose(images_of(white), -images_of(dark), atol=1e-5)
    radius = np.hypot(*(np.mgrid[:BOX, :BOX] - 16))
    outside = images_of(white)[:, radius > 0.375 * BOX]
    np.testing.assert_allclose(outside.mean(1), 0, atol=1e-5)
    np.testing.assert_allclose(outside.std(1), 1, rtol=1e-5)
    assert images_of(white)[:, radius < 5].mean() > 0.5


def test_the_background_is_that_outside_the_circle_asked_for(field, tmp_path):
    table, _ = extracted(field, tmp_path, *picks(field), "--background-diameter", 140)
    outside = images_of(table)[:, np.hypot(*(np.mgrid[:BOX, :BOX] - 16)) > 14]  # 70 A
    np.testing.assert_allclose(outside.std(1), 1, rtol=1e-5)


def test_boxes_are_rescaled_and_the_pixel_size_is_the_exact_quotient(field, tmp_path):
    table, told = extracted(field, tmp_path, *picks(field), "--rescale", 22, "--float16")
    assert table.optics[0].box == 22 and table.optics[0].pixel_size_A == pytest.approx(32 * 5 / 22, rel=1e-11)
    assert told["pixel_size_A"] == 32 * 5 / 22 and mrc.read_header(table.files[0]).mode == 12
    np.testing.assert_array_equal(micrograph_pixel_A(table), 5.0)


def test_refined_particles_keep_poses_halves_and_columns(field, tmp_path):
    table, _ = extracted(field, tmp_path, "--particles", field / "truth.star", "--write-cs")
    truth = relion.read_table(field / "truth.star")
    np.testing.assert_allclose(table.poses.rotations, truth.poses.rotations, atol=1e-8)
    np.testing.assert_allclose(table.poses.shifts_A, truth.poses.shifts_A)
    assert table.half.tolist() == truth.half.tolist() and "halfmapTrueContrast" in table.columns
    assert (tmp_path / "particles.cs").is_file()


def test_recentring_moves_boxes_by_whole_pixels_and_keeps_the_rest(field, tmp_path):
    flags = ("--no-normalize", "--no-invert-contrast")
    table, _ = extracted(field, tmp_path, "--particles", field / "truth.star", "--recenter", *flags)
    truth = relion.read_table(field / "truth.star")
    steps = np.rint(truth.poses.shifts_A / 5).astype(int)
    np.testing.assert_allclose(table.poses.shifts_A, truth.poses.shifts_A - 5 * steps, atol=1e-9)
    np.testing.assert_allclose(positions(table)[1], positions(truth)[1], atol=1e-5)
    row = int(np.argmax(abs(steps).sum(1)))
    image, x, y = micrograph(field, row)
    x, y = x - steps[row, 0], y - steps[row, 1]
    np.testing.assert_array_equal(images_of(table)[row], image[y - 16 : y + 16, x - 16 : x + 16])


def test_offsets_are_reset_without_moving_boxes(field, tmp_path):
    table, _ = extracted(field, tmp_path / "a", "--particles", field / "truth.star", "--reset-offsets")
    plain, _ = extracted(field, tmp_path / "b", "--particles", field / "truth.star")
    assert not table.poses.shifts_A.any()
    np.testing.assert_array_equal(images_of(table), images_of(plain))


def test_boxes_beyond_an_edge_are_listed_with_the_reason(field, tmp_path):
    block = star.read(field / "coordinates.star")[""]
    columns = {tag: values.copy() for tag, values in block.columns.items()}
    columns[relion_columns.COORDINATES[0]][[2, 5]] = b"3"
    star.write(tmp_path / "picks.star", [star.Block("", columns)])
    where = ("--micrographs", field / "micrographs.star", "--coordinates", tmp_path / "picks.star")
    table, told = extracted(field, tmp_path / "a", *where)
    assert len(table) == N - 2 and told["n_rejected"] == 2 and any("edge" in w for w in told["warnings"])
    rejected = star.read(tmp_path / "a" / "rejected.star")["particles"]
    assert rejected.rows == 2 and "beyond the micrograph" in rejected.strings("halfmapRejectReason")[0]


def test_micrographs_that_cannot_be_read_are_all_named_before_anything_is_written(field, tmp_path, capsys):
    truth = relion.read_table(field / "truth.star")
    saved = {path: path.read_bytes() for path in truth.files[1:3]}
    truth.files[1].write_bytes(saved[truth.files[1]][:2000])
    truth.files[2].write_bytes(b"nothing")
    try:
        code, words = refused(capsys, tmp_path / "a", *picks(field))
    finally:
        for path, content in saved.items():
            path.write_bytes(content)
    assert code == 3 and "mic_0002.mrc" in words and "mic_0003.mrc" in words


def test_a_missing_micrograph_is_named(field, tmp_path, capsys):
    truth = relion.read_table(field / "truth.star")
    write_picks(tmp_path / "picks.star", (field / "gone.mrc",), np.zeros(2, int), np.full((2, 2), 50))
    where = ("--micrographs", field / "micrographs.star", "--coordinates", tmp_path / "picks.star")
    code, words = refused(capsys, tmp_path / "a", *where)
    assert code == 3 and "gone.mrc" in words and "2 particles" in words
    relion.write(tmp_path / "lost.star", replace(truth, columns={**truth.columns, relion_columns.MICROGRAPH:
                                                                np.full(N, b"nowhere.mrc")}))  # fmt: skip
    code, words = refused(capsys, tmp_path / "b", "--particles", tmp_path / "lost.star")
    assert code == 3 and "nowhere.mrc" in words


@pytest.mark.parametrize("flags, words", [
    ((), "--coordinates"), (("--coordinates", "a.star"), "needs --micrographs"),
    (("--particles", "a.star", "--recenter", "--reset-offsets"), "one of them"),
    (("--particles", "a.star", "--rescale", "64"), "must not be larger"),
])  # fmt: skip
def test_settings_that_make_no_sense_are_refused(tmp_path, capsys, flags, words):
    code, told = refused(capsys, tmp_path / "a", *flags)
    assert code == 2 and words in told


def test_a_box_larger_than_the_micrographs_is_refused(field, tmp_path, capsys):
    code, words = refused(capsys, tmp_path / "a", *picks(field), box=512)
    assert code == 3 and "not one of 20 boxes" in words


def test_images_root_is_where_micrographs_are_looked_for(field, tmp_path):
    truth = relion.read_table(field / "truth.star")
    names = np.array([f"micrographs/mic_{number + 1:04d}.mrc".encode() for number in truth.file])
    relion.write(tmp_path / "moved.star", replace(truth, columns={**truth.columns, relion_columns.MICROGRAPH: names}))
    table, _ = extracted(field, tmp_path / "a", "--particles", tmp_path / "moved.star", "--images-root", field)
    assert len(table) == N


def test_a_table_without_coordinates_says_what_it_needs(field, tmp_path, capsys):
    truth = relion.read_table(field / "truth.star")
    relion.write(tmp_path / "bare.star", replace(truth, columns={}))
    code, words = refused(capsys, tmp_path / "a", "--particles", tmp_path / "bare.star")
    assert code == 3 and relion_columns.COORDINATES[0] in words
