"""The queue of a project as a table or JSON. Apart from the other commands of the queue, as it reads no flags."""

from __future__ import annotations

import json as json_format
import sys
from dataclasses import asdict

from halfmap.cli.shown import safe, table
from halfmap.jobs.project import project as projects
from halfmap.jobs.queue import queue as queues
from halfmap.jobs.queue import queue_locks
from halfmap.jobs.queue.queue import Queue

COLUMNS = ("number", "state", "job", "out", "reason")


def here() -> Queue:
    """The queue of the project around this folder. Raises UsageError outside of any."""
    return Queue(projects.here())


def told(queue: Queue, all: bool = False, json: bool = False) -> int:
    """Print the list, after clusters were asked; returns the exit code. Raises UsageError where they cannot be."""
    if any(entry.cluster and entry.state in queues.BEGUN for entry in queue.entries()):
        from halfmap.jobs.queue import cluster, cluster_queue  # with the reader of their description

        cluster_queue.Handed(cluster.read(queue.root)).reconcile(queue)
    entries = queue.entries() + (queue.ended() if all else [])
    standing = {**{entry.number: (entry.state, "") for entry in entries}, **queue.standing(queue.entries())}
    shown = [{**asdict(entry), "state": standing[entry.number][0],
              "reason": standing[entry.number][1] or entry.reason} for entry in entries]  # fmt: skip
    if json:
        print(json_format.dumps({"runner": queue_locks.held(queue.runner_lock), "entries": shown}, indent=1))
        return 0
    rows = [[safe(row[name]) for name in COLUMNS] for row in shown]
    print("\n".join([*(table(COLUMNS, rows, right=(0,)) if rows else ["the queue is empty"]), runner_line(queue)]))
    for path in queue.unreadable():
        print(f"halfmap: {path}: damaged, and left alone; remove the file and add the job again", file=sys.stderr)
    return 0


def runner_line(queue: Queue) -> str:
    """Who runs the queue, else what is to be done next, if anything."""
    if not queue_locks.held(queue.runner_lock):
        return _next_step(queue)
    return f"the queue is running: {(queue.folder / 'runner.txt').read_text().strip()}"


def _next_step(queue: Queue) -> str:
    """What goes on with a queue that nobody runs."""
    entries = queue.entries()
    steps = []
    if not entries:
        return "put a job in: halfmap queue add -- ..."
    if any(not entry.cluster for entry in entries):
        steps.append("the queue is not running; start it with: halfmap queue start")
    if any(entry.cluster for entry in queue.ready()):
        held = "stopped: nothing is handed to clusters" if queue.is_held else "jobs wait to be handed to their cluster"
        steps.append(f"{held}; hand over what may begin with: halfmap queue submit")
    return "\n".join(steps) or "what can begin is on its cluster"
