"""What the queue of a project says of its jobs: a list of jobs sees those that are to come as empty folders only."""

from __future__ import annotations

from typing import NamedTuple

from halfmap.jobs.project.project import JOB, Project
from halfmap.jobs.queue import queue as queues
from halfmap.jobs.queue.queue import Queue, Queued

QUEUED, BEGINS = "queued", "starting"
STATES = {queues.WAITING: QUEUED, queues.SUBMITTED: QUEUED, queues.RUNNING: BEGINS}  # of a folder that is empty yet


class Prospect(NamedTuple):
    """What will become of a job folder: the kind of job, one word, and what it waits for or why it does not come."""

    job: str
    state: str
    waits: str


def of(project: Project) -> dict[int, Prospect]:
    """The prospects of jobs of a project that are in its queue, by number. Reads only; empty without a queue."""
    if not (project.private / queues.FOLDER).is_dir():
        return {}
    queue = Queue(project)
    entries = queue.entries()
    standing = queue.standing(entries)
    names = [(JOB.fullmatch(entry.out), entry) for entry in entries]
    return {int(name[1]): _prospect(entry, *standing[entry.number]) for name, entry in names if name}


def _prospect(entry: Queued, state: str, reason: str) -> Prospect:
    waits = f"waits {reason}" if reason.startswith("for ") else reason
    return Prospect(entry.job, STATES.get(state, state), waits)
