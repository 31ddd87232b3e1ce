"""Two processes and one job folder. Table D: 19, 22."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from halfmap.errors import UsageError
from halfmap.jobs.running import lock, processes
from tests.faults import made

HOLD = """
import sys, time
from pathlib import Path
from halfmap.jobs.running import lock
held = lock.take(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that works in tmp_path."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_process_is_refused_and_told_who_works_there(holder, tmp_path):
    """D 19"""
    with pytest.raises(UsageError, match=f"process {holder.pid} on .* works in this folder"):
        lock.take(tmp_path)


def test_a_second_job_is_refused_even_with_overwrite(holder, monkeypatch, tmp_path):
    """D 19: --overwrite does not take the files of a job that runs."""
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="works in this folder"):
            made.job(monkeypatch, lambda *_: {}, tmp_path, overwrite=overwrite)


def test_the_lock_of_a_killed_process_is_broken_with_a_reason(holder, monkeypatch, tmp_path):
    """D 19: kill -9 leaves the file; nobody is asked to remove it, and events.jsonl tells."""
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / lock.FILE).is_file()
    assert made.job(monkeypatch, lambda *_: {}, tmp_path).exit_code == 0
    notes = [event["text"] for event in made.events(tmp_path) if event["kind"] == "note"]
    assert notes == [notes[0]] and f"process {holder.pid}" in notes[0] and "is gone" in notes[0]


def test_a_finished_or_failed_job_leaves_no_lock(monkeypatch, tmp_path):
    made.job(monkeypatch, lambda *_: {}, tmp_path / "a")
    made.job(monkeypatch, lambda *_: 1 / 0, tmp_path / "b")
    assert not list(tmp_path.rglob(lock.FILE))


def test_a_number_given_to_another_process_does_not_hold_the_lock(tmp_path):
    """D 22: the tick at which a process began tells it from a later one of the same number."""
    other = {**processes.this(), "ticks": 1, "beats": 3}
    (tmp_path / lock.FILE).write_text(json.dumps(other))
    held = lock.take(tmp_path)
    held.release()
    assert "is gone" in held.broken


@pytest.mark.parametrize("counts", [True, False])
def test_a_holder_on_another_machine_is_judged_by_its_counter_not_by_clocks(counts, monkeypatch, tmp_path):
    """D 22: a file system shared by machines, whose clocks differ."""
    path = tmp_path / lock.FILE
    other = {**processes.this(), "host": "elsewhere", "beats": 3}
    path.write_text(json.dumps(other))
    if counts:
        monkeypatch.setattr(lock.time, "sleep", lambda _: path.write_text(json.dumps({**other, "beats": 4})))
        with pytest.raises(UsageError, match="on elsewhere works in this folder"):
            lock.take(tmp_path)
    else:
        monkeypatch.setattr(lock.time, "sleep", lambda _: None)
        held = lock.take(tmp_path)
        held.release()
        assert "gave no sign of life" in held.broken


@pytest.mark.parametrize("code", lock.NO_FLOCK, ids=errno.errorcode.get)
def test_a_file_system_without_flock_falls_back_to_the_process_told(code, monkeypatch, holder, tmp_path):
    """D 19: NFS without a lock server."""
    def none(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", none)
    monkeypatch.setattr(lock.time, "sleep", lambda _: None)
    with pytest.raises(UsageError, match=f"process {holder.pid}"):
        lock.take(tmp_path)
    holder.kill()
    holder.wait()
    lock.take(tmp_path).release()


def test_garbage_in_the_lock_is_not_a_holder(monkeypatch, tmp_path):
    monkeypatch.setattr(lock.time, "sleep", lambda _: None)
    for garbage in (b"", b"\0" * 512, b"[1]", b'{"pid": "x"}'):
        (tmp_path / lock.FILE).write_bytes(garbage)
        held = lock.take(tmp_path)
        assert json.loads((tmp_path / lock.FILE).read_text())["pid"] == os.getpid()
        held.release()


def test_a_folder_of_other_files_gets_no_lock(monkeypatch, tmp_path):
    (tmp_path / "thesis.txt").write_text("do not touch")
    with pytest.raises(UsageError, match="not a halfmap job"):
        made.job(monkeypatch, lambda *_: {}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_holder_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(lock, "BEAT_S", 0.01)
    held = lock.take(tmp_path)
    before, until = 0, time.monotonic() + 30
    while before < 3 and time.monotonic() < until:
        before = json.loads((tmp_path / lock.FILE).read_text())["beats"]
    held.release()
    assert before >= 3
