"""A job that is asked to stop, by signal, file or a closed terminal. Table D: 1, 2, 34."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from halfmap.io import atomic
from halfmap.jobs.running import events, run
from tests.faults import made


def asks(number):
    def runner(params, folder, rng, watch):
        os.kill(os.getpid(), number)
        watch("progress", stage="poses", done=1, total=2)

    return runner


@pytest.mark.parametrize("number", events.STOPPING, ids=lambda number: number.name)
def test_a_signal_ends_the_job_at_its_next_batch_with_exit_5(number, monkeypatch, tmp_path):
    """D 2 and 34: SIGTERM, the walltime signal of a queue, Ctrl-C, a terminal that is closed."""
    before = signal.signal(number, signal.default_int_handler)  # the tests themselves may run under nohup
    try:
        ended = made.job(monkeypatch, asks(number), tmp_path / "a")
    finally:
        signal.signal(number, before)
    assert ended.exit_code == 5 and ended.summary["status"] == "interrupted"
    assert number.name in made.told(ended) and "halfmap resume" in made.told(ended)
    assert json.loads((tmp_path / "a" / "summary.json").read_text())["status"] == "interrupted"


def test_nohup_is_respected(monkeypatch, tmp_path):
    """D 34: a job begun with nohup outlives its terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        def runner(params, folder, rng, watch):
            os.kill(os.getpid(), signal.SIGHUP)
            watch("progress", stage="poses", done=1, total=1)
            return {}

        assert made.job(monkeypatch, runner, tmp_path / "a").exit_code == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_ctrl_c_ends_the_job_at_once_and_leaves_nothing_half_written(monkeypatch, tmp_path):
    """D 34: also while a file is being written."""
    def runner(params, folder, rng, watch):
        with atomic.writing(folder / "map.mrc") as file:
            file.write(b"half of it")
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)

    begun = time.monotonic()
    ended = made.job(monkeypatch, runner, tmp_path / "a")
    assert ended.exit_code == 5 and time.monotonic() - begun < 30
    assert [path.name for path in (tmp_path / "a").iterdir() if path.suffix in (".tmp", ".part", ".mrc")] == []


def test_a_file_named_stop_ends_the_job_and_is_taken_away(monkeypatch, tmp_path):
    """D 2: windows talk to a running job through files."""
    monkeypatch.setattr(events, "STOP_EVERY_S", 0.0)

    def runner(params, folder, rng, watch):
        watch("progress", stage="poses", done=1, total=3)
        (folder / "stop").touch()
        watch("progress", stage="poses", done=2, total=3)
        raise AssertionError("not stopped")

    ended = made.job(monkeypatch, runner, tmp_path / "a")
    assert ended.exit_code == 5 and "file stop" in made.told(ended)
    assert not (tmp_path / "a" / "stop").exists()


def test_a_stop_request_of_the_run_before_does_not_stop_the_next(tmp_path):
    """D 2: else a resumed job would end again at once."""
    (tmp_path / "stop").touch()
    events.Watch(tmp_path)("progress", stage="poses", done=1, total=1)
    assert not (tmp_path / "stop").exists()


def test_a_terminal_that_is_gone_does_not_end_the_job(tmp_path):
    """D 34: what listens may break; files get every event."""
    def broken(event):
        raise BrokenPipeError(32, "Broken pipe")

    watch = events.Watch(tmp_path, [broken])
    watch("warning", message="one")
    watch("warning", message="two")
    assert [event["message"] for event in made.events(tmp_path)] == ["one", "two"]


def test_a_job_whose_output_pipe_closes_ends_as_if_it_were_open(tmp_path):
    """D 34: halfmap ... 2>&1 | head -1"""
    command = [sys.executable, "-m", "halfmap.cli.main", "simulate", "-n", "8", "--box-size", "16", "--pixel-size", "5",
               "--out", "a", "--seed", "1"]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stderr.close()
    process.stdout.close()
    process.wait()
    assert json.loads((tmp_path / "a" / "summary.json").read_text())["status"] == "finished"


def test_a_job_outside_the_main_thread_leaves_the_signals_alone(tmp_path):
    """Notebooks and servers run jobs in threads, where Python knows no handlers."""
    import threading

    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def inside():
        with events.stop_on_signals(events.Passing()):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [before] and run.BUG == 70
