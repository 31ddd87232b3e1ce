"""Jobs on particle images as a user starts them: expansion, downsampling, subtraction and back, templates."""

import json
from dataclasses import replace

import numpy as np
import pytest

from halfmap.cli import main as cli
from halfmap.data import expansion, originals, relion, relion_columns
from halfmap.data.relion_micrographs import positions
from halfmap.data.stack import Stack
from halfmap.geometry import symmetry
from halfmap.io import cs, mrc
from halfmap.jobs.particles import restacking
from halfmap.jobs.refinement import homogeneous
from halfmap.params.homogeneous import Homogeneous
from halfmap.refine import recipes
from halfmap.types import Map
from tests.refine import made

pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """60 particles with poses, the map as half-maps of a job folder, and a mask of its upper half."""
    folder = tmp_path_factory.mktemp("particles")
    sample = made.experiment(folder, n=60, noise_rise=0.0, bfactor_A2=0.0, snr=2.0)
    relion.write(folder / "truth.star", sample.truth)
    (folder / "job").mkdir()
    for name in ("map", "half1", "half2"):
        mrc.write(folder / "job" / f"{name}.mrc", sample.map)
    upper = np.zeros_like(sample.map.data)
    upper[made.BOX // 2 :] = 1
    mrc.write(folder / "upper.mrc", Map(upper, made.VOXEL_A))
    return folder


def run(*words):
    """The summary of a job that must succeed."""
    assert cli.main([str(word) for word in words]) == 0
    return json.loads((words[words.index("--out") + 1] / "summary.json").read_text())


def images_of(table):
    return Stack(table).images(np.arange(len(table)))


# ---- symmetry expansion


def test_a_table_is_expanded_by_the_group_asked_for(work, tmp_path):
    job = ("symmetry-expand", "--particles", work / "truth.star", "--symmetry", "D2", "--write-cs")
    told = run(*job, "--out", tmp_path)
    assert (told["n_particles"], told["n_parents"]) == (240, 60)
    found, truth = relion.read(tmp_path / "particles.star"), relion.read(work / "truth.star")
    near = symmetry.distance(found.poses.rotations, np.repeat(truth.poses.rotations, 4, axis=0), symmetry.group("D2"))
    assert near.max() < 1e-6 and expansion.copies(found) == 180
    assert len(np.unique(cs.read(tmp_path / "particles.cs")["uid"])) == 240


def test_a_global_search_warns_of_copies(work, tmp_path):
    run("symmetry-expand", "--particles", work / "truth.star", "--symmetry", "D2", "--out", tmp_path / "a")
    for table, warned in ((tmp_path / "a" / "particles.star", True), (work / "truth.star", False)):
        heard = made.Heard()
        params = Homogeneous(particles=table, volume=work / "job" / "map.mrc", out=tmp_path / "b")
        homogeneous.read(recipes.homogeneous, params, heard)
        assert any("symmetry copies" in data["message"] for data in heard.of("warning")) == warned


def test_particles_without_poses_cannot_be_expanded(work, tmp_path, capsys):
    truth = relion.read(work / "truth.star")
    relion.write(tmp_path / "told.star", replace(truth, poses=None, columns={}))
    words = ["symmetry-expand", "--particles", tmp_path / "told.star", "--symmetry", "D2", "--out", tmp_path / "a"]
    assert cli.main([str(word) for word in words]) == 3
    assert "no poses" in capsys.readouterr().err


# ---- downsampling


def test_images_are_cropped_in_fourier_space_and_their_pixel_size_is_the_exact_quotient(work, tmp_path):
    told = run("downsample", "--particles", work / "truth.star", "--box-size", 22, "--out", tmp_path)
    table = relion.read(tmp_path / "particles.star")
    assert table.optics[0].box == 22 and table.optics[0].pixel_size_A == pytest.approx(32 * 5 / 22, rel=1e-11)
    assert told["pixel_size_A"] == 32 * 5 / 22
    before = images_of(relion.read(work / "truth.star"))
    np.testing.assert_allclose(images_of(table).mean((1, 2)), before.mean((1, 2)), atol=1e-5)
    np.testing.assert_array_equal(table.poses.shifts_A, relion.read(work / "truth.star").poses.shifts_A)


def test_a_pixel_size_asked_for_is_met_to_the_nearest_even_box(work, tmp_path):
    run("downsample", "--particles", work / "truth.star", "--pixel-size", 7, "--out", tmp_path)
    assert relion.read(tmp_path / "particles.star").optics[0].box == 22  # 160 A / 7 A = 22.9


def test_images_are_cropped_and_padded_in_real_space(work, tmp_path):
    before = images_of(relion.read(work / "truth.star"))
    for box in (24, 40):
        run("downsample", "--particles", work / "truth.star", "--crop", box, "--out", tmp_path / str(box))
    small, large = (relion.read(tmp_path / str(box) / "particles.star") for box in (24, 40))
    np.testing.assert_array_equal(images_of(small), before[:, 4:28, 4:28])
    np.testing.assert_array_equal(images_of(large)[:, 4:36, 4:36], before)
    np.testing.assert_allclose(images_of(large)[:, 0, 0], before.mean((1, 2)), atol=1e-6)
    assert small.optics[0].pixel_size_A == 5


def test_particles_move_to_the_centre_and_coordinates_with_them(work, tmp_path):
    truth = relion.read(work / "truth.star")
    at = {relion_columns.MICROGRAPH: np.full(60, b"m.mrc"), relion_columns.COORDINATES[0]: np.full(60, 100.0),
          relion_columns.COORDINATES[1]: np.full(60, 200.0)}  # fmt: skip
    relion.write(tmp_path / "in.star", replace(truth, columns=at))
    run("downsample", "--particles", tmp_path / "in.star", "--recenter", "--crop", 24, "--box-size", 20, "--out",
        tmp_path / "a")  # fmt: skip
    found = relion.read(tmp_path / "a" / "particles.star")
    assert np.abs(found.poses.shifts_A).max() <= 2.5 + 1e-9 < np.abs(truth.poses.shifts_A).max()
    np.testing.assert_allclose(positions(found)[1], positions(relion.read(tmp_path / "in.star"))[1],
                               atol=1e-5)  # fmt: skip
    step = np.rint(truth.poses.shifts_A[0] / 5).astype(int)
    before = images_of(truth)[0]
    assert abs(step).sum() > 0
    run("downsample", "--particles", tmp_path / "in.star", "--recenter", "--out", tmp_path / "b")
    moved = images_of(relion.read(tmp_path / "b" / "particles.star"))[0]
    assert moved[16, 16] == before[16 - step[1], 16 - step[0]]


def test_float16_is_half_the_file_and_differs_by_its_rounding(work, tmp_path):
    run("downsample", "--particles", work / "truth.star", "--float16", "--out", tmp_path)
    table = relion.read(tmp_path / "particles.star")
    assert mrc.read_header(table.files[0]).mode == 12
    np.testing.assert_allclose(images_of(table).astype(float), images_of(relion.read(work / "truth.star")),
                               rtol=2**-11, atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("flags, code, words", [
    ([], 2, "nothing to do"), (["--box-size", "40"], 3, "larger than the 32 pixels"),
    (["--box-size", "20", "--pixel-size", "8"], 2, "say the same"),
])  # fmt: skip
def test_downsampling_that_makes_no_sense_is_refused(work, tmp_path, capsys, flags, code, words):
    job = ["downsample", "--particles", str(work / "truth.star"), "--out", str(tmp_path / "a")]
    assert cli.main([*job, *flags]) == code
    assert words in capsys.readouterr().err and not list(tmp_path.glob("a/*.mrcs"))


# ---- subtraction


def subtracted(work, out, *flags):
    mask = flags if "--mask" in flags else (*flags, "--mask", work / "upper.mrc")
    return run("subtract", "--particles", work / "truth.star", "--volume", work / "job", *mask, "--out", out)


def test_what_is_left_of_an_image_is_its_other_part(work, tmp_path):
    told = subtracted(work, tmp_path)
    before, after = (images_of(relion.read(path)) for path in (work / "truth.star", tmp_path / "particles.star"))
    truth = relion.read(work / "truth.star")
    whole = mrc.read(work / "job" / "map.mrc")
    lower = Map(whole.data * (np.arange(made.BOX) < made.BOX // 2)[:, None, None], whole.voxel_size_A)
    slope = told["greyscale_slopes"]["opticsGroup1"]
    assert residue(after, lower, truth, slope) < 1.02 * residue(before, whole, truth, slope)
    assert residue(after, lower, truth, slope) < 0.9 * np.square(before - before.mean((1, 2))[:, None, None]).sum()


def residue(images, map, table, slope):
    """Sum of squares that a map leaves of images, pedestals apart."""
    from halfmap import subtract

    shown = subtract.Shown(table.optics[0], table.defocus, table.poses, np.full(len(table), slope))
    rest = images - subtract.images(subtract.projector(map), shown)
    return float(np.square(rest - rest.mean((1, 2))[:, None, None]).sum())


def test_the_scale_is_told_and_used_unless_it_is_not_wanted(work, tmp_path):
    """Simulated images are divided by the deviation of their background: the map is on another scale."""
    fitted = subtracted(work, tmp_path / "a")
    plain = subtracted(work, tmp_path / "b", "--no-reestimate-greyscale")
    slope = fitted["greyscale_slopes"]["opticsGroup1"]
    assert plain["greyscale_slopes"]["opticsGroup1"] == slope and abs(slope - 1) > 0.2
    assert any("not 1" in warning for warning in fitted["warnings"] + plain["warnings"])
    before = images_of(relion.read(work / "truth.star"))
    taken = [before - images_of(relion.read(tmp_path / name / "particles.star")) for name in "ab"]
    np.testing.assert_allclose(taken[0], slope * taken[1], atol=1e-4 * abs(before).max())


def test_each_particle_loses_what_its_own_half_map_shows(work, tmp_path):
    (tmp_path / "job").mkdir()
    whole = mrc.read(work / "job" / "map.mrc")
    for name, factor in (("map", 0.5), ("half1", 1.0), ("half2", 0.0)):
        mrc.write(tmp_path / "job" / f"{name}.mrc", Map(whole.data * np.float32(factor), whole.voxel_size_A))
    words = ("subtract", "--particles", work / "truth.star", "--volume", tmp_path / "job", "--mask", work / "upper.mrc",
             "--no-reestimate-greyscale")  # fmt: skip
    run(*words, "--out", tmp_path / "a")
    run(*words, "--no-use-halfmaps", "--out", tmp_path / "b")
    truth = relion.read(work / "truth.star")
    before = images_of(truth)
    taken = [np.abs(before - images_of(relion.read(tmp_path / name / "particles.star"))).max((1, 2)) for name in "ab"]
    assert (taken[0][truth.half == 2] < 1e-6).all() and (taken[0][truth.half == 1] > 1e-3).all()
    assert (taken[1] > 1e-4).all()


def test_a_low_passed_map_takes_no_detail_away(work, tmp_path):
    subtracted(work, tmp_path / "a")
    subtracted(work, tmp_path / "b", "--lowpass", 40)
    before = images_of(relion.read(work / "truth.star"))
    high = []
    for name in "ab":
        high.append(detail(before - images_of(relion.read(tmp_path / name / "particles.star"))))
    # a mask with a hard edge brings a little detail back
    assert high[1] < 0.5 * high[0]


def test_subtracted_particles_get_their_images_and_their_table_back(work, tmp_path):
    subtracted(work, tmp_path / "a", "--write-cs")
    for name in ("particles.star", "particles.cs"):
        run("revert", "--particles", tmp_path / "a" / name, "--original-poses", "--out", tmp_path / name)
        back, truth = relion.read(tmp_path / name / "particles.star"), relion.read(work / "truth.star")
        assert back.files == truth.files and back.index.tolist() == truth.index.tolist()
        np.testing.assert_array_equal(back.poses.rotations, truth.poses.rotations)
    assert (tmp_path / "particles.star" / "particles.star").read_text() == (work / "truth.star").read_text()


@pytest.mark.parametrize("job", ["subtract", "downsample"])
def test_a_new_stack_follows_the_rows_of_its_table(job, work, tmp_path, monkeypatch):
    """Rows in no order, of two optics groups in turn, 5 images a batch: image 1 is row 1 all the same."""
    monkeypatch.setattr(restacking, "BATCH_BYTES", 4 * made.BOX**2 * 5)
    truth = relion.read(work / "truth.star")
    two = replace(truth, optics=(truth.optics[0], replace(truth.optics[0], name="other")),
                  group=(np.arange(60) % 2).astype(np.int32))[np.random.default_rng(0).permutation(60)]  # fmt: skip
    relion.write(tmp_path / "mixed.star", replace(two, columns={}, optics_columns={}))
    words = {"subtract": ("--volume", work / "job", "--mask", work / "upper.mrc"), "downsample": ("--box-size", 24)}
    run(job, "--particles", tmp_path / "mixed.star", *words[job], "--out", tmp_path / "a")
    found = relion.read(tmp_path / "a" / "particles.star")
    assert found.index.tolist() == list(range(60)) and found.group.tolist() == two.group.tolist()
    np.testing.assert_allclose(found.poses.rotations, two.poses.rotations, atol=1e-6)
    if job == "downsample":  # the mean of an image stays: each row has its own image
        means = [images_of(table).mean((1, 2)) for table in (found, two)]
        assert np.corrcoef(*means)[0, 1] > 0.99


def test_poses_refined_since_a_subtraction_are_kept_unless_told_otherwise(work, tmp_path):
    subtracted(work, tmp_path / "a")
    refined = relion.read(tmp_path / "a" / "particles.star")
    poses = replace(refined.poses, shifts_A=refined.poses.shifts_A + 1)
    relion.write(tmp_path / "refined.star", replace(refined, poses=poses))
    found = {}
    for name, flags in (("kept", ()), ("restored", ("--original-poses",))):
        run("revert", "--particles", tmp_path / "refined.star", *flags, "--out", tmp_path / name)
        found[name] = relion.read(tmp_path / name / "particles.star").poses.shifts_A
    np.testing.assert_allclose(found["kept"], found["restored"] + 1, atol=1e-9)
    assert originals.ROTATION[0] not in relion.read(tmp_path / "kept" / "particles.star").columns


def test_a_subtraction_without_half_maps_or_half_sets_says_what_to_do(work, tmp_path, capsys):
    truth = relion.read(work / "truth.star")
    relion.write(tmp_path / "no_half.star", replace(truth, half=np.zeros_like(truth.half), columns={}))
    cases = ((work / "truth.star", work / "job" / "map.mrc", "half-maps"),
             (tmp_path / "no_half.star", work / "job", "--no-use-halfmaps"))  # fmt: skip
    for table, volume, words in cases:
        job = ["subtract", "--particles", table, "--volume", volume, "--mask", work / "upper.mrc"]
        assert cli.main([str(word) for word in (*job, "--out", tmp_path / "a")]) == 3
        assert words in capsys.readouterr().err and not list(tmp_path.glob("a/*.mrcs"))


# ---- templates


def test_templates_are_evenly_spaced_projections(work, tmp_path):
    told = run("templates", "--volume", work / "job" / "map.mrc", "-n", 20, "--lowpass", 30, "--out", tmp_path)
    assert told["n_templates"] == 20 and told["box_size"] == made.BOX
    images = mrc.read_images(tmp_path / "templates.mrcs", np.arange(20))
    # the sum of a projection is that of the map, whatever the view
    np.testing.assert_allclose(images.sum((1, 2)), mrc.read(work / "job" / "map.mrc").data.sum(), rtol=1e-3)
    assert len((tmp_path / "templates.star").read_text().split("@")) == 21


def test_templates_have_the_box_pixel_size_contrast_and_resolution_asked_for(work, tmp_path):
    plain = ("templates", "--volume", work / "job" / "map.mrc", "-n", 4)
    run(*plain, "--out", tmp_path / "a")
    run(*plain, "--contrast", "dark", "--box-size", 20, "--pixel-size", 8, "--out", tmp_path / "b")
    run(*plain, "--lowpass", 60, "--out", tmp_path / "c")
    white, dark, smooth = (mrc.read_images(tmp_path / name / "templates.mrcs", np.arange(4)) for name in "abc")
    assert dark.shape == (4, 20, 20) and mrc.read_header(tmp_path / "b" / "templates.mrcs").voxel_size_A == 8
    assert (white[:, 16, 16] > 0).all() and (dark[:, 10, 10] < 0).all()
    assert detail(smooth) < 0.01 * detail(white)


def detail(images):
    """Power finer than 30 A in images of 32 pixels of 5 A."""
    k = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.rfftfreq(32)) / 5.0
    return float(np.square(abs(np.fft.rfft2(images)[:, k > 1 / 30])).sum())
