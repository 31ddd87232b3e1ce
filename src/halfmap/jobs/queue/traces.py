"""What a job on a cluster left behind: in its folder, and in what its process printed.

Where a cluster has forgotten a job, as SLURM without accounting does some minutes after its end, nothing else tells
what became of it. Changes nothing.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from halfmap.jobs.project import places, signs
from halfmap.jobs.queue.queue import RUNNING, Queue, Queued

# SLURM's own lines in the output of a job, "{0}" its number: "*** JOB 7 ON n1 CANCELLED AT ... DUE TO TIME LIMIT ***"
ENDED = r"\*\*\* (?:JOB|STEP) {0}(?:\.\w+)? ON \S+ CANCELLED AT \S+(?: DUE TO (?P<why>[A-Z ]+))?"
KILLED = r"oom.?kill\w* event\w* in (?:StepId=|step ){0}\b"
STATES = {"TIME LIMIT": "TIMEOUT", "PREEMPTION": "PREEMPTED", "NODE FAILURE": "NODE_FAIL"}
OUT_OF_MEMORY = re.compile("memory limit|out of memory|oom.?kill", re.IGNORECASE)
LAST_BYTES = 20_000  # of an output


class Row(NamedTuple):
    """What is said of a job, in a cluster's words."""

    number: str
    name: str
    state: str
    reason: str


def last_words(queue: Queue, entry: Queued) -> Row | None:
    """The end of a job as SLURM wrote it into the output of that job, by its number; None where it wrote nothing."""
    path, number = queue.file(entry.number, ".out"), re.escape(entry.cluster_job)
    if not (number and path.is_file()):
        return None
    text = path.read_bytes()[-LAST_BYTES:].decode(errors="replace")
    if re.search(KILLED.format(number), text, re.IGNORECASE):
        return Row(entry.cluster_job, "", "OUT_OF_MEMORY", "")
    ended = re.search(ENDED.format(number), text)
    return ended and Row(entry.cluster_job, "", STATES.get((ended["why"] or "").strip(), "CANCELLED"), "")


def summary(queue: Queue, entry: Queued) -> dict[str, Any]:
    """summary.json of the run that this start of an entry made; empty where it made none, or came to no end."""
    made = places.content(queue.path(entry.out) / places.RECORD).get("process")
    told = (made.get("host"), made.get("pid")) if isinstance(made, dict) else None
    ours = entry.state == RUNNING and told in (None, (entry.host, entry.pid))
    return queue.summary(entry.out) if ours else {}


def sign_of_life(queue: Queue, entry: Queued) -> str:
    """That a process works in the folder of an entry, or perhaps does, in words; empty where there is none."""
    state, holder = signs.of_folder(queue.project, queue.path(entry.out))
    if state == signs.RUNNING:
        return f"{holder} works in {entry.out}"
    return f"{holder} may still work in {entry.out}: looked at again" if state == signs.UNKNOWN else ""
