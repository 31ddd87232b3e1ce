"""What went into a job: its folder, job.json (settings, inputs, versions, seed) and the seed itself.

Does not know what a job computes.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import halfmap
from halfmap.errors import UsageError
from halfmap.io import atomic
from halfmap.jobs.catalog import Entry
from halfmap.jobs.events import plain
from halfmap.params.common import Job

# Everything a job may leave in its folder; --overwrite removes these and nothing else.
FILES = (
    "job.json summary.json events.jsonl log.txt report.html "
    "map.mrc map_sharp.mrc half1.mrc half2.mrc "
    "moving.mrc mask.mrc mask_refine.mrc mask_fsc.mrc mask_fsc_auto.mrc "
    "regions.mrc regions.json mask_base.mrc "
    "particles.star particles.cs rejected.star check.txt particles.mrcs truth.star truth_moving.star candidates.npz "
    "fsc.json fsc.star fsc.xml guinier.json noise.json "
    "templates.mrcs templates.star micrographs.star coordinates.star montage.npz"
).split()
FOLDERS = ("stacks", "micrographs", "plots", "diagnostics", "simulated", "checkpoints")
RECORD = "job.json"

HASHED_BYTES = 1_000_000  # the head of a file tells files apart; hashing whole stacks would cost a pass over the data
PACKAGES = ("numpy", "scipy", "numba", "pydantic", "matplotlib")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic.writing(path) as stream:
        stream.write(text.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(plain(content), indent=1) + "\n")


def claim(folder: Path, overwrite: bool) -> Path:
    """Make ``folder`` an empty job folder and return its absolute path.

    A job that failed before it made a map is replaced without asking. Raises UsageError as ``claimable``, and where
    the folder cannot be made.
    """
    folder = claimable(folder, overwrite)
    if folder.is_dir() and any(folder.iterdir()):
        _clear(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise UsageError(f"--out {folder}: cannot be made: {fault.strerror}") from fault
    return folder


def claimable(folder: Path, overwrite: bool) -> Path:
    """The absolute path of a folder that ``claim`` would take; changes nothing.

    Raises UsageError where it holds anything but an earlier job that may be replaced, or lies where nothing can be
    written.
    """
    folder = Path(os.path.abspath(folder))
    if folder.is_file():
        raise UsageError(f"--out {folder}: is a file; name a new folder")
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / RECORD).is_file():
            raise UsageError(f"--out {folder}: holds files that are not a halfmap job; name a new or an empty folder")
        if not (overwrite or _left_nothing(folder)):
            raise UsageError(
                f"--out {folder}: holds an earlier job; name a new folder, or add --overwrite to replace it"
            )
    if not os.access(existing(folder), os.W_OK):
        raise UsageError(f"--out {folder}: cannot be written to; choose another folder")
    return folder


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def interrupted(entry: Entry, params: Job) -> dict[str, Any] | None:
    """job.json of the job that ``params`` go on with, None where the folder holds none yet.

    Raises UsageError where it is another job, is finished, changes what was settled at its start, or reads other files.
    """
    path = Path(params.out) / RECORD
    if not path.is_file():
        return None
    job = json.loads(path.read_text())
    if job["job"] != entry.name:
        raise UsageError(f"--resume: {path.parent} holds a job {job['job']!r}, not {entry.name!r}")
    if _status(path.parent) == "finished":
        raise UsageError(f"--resume: the job in {path.parent} is finished; name a new folder for another")
    faults = [
        f"{name} was {job['params'].get(name)}"
        for name, value in changes(job, params).items()
        if name in params.settled_at_start and not (name == "seed" and value is None)
    ]
    for name, file in _input_files(entry, params).items():
        before = job["inputs"].get(name)
        if before and before["sha256_of_first_bytes"] != fingerprint(file)["sha256_of_first_bytes"]:
            faults.append(f"{file} has changed since")
    if faults:
        raise UsageError("--resume: " + "; ".join(faults) + ". This needs a new job: name a new folder")
    return job


def changes(job: dict[str, Any], params: Job) -> dict[str, Any]:
    """Settings that differ from those of a job record, with their new values."""
    now = params.model_dump(mode="json")
    ways = ("out", "overwrite", "resume", "dry_run", "threads")  # they change no result
    return {name: value for name, value in now.items() if name not in ways and value != job["params"].get(name)}


def _status(folder: Path) -> str | None:
    summary = folder / "summary.json"
    return json.loads(summary.read_text()).get("status") if summary.is_file() else None


def _clear(folder: Path) -> None:
    """Remove the files of an earlier job."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    for name in FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)


def _left_nothing(folder: Path) -> bool:
    """Whether the job in ``folder`` failed before it made a map."""
    return _status(folder) == "failed" and not any(folder.glob("*.mrc")) and not any(folder.glob("checkpoints/*"))


def seed(wanted: int | None) -> int:
    """The seed of a job: the wanted one, else 32 bits from the operating system."""
    return int.from_bytes(os.urandom(4), "little") if wanted is None else wanted


def write(folder: Path, entry: Entry, params: Job, command: Sequence[str], before: dict[str, Any] | None) -> None:
    """Write job.json, all that is needed to run the job again and to see whether its inputs are still the same.

    ``before``: the record of the interrupted job this one goes on with.
    """
    content = {
        "job": entry.name,
        "command": list(command),
        "working_folder": os.getcwd(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seed": params.seed,
        "params": params.model_dump(mode="json"),
        "inputs": {name: fingerprint(path) for name, path in _input_files(entry, params).items()},
        "versions": versions(),
        "resumed_from": [] if before is None else [*before.get("resumed_from", []), _step(before)],
    }
    write_json(folder / RECORD, content)


def _step(before: dict[str, Any]) -> dict[str, Any]:
    return {name: before[name] for name in ("started", "command", "params", "versions")}


def _input_files(entry: Entry, params: Job) -> dict[str, Path]:
    named = {}
    for name in entry.inputs:
        value = getattr(params, name)
        several = {f"{name} {place}": path for place, path in enumerate(value, 1)} if isinstance(value, tuple) else {}
        named |= several or {name: value}
    return {name: Path(path) for name, path in named.items() if path and Path(path).is_file()}


def fingerprint(path: Path) -> dict[str, Any]:
    """Path, size, time of change and SHA-256 of the first megabyte of a file."""
    state = path.stat()
    with open(path, "rb") as stream:
        digest = hashlib.sha256(stream.read(HASHED_BYTES)).hexdigest()
    return {
        "path": os.path.abspath(path),
        "bytes": state.st_size,
        "modified": state.st_mtime,
        "sha256_of_first_bytes": digest,
        "hashed_bytes": min(HASHED_BYTES, state.st_size),
    }


def versions() -> dict[str, str]:
    """Versions of halfmap, Python, the system and the packages that decide numbers."""
    found = {"halfmap": halfmap.__version__, "python": platform.python_version(), "system": platform.platform()}
    for name in PACKAGES:
        found[name] = importlib.metadata.version(name)
    return found
