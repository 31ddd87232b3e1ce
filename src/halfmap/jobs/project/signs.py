"""Signs of life of jobs that another machine runs, whose processes cannot be seen from here.

A job counts in its `.lock`. Whether it still counts takes two looks: what was counted at the look before stands in
`.halfmap/beats.json`, with the time since this machine was started, which no change of a clock moves.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from halfmap.jobs.project import index, places
from halfmap.jobs.project.index import Row
from halfmap.jobs.project.project import Project
from halfmap.jobs.running import processes

FILE = "beats.json"
LOCK = ".lock"
GONE_S = 20.0  # four beats, as a lock is judged
UNKNOWN, RUNNING, CRASHED = "unknown", "running", "crashed"
Seen = dict[str, Any]  # of a job: beats, since when they are that many, and whether they ever were less


def states(project: Project, rows: Mapping[int, Row]) -> dict[int, str]:
    """The state of each job, one word, as ``index.state``; of another machine's by what it counts."""
    found = {number: index.state(row) for number, row in rows.items()}
    unknown = [number for number, state in found.items() if state == UNKNOWN]
    if not unknown:
        return found
    looked = _looked(project, {project.folder(number).name: project.folder(number) for number in unknown})
    return found | {number: looked[project.folder(number).name] for number in unknown}


def of_folder(project: Project, folder: Path) -> tuple[str, str]:
    """(state of whatever works in a job folder, one word, and who that is): by its lock, wherever it runs."""
    holder = places.content(folder / LOCK)
    if not holder:
        return CRASHED, ""
    lives, who = processes.alive(holder), f"process {holder.get('pid', '')} on {holder.get('host', '')}"
    if lives is not None:
        return (RUNNING if lives else CRASHED), who
    name = project.inside(folder) or str(folder)
    return _looked(project, {name: folder})[name], who


def _looked(project: Project, folders: Mapping[str, Path]) -> dict[str, str]:
    """The state of what works in each folder, told by what it counts; by the names of the folders."""
    before, now = _remembered(project), _now()
    seen = {name: _look(folder, before.get(name), now) for name, folder in folders.items()}
    _remember(project, {name: each for name, each in {**before, **seen}.items() if each})
    return {name: _state(each, now) for name, each in seen.items()}


def _look(folder: Path, before: Any, now: float) -> Seen | None:
    """What is known of a job after this look; None where it has no lock any more."""
    lock = folder / LOCK
    if not lock.is_file():
        return None
    holder = places.content(lock)
    beats = [holder.get("host"), holder.get("pid"), holder.get("beats")]
    if not isinstance(before, dict) or not isinstance(before.get("since"), int | float):
        return {"beats": beats, "since": now, "counted": False}
    return before if before.get("beats") == beats else {"beats": beats, "since": now, "counted": True}


def _state(seen: Seen | None, now: float) -> str:
    if seen is None or now - seen["since"] > GONE_S:
        return CRASHED
    return RUNNING if seen.get("counted") else UNKNOWN


def _now() -> float:
    """Seconds since this machine was started, also those it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _remembered(project: Project) -> dict[str, Any]:
    told = places.content(project.private / FILE)
    jobs = told.get("jobs")
    return jobs if told.get("boot") == processes.machine()["boot"] and isinstance(jobs, dict) else {}


def _remember(project: Project, seen: Mapping[str, Seen]) -> None:
    """Keep what was seen; where that cannot be written, every look is the first one."""
    part = project.private / f"{FILE}.{os.getpid()}.part"
    with suppress(OSError):
        part.write_text(json.dumps({"boot": processes.machine()["boot"], "jobs": seen}))
        os.replace(part, project.private / FILE)
