"""The process in which one entry of the queue is run, on this machine or on a node of a cluster.

Owns how the end of a job becomes a state of its entry. Does not know what a job does: ``perform`` runs a command line
and returns its exit code.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from halfmap.errors import Interrupted, UsageError
from halfmap.jobs.queue import queue as queues
from halfmap.jobs.queue import queue_locks
from halfmap.jobs.queue.queue import Queue, Queued

Perform = Callable[[Sequence[str]], int]

ENDED_FROM_OUTSIDE = "its process was ended from outside, or the machine went down"
STOPPED = 130  # what a shell gives a command that Ctrl-C ended
LAST_WORDS = 2000  # bytes of a process's output that are looked at for the reason of its end


def work(queue: Queue, number: int, token: str, perform: Perform, locked: bool = False) -> int:
    """Run the job of an entry and record how it ended; returns its exit code.

    ``locked``: this process inherited the lock of the entry. Raises UsageError where the entry is gone or was given to
    another process.
    """
    lock = None if locked else queue_locks.claim(queue.file(number, ".lock"))
    if lock is None and not locked:
        raise UsageError(f"entry {number} is being run by another process")
    try:
        entry = _begun(queue, number, token)
        os.chdir(queue.path(entry.folder))
        with _signals() as settled:
            code = _performed(perform, entry)
            note(queue, entry, code, out_of_time=signal.SIGUSR1 in settled())
    finally:
        if lock is not None:
            os.close(lock)
    return code


def _begun(queue: Queue, number: int, token: str) -> Queued:
    """The entry, now in the hands of this process. Raises UsageError as ``work``."""
    entry = queue.update(number, token)
    if entry is None or entry.state not in queues.BEGUN:
        raise UsageError(f"entry {number} is not in the queue any more, or was started anew elsewhere")
    again = entry.state == queues.RUNNING and entry.pid not in (0, os.getpid())  # a cluster begins a lost job anew
    return queue.update(number, token, state=queues.RUNNING, reason="", host=queue_locks.host(), pid=os.getpid(),
                        boot=queue_locks.boot(), resume=entry.resume or again,
                        checkpoint=queue.newest_checkpoint(entry.out))  # fmt: skip


def _performed(perform: Perform, entry: Queued) -> int:
    """The exit code of a job; that of an interrupted one where it was stopped before it listened."""
    try:
        return perform(entry.command)
    except KeyboardInterrupt:
        return Interrupted.exit_code
    except SystemExit as end:
        return Interrupted.exit_code if end.code == STOPPED else int(end.code or 0)


def note(queue: Queue, entry: Queued, code: int, out_of_time: bool = False) -> None:
    """Record the exit code of the job of an entry."""
    current = queue.update(entry.number, entry.token)
    if code == 0:
        queue.finish(entry.number, entry.token)
    elif current is None:
        pass  # taken out of the queue, and so stopped
    elif code != Interrupted.exit_code:
        failed(queue, entry, why_failed(queue, entry) or f"exit code {code}")
    elif out_of_time:
        ran_out(queue, current)
    elif current.stopping:
        change(queue, entry, queues.WAITING, "stopped on request")
    elif current.cluster:  # out of time, displaced or cancelled: only the cluster knows
        queue.update(entry.number, entry.token, queues.BEGUN, reason=f"was asked to stop; {current.cluster} tells why")
    else:
        change(queue, entry, queues.INTERRUPTED, "its process was asked to stop")


def lost(queue: Queue, entry: Queued, why: str = ENDED_FROM_OUTSIDE) -> None:
    """Record that the process of an entry is gone without a word: it is gone on with, once; then a person decides."""
    if queue.summary(entry.out).get("status") == queues.FINISHED:  # it lived long enough
        queue.finish(entry.number, entry.token)
    elif entry.stopping:
        stopped(queue, entry)
    elif not entry.pid and not entry.cluster:  # nobody came so far as to begin it
        change(queue, entry, queues.WAITING, "", resume=entry.resume)
    elif entry.vanished:
        change(queue, entry, queues.INTERRUPTED, f"a second time: {why}")
    else:
        change(queue, entry, queues.WAITING, why, vanished=1)


def stopped(queue: Queue, entry: Queued) -> None:
    """Record that a job ended on request before it could say so; one that had not begun is as it was."""
    begun = entry.state == queues.RUNNING
    change(queue, entry, queues.WAITING, "stopped at once on request" if begun else "taken back on request",
           resume=begun or entry.resume)  # fmt: skip


def ran_out(queue: Queue, entry: Queued) -> None:
    """Record that the time a cluster gave was not enough: gone on with as long as every run makes a new checkpoint."""
    if queue.newest_checkpoint(entry.out) != entry.checkpoint:
        change(queue, entry, queues.WAITING, "out of time")
    else:
        change(queue, entry, queues.INTERRUPTED, "out of time without a new checkpoint: ask the cluster for more time")


def failed(queue: Queue, entry: Queued, reason: str) -> None:
    """Record that the job of an entry failed."""
    change(queue, entry, queues.FAILED, reason, resume=queue.left_results(entry.out))


def change(queue: Queue, entry: Queued, state: str, reason: str, **changes: Any) -> None:
    """Put an entry that was begun into another state, unless that has happened already; what was made is kept."""
    queue.update(entry.number, entry.token, queues.BEGUN, state=state, reason=reason, stopping=False,
                 **{"resume": True, **changes})  # fmt: skip


def why_failed(queue: Queue, entry: Queued) -> str:
    """The first fault in the summary of a job, else the last line its process printed; empty where there is none."""
    faults = queue.summary(entry.out).get("faults")
    return str(faults[0]) if isinstance(faults, list) and faults else last_line(queue, entry.number)


def last_line(queue: Queue, number: int) -> str:
    """The last line of a process's output that says what was wrong."""
    path = queue.file(number, ".out")
    text = path.read_bytes()[-LAST_WORDS:].decode(errors="replace") if path.is_file() else ""
    lines = [line.strip() for line in text.splitlines() if line.strip() and "add --help to any" not in line]
    return lines[-1].removeprefix("halfmap: ") if lines else ""


@contextmanager
def _signals() -> Iterator[Callable[[], bytes]]:
    """Notes which signals come, whoever handles them; the warning of a cluster (SIGUSR1) stops a job as SIGTERM does.

    A stop request that comes before the job listens ends it as one that comes later. The function it gives tells the
    signals that came; from then on none disturbs.
    """
    get, put = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    wakeup = signal.set_wakeup_fd(put, warn_on_full_buffer=False)
    handlers = {signal.SIGUSR1: lambda *_: os.kill(os.getpid(), signal.SIGTERM),
                signal.SIGTERM: signal.default_int_handler, signal.SIGINT: signal.default_int_handler}  # fmt: skip
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}

    def settled() -> bytes:
        for number in handlers:
            signal.signal(number, signal.SIG_IGN)
        try:
            return os.read(get, 1024)
        except BlockingIOError:
            return b""

    try:
        yield settled
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(get)
        os.close(put)
