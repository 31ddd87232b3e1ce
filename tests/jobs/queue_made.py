"""A project with a queue, and jobs that do at once what their words say."""

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from halfmap.jobs.project import project
from halfmap.jobs.project.project import Project
from halfmap.jobs.queue import queue, queue_locks, queue_worker
from halfmap.jobs.queue.queue import Queue, Queued
from halfmap.jobs.queue.queue_local import Local

ROOT = Path(__file__).parents[2]
CODES = {"finished": 0, "failed": 3, "interrupted": 5}


def queue_in(folder):
    (folder / project.MARKER).write_text("{}")
    return Queue(Project(folder))


def add(queue, status="finished", after=(), **more):
    """An entry whose job ends as ``status``."""
    entry = queue.add(replace(Queued(0, (status,), "refine homogeneous", ""), after=tuple(after), **more))
    return queue.update(entry.number, out=f"J{entry.number}")


def write_summary(folder, status, **more):
    folder.mkdir(exist_ok=True)
    (folder / "summary.json").write_text(json.dumps({"status": status, **more}))


@dataclass(frozen=True)
class Done:
    """A process that has ended."""

    code: int

    def poll(self):
        return self.code


@dataclass(frozen=True)
class Inline(Local):
    """Runs the job of an entry in this process, to its end; ``performed`` gets (number, words) of each."""

    performed: tuple = ()

    def start(self, made, entry):
        given = made.update(entry.number, state=queue.RUNNING, token=queue.token(), pid=os.getpid(),
                            host=queue_locks.host(), boot=queue_locks.boot(), stopping=False)  # fmt: skip
        return given, Done(queue_worker.work(made, entry.number, given.token, self._perform(made, given), locked=True))

    def _perform(self, made, entry):
        def perform(words):
            self.performed.append((entry.number, tuple(words)))
            write_summary(made.path(entry.out), words[0], faults=["a fault"] if words[0] == "failed" else [])
            return CODES[words[0]]

        return perform


def process(code, locked=True):
    """How a Local starts a process that runs ``code`` as the job of an entry; ``folder`` in it is the job folder."""
    head = (
        "import sys, os, signal, json, time; from pathlib import Path\n"
        "from halfmap.jobs.queue import queue_worker\n"
        "from halfmap.jobs.project import project; from halfmap.jobs.queue.queue import Queue\n"
        "queue = Queue(project.find(Path(sys.argv[1]))); number = int(sys.argv[2]); folder = queue.root / sys.argv[4]\n"
        "def perform(words):\n"
    )
    body = "".join(f"    {line}\n" for line in code.splitlines())
    tail = "sys.exit(queue_worker.work(queue, number, sys.argv[3], perform, LOCKED))\n".replace("LOCKED", str(locked))

    def command(made, entry):
        return [sys.executable, "-P", "-c", head + body + tail, str(made.root), str(entry.number), entry.token,
                entry.out]  # fmt: skip

    return command
