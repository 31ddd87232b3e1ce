"""Jobs on particle tables: import, check, and particles.cs of a reconstruction, as a user starts them."""

import dataclasses
import json

import numpy as np
import pytest

from halfmap.data import cryosparc, cryosparc_files, relion
from halfmap.io import cs, mrc
from halfmap.jobs.running import run
from halfmap.params.checking import CheckParticles
from halfmap.params.importing import ImportParticles
from halfmap.params.reconstruct import Reconstruct
from halfmap.params.simulate import Simulate
from halfmap.physics import lengths

pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """120 particles with true poses, as STAR and as .cs with all fields in one file."""
    folder = tmp_path_factory.mktemp("tables") / "simulated"
    settings = {"n": 120, "box_size": 32, "pixel_size_A": 5, "symmetry": "D2", "snr": 0.5, "seed": 1}
    assert run.run("simulate", Simulate(out=folder, **settings)).exit_code == 0
    cryosparc_files.write(folder / "truth.cs", relion.read(folder / "truth.star"))
    return folder


def imported(table, folder, **settings):
    ended = run.run("import particles", ImportParticles(particles=table, out=folder, **settings))
    assert ended.exit_code == 0, ended.summary
    return relion.read_table(folder / "particles.star"), ended.summary


def checked(table, folder, **settings):
    return run.run("check particles", CheckParticles(particles=table, out=folder, **settings))


# ---- import


def test_a_star_file_is_imported_as_it_is(simulated, tmp_path):
    before = relion.read(simulated / "truth.star")
    after, summary = imported(simulated / "truth.star", tmp_path / "a")
    assert summary["n_particles"] == 120 and summary["has_poses"] and summary["n_half1"] + summary["n_half2"] == 120
    np.testing.assert_array_equal(after.poses.rotations, before.poses.rotations)
    assert after.optics == before.optics and not (tmp_path / "a" / "particles.cs").exists()


def test_a_cs_file_becomes_the_same_star_file(simulated, tmp_path):
    before = relion.read(simulated / "truth.star")
    after, _ = imported(simulated / "truth.cs", tmp_path / "a", write_cs=True)
    np.testing.assert_array_equal(after.poses.rotations, before.poses.rotations)
    np.testing.assert_array_equal(after.defocus.u_A, before.defocus.u_A)
    assert after.half.tolist() == before.half.tolist() and after.optics == before.optics
    assert cs.read(tmp_path / "a" / "particles.cs").tobytes() == cs.read(simulated / "truth.cs").tobytes()


@pytest.mark.parametrize("name", ["truth.star", "truth.cs"])
def test_given_values_replace_those_of_the_table(simulated, tmp_path, name):
    before = relion.read(simulated / "truth.star")
    given = {"pixel_size_A": 6.0, "voltage_kV": 200, "spherical_aberration_mm": 1.4, "amplitude_contrast": 0.07}
    after, _ = imported(simulated / name, tmp_path / "a", **given)
    (optics,) = after.optics
    assert (optics.pixel_size_A, optics.voltage_kV, optics.amplitude_contrast) == (6.0, 200, 0.07)
    assert optics.spherical_aberration_A == pytest.approx(1.4e7)
    # shifts keep their pixels: 12 printed digits of about 10 A
    np.testing.assert_allclose(after.poses.shifts_A, before.poses.shifts_A * 6 / 5, atol=1e-9)
    np.testing.assert_array_equal(after.poses.rotations, before.poses.rotations)


@pytest.mark.parametrize("name", ["truth.star", "truth.cs"])
def test_poses_and_half_sets_can_be_left_out(simulated, tmp_path, name):
    after, summary = imported(simulated / name, tmp_path / "a", ignore_poses=True, ignore_halves=True, write_cs=True)
    assert after.poses is None and not after.half.any() and not summary["has_poses"]
    again = cryosparc.read_table(tmp_path / "a" / "particles.cs")
    assert again.poses is None and not again.half.any()


@pytest.mark.parametrize("contrast, sign", [("dark", -1), ("white", 1), ("table", 1)])
def test_the_contrast_is_the_sign_of_the_ctf_scale(simulated, tmp_path, contrast, sign):
    after, _ = imported(simulated / "truth.star", tmp_path / "a", contrast=contrast, write_cs=True)
    assert np.all(after.defocus.scale == sign)
    assert np.all(cs.read(tmp_path / "a" / "particles.cs")["blob/sign"] == sign)


def test_a_table_is_converted_without_its_images_when_told_to(simulated, tmp_path):
    alone = tmp_path / "alone.cs"
    table = cs.read(simulated / "truth.cs")
    table["blob/path"] = b"nowhere.mrc"
    cs.write(alone, table)
    assert run.run("import particles", ImportParticles(particles=alone, out=tmp_path / "a")).exit_code == 3
    assert len(imported(alone, tmp_path / "b", ignore_images=True)[0]) == 120


def test_a_passthrough_file_is_an_input_of_a_job(simulated, tmp_path):
    table = cs.read(simulated / "truth.cs")
    for name, slots in (("own.cs", ("alignments3D",)), ("rest.cs", ("blob", "ctf"))):
        kept = [field for field in table.dtype.names if field.split("/")[0] in ("uid", *slots)]
        part = np.zeros(len(table), [(field, table.dtype[field].base, table.dtype[field].shape) for field in kept])
        for field in kept:
            part[field] = table[field]
        cs.write(tmp_path / name, part)
    ended = run.run("import particles", ImportParticles(particles=tmp_path / "own.cs", out=tmp_path / "a"))
    assert ended.exit_code == 3 and any("--passthrough" in fault for fault in ended.summary["faults"])
    imported(tmp_path / "own.cs", tmp_path / "b", passthrough=tmp_path / "rest.cs")
    record = json.loads((tmp_path / "b" / "job.json").read_text())
    assert record["inputs"]["passthrough"]["path"] == str(tmp_path / "rest.cs")


def test_trefoil_and_tetrafoil_reach_the_optics_and_come_back(simulated, tmp_path):
    table = cs.read(simulated / "truth.cs")
    table["ctf/trefoil_A"], table["ctf/tetra_A"] = (500, -300), (20, -10, 30, 40)
    cs.write(tmp_path / "lens.cs", table)
    after, summary = imported(tmp_path / "lens.cs", tmp_path / "a", ignore_images=True, write_cs=True)
    assert any("trefoil" in line for line in summary["warnings"])
    (optics,) = after.optics
    phases = lengths.Phases(optics.beam_tilt_rad, optics.odd_zernike, optics.even_zernike)
    found = lengths.to_lengths(phases, optics.voltage_kV, optics.spherical_aberration_A)
    # what a STAR file prints of a coefficient: 12 digits or fewer
    np.testing.assert_allclose(found.trefoil_A, (500, -300), rtol=1e-5)
    np.testing.assert_allclose(found.tetra_A, (20, -10, 30, 40), rtol=1e-5)
    assert np.all(cs.read(tmp_path / "a" / "particles.cs")["ctf/trefoil_A"] == (500, -300))


# ---- maps of cryoSPARC's particles


def test_dark_images_with_the_sign_give_the_map_of_white_ones(simulated, tmp_path):
    images = mrc.read_images(simulated / "particles.mrcs", np.arange(120))
    mrc.write_stack(tmp_path / "dark.mrc", -images, 5.0)
    truth = relion.read(simulated / "truth.star")
    dark = dataclasses.replace(truth, files=(tmp_path / "dark.mrc",),
                               defocus=dataclasses.replace(truth.defocus, scale=-truth.defocus.scale))  # fmt: skip
    cryosparc_files.write(tmp_path / "dark.cs", dark)
    maps = []
    for name, table in (("white", simulated / "truth.star"), ("dark", tmp_path / "dark.cs")):
        settings = Reconstruct(particles=table, symmetry="D2", out=tmp_path / name, seed=1, threads=1, write_cs=True)
        ended = run.run("reconstruct", settings)
        assert ended.exit_code == 0, ended.summary
        maps.append(mrc.read(tmp_path / name / "map.mrc").data)
    # two signs changed and single precision: the order of sums is the same
    np.testing.assert_allclose(maps[1], maps[0], atol=1e-5 * np.abs(maps[0]).max())
    written = cs.read(tmp_path / "dark" / "particles.cs")
    assert np.all(written["blob/sign"] == -1) and len(written) == 120
    assert cs.read(tmp_path / "white" / "particles.cs")["alignments3D/pose"].shape == (120, 3)


# ---- check


def test_sound_particles_are_clean(simulated, tmp_path):
    ended = checked(simulated / "truth.star", tmp_path / "a")
    assert ended.exit_code == 0 and ended.summary["warnings"] == [], ended.summary
    assert ended.summary["counts"]["images_read"] == 120 and ended.summary["counts"]["protein_looks"] == "white"
    assert "verdict: clean" in (tmp_path / "a" / "check.txt").read_text()
    assert not list((tmp_path / "a").glob("*.mrc"))


def test_quick_reads_no_images(simulated, tmp_path):
    summary = checked(simulated / "truth.cs", tmp_path / "a", quick=True).summary
    assert "images_read" not in summary["counts"] and summary["counts"]["files"] == 1


def test_faults_end_with_3_and_the_summary_still_has_the_counts(simulated, tmp_path):
    before = relion.read(simulated / "truth.star")
    scaled = dataclasses.replace(before.defocus, u_A=before.defocus.u_A * 1e-4, v_A=before.defocus.v_A * 1e-4)
    half = before.half.copy()
    half[3] = 0
    relion.write(tmp_path / "bad.star", dataclasses.replace(before, defocus=scaled, half=half))
    ended = checked(tmp_path / "bad.star", tmp_path / "a")
    assert ended.exit_code == 3 and ended.summary["status"] == "failed"
    assert len(ended.summary["faults"]) == 2 and ended.summary["counts"]["without_half"] == 1
    text = (tmp_path / "a" / "check.txt").read_text()
    assert "micrometres" in text and "half-sets" in text
    assert json.loads((tmp_path / "a" / "summary.json").read_text())["counts"] == ended.summary["counts"]


def test_a_warning_alone_ends_with_0_and_names_rows_from_1(simulated, tmp_path):
    images = mrc.read_images(simulated / "particles.mrcs", np.arange(120)).copy()
    images[5] = 0
    mrc.write_stack(tmp_path / "images.mrcs", images, 5.0)
    before = relion.read(simulated / "truth.star")
    relion.write(tmp_path / "a.star", dataclasses.replace(before, files=(tmp_path / "images.mrcs",)))
    ended = checked(tmp_path / "a.star", tmp_path / "a")
    assert ended.exit_code == 0 and len(ended.summary["warnings"]) == 1
    assert ended.summary["rows"] == {"bad_images": [6]}


def test_progress_is_told(simulated, tmp_path):
    checked(simulated / "truth.star", tmp_path / "a")
    events = [json.loads(line) for line in (tmp_path / "a" / "events.jsonl").read_text().splitlines()]
    last = [event for event in events if event["kind"] == "progress"][-1]
    assert (last["stage"], last["done"], last["total"]) == ("check", 120, 120)
    assert any(event["kind"] == "note" and "verdict" in event["text"] for event in events)
