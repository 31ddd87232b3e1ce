"""docs/PROJECTS.md: its commands, run one after the other in an empty folder, all end well.

Jobs leave their record and small result files; what they compute is tested elsewhere.
"""

import json
import re
import shlex
from pathlib import Path

import pytest

from halfmap.cli import start
from halfmap.jobs import catalog
from halfmap.jobs.project import project, references
from halfmap.jobs.project.project import Project
from halfmap.jobs.queue import prospects
from halfmap.jobs.queue import queue as queues
from halfmap.jobs.running import folders, record, run
from halfmap.jobs.running.run import Ended

PAGE = (Path(__file__).parents[2] / "docs" / "PROJECTS.md").read_text()
COMMANDS = [line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
            for line in block.splitlines()]  # fmt: skip
STATES = ("finished", "failed", "interrupted", "running", "crashed", "unknown", "empty",
          *prospects.STATES.values(), queues.BLOCKED)  # fmt: skip


def stand_in(name, params, command=(), listeners=()):
    """A job as far as its record goes: references followed, folder made, result files empty."""
    entry = catalog.find(name)
    followed = references.followed(params, entry)
    if params.dry_run:
        folders.resolved(followed.params, entry.inputs)
        return Ended(0, Path.cwd(), {"job": name, "status": "dry run", "params": {}})
    params = run._placed(folders.resolved(followed.params, entry.inputs), Project.new_folder)
    folder = record.claim(params.out, params.overwrite)
    record.write(folder, entry, params.model_copy(update={"seed": 1}), command, None, followed.given)
    for file in ("map.mrc", "half1.mrc", "half2.mrc", "mask.mrc"):
        (folder / file).write_text(f"{folder.name}/{file}")
    (folder / "particles.star").write_text("data_particles\n\nloop_\n_rlnImageName #1\n1@a.mrcs\n")
    summary = {"job": name, "status": "finished", "warnings": []}
    (folder / "summary.json").write_text(json.dumps(summary))
    return Ended(0, folder, summary)


def test_every_command_of_the_page_does_what_the_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "run", stand_in)
    monkeypatch.chdir(tmp_path)
    for line in COMMANDS:
        program, *words = shlex.split(line)
        if program == "cd":
            monkeypatch.chdir(Path.cwd() / words[0])
            continue
        assert program == "halfmap" and start.main(words) == 0, (line, capsys.readouterr().err)
    capsys.readouterr()
    start.main(["status", "--json", "--last", "0"])
    rows = {row["number"]: row for row in json.loads(capsys.readouterr().out)}
    jobs = [row["job"] for row in rows.values()]
    assert jobs == ["simulate", "refine homogeneous", "mask from-map", "fsc", "refine homogeneous",
                    "refine homogeneous", "mask from-map", "fsc", "refine homogeneous"]  # fmt: skip
    assert rows[4]["parents"] == [2, 3] and rows[8]["parents"] == [6, 7]  # the chain hangs on its new jobs
    assert (rows[2]["tags"], rows[2]["n_notes"]) == ([], 1)


def test_a_job_of_the_project_is_an_input_in_a_file_of_settings_too(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "run", stand_in)
    monkeypatch.chdir(project.create(tmp_path).root)
    (tmp_path / "deep").mkdir()
    assert start.main(["simulate", "-n", "5"]) == 0
    monkeypatch.chdir(tmp_path / "deep")
    Path("job.yaml").write_text("mask:\n- J1\n- J1/mask.mrc\noperation: union\n")
    assert start.main(["mask", "combine", "--config", "job.yaml"]) == 0
    told = json.loads((tmp_path / "J2" / "job.json").read_text())
    assert told["references"] == {"mask": ["J1", "J1/mask.mrc"]}
    assert [each["in_project"] for each in told["inputs"].values()] == ["J1/mask.mrc"] * 2


def test_every_state_is_explained():
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    assert {word for row in rows for word in re.findall(r"`(\w+)`", row)} == set(STATES)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_line_of_the_page_is_one_command(command):
    assert command.split()[0] in ("halfmap", "cd")
