"""Whether a job of another machine lives, told by what it counts."""

import json

import pytest

from halfmap.jobs.project import index, signs
from halfmap.jobs.running import lock, processes
from tests.jobs import projects


class Clock:
    """The time since the machine was started, as a test wants it."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(signs, "_now", made)
    return made


@pytest.fixture
def one(tmp_path):
    """A project whose job J2 works on a machine called far."""
    made = projects.made(tmp_path / "proj", J1=[])
    projects.job(made, "J2", status=None, process={**processes.this(), "host": "far"})
    made.private.mkdir(exist_ok=True)
    counts(made, 3)
    return made


def counts(one, beats):
    (one.root / "J2" / lock.FILE).write_text(json.dumps({"host": "far", "pid": 7, "beats": beats}).ljust(512))


def state(one):
    return signs.states(one, index.jobs(one).rows)[2]


def test_a_job_that_counts_on_runs_and_one_that_stopped_counting_is_gone(one, clock):
    assert state(one) == "unknown"  # one look tells nothing
    clock.now += 6
    counts(one, 4)
    assert state(one) == "running"
    clock.now += signs.GONE_S - 1
    assert state(one) == "running"
    clock.now += 2
    assert state(one) == "crashed"
    counts(one, 5)  # it was only slow
    assert state(one) == "running"


def test_a_job_that_never_counted_while_it_was_looked_at_is_gone_after_four_beats(one, clock):
    assert state(one) == "unknown"
    clock.now += signs.GONE_S + 1
    assert state(one) == "crashed"


def test_a_job_without_a_lock_and_without_an_end_is_gone(one):
    (one.root / "J2" / lock.FILE).unlink()
    assert state(one) == "crashed"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"boot": 1, "jobs": {"2": {"beats": 1}}}', '{"jobs": {"2": 3}}'])
def test_a_memory_of_looks_that_makes_no_sense_is_a_first_look(one, clock, text):
    (one.private / signs.FILE).write_text(text)
    assert state(one) == "unknown"
    clock.now += 6
    counts(one, 4)
    assert state(one) == "running"


def test_looks_from_before_this_machine_was_started_anew_do_not_count(one, clock, monkeypatch):
    state(one)
    monkeypatch.setattr(processes, "_boot_id", lambda: "another start")
    clock.now = 5000.0
    assert state(one) == "unknown"


def test_where_nothing_can_be_remembered_nothing_is_claimed(one, clock, monkeypatch):
    monkeypatch.setattr(signs.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(30, "read-only")))
    assert state(one) == "unknown"
    clock.now += 60
    assert state(one) == "unknown"


def test_jobs_of_this_machine_need_no_memory(one):
    projects.job(one, "J2", status="finished")
    state(one)
    assert not (one.private / signs.FILE).exists()


def test_a_lock_is_judged_the_same_way_where_a_job_asks_for_it():
    assert (signs.LOCK, signs.GONE_S) == (lock.FILE, lock.BEAT_S * lock.PATIENCE)
