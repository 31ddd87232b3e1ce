"""A new job that goes on from an iteration of an earlier one, with other settings: another mask, the end forced.

Owns the rules: what must be the same, and where the checkpoint is. What was changed goes to the log and job.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from halfmap.errors import UsageError
from halfmap.jobs import catalog, checkpoint, record
from halfmap.jobs.events import Passing, Watch
from halfmap.params.auto import Auto
from halfmap.refine.state import Snapshot

OF_ONE_RUN = ("seed", "images_root", "continue_from", "continue_iteration")  # beside those of every job


def keeper(params: Auto, folder: Path, watch: Watch) -> checkpoint.Checkpoints:
    """Where a refinement keeps its snapshots and finds the one to go on from; says what is new in this job."""
    if params.continue_from is None:
        return checkpoint.Checkpoints(folder, watch, kept=None)
    start = check(params, watch)
    return _Continued(folder, watch, start)


def check(params: Auto, watch: Watch | Passing) -> Path | None:
    """The checkpoint to go on from, None where none is named; tells what is changed.

    Raises UsageError where there is no such iteration, and where what was settled at its start is changed.
    """
    if params.continue_from is None:
        return None
    start = found(params.continue_from, params.continue_iteration)
    job = json.loads((start.parents[1] / record.RECORD).read_text())
    _refuse(params, job, start)
    number = int(start.stem.rpartition("_")[2])
    watch("note", text=f"continues from iteration {number} of {start.parents[1]}")
    for name, value in record.changes(job, params).items():
        if name not in OF_ONE_RUN and name not in _inputs(params):
            watch("note", text=f"{name} is {value} from iteration {number + 1} on; it was {job['params'].get(name)}")
    return start


def found(place: Path, iteration: int | None) -> Path:
    """The checkpoint that a job folder has of an iteration (None = the newest), or the file itself.

    Raises UsageError naming the iterations that are there.
    """
    if place.is_file() and place.parent.name == checkpoint.FOLDER and place.suffix == ".npz":
        return place.absolute()
    files = {int(file.stem.rpartition("_")[2]): file.absolute() for file in checkpoint.files(place)}
    if not files or not (place / record.RECORD).is_file():
        raise UsageError(f"--continue-from {place}: holds no checkpoints; name the folder of a `refine auto` job")
    wanted = max(files) if iteration is None else iteration
    if wanted not in files:
        there = ", ".join(map(str, sorted(files)))
        raise UsageError(f"--continue-iteration {wanted}: {place} has checkpoints of iterations {there}")
    return files[wanted]


def _refuse(params: Auto, job: dict[str, Any], start: Path) -> None:
    """Raise UsageError for another kind of job, for other input files, and for what an iteration cannot change."""
    name = "refine auto"
    if job["job"] != name:
        raise UsageError(f"--continue-from {start.parents[1]}: holds a job {job['job']!r}, not {name!r}")
    inputs = _inputs(params)
    changed = record.changes(job, params)
    faults = [f"{field} was {job['params'].get(field)}" for field in sorted(params.settled_at_start & set(changed))
              if field not in OF_ONE_RUN and field not in inputs]  # fmt: skip
    for field in sorted(params.settled_at_start & set(inputs)):
        before, path = job["inputs"].get(field), getattr(params, field)
        if before and path and before["sha256_of_first_bytes"] != record.fingerprint(path)["sha256_of_first_bytes"]:
            faults.append(f"{path} is not the {field} it had")
    if faults:
        raise UsageError("--continue-from: " + "; ".join(faults) + ". This needs a refinement from the start")


def _inputs(params: Auto) -> tuple[str, ...]:
    return tuple(n for n in catalog.find("refine auto").inputs if n in params.settled_at_start)


class _Continued(checkpoint.Checkpoints):
    """Snapshots of a job that began with one of another."""

    def __init__(self, folder: Path, watch: Watch, start: Path):
        super().__init__(folder, watch, kept=None)
        self._start = start

    def newest(self) -> Snapshot:
        """Its own newest one, else that of the other job."""
        return super().newest() or checkpoint.read(self._start)
