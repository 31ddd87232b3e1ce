"""Hands entries of the queue to a cluster, and brings them in line with what the cluster says became of them.

No process of ours has to stay: whoever looks (`queue list`, the runner, a job at its end) asks the cluster and writes
down what it learns. A job is known by its name, which holds the token of its start: a number that the cluster gives
to another job later is not taken for it. Silence is counted in looks, not in seconds; where a cluster keeps no
accounting and has forgotten a job, what that left behind tells what became of it: see ``traces``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from halfmap.errors import UsageError
from halfmap.jobs.queue import cluster_script, queue_local, queue_worker, traces
from halfmap.jobs.queue import queue as queues
from halfmap.jobs.queue.cluster import Cluster, Clusters
from halfmap.jobs.queue.queue import Queue, Queued
from halfmap.jobs.queue.traces import Row
from halfmap.jobs.running import lock, record

PATIENCE = 3  # looks in a row that do not find a job before it counts as gone
OF_USER = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT", "SLURM_TIME_FORMAT")  # set by a person, not by a job
ANSWER_S = 60.0  # a scheduler that is slower does not answer
AGAIN = ("NODE_FAIL", "BOOT_FAIL")
OUT_OF_TIME = ("TIMEOUT", "PREEMPTED", "DEADLINE")
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "OUT_OF_MEMORY", "REVOKED", *AGAIN, *OUT_OF_TIME)

MORE_MEMORY = "give it more, with --variable ram_gb=... or in clusters.yaml"


@dataclass(frozen=True)
class Answer:
    """What a program printed, and what was wrong; ``fault`` is empty where nothing was."""

    text: str
    fault: str


def ask(command: Sequence[str]) -> Answer:
    """Run a program of a cluster."""
    try:
        done = subprocess.run(list(command), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                              timeout=ANSWER_S, env=outside(os.environ))  # fmt: skip
    except subprocess.TimeoutExpired:
        return Answer("", f"{command[0]}: no answer in {ANSWER_S:g} s")
    except OSError as fault:
        return Answer("", f"{command[0]}: {fault.strerror}")
    if done.returncode == 0:
        return Answer(done.stdout, "")
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return Answer("", f"{command[0]}: {lines[-1] if lines else f'exit code {done.returncode}'}")


def outside(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what describes the job of SLURM that this process is in.

    ``sbatch`` hands its environment to the job: one that is handed over from a node would else be told the memory and
    the cores of the job before it, against its own script, and ``srun`` in it refuses to begin.
    """
    if "SLURM_JOB_ID" not in environment:
        return dict(environment)
    return {name: value for name, value in environment.items()
            if not name.startswith(("SLURM_", "SLURMD_")) or name in OF_USER}


class Handed:
    """The entries of a queue that are meant for clusters.

    ``refused``: the state of an entry that the cluster does not take; a job at its end, on a node from where nothing
    may be handed over, leaves it waiting. ``every_s``: how often a cluster is asked while a runner looks again and
    again; ``memory_GB``: what the job of an entry will need.
    """

    def __init__(self, clusters: Clusters, refused: str = queues.FAILED, every_s: float = 0.0,
                 ask: Callable[[Sequence[str]], Answer] = ask,
                 memory_GB: Callable[[Queue, Queued], float | None] = queue_local.rehearsed_GB):  # fmt: skip
        self._clusters, self._refused, self._every_s, self._ask = clusters, refused, every_s, ask
        self._memory_GB = memory_GB
        self._next = 0.0

    def tend(self, queue: Queue) -> None:
        """Learn what became of entries, then hand over those that may begin."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._every_s
        self.reconcile(queue)
        for entry in [] if queue.is_held else queue.ready():
            if entry.cluster:
                self.submit(queue, entry)

    def submit(self, queue: Queue, entry: Queued) -> None:
        """Write the script of an entry and hand it over. What goes wrong is the reason of its new state."""
        entry = queue.update(entry.number, entry.token, (queues.WAITING,), state=queues.SUBMITTED, reason="", pid=0,
                             host="", cluster_job="", unseen=0, token=queues.token())  # fmt: skip
        if entry is None:
            return  # somebody else has it
        file = queue.file(entry.number, ".sh")
        try:
            cluster = self._clusters.named(entry.cluster)
            entry = self._with_memory(queue, entry, cluster)
            record.write_text(file, cluster_script.script(queue, entry, cluster))
            words = self._words(cluster.submit, queue, entry, cluster)
        except UsageError as fault:
            queue.update(entry.number, entry.token, state=queues.FAILED, reason=str(fault))
            return
        answer = self._ask(words)
        number = re.search(r"\d+", answer.text)
        if answer.fault:
            queue.update(entry.number, entry.token, (queues.SUBMITTED,), state=self._refused,
                         reason=f"{answer.fault}; the script is kept: {queue.name(file)}")  # fmt: skip
        elif number:
            queue.update(entry.number, entry.token, cluster_job=number[0])

    def _with_memory(self, queue: Queue, entry: Queued, cluster: Cluster) -> Queued:
        """The entry with what its job will need, where the script asks for that and nobody says."""
        if not cluster_script.leaves_memory_open(entry, cluster):
            return entry
        return queue.update(entry.number, entry.token, memory_GB=self._memory_GB(queue, entry)) or entry

    def reconcile(self, queue: Queue) -> None:
        """Ask every cluster that has entries what became of them."""
        for name in dict.fromkeys(entry.cluster for entry in _handed_over(queue)):
            self._reconcile(queue, name)

    def stop(self, queue: Queue, at_once: bool, tell: Callable[[str], None]) -> None:
        """Take back what has not begun, and ask what runs to end: with a checkpoint, else ``at_once``."""
        for entry in _handed_over(queue):
            asked = queue.update(entry.number, entry.token, queues.BEGUN, stopping=True)
            if asked is None:
                continue  # it has just ended
            if asked.state == queues.RUNNING and not at_once:
                (queue.path(asked.out) / lock.STOP).touch()
                tell(f"{asked.number}: {asked.job}: asked to stop; job {asked.cluster_job} on {asked.cluster} ends at "
                     "its next batch")  # fmt: skip
                continue
            fault = self.cancel(queue, asked)
            done = f"{'ended on' if asked.state == queues.RUNNING else 'taken back from'} {asked.cluster}"
            tell(f"{asked.number}: {asked.job}: {fault or done}")
        self.reconcile(queue)

    def cancel(self, queue: Queue, entry: Queued) -> str:
        """Take a job back from its cluster; returns what was wrong, empty where nothing was."""
        if not entry.cluster_job:
            return ""
        cluster = self._clusters.named(entry.cluster)
        return self._ask(self._words(cluster.cancel, queue, entry, cluster)).fault

    def may_submit_here(self, name: str) -> bool:
        """Whether the program that a cluster is given jobs with is on this machine."""
        found = self._clusters.found.get(name)
        return found is not None and shutil.which(found.submit[0]) is not None

    def _reconcile(self, queue: Queue, name: str) -> None:
        entries = [entry for entry in _handed_over(queue) if entry.cluster == name]  # before the look: none is too new
        try:
            cluster = self._clusters.named(name)
            answer = self._ask(self._words(cluster.status, queue, entries[0], cluster))
        except UsageError as fault:
            answer = Answer("", str(fault))
        if answer.fault:  # nothing is known, so nothing changes
            for entry in entries:
                queue.update(entry.number, entry.token, queues.BEGUN, reason=answer.fault)
            return
        rows = {row.name: row for row in _rows(answer.text)}
        for entry in entries:
            row = rows.get(cluster_script.job_name(entry))
            if row is not None and row.state not in ENDED:
                _seen(queue, entry, row)
            else:
                row = row or self._accounted(queue, entry, cluster) or traces.last_words(queue, entry)
                self._gone(queue, entry, row)

    def _accounted(self, queue: Queue, entry: Queued, cluster: Cluster) -> Row | None:
        """What the accounting knows of a job that is not in the cluster's queue any more."""
        if not entry.cluster_job:
            return None
        rows = _rows(self._ask(self._words(cluster.accounting, queue, entry, cluster)).text)
        name = cluster_script.job_name(entry)
        return next((row for row in rows if row.name == name and row.state in ENDED), None)

    def _gone(self, queue: Queue, entry: Queued, row: Row | None) -> None:
        """Record the end of a job, unless its own process does, which knows more."""
        told = f"{row.state.lower()} as {row.number} on {entry.cluster}" if row else f"{entry.cluster} does not list it"
        told = f"{told}; what became of it is asked again" if entry.unseen + 1 < PATIENCE else told
        entry = queue.update(entry.number, entry.token, queues.BEGUN, unseen=entry.unseen + 1, reason=told)
        if entry is None:
            return
        if row is not None and row.state not in ("COMPLETED", "FAILED"):
            _record_end(queue, entry, row)
        elif entry.unseen >= PATIENCE:
            _record_silence(queue, entry, row)

    def _words(self, command: Sequence[str], queue: Queue, entry: Queued, cluster: Cluster) -> list[str]:
        values = {**cluster_script.values(queue, entry, cluster), "cluster_job_id": entry.cluster_job}
        return cluster_script.words(command, values)


def _handed_over(queue: Queue) -> list[Queued]:
    return [entry for entry in queue.entries() if entry.cluster and entry.state in queues.BEGUN]


def _rows(text: str) -> list[Row]:
    """The lines of a cluster's answer; "CANCELLED by 1000" is CANCELLED."""
    parts = [line.strip().split("|", 3) for line in text.splitlines()]
    return [Row(number, name, state.split(" ")[0].rstrip("+"), reason)
            for number, name, state, reason in (part for part in parts if len(part) == 4) if state]  # fmt: skip


def _seen(queue: Queue, entry: Queued, row: Row) -> None:
    """Note what the cluster says of a job that is to come or runs."""
    why = "" if row.reason.strip("()") in ("", "None") else f" ({row.reason.strip('()')})"
    again = "begun, and put back: " if entry.state == queues.RUNNING and row.state in ("PENDING", "REQUEUED") else ""
    told = {"cluster_job": row.number, "unseen": 0,
            "reason": f"{again}{row.state.lower()} as {row.number} on {entry.cluster}{why}"}  # fmt: skip
    if any(getattr(entry, name) != value for name, value in told.items()):
        queue.update(entry.number, entry.token, queues.BEGUN, **told)


def _record_end(queue: Queue, entry: Queued, row: Row) -> None:
    """Record an end that the job's own process had no time to."""
    where = f"{row.state} of job {row.number} on {entry.cluster}"
    if entry.stopping:
        queue_worker.stopped(queue, entry)
    elif row.state in OUT_OF_TIME:
        queue_worker.ran_out(queue, entry)
    elif row.state in AGAIN:
        queue_worker.lost(queue, entry, f"the node failed: {where}")
    elif row.state == "OUT_OF_MEMORY":
        queue_worker.failed(queue, entry, f"{where}: {MORE_MEMORY}")
    else:
        queue_worker.change(queue, entry, queues.INTERRUPTED, where)


def _record_silence(queue: Queue, entry: Queued, row: Row | None) -> None:
    """Record the end of a job that said nothing: what it left behind decides, then the cluster's word."""
    life, left = traces.sign_of_life(queue, entry), traces.summary(queue, entry)
    if row is None and life:  # the cluster may be wrong: a second one of it would be too many
        queue.update(entry.number, entry.token, queues.BEGUN, unseen=PATIENCE - 1,
                     reason=f"{entry.cluster} does not list it, but {life}")  # fmt: skip
    elif left.get("status") == queues.INTERRUPTED:
        queue_worker.change(queue, entry, queues.INTERRUPTED, f"its process on {entry.cluster} was asked to stop")
    elif left.get("status") == queues.FAILED:
        queue_worker.failed(queue, entry, queue_worker.why_failed(queue, entry) or "it tells no reason")
    elif row is not None and row.state == "FAILED" and not left:
        why = queue_worker.why_failed(queue, entry) or f"exit code {row.reason}"
        advice = f"; {MORE_MEMORY}" if traces.OUT_OF_MEMORY.search(why) else ""
        queue_worker.failed(queue, entry, f"job {row.number} on {entry.cluster}: {why}{advice}")
    else:
        line = queue_worker.last_line(queue, entry.number)
        output = f"; its output ends with: {line}" if line else ""
        queue_worker.lost(queue, entry, f"{entry.cluster} knows nothing of it any more{output}")
