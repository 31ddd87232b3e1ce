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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import halfmap
from halfmap.errors import UsageError
from halfmap.io import atomic
from halfmap.jobs.catalog import Entry
from halfmap.jobs.project import places, project
from halfmap.jobs.running import kept, lock, processes
from halfmap.jobs.running.events import plain
from halfmap.params.common import Job

# Everything a job may leave in its folder; --overwrite removes these and nothing else.
FILES = (
    "job.json summary.json events.jsonl log.txt report.html "
    "map.mrc map_sharp.mrc half1.mrc half2.mrc "
    "moving.mrc mask.mrc mask_refine.mrc mask_fsc.mrc mask_fsc_auto.mrc "
    "regions.mrc regions.json mask_base.mrc "
    "particles.star particles.cs rejected.star check.txt particles.mrcs truth.star truth_moving.star candidates.npz "
    "fsc.json fsc.star fsc.xml guinier.json noise.json "
    "templates.mrcs templates.star micrographs.star coordinates.star montage.npz particles_unused.star stop "
    "job.star note.txt RELION_JOB_EXIT_SUCCESS RELION_JOB_EXIT_FAILURE RELION_JOB_EXIT_ABORTED"
).split() + [f"map_class{number}.mrc" for number in range(1, 21)]  # as many as --classes allows
# RELION's files of a refinement
PATTERNS = ("run_it[0-9][0-9][0-9]_*", "run_half[12]_class001_unfil.mrc", "run_class001.mrc", "run_*.star")
FOLDERS = ("stacks", "micrographs", "plots", "diagnostics", "simulated", "abinitio", "checkpoints", "relion",
           "cryosparc", "emdb")  # fmt: skip
RECORD = places.RECORD
# Settings that change no result
WAYS = ("out", "overwrite", "resume", "dry_run", "threads", "continue_from", "continue_iteration", "keep_checkpoints",
        "cache_dir", "cache_quota_GB", "cache_reserve_GB")  # fmt: skip

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
    if _filled(folder):
        _clear(folder)
    make(folder)
    return folder


def make(folder: Path) -> None:
    """Make a folder and those above it. Raises UsageError where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise UsageError(f"--out {folder}: cannot be made: {fault.strerror}") from fault


def claimable(folder: Path, overwrite: bool) -> Path:
    """The absolute path of a folder that ``claim`` would take; changes nothing.

    Raises UsageError where it holds anything but an earlier job that may be replaced, or lies where nothing can be
    written.
    """
    folder = Path(os.path.abspath(folder))
    if os.path.isfile(folder):
        raise UsageError(f"--out {folder}: is a file; name a new folder")
    if _filled(folder):
        if not (folder / RECORD).is_file():
            raise UsageError(f"--out {folder}: holds files that are not a halfmap job; name a new or an empty folder")
        if not (overwrite or _left_nothing(folder)):
            raise UsageError(
                f"--out {folder}: holds an earlier job; name a new folder, or add --overwrite to replace it"
            )
    if not os.access(existing(folder), os.W_OK):
        raise UsageError(f"--out {folder}: cannot be written to; choose another folder")
    return folder


def _filled(folder: Path) -> bool:
    """Whether anything lies in it but the lock."""
    return os.path.isdir(folder) and any(path.name != lock.FILE for path in folder.iterdir())


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.parents) if os.path.exists(place))


def interrupted(entry: Entry, params: Job) -> dict[str, Any] | None:
    """job.json of the job that ``params`` go on with, None where the folder holds none yet.

    Raises UsageError where it is another job, is finished, changes what was settled at its start, or reads other files.
    """
    if params.out is None:
        raise UsageError("--resume: name the folder of the interrupted job with --out, or use halfmap resume J3")
    path = Path(params.out) / RECORD
    if not os.path.isfile(path):
        return None
    job = places.read(path.parent)
    if job.get("job") != entry.name:
        raise UsageError(f"--resume: {path.parent} holds a job {job.get('job')!r}, not {entry.name!r}")
    if _status(path.parent) == "finished":
        raise UsageError(f"--resume: the job in {path.parent} is finished, nothing is left to resume; name a new "
                         "folder for another")
    faults = [
        f"{name} was {job['params'].get(name)}"
        for name, value in changes(job, params).items()
        if name in params.settled_at_start and not (name == "seed" and value is None)
    ]
    for name, file in input_files(entry, params).items():
        before = job["inputs"].get(name)
        if before and before.get("sha256_of_first_bytes") != fingerprint(file)["sha256_of_first_bytes"]:
            faults.append(f"{file} has changed since")
    if faults:
        raise UsageError("--resume: " + "; ".join(faults) + ". This needs a new job: name a new folder")
    return job


def changes(job: dict[str, Any], params: Job) -> dict[str, Any]:
    """Settings that differ from those of a job record, with their new values."""
    now = params.model_dump(mode="json")
    began, start = job["params"], job.get("working_folder", "")
    stay = {name: value for name, value in now.items() if name not in WAYS}
    return {name: value for name, value in stay.items() if not _same(value, began.get(name), start)}


def _same(value: Any, before: Any, working_folder: str) -> bool:
    """Whether two values agree, or name one file seen from two folders."""
    if value == before or not (isinstance(value, str) and isinstance(before, str)):
        return value == before
    return os.path.abspath(value) == os.path.normpath(os.path.join(working_folder, before))


def _status(folder: Path) -> str | None:
    summary = folder / "summary.json"
    return json.loads(summary.read_text()).get("status") if summary.is_file() else None


def _clear(folder: Path) -> None:
    """Remove the files of an earlier job."""
    for path in (*(folder / name for name in FILES), *(path for each in PATTERNS for path in folder.glob(each))):
        path.unlink(missing_ok=True)
    for name in FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)


def _left_nothing(folder: Path) -> bool:
    """Whether the job in ``folder`` failed before it made a map."""
    return _status(folder) == "failed" and not any(folder.glob("*.mrc")) and not any(folder.glob("checkpoints/*"))


def seed(wanted: int | None) -> int:
    """The seed of a job: the wanted one, else 32 bits from the operating system."""
    return int.from_bytes(os.urandom(4), "little") if wanted is None else wanted


def write(folder: Path, entry: Entry, params: Job, command: Sequence[str], before: dict[str, Any] | None,
          references: Mapping[str, Any] | None = None) -> None:  # fmt: skip
    """Write job.json, all that is needed to run the job again and to see whether its inputs are still the same.

    ``before``: the record of the interrupted job this one goes on with. ``references``: inputs that the user named as
    jobs of the project; the settings hold the paths they led to.
    """
    around = project.find(folder)
    content = {
        "job": entry.name,
        "command": list(command),
        "working_folder": os.getcwd(),
        "project": None if around is None else {"id": around.id, "root": str(around.root)},
        "process": processes.this(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seed": params.seed,
        "params": params.model_dump(mode="json"),
        "references": dict(references or (before or {}).get("references", {})),
        "inputs": _inputs(entry, params, around),
        "versions": versions(),
        "continued_from": _continued(params),
        "resumed_from": [] if before is None else [*before.get("resumed_from", []), _step(before)],
    }
    (folder / "summary.json").unlink(missing_ok=True)  # it tells how the job ended the time before
    write_json(folder / RECORD, content)


def _inputs(entry: Entry, params: Job, around: project.Project | None) -> dict[str, dict[str, Any]]:
    """What a job reads: files with their fingerprints, folders by their names, both from the root of a project, too."""
    told = {name: fingerprint(path) for name, path in input_files(entry, params).items()}
    for name in entry.inputs:
        value = getattr(params, name)
        if isinstance(value, str | Path) and os.path.isdir(value):
            told[name] = {"path": os.path.abspath(value)}
    for each in told.values():
        each["in_project"] = None if around is None else around.inside(each["path"])
    return told


def _continued(params: Job) -> dict[str, Any] | None:
    """What is on record of the job whose iteration this one goes on from."""
    place = getattr(params, "continue_from", None)
    if place is None:
        return None
    found = Path(place).parent  # what was named gave way to the manifest: see branching.settled
    earlier = _step(json.loads((found / RECORD).read_text()))
    return {"folder": str(found.parents[1]), "iteration": kept.iteration_of(found), **earlier}


def _step(before: dict[str, Any]) -> dict[str, Any]:
    return {name: before[name] for name in ("started", "command", "params", "versions")}


def input_files(entry: Entry, params: Job) -> dict[str, Path]:
    """The files that a job reads, by the names of their settings; those of a list are numbered."""
    named = {}
    for name in entry.inputs:
        value = getattr(params, name)
        several = {f"{name} {place}": path for place, path in enumerate(value, 1)} if isinstance(value, tuple) else {}
        named |= several or {name: value}
    return {name: Path(path) for name, path in named.items() if path and os.path.isfile(path)}


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
