"""Jobs as inputs of other jobs: `J3` and `J3/mask_refine.mrc` lead to the files of the project around.

Owns which settings are looked at and what comes first: a file or folder of that very name, seen from the working
folder, before a job of the project. Reads nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from halfmap.errors import InputError
from halfmap.jobs.catalog import Entry
from halfmap.jobs.project import project
from halfmap.jobs.project.project import Project
from halfmap.params.common import Job

FOLDERS = ("images_root",)  # settings that name a folder, beside the input files


@dataclass
class Followed:
    """Settings whose references are replaced by paths; ``given``: setting -> reference, as it was written."""

    params: Job
    given: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def followed(params: Job, entry: Entry) -> Followed:
    """The settings with every reference among the inputs replaced by the path it means.

    Raises InputError for jobs and files that the project does not have.
    """
    around = project.find()
    if around is None:
        return Followed(params)
    found, faults = Followed(params), []
    changed = {}
    for name in (*entry.inputs, *FOLDERS):
        given = getattr(params, name, None)
        several = given if isinstance(given, tuple) else (given,)
        paths = tuple(_path(around, name, each, found, faults) for each in several)
        if paths != several:
            changed[name] = paths if isinstance(given, tuple) else paths[0]
            found.given[name] = [str(each) for each in given] if isinstance(given, tuple) else str(given)
    if faults:
        raise InputError(faults)
    found.params = params.model_copy(update=changed) if changed else params
    return found


def _path(around: Project, name: str, given: Path | str | None, found: Followed, faults: list[str]):
    """The path that one value means, of the kind that was given; itself where it is no reference."""
    named = None if given is None else around.named(str(given))
    if named is None:
        return given
    if os.path.lexists(given):
        if not os.path.exists(named) or not os.path.samefile(given, named):
            found.warnings.append(f"{name} {given} is the one in the working folder, not that of the project "
                                  f"{around.root}: {named}")
        return given
    if not named.exists():
        faults.append(_fault(around, str(given)))
        return given
    path = os.path.relpath(named)
    return path if isinstance(given, str) else Path(path)


def _fault(around: Project, given: str) -> str:
    job = given.partition("/")[0]
    if not (around.root / job).is_dir():
        return f"{given}: the project {around.root} has no job {job}; halfmap status lists those it has"
    return f"{given}: job {job} has no such file; halfmap show {job} lists those it has"
