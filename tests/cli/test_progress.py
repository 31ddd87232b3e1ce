"""Progress: plain lines in a pipe, a bar in a terminal."""

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

from halfmap.cli import progress
from halfmap.jobs.running import events
from halfmap.params.homogeneous import Homogeneous

EVENTS = [
    {"kind": "started", "job": "refine homogeneous", "seed": 1, "folder": "o"},
    {"kind": "progress", "stage": "search", "done": 1, "total": 9},
    {"kind": "progress", "stage": "search", "done": 9, "total": 9},
    {"kind": "iteration", "iteration": 1, "resolution_A": 9.25},
    {"kind": "warning", "message": "few particles"},
]


def test_a_pipe_gets_a_line_for_each_iteration_and_warning():
    stream = io.StringIO()
    with progress.display(stream) as show:
        for event in EVENTS:
            show(event)
    assert stream.getvalue().splitlines() == [
        "halfmap refine homogeneous started, seed 1, results go to o",
        "iteration 1, resolution 9.25 A",
        "warning: few particles",
    ]


def test_a_long_stage_says_so_in_a_pipe(monkeypatch):
    monkeypatch.setattr(events, "LINE_EVERY_S", 0.0)
    stream = io.StringIO()
    with progress.display(stream) as show:
        show(EVENTS[1])
        show({"kind": "progress", "stage": "ab-initio", "done": 3, "total": 8, "whose": "half 1, start 2 of 2"})
    assert stream.getvalue() == "search: 1 of 9\nab-initio, half 1, start 2 of 2: 3 of 8\n"


def test_a_terminal_gets_a_bar_with_iteration_resolution_and_time_left():
    code = (
        "import json, sys, time\nfrom halfmap.cli import progress\n"
        f"events = json.loads({json.dumps(json.dumps(EVENTS))})\n"
        "with progress.display(sys.stderr) as show:\n"
        "    for event in [*events, {'kind': 'progress', 'stage': 'poses', 'done': 1, 'total': 4},\n"
        "                  {'kind': 'progress', 'stage': 'ab-initio', 'done': 1, 'total': 4,\n"
        "                   'whose': 'start 1 of 2'}]:\n"
        "        show(event); time.sleep(0.12)\n"
    )
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=slave, stdout=slave, env=environment)
    os.close(slave)
    shown = read_all(master)
    assert process.wait() == 0, shown
    assert "iteration 1: global search" in shown and "iteration 2: refining poses" in shown
    assert "start 1 of 2: growing maps" in shown
    assert "9.25 A" in shown and "left" in shown


def read_all(master):
    parts = []
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # Linux reports the end of a pseudo-terminal as an error
            break
        if not part:
            break
        parts.append(part)
    os.close(master)
    return b"".join(parts).decode()


def rehearsed(**params):
    """The lines that a dry run of a refinement prints."""
    defaults = Homogeneous(particles=Path("a.star"), volume=Path("v.mrc"), dry_run=True)
    summary = {
        "job": "refine homogeneous", "status": "dry run", "n_particles": 2000, "resolved": {"box_size": 64},
        "params": defaults.model_copy(update=params).model_dump(mode="json"),
        "forecast": {"seconds": 100.0, "stages": {"search": 60.0, "poses": 39.0, "writing": 1.0}, "memory_GB": 1.5,
                     "disk_GB": 2.0, "assumes": "5 iterations, " + "of many words " * 20},
    }  # fmt: skip
    return progress.closing(summary, Path("J2")).splitlines()


def test_a_dry_run_tells_time_memory_and_disk_before_the_settings(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = rehearsed()
    places = [next(i for i, line in enumerate(lines) if line.startswith(head))
              for head in ("time:", "peak memory:", "disk:", "for these inputs:", "set for this job:")]  # fmt: skip
    assert places == sorted(places) and max(map(len, lines)) <= 100
    assert "  most of it: search 1 min 0 s, poses 39 s" in lines


def test_a_dry_run_lists_only_settings_that_are_not_at_their_defaults():
    lines = rehearsed(symmetry="D2")
    told = [line.split()[0] for line in lines[lines.index("set for this job:") + 1 : -1]]
    assert set(told) == {"particles", "symmetry", "volume"}
    others = len(Homogeneous.model_fields) - len(told) - 1
    assert lines[-1] == f"the other {others} settings are at their defaults; --dry-run --json lists all of them"
