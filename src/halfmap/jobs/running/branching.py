"""A refinement that goes on from a checkpoint of another, in its own folder, with settings of its own.

Owns which checkpoints a job can go on from. The checkpoint itself is found by ``kept``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from halfmap.errors import InputError, UsageError
from halfmap.jobs.catalog import Entry
from halfmap.jobs.running import kept, record
from halfmap.params.common import Job

# Jobs whose poses are those of the whole box and searched everywhere: one can go on where another stopped
ALIKE = ({"refine homogeneous", "refine nonuniform"},)


def origin(entry: Entry, params: Job) -> dict[str, Any] | None:
    """job.json of the job that ``continue_from`` comes from, None where the setting is not given.

    Raises InputError where there is no whole checkpoint, UsageError where this job cannot go on from it.
    """
    if getattr(params, "continue_from", None) is None:
        return None
    place = kept.chosen(params.continue_from, params.continue_iteration)
    try:
        job = json.loads((place / record.RECORD).read_text())
    except (OSError, ValueError) as fault:
        raise InputError(f"{place / record.RECORD}: cannot be read ({fault}); choose another checkpoint") from fault
    if job["job"] != entry.name and not any({job["job"], entry.name} <= names for names in ALIKE):
        raise UsageError(f"--continue-from: {place} is of a job {job['job']!r}, from which {entry.name!r} cannot go on")
    faults = _what_differs(entry, params, job)
    if faults:
        raise UsageError(f"--continue-from {place}: " + "; ".join(faults) + ". This was settled when that job began: "
                         "begin anew, without --continue-from")  # fmt: skip
    return job


def settled(params: Job, before: dict[str, Any] | None, origin: dict[str, Any] | None) -> Job:
    """The settings with the manifest of the checkpoint in the place of what was named, and the seed of its job.

    ``before``: the record of the interrupted job that this one is, which has settled both.
    """
    if before is not None and getattr(params, "continue_from", None) is not None:
        return params.model_copy(update={"continue_from": Path(before["params"]["continue_from"])})
    if origin is None:
        return params
    manifest = kept.chosen(params.continue_from, params.continue_iteration) / kept.MANIFEST
    return params.model_copy(update={"continue_from": Path(manifest).absolute(), "seed": origin["seed"]})


def _what_differs(entry: Entry, params: Job, job: dict[str, Any]) -> list[str]:
    """Of what was settled: files by what they hold, whatever their names; other settings by their values."""
    files = record.input_files(entry, params)
    changed = record.changes(job, params)
    faults = []
    for name in sorted((params.settled_at_start - {"images_root"}) & set(job["params"])):
        told = job["inputs"].get(name)
        if told and name in files:
            if told["sha256_of_first_bytes"] != record.fingerprint(files[name])["sha256_of_first_bytes"]:
                faults.append(f"{name} is another file, {files[name]}")
        elif name in changed and not (name == "seed" and params.seed is None):
            faults.append(f"{name} was {job['params'][name]}")
    return faults
