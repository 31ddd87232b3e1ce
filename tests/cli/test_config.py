"""--config: settings from a file; flags win; what is wrong is named with its file and line."""

import json

import pytest

from halfmap.cli import config, flags
from halfmap.cli import main as cli
from halfmap.jobs import catalog
from halfmap.jobs.running import run as runner
from halfmap.jobs.running.run import Ended

HOMOGENEOUS = {"particles": "p.star", "volume": "v.mrc", "out": "o"}


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Replaces the runner; returns the list of settings it was called with."""
    calls = []

    def fake(name, params, command, listeners):
        calls.append(params)
        return Ended(0, tmp_path, {})

    monkeypatch.setattr(runner, "run", fake)
    return calls


def refine(path, *flags):
    return cli.main(["refine", "homogeneous", "--config", str(path), *flags])


def yaml(folder, text):
    path = folder / "job.yaml"
    path.write_text(text)
    return path


NEEDED = "particles: p.star\nvolume: v.mrc\nout: o\n"


def test_a_file_can_hold_every_setting_needed(started, tmp_path):
    assert refine(yaml(tmp_path, NEEDED + "symmetry: D2\n")) == 0
    assert started[0].symmetry == "D2" and started[0].volume.name == "v.mrc"


def test_settings_may_go_by_the_names_of_their_flags(started, tmp_path):
    text = NEEDED + "particle-diameter: 200\nmax_align_resolution: 5.5\nwrite-cs: true\nreestimate_greyscale: no\n"
    assert refine(yaml(tmp_path, text)) == 0
    settings = started[0]
    assert (settings.particle_diameter_A, settings.max_align_resolution) == (200, 5.5)
    assert settings.write_cs and not settings.reestimate_greyscale


@pytest.mark.parametrize("flag, name, value", [
    (["--symmetry", "C3"], "symmetry", "C3"), (["--no-write-cs"], "write_cs", False),
    (["--particle-diameter=150"], "particle_diameter_A", 150),
])  # fmt: skip
def test_flags_win(started, tmp_path, flag, name, value):
    assert refine(yaml(tmp_path, NEEDED + "symmetry: D2\nwrite_cs: true\nparticle_diameter_A: 200\n"), *flag) == 0
    assert getattr(started[0], name) == value


def test_a_list_of_the_file_is_replaced_by_the_flags_not_added_to(started, tmp_path):
    path = yaml(tmp_path, "out: o\nodd_zernike: [1.0, 2.0, 3.0]\n")
    assert cli.main(["simulate", "--config", str(path)]) == 0
    assert cli.main(["simulate", "--config", str(path), "--odd-zernike", "7"]) == 0
    assert [settings.odd_zernike for settings in started] == [(1, 2, 3), (7,)]


def test_json_is_read_too_and_null_means_the_default(started, tmp_path):
    path = tmp_path / "job.json"
    path.write_text(json.dumps({**HOMOGENEOUS, "box_size": None, "candidates": 4}))
    assert refine(path) == 0
    assert started[0].box_size is None and started[0].candidates == 4


def test_the_record_of_an_earlier_job_is_taken_but_its_folder_is_not(started, tmp_path):
    (tmp_path / "p.star").write_text("")
    params = {**HOMOGENEOUS, "symmetry": "D2", "overwrite": True, "seed": 5}
    record = {"job": "refine homogeneous", "params": params, "working_folder": str(tmp_path)}
    path = tmp_path / "job.json"
    path.write_text(json.dumps(record))
    assert refine(path) == 0
    assert started[0].out is None  # a new one, in a project; not that of the earlier job
    assert refine(path, "--out", "new") == 0
    settings = started[1]
    assert settings.out.name == "new" and not settings.overwrite and settings.seed == 5
    assert settings.particles == tmp_path / "p.star"  # where it was found then


def test_the_record_of_another_job_is_refused(started, tmp_path, capsys):
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"job": "reconstruct", "params": {"out": "o"}}))
    assert refine(path, "--out", "new") == 2
    assert "'reconstruct'" in capsys.readouterr().err and started == []


@pytest.mark.parametrize("text, told", [
    (NEEDED + "symmetri: D2\n", ["job.yaml, line 4", "symmetri", "did you mean symmetry?"]),
    (NEEDED + "particle-diametre: 3\nqqq: 1\n", ["line 4", "did you mean particle_diameter_A?", "line 5", "'qqq'"]),
    (NEEDED + "# a note\nbox_size: 17\n", ["--box-size", "job.yaml, line 5", "multiple of 2"]),
    (NEEDED + "candidates: eight\n", ["--candidates", "job.yaml, line 4", "eight"]),
    (NEEDED + "candidates: null\n", ["job.yaml, line 4", "candidates"]),
    (NEEDED + "candidates: {a: 1}\n", ["job.yaml, line 4", "candidates"]),
    (NEEDED + "symmetry: D2\nsymmetry:: D3\n", ["job.yaml"]),
    (NEEDED + "write-cs: true\nwrite_cs: false\n", ["line 5", "given twice"]),
    ("- D2\n", ["job.yaml", "no settings"]),
])  # fmt: skip
def test_what_is_wrong_is_named_with_file_and_line(started, tmp_path, capsys, text, told):
    assert refine(yaml(tmp_path, text)) == 2
    shown = capsys.readouterr().err
    assert [part for part in told if part not in shown] == [] and "Traceback" not in shown
    assert started == []


def test_a_file_that_is_not_there_is_named(started, tmp_path, capsys):
    assert refine(tmp_path / "nowhere.yaml") == 2
    assert "nowhere.yaml" in capsys.readouterr().err


def test_an_empty_file_changes_nothing(started, tmp_path):
    assert cli.main(["demo", "--config", str(yaml(tmp_path, "# nothing yet\n"))]) == 0
    assert started[0].out.name == "halfmap-demo"


@pytest.mark.parametrize("entry", catalog.JOBS, ids=lambda entry: entry.name)
def test_a_setting_goes_by_its_name_and_its_flag_and_no_two_by_the_same(entry):
    found = config.names(entry)
    for name in entry.params.model_fields:
        word = flags.flag(name).lstrip("-")
        assert found[name] == found[word] == found[word.replace("-", "_")] == name
