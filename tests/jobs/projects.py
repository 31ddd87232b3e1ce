"""Projects for tests: folders that look like those of jobs that ran, written in milliseconds."""

import json
import os
from pathlib import Path

from halfmap.jobs.project import project
from halfmap.jobs.project.project import Project


def made(folder: Path, **parents: list[str]) -> Project:
    """A project with a finished job for every name, made from the files given: ``J2=["J1/map.mrc"]``."""
    one = project.create(folder)
    for name, files in parents.items():
        job(one, name, {f"input{place}": file for place, file in enumerate(files)})
    return one


def job(one: Project, name: str, inputs: dict[str, str] | None = None, status: str | None = "finished", **told) -> Path:
    """A job folder; ``inputs``: setting -> file from the root; ``told``: more for summary.json; ``process`` goes into
    job.json."""
    folder = one.root / name
    folder.mkdir(exist_ok=True)
    record = {
        "job": "refine homogeneous", "command": ["halfmap", "refine"], "working_folder": str(one.root),
        "project": {"id": one.id, "root": str(one.root)}, "process": told.pop("process", None),
        "started": "2026-01-01T00:00:00+0000", "params": {"symmetry": "D2", "seed": 1, **told.pop("params", {})},
        "references": {},
        "inputs": {key: {"path": os.path.join(one.root, file), "in_project": file}
                   for key, file in (inputs or {}).items()},
    }  # fmt: skip
    (folder / "job.json").write_text(json.dumps(record, indent=1))
    if status is not None:
        summary = {"job": "refine homogeneous", "status": status, "resolution_A": 4.0, "n_particles": 100,
                   "seconds_total": 12.0, "warnings": [], **told}  # fmt: skip
        (folder / "summary.json").write_text(json.dumps(summary, indent=1))
    return folder
