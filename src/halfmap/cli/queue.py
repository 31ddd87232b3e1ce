"""``halfmap queue ...``: jobs that wait for each other, run without a terminal, here or on a cluster.

Owns flags and wording; what a queue does is in jobs/queue*.py and jobs/cluster*.py.
"""

from __future__ import annotations

import json as json_format
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from halfmap.cli import commands, queue_listing, tools
from halfmap.cli.shown import safe
from halfmap.cli.tools import Tool
from halfmap.errors import UsageError
from halfmap.jobs.project import project as projects
from halfmap.jobs.queue import (
    cluster,
    cluster_queue,
    cluster_script,
    queue_adding,
    queue_locks,
    queue_runner,
    queue_worker,
)
from halfmap.jobs.queue import queue as queues
from halfmap.jobs.queue.queue import Queue, Queued
from halfmap.jobs.queue.queue_local import PROGRAM

NAME = "queue"
SUMMARY = "Jobs that wait for each other and run without a terminal, here or on a cluster."
CLUSTER_EVERY_S = 30.0  # a scheduler should not be asked more often by one user
LOG = "runner.log"

Words = Annotated[str, Parameter(allow_leading_hyphen=True, help="Command line of a job, after --.")]
Number = Annotated[int, Parameter(help="Number of the entry, as halfmap queue list shows it.")]
ProjectFlag = Annotated[Path | None, Parameter(name="--project", help="A folder of the project; none = this folder.")]
ClusterFlag = Annotated[str | None, Parameter(name="--cluster", help="Run it on a cluster of clusters.yaml.")]
VariableFlag = Annotated[
    tuple[str, ...],
    Parameter(name="--variable", negative=(), help="NAME=VALUE: a variable of the script, such as ram_gb=64."),
]
JsonFlag = Annotated[bool, Parameter(name="--json", help="Print JSON, and nothing else.", negative=())]
AllFlag = Annotated[bool, Parameter(name="--all", help="Finished ones too.", negative=())]
NowFlag = Annotated[
    bool,
    Parameter(name="--now", negative=(), help="End jobs at once; what they did since their last checkpoint is lost."),
]
JOBS_HELP = (
    "Jobs beside each other: a number, or memory = as many as a dry run of each says there is room for. Each takes all "
    "cores, unless it has --threads."
)
JobsFlag = Annotated[str, Parameter(name="--jobs", help=JOBS_HELP)]
Token = Annotated[str, Parameter(help="Word of this start of the entry.")]
LockedFlag = Annotated[bool, Parameter(name="--locked", show=False, negative=())]


def add(*words: Words, cluster: ClusterFlag = None, variable: VariableFlag = (), project: ProjectFlag = None,
        json: JsonFlag = False) -> int:  # fmt: skip
    """Put a job at the end of the queue: halfmap queue add -- refine homogeneous --particles p.star ..."""
    queue = of(project)
    if not words:
        raise UsageError("queue add: name a job after --, such as: halfmap queue add -- fsc J3 --out J4")
    entry = put(queue, words, cluster, variable)
    print(json_format.dumps(asdict(entry)) if json else f"{added(entry)}\n{_next_step(queue, entry)}")
    return 0


def put(queue: Queue, words: Sequence[str], cluster: str | None = None, variable: Sequence[str] = ()) -> Queued:
    """Put the job of a command line at the end of a queue. Raises UsageError or InputError for one that cannot be."""
    entry = queue_adding.entry_of(queue, words, *commands.read(words), Path.cwd())
    entry = replace(entry, cluster=cluster, variables=_variables(variable, cluster))
    if cluster is not None:
        _rehearse(queue, entry)
    return queue.add(queue_adding.placed(queue, entry))


def listed(*, all: AllFlag = False, project: ProjectFlag = None, json: JsonFlag = False) -> int:
    """Show the queue; clusters are asked what became of their jobs."""
    queue = of(project)
    return queue_listing.told(queue, all, json)


def remove(number: Number, /, *, project: ProjectFlag = None) -> int:
    """Take a job out of the queue. One that runs stops at its next batch; its folder can be resumed."""
    queue = of(project)
    entry = queue.find(number)
    if queue.elsewhere(entry):
        raise UsageError(f"entry {number} runs on {entry.host}: give the command there")
    queue.remove(number)
    if entry.cluster and entry.state in queues.BEGUN:
        fault = _handed(queue).cancel(queue, entry)
        if fault:
            print(f"halfmap: job {entry.cluster_job} may still be on {entry.cluster}: {fault}", file=sys.stderr)
    elif entry.state == queues.RUNNING and entry.here and queue.alive(entry):
        queue_runner.signal_to(entry, queue_runner.CHECKPOINT)
    print(f"{number}: {entry.job}: taken out of the queue")
    return 0


def retry(number: Number, /, *, project: ProjectFlag = None) -> int:
    """Try a failed or interrupted job again, from its newest checkpoint where it has one."""
    queue = of(project)
    print(f"{number}: {queue.retry(number).job}: waits to be started again\n{queue_listing.runner_line(queue)}")
    return 0


def start(*, jobs: JobsFlag = "1", project: ProjectFlag = None) -> int:
    """Run the queue in the background: it goes on when the terminal is closed."""
    queue = of(project)
    at_once(jobs)
    cluster.read(queue.root)  # what is wrong with it should be said here, not in a log
    lock = queue_runner.claimed(queue)
    words = ["queue", "background", str(lock), "--jobs", jobs, "--project", str(queue.root)]
    with open(queue.folder / LOG, "ab") as log:
        process = subprocess.Popen([*PROGRAM, *words], cwd=queue.root, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   start_new_session=True, pass_fds=(lock,))  # fmt: skip
    os.close(lock)  # the process has it now
    print(f"the queue runs as process {process.pid} on {queue_locks.host()}; it writes {queue.folder / LOG}")
    return 0


def run(*, jobs: JobsFlag = "1", project: ProjectFlag = None) -> int:
    """Run the queue in this terminal, until nothing is left; Ctrl-C stops it, with checkpoints."""
    queue = of(project)
    return _runner(queue, jobs).run()


def background(lock: Number, /, *, jobs: JobsFlag = "1", project: ProjectFlag = None) -> int:
    """The process that start begins; ``lock``: the open file with the lock of the runner."""
    queue = of(project)
    return _runner(queue, jobs, lock=lock).run()


def _runner(queue: Queue, jobs: str, **more) -> queue_runner.Runner:
    queue.hold(False)
    handed = _handed(queue, every_s=CLUSTER_EVERY_S)
    return queue_runner.Runner(queue, clusters=handed, at_once=at_once(jobs), tell=_tell, **more)


def stop(*, now: NowFlag = False, project: ProjectFlag = None) -> int:
    """Stop the queue: jobs write a checkpoint at their next batch and wait, first in line, here and on clusters."""
    queue = of(project)
    on_clusters = any(entry.cluster for entry in queue.entries())
    queue.hold(on_clusters)  # a job that ends on a node would else hand over the next
    queue_runner.stop(queue, queue_runner.NOW if now else queue_runner.CHECKPOINT, _tell)
    if on_clusters:
        _handed(queue).stop(queue, now, _tell)
    print(f"the queue has stopped; halfmap queue {'submit' if on_clusters else 'start'} goes on with it")
    return 0


def submit(*, project: ProjectFlag = None) -> int:
    """Hand jobs that may begin to their clusters, and learn what became of the others; nothing has to stay running."""
    queue = of(project)
    queue.hold(False)
    _handed(queue).tend(queue)
    return listed(project=project)


def work(number: Number, token: Token, /, *, project: ProjectFlag = None, locked: LockedFlag = False) -> int:
    """The process of one entry: what the others start, here and on a node of a cluster."""
    queue = of(project)
    entry = queue.find(number)
    code = queue_worker.work(queue, number, token, commands.perform, locked)
    if entry.cluster:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # it ends a process that does not listen any more
        _pass_on(queue)
    return code


TOOLS = (Tool("add", add), Tool("list", listed), Tool("remove", remove), Tool("retry", retry), Tool("start", start),
         Tool("stop", stop), Tool("run", run), Tool("submit", submit))  # fmt: skip


def app() -> App:
    """The commands of the queue."""
    group = App(name=NAME, help=SUMMARY)
    tools.add(group, TOOLS)
    for hidden in (work, background):
        group.command(hidden, show=False)
    return group


def of(folder: Path | None) -> Queue:
    """The queue of the project around a folder, else around this one. Raises UsageError outside of any."""
    project = projects.here() if folder is None else projects.find(folder)
    if project is None:
        raise UsageError(f"--project {folder}: lies in no project")
    return Queue(project)


def at_once(jobs: str) -> int:
    """What --jobs says. Raises UsageError for anything but a number and "memory"."""
    if jobs == "memory":
        return queue_runner.AS_MEMORY_ALLOWS
    if not jobs.isdecimal() or int(jobs) < 1:
        raise UsageError(f"--jobs {jobs}: give a number above 0, or memory")
    return int(jobs)


def _variables(given: Sequence[str], name: str | None) -> dict[str, str]:
    """NAME=VALUE each. Raises UsageError for anything else."""
    if given and name is None:
        raise UsageError("--variable: is for the script of a --cluster")
    pairs = [each.partition("=") for each in given]
    try:
        return {cluster.checked_name(key): value for key, sign, value in pairs if sign or _no_value(key)}
    except ValueError as fault:
        raise UsageError(f"--variable {fault}") from fault


def _no_value(key: str) -> bool:
    raise ValueError(f"{key}: write NAME=VALUE")


def _rehearse(queue: Queue, entry: Queued) -> None:
    """Fill in the script of an entry, so that what is wrong with it is said now."""
    described = cluster.read(queue.root).named(entry.cluster)
    trial = replace(entry, out=entry.out or "J0", token=queues.token())
    cluster_script.script(queue, trial, described)
    cluster_script.words(described.submit, cluster_script.values(queue, trial, described))


def _pass_on(queue: Queue) -> None:
    """At the end of a job on a cluster: hand over what may begin now, and the job itself where its time ran out."""
    handed = _handed(queue, refused=queues.WAITING)
    for entry in [] if queue.is_held else queue.ready():
        if entry.cluster and handed.may_submit_here(entry.cluster):
            handed.submit(queue, entry)


def _handed(queue: Queue, **how) -> cluster_queue.Handed:
    return cluster_queue.Handed(cluster.read(queue.root), **how)


def added(entry: Queued) -> str:
    """What to tell of an entry that has just been put in the queue."""
    after = f", after {', '.join(entry.after)}" if entry.after else ""
    return f"{entry.number}: {entry.job}: results go to {entry.out}{after}"


def _next_step(queue: Queue, entry: Queued) -> str:
    return "hand it over with: halfmap queue submit" if entry.cluster else queue_listing.runner_line(queue)


def _tell(line: str) -> None:
    print(safe(line), flush=True)
