"""How a queued job becomes a process of this machine, and what memory it will want."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from halfmap import device
from halfmap.jobs.queue import queue as queues
from halfmap.jobs.queue import queue_locks
from halfmap.jobs.queue.queue import Queue, Queued

PROGRAM = (sys.executable, "-P", "-m", "halfmap.cli.main")  # -P: a numpy.py in the working folder is not meant


def command(queue: Queue, entry: Queued) -> list[str]:
    """The process that runs an entry."""
    return [*PROGRAM, "queue", "work", str(entry.number), entry.token, "--project", str(queue.root)]


def rehearsed_GB(queue: Queue, entry: Queued) -> float | None:
    """Peak memory of the job by a dry run of it; None where that tells none, as with small tools and bad input."""
    done = subprocess.run([*PROGRAM, *entry.command, "--dry-run", "--json"], cwd=queue.path(entry.folder), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        return float(json.loads(done.stdout)["forecast"]["memory_GB"])
    except (ValueError, KeyError, TypeError):
        return None


def used_GB(pid: int) -> float:
    """Resident memory of a process, in 10^9 bytes; 0 where there is none."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * resource.getpagesize() / 1e9


@dataclass(frozen=True)
class Local:
    """How jobs are started on this machine, and what there is to know about memory, in 10^9 bytes."""

    command: Callable[[Queue, Queued], Sequence[str]] = command
    memory_GB: Callable[[Queue, Queued], float | None] = rehearsed_GB
    used_GB: Callable[[int], float] = used_GB
    free_GB: Callable[[], float] = device.available_memory_GB

    def start(self, queue: Queue, entry: Queued) -> tuple[Queued, subprocess.Popen] | None:
        """Start the process of an entry, in a session of its own; None where it is gone or has a process already."""
        lock = queue_locks.claim(queue.file(entry.number, ".lock"))
        if lock is None:
            return None
        try:
            given = queue.update(entry.number, state=queues.RUNNING, token=queues.token(), host=queue_locks.host(),
                                 boot=queue_locks.boot(), pid=0, stopping=False)  # fmt: skip
            if given is None:
                return None
            process = self._process(queue, given, lock)
            return queue.update(entry.number, given.token, pid=process.pid) or given, process
        finally:
            os.close(lock)  # the process has it now

    def _process(self, queue: Queue, entry: Queued, lock: int) -> subprocess.Popen:
        with open(queue.file(entry.number, ".out"), "ab") as output:
            return subprocess.Popen([*self.command(queue, entry), "--locked"], cwd=queue.root, stdout=output,
                                    stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
                                    pass_fds=(lock,))  # fmt: skip
