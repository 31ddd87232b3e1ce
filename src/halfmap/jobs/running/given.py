"""The settings of an earlier job, as they can be given to a new one: those that differ from their defaults.

Owns which settings belong to one run alone and how a file name of the past is written today.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from halfmap.errors import UsageError
from halfmap.jobs import catalog
from halfmap.jobs.catalog import Entry
from halfmap.jobs.project import places, project
from halfmap.jobs.project.project import Project
from halfmap.jobs.project.references import FOLDERS

# A job.json tells them of the job it was written for
OF_ONE_RUN = ("out", "overwrite", "resume", "dry_run", "continue_from", "continue_iteration")


def again(record: Mapping[str, Any], entry: Entry) -> dict[str, Any]:
    """The settings in a job.json that are not of that run alone, by their names; file names lead there from here.

    It holds every setting. Those at their default are left out: nobody set them, and they say the same unsaid. Inputs
    that were named as jobs of the project are again.
    """
    kept = changed(record, entry)
    kept |= {name: reference for name, reference in _references(record).items() if name in kept}
    around = project.find()
    for name in (*entry.inputs, *FOLDERS):
        if name in kept:
            value = kept[name]
            names = [_from_here(each, record, around) for each in (value if isinstance(value, list) else [value])]
            kept[name] = names if isinstance(value, list) else names[0]
    return kept


def changed(record: Mapping[str, Any], entry: Entry) -> dict[str, Any]:
    """The settings in a job.json that are not of that run alone and differ from their defaults, as they stand there."""
    fields = entry.params.model_fields
    return {name: value for name, value in _params(record).items()
            if name not in OF_ONE_RUN and not (name in fields and _is_default(fields[name], value))}  # fmt: skip


def entry_of(record: Mapping[str, Any], where: Path) -> Entry:
    """What kind of job a record is of. Raises UsageError where it does not say, or says one that is unknown here."""
    if not record.get("job"):
        raise UsageError(f"{where}: holds no {places.RECORD} that can be read")
    return catalog.find(str(record["job"]))


def _params(record: Mapping[str, Any]) -> Mapping[str, Any]:
    params = record.get("params")
    return params if isinstance(params, Mapping) else {}


def _references(record: Mapping[str, Any]) -> Mapping[str, Any]:
    references = record.get("references")
    return references if isinstance(references, Mapping) else {}


def _is_default(field: FieldInfo, value: Any) -> bool:
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    return value == (str(default) if isinstance(default, Path) else default)


def _from_here(value: Any, record: Mapping[str, Any], around: Project | None) -> Any:
    """A file name as it leads to the same file from the working folder; a word that names no file as it is."""
    if not isinstance(value, str) or (around is not None and around.named(value) and not os.path.lexists(value)):
        return value
    path = os.path.normpath(os.path.join(str(record.get("working_folder", ".")), value))
    if not os.path.exists(path):
        return value
    inside = around.inside(path) if around is not None else None
    if inside and around.named(inside) and not os.path.lexists(inside):
        return inside
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
