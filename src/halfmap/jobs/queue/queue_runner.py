"""Starts the jobs of a queue on this machine, each in its own process, and looks after those that run.

One runner a project, by a lock. It may be killed at any moment: jobs go on without it, record their own end, and the
next runner finds them.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from halfmap.errors import Interrupted, UsageError
from halfmap.jobs.queue import queue as queues
from halfmap.jobs.queue import queue_locks, queue_worker
from halfmap.jobs.queue.queue import Queue, Queued
from halfmap.jobs.queue.queue_local import Local
from halfmap.jobs.running import record

CHECKPOINT = "checkpoint"  # ways to end: at the next batch, with a checkpoint
NOW = "now"  # at once; what was done since the last checkpoint is lost
AS_MEMORY_ALLOWS = 0  # for ``at_once``
PAUSE_S = 0.5  # between looks; a job takes seconds to begin


class Elsewhere(Protocol):
    """Where jobs go that are not run on this machine: a cluster."""

    def tend(self, queue: Queue) -> None:
        """Hand over what may begin, and bring the entries in line with what became of those handed over."""


class Runner:
    """Runs what is in a queue: ``at_once`` jobs beside each other, or as many as memory allows.

    ``local``: how jobs are started and what they need; ``clusters``: who takes those meant for a cluster; ``tell``
    gets a line for everything that happens; ``lock``: the lock of the runner, where who began this process took it.
    """

    def __init__(self, queue: Queue, local: Local | None = None, clusters: Elsewhere | None = None, at_once: int = 1,
                 tell: Callable[[str], None] = print, pause_s: float = PAUSE_S, lock: int | None = None):  # fmt: skip
        self.queue, self.local, self.clusters, self.at_once = queue, local or Local(), clusters, at_once
        self._tell, self._pause_s, self._lock = tell, pause_s, lock
        self._processes: dict[int, tuple[Queued, object]] = {}
        self._asked: str | None = None
        self._signalled: dict[int, str] = {}
        self._codes: list[int] = []
        self._rehearsed: set[int] = set()

    def run(self) -> int:
        """Run until nothing is left that could; returns 0, 5 after a stop request, else the code of a job that failed.

        Raises UsageError where another runner is at work.
        """
        while True:
            with self._alone(), self._listening():
                while self.step():
                    time.sleep(self._pause_s)
            if self._asked or not self._startable() or queue_locks.held(self.queue.runner_lock):
                break  # else an entry came after the last look, and nobody else has begun with it
        return Interrupted.exit_code if self._asked else next((code for code in self._codes if code), 0)

    def stop(self, how: str) -> None:
        """End what runs, without starting anything: for the time that no runner does. Raises UsageError as ``run``."""
        self._asked = how
        self.run()

    def step(self) -> bool:
        """One look: what has ended, what is to stop, what may begin. Returns whether there is more to come."""
        self._reap()
        running = [entry for entry in self.queue.entries() if self._runs_here(entry)]
        self._asked = _worse(self._asked, _text(self.queue.stop_request))
        if self._asked:
            for entry in running:
                self._end(entry, self._asked)
            return bool(running or self._processes)
        self._begin(running)
        if self.clusters is not None:
            self.clusters.tend(self.queue)
        moves = any(self._moves(entry) for entry in self.queue.entries())
        return moves or bool(self._processes or self._startable())

    def _startable(self) -> list[Queued]:
        return [entry for entry in self.queue.ready() if self.clusters is not None or not entry.cluster]

    def _runs_here(self, entry: Queued) -> bool:
        """Whether it runs on this machine; records the end of one whose process is gone."""
        if entry.state != queues.RUNNING or entry.cluster or self.queue.elsewhere(entry):
            return False
        if entry.number in self._processes or self.queue.alive(entry):
            return True
        self._tell(f"{entry.number}: {entry.job}: its process is gone")
        queue_worker.lost(self.queue, entry)
        return False

    def _moves(self, entry: Queued) -> bool:
        """Whether something will become of it without anybody's help."""
        if entry.cluster:
            return self.clusters is not None and entry.state in (queues.SUBMITTED, queues.RUNNING)
        return entry.state == queues.RUNNING and not self.queue.elsewhere(entry)

    def _reap(self) -> None:
        """Take note of processes that have ended; most have recorded their own end."""
        for number, (entry, process) in list(self._processes.items()):
            code = process.poll()
            if code is None:
                continue
            del self._processes[number]
            self._signalled.pop(number, None)
            self._codes.append(abs(code))
            current = self.queue.update(number, entry.token)
            if current is not None and current.state == queues.RUNNING:
                (queue_worker.lost(self.queue, current) if code < 0 else queue_worker.note(self.queue, current, code))
            self._tell(f"{number}: {entry.job}: {_ended(code)}")

    def _begin(self, running: Sequence[Queued]) -> None:
        """Start what may begin, in the order of the queue; one that does not fit is not overtaken."""
        running = list(running)
        for entry in self.queue.ready():
            if entry.cluster:
                continue
            entry = self._with_memory(entry)
            if not self._fits(entry, running):
                return
            started = self.local.start(self.queue, entry)
            if started is not None:
                entry, process = started
                self._processes[entry.number] = (entry, process)
                running.append(entry)
                self._tell(f"{entry.number}: {entry.job}: started, results go to {entry.out}")

    def _with_memory(self, entry: Queued) -> Queued:
        """The entry with what its job will need, where that matters; a dry run tells it, once."""
        if self.at_once == 1 or entry.memory_GB is not None or entry.number in self._rehearsed:
            return entry
        self._rehearsed.add(entry.number)
        return self.queue.update(entry.number, memory_GB=self.local.memory_GB(self.queue, entry)) or entry

    def _fits(self, entry: Queued, running: Sequence[Queued]) -> bool:
        """Whether it may begin beside those that run; what they have not taken yet of their share is not free."""
        if not running:
            return True
        if self.at_once != AS_MEMORY_ALLOWS and len(running) >= self.at_once:
            return False
        if any(each.memory_GB is None for each in (entry, *running)):
            return self.at_once != AS_MEMORY_ALLOWS
        pending = sum(max(each.memory_GB - self.local.used_GB(each.pid), 0) for each in running)
        return entry.memory_GB + pending <= self.local.free_GB()

    def _end(self, entry: Queued, how: str) -> None:
        """Ask a running job to end, once in each way."""
        if self._signalled.get(entry.number) in (how, NOW) or not entry.pid:
            return
        if self.queue.update(entry.number, entry.token, stopping=True) is not None:
            self._signalled[entry.number] = how
            signal_to(entry, how)
            self._tell(f"{entry.number}: {entry.job}: asked to stop")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of the runner. A stop request from before is void."""
        lock, self._lock = claimed(self.queue) if self._lock is None else self._lock, None
        try:
            self.queue.stop_request.unlink(missing_ok=True)
            record.write_text(self.queue.folder / "runner.txt", f"process {os.getpid()} on {queue_locks.host()}\n")
            yield
        finally:
            self.queue.stop_request.unlink(missing_ok=True)
            os.close(lock)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM are stop requests; a second one ends jobs at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number, frame):
            self._asked = NOW if self._asked else CHECKPOINT

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def claimed(queue: Queue) -> int:
    """The lock of the runner. Raises UsageError where another runner is at work."""
    lock = queue_locks.claim(queue.runner_lock)
    if lock is None:
        raise UsageError("the queue of this project is running already; halfmap queue list shows it")
    return lock


def stop(queue: Queue, how: str, tell: Callable[[str], None] = print) -> None:
    """End what runs here and its runner, and wait until that has happened; entries go back to the head of the queue."""
    if not queue_locks.held(queue.runner_lock):
        Runner(queue, tell=tell).stop(how)
        return
    record.write_text(queue.stop_request, how)
    with queue_locks.waiting(queue.runner_lock):
        queue.stop_request.unlink(missing_ok=True)


def signal_to(entry: Queued, how: str) -> None:
    """End the process of an entry; does nothing where it is gone or not known yet."""
    if not entry.pid:
        return  # 0 would mean this process and its group
    try:
        if how == NOW:
            os.killpg(entry.pid, signal.SIGKILL)
        else:
            os.kill(entry.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it has just ended


def _worse(first: str | None, second: str | None) -> str | None:
    """The more urgent of two requests, either of which may be none."""
    return NOW if NOW in (first, second) else first or second


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _ended(code: int) -> str:
    """The end of a process in words."""
    if code == Interrupted.exit_code:
        return "stopped, can be resumed"
    return "finished" if code == 0 else f"ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
