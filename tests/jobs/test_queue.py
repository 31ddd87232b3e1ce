"""The queue: files are the truth; order, dependencies, what a stopped, failed or vanished job becomes."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from halfmap.errors import UsageError
from halfmap.jobs.queue import queue as queues
from halfmap.jobs.queue import queue_locks, queue_runner, queue_worker
from halfmap.jobs.queue.queue import Queue, Queued
from halfmap.jobs.queue.queue_local import Local
from halfmap.jobs.queue.queue_runner import Runner
from tests.jobs.queue_made import ROOT, Inline, add, process, queue_in, write_summary


@pytest.fixture
def queue(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a worker goes to the folder of its job
    return queue_in(tmp_path)


def run(queue, **how):
    """Run a queue of jobs that end at once; returns the numbers and words of those that ran, and the exit code."""
    performed, told = [], []
    code = Runner(queue, Inline(performed=performed), pause_s=0, tell=told.append, **how).run()
    return performed, code


def seen(queue):
    return {number: state for number, (state, _) in queue.standing(queue.entries()).items()}


# the files


def test_an_entry_is_a_file_and_reads_back_as_it_was(queue):
    entry = queue.add(Queued(0, ("fsc", "--half1", "a b.mrc"), "fsc", "J1", variables={"ram_gb": "4"}))
    assert entry.number == 1 and Queue(queue.project).find(1) == entry
    assert json.loads(queue.file(1).read_text())["words"] == ["fsc", "--half1", "a b.mrc"]


def test_numbers_of_finished_and_removed_entries_are_not_given_again(queue):
    for _ in range(3):
        add(queue)
    run(queue)
    assert queue.entries() == [] and [entry.number for entry in queue.ended()] == [1, 2, 3]
    assert add(queue).number == 4


def test_many_writers_lose_no_entry(queue):
    code = ("import sys; from pathlib import Path\n"
            "from halfmap.jobs.project import project; from halfmap.jobs.queue import queue\n"
            "made = queue.Queue(project.find(Path('.')))\n"
            "for _ in range(6): made.add(queue.Queued(0, ('fsc',), 'fsc', 'J1'))")  # fmt: skip
    writers = [subprocess.Popen([sys.executable, "-c", code], cwd=queue.root) for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert [entry.number for entry in queue.entries()] == list(range(1, 13))


@pytest.mark.parametrize("text", ["", "{", '{"number": 1', "[]", "7", '{"words": 3}', "\x00\xff", "[" * 100_000,
                                  '{"number": "1", "words": [], "job": "", "out": ""}',
                                  '{"number": 2, "words": [], "job": "", "out": ""}',
                                  '{"number": 1, "words": [7], "job": "", "out": ""}',
                                  '{"number": 1, "words": [], "job": "", "out": "", "variables": 3}',
                                  '{"number": 1, "words": [], "job": "", "out": "", "pid": "1; rm"}'])  # fmt: skip
def test_a_damaged_entry_is_named_and_harms_no_other(queue, text):
    add(queue), add(queue)
    queue.file(1).write_bytes(text.encode("latin1"))
    (queue.folder / "3 notes.json").write_text(text)
    assert [entry.number for entry in queue.entries()] == [2] and queue.file(1) in queue.unreadable()
    with pytest.raises(UsageError, match="no entry 1"):
        queue.find(1)
    assert add(queue).number == 3


def test_an_entry_of_a_newer_version_with_more_in_it_is_still_read(queue):
    add(queue)
    content = json.loads(queue.file(1).read_text())
    queue.file(1).write_text(json.dumps({**content, "colour": "red"}))
    assert queue.find(1).words == ("finished",)


def test_a_moved_project_has_the_same_queue(queue, tmp_path):
    add(queue)
    inside = queue.update(1, out=queue.name(queue.root / "J1"), folder=queue.name(queue.root / "sub"))
    moved = tmp_path.rename(tmp_path.with_name("moved project"))
    found = queue_in(moved)
    assert found.find(1) == inside and found.path(inside.out) == moved / "J1"


# order and dependencies


def test_jobs_run_in_the_order_they_came(queue):
    for _ in range(4):
        add(queue)
    performed, code = run(queue)
    assert [number for number, _ in performed] == [1, 2, 3, 4] and code == 0


def test_a_job_waits_for_the_one_that_makes_its_input(queue):
    add(queue)
    add(queue, after=["J1"])
    assert queue.standing(queue.entries())[2] == ("waiting", "for J1")
    assert [entry.number for entry in queue.ready()] == [1]
    performed, _ = run(queue)
    assert [number for number, _ in performed] == [1, 2]


def test_a_job_is_blocked_when_what_it_needs_failed_and_so_is_what_needs_that(queue):
    add(queue, "failed")
    add(queue, after=["J1"])
    add(queue, after=["J2"])
    add(queue)
    performed, code = run(queue)
    assert [number for number, _ in performed] == [1, 4] and code == 3
    standing = queue.standing(queue.entries())
    assert standing == {1: ("failed", "a fault"), 2: ("blocked", "J1 failed"), 3: ("blocked", "J2 is blocked")}


def test_a_blocked_job_goes_on_when_what_it_needs_was_finished_by_hand(queue):
    add(queue, "failed")
    add(queue, after=["J1"])
    run(queue)
    write_summary(queue.path("J1"), "finished")
    queue.remove(1)
    performed, _ = run(queue)
    assert [number for number, _ in performed] == [2]


def test_what_needs_a_removed_job_is_blocked(queue):
    add(queue)
    add(queue, after=["J1"])
    queue.remove(1)
    assert queue.standing(queue.entries())[2] == ("blocked", "J1 is not finished and not in the queue")


def test_a_failed_job_can_be_tried_again_and_begins_anew_where_it_left_nothing(queue):
    add(queue, "failed")
    run(queue)
    queue.retry(1)
    performed, _ = run(queue)
    assert performed == [(1, ("failed",))]
    queue.path("J1").joinpath("half1.mrc").touch()
    queue.retry(1)
    run(queue)
    queue.retry(1)
    assert run(queue)[0] == [(1, ("failed", "--resume"))]


def test_only_what_is_stuck_is_tried_again(queue):
    add(queue)
    with pytest.raises(UsageError, match="is waiting"):
        queue.retry(1)


def test_a_job_that_was_stopped_is_first_in_line_and_is_gone_on_with(queue):
    add(queue), add(queue)
    queue.update(2, resume=True)
    assert run(queue)[0] == [(2, ("finished", "--resume")), (1, ("finished",))]


def test_a_job_that_somebody_else_stopped_waits_for_a_person(queue):
    add(queue, "interrupted")
    assert run(queue)[1] == 5
    assert seen(queue) == {1: "interrupted"}
    queue.retry(1)
    assert queue.ready()[0].command == ["interrupted", "--resume"]


def test_removing_a_waiting_job_takes_the_empty_folder_that_was_made_for_it_and_no_other(queue):
    for number in (1, 2, 3):
        add(queue, made=number != 3)
        queue.path(f"J{number}").mkdir()
    (queue.path("J2") / "notes.txt").touch()
    for number in (1, 2, 3):
        queue.remove(number)
    assert [queue.path(f"J{number}").is_dir() for number in (1, 2, 3)] == [False, True, True]


# several at once


def beside(queue, at_once, **how):
    """Numbers of the jobs that begin in the first look, where every job runs on."""
    begun = []

    class Running:
        def poll(self):
            return None

    class Lasting(Local):
        def start(self, made, entry):
            begun.append(entry.number)
            return made.update(entry.number, state=queues.RUNNING, host=queue_locks.host()), Running()

    Runner(queue, Lasting(**how), at_once=at_once, tell=lambda line: None).step()
    return begun


def test_one_job_at_a_time_unless_more_are_wanted(queue):
    for _ in range(4):
        add(queue)
    assert beside(queue, 1) == [1]


def test_as_many_jobs_as_wanted_begin_beside_each_other(queue):
    for _ in range(4):
        add(queue)
    assert beside(queue, 3, memory_GB=lambda *_: None) == [1, 2, 3]


def test_as_many_jobs_begin_as_memory_allows(queue):
    for _ in range(5):
        add(queue)
    # 10 GB are free. Those that run have taken 1 of their 3 GB: beside three 3 + 3 * 2 = 9 are wanted, beside four 11
    how = {"memory_GB": lambda *_: 3.0, "free_GB": lambda: 10.0, "used_GB": lambda pid: 1.0}
    assert beside(queue, queue_runner.AS_MEMORY_ALLOWS, **how) == [1, 2, 3, 4]
    assert queue.find(2).memory_GB == 3.0


def test_a_job_that_does_not_fit_is_not_overtaken(queue):
    for _ in range(3):
        add(queue)
    how = {"memory_GB": lambda _, entry: [2.0, 9.0, 1.0][entry.number - 1], "free_GB": lambda: 8.0,
           "used_GB": lambda pid: 2.0}  # fmt: skip
    assert beside(queue, queue_runner.AS_MEMORY_ALLOWS, **how) == [1]


def test_a_job_of_unknown_size_runs_alone_where_memory_decides(queue):
    add(queue), add(queue)
    assert beside(queue, queue_runner.AS_MEMORY_ALLOWS, memory_GB=lambda *_: None, free_GB=lambda: 1e3) == [1]


# processes


def until(condition, seconds=20):
    """Wait for something a process does; the limit is for a test that fails."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


DEAF = ("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nfolder.mkdir(exist_ok=True)\n(folder / 'begun').touch()\n"
        "time.sleep(60)")  # fmt: skip
LISTENS = ("signal.signal(signal.SIGTERM, lambda *_: None)\nfolder.mkdir(exist_ok=True)\n"
           "(folder / 'begun').touch()\nsignal.pause()\nreturn 5")  # fmt: skip


def begin(queue, code, **how):
    """A runner that has started the first job, which is at work."""
    runner = Runner(queue, Local(command=process(code)), pause_s=0.01, tell=lambda line: None, **how)
    runner.step()
    until((queue.path("J1") / "begun").is_file)
    return runner


def test_a_stopped_queue_has_its_job_first_in_line_to_be_gone_on_with(queue):
    add(queue), add(queue)
    runner = begin(queue, LISTENS)
    (queue.stop_request).write_text("checkpoint")
    while runner.step():
        time.sleep(0.01)
    assert [(entry.number, entry.state, entry.resume) for entry in queue.entries()] == [
        (1, "waiting", True), (2, "waiting", False)]  # fmt: skip
    assert queue.find(1).reason == "stopped on request"


def test_now_means_now(queue):
    add(queue)
    runner = begin(queue, DEAF)
    runner.stop("now")
    entry = queue.find(1)
    assert (entry.state, entry.resume, entry.vanished) == ("waiting", True, 0)


def test_a_job_killed_from_outside_is_gone_on_with_once_and_then_waits_for_a_person(queue):
    add(queue)
    runner = Runner(queue, Local(command=process("os.kill(os.getpid(), signal.SIGKILL)")), pause_s=0.01,
                    tell=lambda line: None)  # fmt: skip
    assert runner.run() == signal.SIGKILL
    entry = queue.find(1)
    assert (entry.state, entry.vanished) == ("interrupted", 1) and "a second time" in entry.reason


def test_jobs_outlive_a_killed_runner_and_the_next_one_finds_them(queue):
    add(queue)
    code = f"""import sys; from pathlib import Path; from halfmap.jobs.project import project
from halfmap.jobs.queue.queue import Queue; from halfmap.jobs.queue.queue_local import Local
from halfmap.jobs.queue.queue_runner import Runner; from tests.jobs.queue_made import process
Runner(Queue(project.find(Path({str(queue.root)!r}))), Local(command=process({LISTENS!r}))).run()"""
    runner = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL)
    until((queue.path("J1") / "begun").is_file)
    runner.kill()
    runner.wait()
    late = Runner(queue, pause_s=0.01, tell=lambda line: None)
    assert late.step() and queue.find(1).state == "running"  # not started a second time
    late.stop("checkpoint")
    assert (queue.find(1).state, queue.find(1).reason) == ("waiting", "stopped on request")


def test_a_process_that_is_not_known_is_not_signalled(queue, monkeypatch):
    signalled = []
    monkeypatch.setattr(os, "kill", lambda *to: signalled.append(to))
    monkeypatch.setattr(os, "killpg", lambda *to: signalled.append(to))
    for how in ("checkpoint", "now"):
        queue_runner.signal_to(add(queue), how)
    assert signalled == []  # its number is 0, which means this very process group


def test_a_dry_run_tells_what_memory_a_job_needs_once(queue):
    add(queue), add(queue)
    asked = []
    how = {"memory_GB": lambda _, entry: asked.append(entry.number), "free_GB": lambda: 1e3}
    runner = Runner(queue, Local(command=process(LISTENS), **how), at_once=0, tell=lambda line: None)
    for _ in range(3):
        runner.step()
    assert asked == [1, 2]
    until((queue.path("J1") / "begun").is_file)
    runner.stop("checkpoint")


def test_after_a_restart_of_the_machine_what_ran_is_gone_on_with(queue):
    add(queue)
    queue.update(1, state="running", token="t", host=queue_locks.host(), boot="an earlier one", pid=1)
    performed, code = run(queue)
    assert performed == [(1, ("finished", "--resume"))] and code == 0


def test_a_runner_killed_between_noting_and_starting_loses_nothing(queue):
    add(queue)
    queue.update(1, state="running", token="t", host=queue_locks.host(), boot=queue_locks.boot(), pid=0)
    assert run(queue)[0] == [(1, ("finished",))]


def test_a_job_that_finished_while_no_runner_looked_is_finished(queue):
    add(queue)
    queue.update(1, state="running", token="t", host=queue_locks.host(), boot=queue_locks.boot(), pid=1)
    write_summary(queue.path("J1"), "finished")
    assert run(queue) == ([], 0) and [entry.number for entry in queue.ended()] == [1]


def test_what_another_machine_runs_is_left_alone(queue):
    add(queue)
    queue.update(1, state="running", token="t", host="elsewhere", boot="b", pid=1)
    assert run(queue) == ([], 0) and queue.find(1).state == "running"
    queue.retry(1)  # a person knows that the machine is gone
    assert run(queue)[1] == 0


def test_what_another_container_of_this_machine_runs_is_left_alone_while_it_lives(queue):
    add(queue)
    queue.update(1, state="running", token="t", host=queue_locks.host(), boot="another namespace", pid=1)
    lock = queue_locks.claim(queue.file(1, ".lock"))
    assert run(queue) == ([], 0) and queue.find(1).state == "running"
    os.close(lock)
    assert run(queue)[0] == [(1, ("finished", "--resume"))]


def test_a_process_that_was_given_up_does_no_work(queue):
    add(queue)
    queue.update(1, state="running", token="new")
    with pytest.raises(UsageError, match="started anew"):
        queue_worker.work(queue, 1, "old", lambda words: pytest.fail("it worked"))
    queue.update(1, state="failed")  # by a sbatch that did not answer, and took the job all the same
    with pytest.raises(UsageError, match="started anew"):
        queue_worker.work(queue, 1, "new", lambda words: pytest.fail("it worked"))
    with pytest.raises(UsageError, match="not in the queue"):
        queue_worker.work(queue, 2, "old", lambda words: pytest.fail("it worked"))


def test_a_second_process_for_one_entry_is_refused(queue):
    add(queue)
    queue.update(1, state="running", token="t")
    lock = queue_locks.claim(queue.file(1, ".lock"))
    with pytest.raises(UsageError, match="by another process"):
        queue_worker.work(queue, 1, "t", lambda words: pytest.fail("it worked"))
    os.close(lock)


def test_a_removed_job_that_ends_does_not_come_back(queue):
    add(queue, "interrupted")
    queue.update(1, state="running", token="t")

    def perform(words):
        queue.remove(1)
        return 5

    assert queue_worker.work(queue, 1, "t", perform) == 5
    assert queue.entries() == []


def test_a_process_that_cannot_begin_is_a_failure_with_its_last_words(queue):
    add(queue)
    broken = Local(command=lambda *_: [sys.executable, "-c", "raise SystemExit('no such thing')"])
    assert Runner(queue, broken, pause_s=0.01, tell=lambda line: None).run() == 1
    assert (queue.find(1).state, queue.find(1).reason) == ("failed", "no such thing")


def test_one_runner_a_project(queue):
    lock = queue_locks.claim(queue.runner_lock)
    assert queue_locks.held(queue.runner_lock)
    with pytest.raises(UsageError, match="running already"):
        Runner(queue).run()
    os.close(lock)
    assert not queue_locks.held(queue.runner_lock)


def test_looking_at_a_lock_does_not_take_it(queue):
    lock = queue_locks.claim(queue.runner_lock)
    os.close(lock)
    for _ in range(3):
        assert not queue_locks.held(queue.runner_lock)
    assert queue_locks.claim(queue.runner_lock) is not None
