"""--dry-run: everything is checked, nothing is written; a machine that is too small is found out at the start."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from halfmap import device
from halfmap.cli import main as cli
from halfmap.data import originals, relion
from halfmap.errors import ResourceError
from halfmap.io import mrc
from halfmap.jobs.running import events, resources
from tests.refine import made


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Forty images with poses, and the map they show."""
    folder = tmp_path_factory.mktemp("inputs")
    sample = made.experiment(folder, n=40)
    relion.write(folder / "particles.star", sample.truth)
    mrc.write(folder / "map.mrc", sample.map)
    mrc.write(folder / "mask.mrc", replace(sample.map, data=np.ones_like(sample.map.data)))
    relion.write(folder / "many.star", sample.truth[np.arange(120) % 40])
    relion.write(folder / "subtracted.star", originals.remembered(sample.truth))
    words = "simulate -n 8 --box-size 32 --micrographs 2".split()
    assert cli.main([*words, "--out", str(folder / "in_micrographs")]) == 0
    return folder


def refine(inputs, out, *flags):
    files = ["--particles", inputs / "particles.star", "--volume", inputs / "map.mrc", "--symmetry", "D2"]
    return cli.main(["refine", "homogeneous", *map(str, files), "--out", str(out), *flags])


def files(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_a_refinement_is_foretold_and_leaves_nothing(inputs, tmp_path, capsys):
    before = files(inputs)
    assert refine(inputs, tmp_path / "new" / "job", "--dry-run", "--json", "--seed", "3") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["status"] == "dry run" and told["n_particles"] == 40
    assert told["params"]["symmetry"] == "D2" and told["params"]["seed"] == 3
    assert told["resolved"]["box_size"] == made.BOX and told["resolved"]["symmetry_operators"] == 4
    needs = told["forecast"]
    assert needs["seconds"] > 0 and needs["memory_GB"] > 0.1 and needs["disk_GB"] > 0 and needs["iterations"]
    assert files(tmp_path) == [] and files(inputs) == before


def test_a_reconstruction_is_foretold_in_words(inputs, tmp_path, capsys):
    flags = ["--particles", str(inputs / "particles.star"), "--out", str(tmp_path / "job"), "--dry-run"]
    assert cli.main(["reconstruct", *flags]) == 0
    shown = capsys.readouterr().out
    for words in ("nothing was written", "time: about", "one pass", "peak memory: about", "disk: about", "box_size"):
        assert words in shown
    assert files(tmp_path) == []


@pytest.mark.parametrize("command, words", [("abinitio", "steps"), ("abinitio-refine", "of each half")])
def test_the_growth_of_maps_is_foretold_too(inputs, tmp_path, capsys, command, words):
    flags = [command, str(inputs / "many.star"), "--num-particles", "100", "--out", str(tmp_path / "job"), "--dry-run"]
    assert cli.main([*flags, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    needs, resolved = told["forecast"], told["resolved"]
    assert told["n_particles"] == 100 and words in needs["assumes"]
    assert needs["seconds"] == pytest.approx(sum(needs["stages"].values()))
    assert needs["stages"]["growth"] > 0.3 * needs["seconds"] and needs["memory_GB"] > 0.1 and needs["disk_GB"] > 0
    assert resolved["steps_at_most"] == 2 * resolved["steps_of_a_start"] + 60
    assert files(tmp_path) == []


@pytest.mark.parametrize("command", [
    "fsc --half1 {0}/map.mrc --half2 {0}/map.mrc", "import particles --particles {0}/particles.star",
    "check particles --particles {0}/particles.star", "simulate --map {0}/map.mrc -n 10", "simulate --symmetry D3",
    "demo", "mask segment --volume {0}/map.mrc",
    "abinitio --particles {0}/many.star --classes 2", "abinitio-refine --particles {0}/many.star --symmetry D2",
    "volume resample --volume {0}/map.mrc --voxel-size 4", "volume flip --volume {0}/map.mrc",
    "volume recenter --volume {0}/map.mrc --particles {0}/particles.star --shift 1,2,3",
    "volume align --volume {0}/map.mrc --to-symmetry D2",
    "simulate --symmetry D3 -n 20 --micrographs 2",
    "symmetry-expand --particles {0}/particles.star --symmetry D2",
    "downsample --particles {0}/particles.star --box-size 20 --recenter", "templates --volume {0}/map.mrc",
    "subtract --particles {0}/particles.star --volume {0}/map.mrc --mask {0}/mask.mrc --no-use-halfmaps",
    "extract --particles {0}/in_micrographs/truth.star --box-size 32 --recenter",
    "revert --particles {0}/subtracted.star",
    "fsc --volume {0}/map.mrc --against {0}/map.mrc",
    "sharpen --volume {0}/map.mrc --fsc-weighting off --lowpass none", "orientation --volume {0}",
    "local-resolution --volume {0}/map.mrc --half1 {0}/map.mrc --half2 {0}/map.mrc",
    "local-filter --volume {0}/map.mrc --local-resolution {0}/map.mrc",
])  # fmt: skip
def test_every_other_job_checks_its_inputs_and_leaves_nothing(inputs, tmp_path, capsys, command):
    words = command.format(inputs).split()
    assert cli.main([*words, "--out", str(tmp_path / "job"), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "dry run"
    assert files(tmp_path) == []


@pytest.mark.parametrize("command, code", [
    ("refine homogeneous --particles nowhere.star --volume nowhere.mrc", 3),
    ("refine homogeneous --particles {0}/particles.star --volume {0}/map.mrc --symmetry Q7", 2),
    ("refine homogeneous --particles {0}/particles.star --volume {0}/map.mrc --particle-diameter 5000", 2),
    ("reconstruct --particles nowhere.star", 3), ("fsc --half1 nowhere.mrc --half2 {0}/map.mrc", 3),
    ("abinitio --particles {0}/particles.star", 3), ("abinitio --particles {0}/many.star --symmetry Q7", 2),
    ("abinitio-refine --particles {0}/particles.star", 3),
    ("abinitio-refine --particles {0}/many.star --particle-diameter 5000", 2),
    ("import particles --particles nowhere.star", 3), ("check particles --particles nowhere.star", 3),
    ("simulate --map nowhere.mrc", 3), ("simulate --symmetry Q7", 2), ("mask segment --volume nowhere.mrc", 3),
    ("mask segment --volume {0}/map.mrc --choose 99", 2),
    ("extract --particles nowhere.star --box-size 32", 3), ("templates --volume nowhere.mrc", 3),
    ("symmetry-expand --particles {0}/particles.star --symmetry Q7", 2), ("revert --particles nowhere.star", 3),
    ("sharpen --volume {0}/map.mrc", 3), ("sharpen --volume {0}/map.mrc --lowpass -3", 2),
    ("local-resolution --volume {0}/map.mrc", 3), ("orientation --volume {0}/map.mrc", 3),
    ("local-filter --volume {0}/map.mrc --local-resolution nowhere.mrc", 3), ("fsc --volume {0}/map.mrc", 2),
])  # fmt: skip
def test_faults_have_the_exit_code_of_a_real_run(inputs, tmp_path, capsys, command, code):
    assert cli.main([*command.format(inputs).split(), "--out", str(tmp_path / "job"), "--dry-run"]) == code
    shown = capsys.readouterr()
    assert shown.err.startswith("halfmap: ") and "Traceback" not in shown.err
    assert files(tmp_path) == []


def test_all_missing_files_are_named_at_once(tmp_path, capsys):
    words = "refine homogeneous --particles a.star --volume b.mrc --mask c.mrc --dry-run --out".split()
    assert cli.main([*words, str(tmp_path / "job")]) == 3
    shown = capsys.readouterr().err
    assert all(name in shown for name in ("a.star", "b.mrc", "c.mrc"))


def test_poses_are_asked_for_before_a_reconstruction(inputs, tmp_path, capsys):
    table = relion.read(inputs / "particles.star")
    relion.write(tmp_path / "told.star", made.replace(table, poses=None, columns={}))
    words = ["reconstruct", "--particles", str(tmp_path / "told.star"), "--dry-run", "--out", str(tmp_path / "job")]
    assert cli.main(words) == 3
    assert "no poses" in capsys.readouterr().err


def test_an_occupied_folder_is_refused_and_not_touched(inputs, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    assert refine(inputs, tmp_path, "--dry-run") == 2
    assert files(tmp_path) == ["thesis.txt"]


def test_an_earlier_job_is_not_cleared(inputs, tmp_path):
    (tmp_path / "job.json").write_text("{}")
    (tmp_path / "map.mrc").write_text("")
    assert refine(inputs, tmp_path, "--dry-run") == 2
    assert refine(inputs, tmp_path, "--dry-run", "--overwrite") == 0
    assert files(tmp_path) == ["job.json", "map.mrc"]


def test_a_disk_that_is_too_small_ends_a_run_at_its_start(inputs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(resources.shutil, "disk_usage", lambda place: resources.shutil._ntuple_diskusage(1, 1, 1000))
    for flags in ((), ("--dry-run",)):
        assert refine(inputs, tmp_path / "job", *flags) == 4
        assert "GB of disk" in capsys.readouterr().err
    assert not list((tmp_path / "job").glob("*.mrc"))


def test_room_is_looked_for_on_the_disk_of_a_folder_to_be_made(tmp_path):
    resources.require_disk(tmp_path / "not" / "yet", 1e-6)
    with pytest.raises(ResourceError, match=str(tmp_path)):
        resources.require_disk(tmp_path / "not" / "yet", 1e9)


def test_a_machine_with_too_little_memory_is_told_of_and_what_helps(monkeypatch):
    heard = events.Passing()
    monkeypatch.setattr(device, "available_memory_GB", lambda: 2.0)
    resources.warn_of_memory(1.9, heard)
    assert heard.warnings == []
    resources.warn_of_memory(2.1, heard)
    assert "--box-size" in heard.warnings[0] and "--minibatch-size" in heard.warnings[0]


def test_a_control_group_with_less_memory_than_the_machine_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(device, "CGROUP", Path(tmp_path))
    monkeypatch.setattr(device, "MEMBERSHIP", tmp_path / "membership")
    (tmp_path / "membership").write_text("0::/\n")
    machine = device.available_memory_GB()
    for name, text in (("memory.max", "1500000000\n"), ("memory.current", "500000000\n")):
        (tmp_path / name).write_text(text)
    assert device.available_memory_GB() == pytest.approx(min(1.0, machine))
    (tmp_path / "memory.max").write_text("max\n")
    assert device.available_memory_GB() > 0.5 * machine
