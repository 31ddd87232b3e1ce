"""Progress: plain lines in a pipe, a bar in a terminal."""

import io
import json
import os
import pty
import subprocess
import sys

from halfmap.cli import progress
from halfmap.jobs.running import events

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
    assert stream.getvalue() == "search: 1 of 9\n"


def test_a_terminal_gets_a_bar_with_iteration_resolution_and_time_left():
    code = (
        "import json, sys, time\nfrom halfmap.cli import progress\n"
        f"events = json.loads({json.dumps(json.dumps(EVENTS))})\n"
        "with progress.display(sys.stderr) as show:\n"
        "    for event in [*events, {'kind': 'progress', 'stage': 'poses', 'done': 1, 'total': 4}]:\n"
        "        show(event); time.sleep(0.12)\n"
    )
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=slave, stdout=slave, env=environment)
    os.close(slave)
    shown = read_all(master)
    assert process.wait() == 0, shown
    assert "iteration 1: global search" in shown and "iteration 2: refining poses" in shown
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
