"""The command line: flags, messages, exit codes."""

import json

import pytest

from halfmap.cli import commands, flags
from halfmap.cli import main as cli
from halfmap.jobs.running import run as runner
from halfmap.jobs.running.run import Ended

NEEDED = ["refine", "homogeneous", "--particles", "p.star", "--volume", "v.mrc", "--out", "o"]


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Replaces the runner; returns the list of (name, params, command line) it was called with."""
    calls = []

    def fake(name, params, command, listeners):
        calls.append((name, params, command))
        for listener in listeners:
            listener({"kind": "iteration", "iteration": 1, "resolution_A": 9.0})
        return Ended(0, tmp_path, {"resolution_A": 9.0, "warnings": ["few particles"]})

    monkeypatch.setattr(runner, "run", fake)
    return calls


def test_flags_become_settings(started):
    flags = ["--symmetry", "D2", "--particle-diameter", "200", "--no-reestimate-greyscale", "--mask", "none"]
    assert cli.main([*NEEDED, *flags]) == 0
    name, params, command = started[0]
    assert name == "refine homogeneous" and command[:2] == ["halfmap", "refine"]
    assert (params.symmetry, params.particle_diameter_A, params.mask) == ("D2", 200.0, "none")
    assert not params.reestimate_greyscale


def test_the_number_of_particles_is_a_single_letter(started):
    cli.main(["simulate", "--out", "o", "-n", "12"])
    assert started[0][1].n == 12


def test_a_demo_needs_no_flags(started):
    assert cli.main(["demo"]) == 0


def test_the_end_says_the_resolution_and_where_the_report_is(started, capsys, tmp_path):
    cli.main(NEEDED)
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "resolution 9.00 A (corrected FSC at 0.143)",
        f"report: {tmp_path / 'report.html'}",
    ]
    assert "iteration 1, resolution 9.00 A" in shown.err


def test_json_is_all_there_is_on_standard_output(started, capsys):
    cli.main([*NEEDED, "--json"])
    assert json.loads(capsys.readouterr().out)["resolution_A"] == 9.0


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["refin"], "Unknown command"),
        (["refine", "homogeneous"], "--particles"),
        ([*NEEDED, "--simmetry", "D2"], "--symmetry"),
        ([*NEEDED, "--box-size", "x"], "--box-size"),
        ([*NEEDED, "--mask", "static"], "--mask FILE"),
        ([*NEEDED, "--dynamic-mask-far", "1"], "--dynamic-mask-near"),
        ([*NEEDED, "--device", "cuda"], "no GPU code yet"),
    ],
)
def test_a_wrong_flag_is_named_and_exits_2(started, capsys, arguments, text):
    assert cli.main(arguments) == 2
    assert text in capsys.readouterr().err
    assert started == []


def test_every_wrong_value_has_a_line(started, capsys):
    cli.main([*NEEDED, "--box-size", "17", "--candidates", "0"])
    faults = [
        line for line in capsys.readouterr().err.splitlines() if " --box-size:" in line or " --candidates:" in line
    ]
    assert len(faults) == 2


def test_a_setting_that_is_missing_is_told_with_what_it_is(started, capsys):
    assert cli.main(["export", "job", "--out", "o"]) == 2
    assert "--to: is needed. For whom: a folder of RELION's file names" in capsys.readouterr().err
    assert started == []


def test_faults_of_the_input_are_listed_on_standard_error(monkeypatch, capsys, tmp_path):
    faults = ["p.star: row 3: short", "s.mrcs: truncated"]
    monkeypatch.setattr(runner, "run", lambda *_: Ended(3, tmp_path, {"faults": faults}))
    assert cli.main(NEEDED) == 3
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [f"halfmap: {fault}" for fault in faults] and shown.out == ""


def test_an_occupied_folder_exits_2(capsys, tmp_path):
    (tmp_path / "thesis.txt").write_text("")
    assert cli.main(["fsc", "--half1", "a.mrc", "--half2", "b.mrc", "--out", str(tmp_path)]) == 2
    assert "not a halfmap job" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given, meant",
    [
        ("reconstruct p.star --out J2", "reconstruct --particles p.star --out J2"),
        ("check particles J1 --out J2", "check particles --particles J1 --out J2"),
        ("reconstruct --out J2 --particles p.star", "reconstruct --out J2 --particles p.star"),
        ("refine homogeneous p.star", "refine homogeneous p.star"),  # two inputs are needed: which is meant?
        ("report J1", "report J1"),
    ],
)
def test_the_one_input_of_a_job_needs_no_flag(given, meant):
    assert commands.with_subject(given.split()) == meant.split()
@pytest.mark.parametrize("words, expected", [
    (["--shift", "-4, 3, -2 px"], ["--shift=-4, 3, -2 px"]), (["--shift", "-.5 1 2"], ["--shift=-.5 1 2"]),
    (["--bfactor", "-90"], ["--bfactor", "-90"]), (["-n", "10", "--json"], ["-n", "10", "--json"]),
    (["--shift=1,2,3", "-1,2,3"], ["--shift=1,2,3", "-1,2,3"]),
])  # fmt: skip
def test_numbers_that_begin_with_a_minus_belong_to_their_flag(words, expected):
    assert flags.joined(words) == expected
