"""Runs `halfmap export`: the files of a finished job as other programs and databases want them.

Owns the folder they stand in, its manifest and what all kinds share; each kind is written by a module of its own. The
folder appears whole or not at all.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from halfmap.io import atomic
from halfmap.jobs.export import methods
from halfmap.jobs.export.bundle import Bundle
from halfmap.jobs.running import finished
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.running.finished import Finished
from halfmap.params.export import Export

KINDS = {"relion": "halfmap.jobs.export.export_relion", "cryosparc": "halfmap.jobs.export.export_cryosparc",
         "emdb": "halfmap.jobs.export.export_emdb"}  # fmt: skip


class Kind(Protocol):
    """What the module of a kind has. ``gathered`` reads and checks all that will be written and raises InputError."""

    gathered: Callable[[Finished, Export, Path, Watch | Passing], object]
    fill: Callable[[Bundle, object], dict]


@dataclass(frozen=True)
class Prepared:
    """An export that can be written: the kind's module and what it gathered."""

    kind: Kind
    job: Finished
    content: object


def run(params: Export, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Write the folder; returns the summary."""
    prepared = read(params, folder / params.to, watch)
    with atomic.folder(folder / params.to) as place:
        bundle = Bundle(place)
        told = prepared.kind.fill(bundle, prepared.content)
        bundle.finish(_origin(prepared.job))
    return {**told, "of_job": str(prepared.job.folder), "to": params.to, "n_files": len(bundle.files),
            "bytes": sum(file.bytes for file in bundle.files)}  # fmt: skip


def check(params: Export, watch: Passing) -> dict:
    """Read and check what would be exported; writes nothing."""
    prepared = read(params, Path(params.out) / params.to, watch)
    return {"resolved": {"of_job": str(prepared.job.folder), "kind": prepared.job.name,
                         "n_particles": prepared.job.summary.get("n_particles")}}  # fmt: skip


def read(params: Export, target: Path, watch: Watch | Passing) -> Prepared:
    """Everything that ``run`` needs, checked. Raises InputError with what is wrong with the job folder."""
    job = finished.read(params.job)
    kind = importlib.import_module(KINDS[params.to])
    return Prepared(kind, job, kind.gathered(job, params, target, watch))


def _origin(job: Finished) -> dict:
    """Where the files come from, for the manifest."""
    told = {name: job.job[name] for name in ("job", "started", "seed", "versions", "command")}
    return {**told, "folder": job.folder.name, "methods": methods.of(job).text}
