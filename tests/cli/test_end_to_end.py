"""The command as a user starts it: simulate, refine, reconstruct, FSC, and what wrong input gives."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from halfmap.data import relion
from halfmap.geometry import symmetry
from halfmap.io import mrc


def halfmap(*arguments, **options):
    command = [sys.executable, "-m", "halfmap.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("end") / "simulated"
    # large pixels and little noise: a few hundred small images are enough to refine
    flags = ["-n", 300, "--box-size", 32, "--pixel-size", 5, "--symmetry", "D2", "--snr", 0.5, "--seed", 1]
    done = halfmap("simulate", "--out", folder, *flags)
    assert done.returncode == 0, done.stderr
    spoil(folder / "particles.mrcs", image=7)
    return folder


def spoil(stack, image):
    """Write a NaN into the middle of one image."""
    header = mrc.read_header(stack)
    with open(stack, "r+b") as file:
        file.seek(header.data_offset + image * header.image_bytes + header.image_bytes // 2)
        file.write(np.float32(np.nan).tobytes())


@pytest.fixture(scope="module")
def refined(simulated):
    folder = simulated.parent / "refined"
    inputs = ["--particles", simulated / "particles.star", "--volume", simulated / "map.mrc"]
    done = halfmap("refine", "homogeneous", *inputs, "--symmetry", "D2", "--seed", 1, "--out", folder, "--json")
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_a_simulation_keeps_the_truth_apart(simulated):
    told, truth = (relion.read_table(simulated / name) for name in ("particles.star", "truth.star"))
    assert len(told) == 300 and told.poses is None and truth.poses is not None
    assert mrc.read_header(simulated / "particles.mrcs").nz == 300
    assert (simulated / "plots" / "images.png").is_file()


def test_a_refinement_finds_the_poses_and_says_so(refined, simulated):
    folder, summary = refined
    assert summary == json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "finished" and summary["n_particles"] == 299
    found, truth = relion.read_table(folder / "particles.star"), relion.read_table(simulated / "truth.star")
    rotations = truth.poses.rotations[found.index]
    error = np.rad2deg(symmetry.distance(found.poses.rotations, rotations, symmetry.group("D2")))
    # the prediction is a median too; 300 particles give it to a few per cent, 1.3 is what the project promises
    assert np.median(error) < 1.3 * summary["accuracy_rotation_deg"]


def test_a_bad_image_is_left_out_and_listed(refined):
    folder, summary = refined
    assert summary["n_rejected"] == 1
    assert relion.read_table(folder / "rejected.star").index.tolist() == [7]
    assert 7 not in relion.read_table(folder / "particles.star").index


def test_a_refinement_leaves_a_whole_job_folder(refined):
    folder, _ = refined
    names = (
        "map map_sharp half1 half2 mask_refine mask_fsc".replace(" ", ".mrc ")
        + ".mrc particles.star fsc.json fsc.star "
        "fsc.xml summary.json events.jsonl report.html job.json log.txt plots/fsc.png plots/noise.svg"
    ).split()
    assert [name for name in names if not (folder / name).is_file()] == []


def test_reconstruction_from_refined_poses_repeats_the_map(refined):
    folder, _ = refined
    again = folder.parent / "again"
    done = halfmap("reconstruct", "--particles", folder / "particles.star", "--symmetry", "D2", "--out", again)
    assert done.returncode == 0, done.stderr
    maps = [mrc.read(place / "map.mrc").data.ravel() for place in (folder, again)]
    # the same poses and images; only the noise spectrum, known less well without a model, differs
    assert np.corrcoef(*maps)[0, 1] > 0.98


def test_fsc_of_the_half_maps_is_that_of_the_refinement(refined):
    folder, summary = refined
    out = folder.parent / "fsc"
    done = halfmap("fsc", "--half1", folder / "half1.mrc", "--half2", folder / "half2.mrc",
                   "--symmetry", "D2", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    # no random number enters any curve
    for key in ("resolution_A", "resolution_unmasked_A", "resolution_05_A"):
        assert json.loads(done.stdout)[key] == pytest.approx(summary[key], rel=1e-6)


def test_missing_files_are_all_named_and_exit_3(tmp_path):
    inputs = ["--particles", tmp_path / "p.star", "--volume", tmp_path / "v.mrc", "--mask", tmp_path / "m.mrc"]
    done = halfmap("refine", "homogeneous", *inputs, "--out", tmp_path / "out")
    assert done.returncode == 3
    for name in ("p.star", "v.mrc", "m.mrc"):
        assert f"/{name}: " in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_symmetry_exits_2(simulated, tmp_path):
    inputs = ["--particles", simulated / "particles.star", "--volume", simulated / "map.mrc"]
    done = halfmap("refine", "homogeneous", *inputs, "--symmetry", "Q7", "--out", tmp_path / "out")
    assert done.returncode == 2 and "Q7" in done.stderr


def test_ctrl_c_ends_a_run_with_exit_5(tmp_path):
    command = [sys.executable, "-m", "halfmap.cli.main", "simulate", "--out", str(tmp_path / "s"), "-n", "200000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    events = tmp_path / "s" / "events.jsonl"
    deadline = time.monotonic() + 60
    while not (events.is_file() and "progress" in events.read_text()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) == 5
    assert not (tmp_path / "s" / "particles.mrcs").exists()
    assert json.loads((tmp_path / "s" / "summary.json").read_text())["status"] == "interrupted"
