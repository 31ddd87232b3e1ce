"""Whether the process of a job lives, without a clock."""

import subprocess
import sys

import pytest

from halfmap.jobs.running import processes


def test_this_process_lives():
    assert processes.alive(processes.this()) is True


def test_a_process_that_ended_does_not():
    code = "import json; from halfmap.jobs.running import processes; print(json.dumps(processes.this()))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert processes.alive(__import__("json").loads(told)) is False


@pytest.mark.parametrize("changed, verdict", [
    ({"ticks": 1}, False),  # the number of the process was given to another one
    ({"boot": "before"}, False),  # the machine was started anew
    ({"host": "elsewhere"}, None), ({"namespace": "pid:[1]"}, None), ({"pid": "1; rm"}, None), ({"pid": -1}, False),
])  # fmt: skip
def test_another_process_start_or_machine_is_not_taken_for_it(changed, verdict):
    assert processes.alive(processes.this() | changed) is verdict


@pytest.mark.parametrize("told", [None, [], "x", {}])
def test_what_tells_no_process_tells_nothing(told):
    assert processes.alive(told) is None


def test_a_process_that_nobody_reaped_is_not_alive():
    child = subprocess.Popen([sys.executable, "-c", ""])
    told = processes.this() | {"pid": child.pid}
    while (ticks := processes._ticks(child.pid)) is not None:
        told["ticks"] = ticks
    assert processes.alive(told) is False
    child.wait()
