"""The record of a job as it is now: read however damaged, its paths where the project lies today.

Owns what "the same project, moved" means. Imports no settings, so that a list of jobs is quick.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from halfmap.jobs.project.project import Project, find

RECORD = "job.json"
CLOSING = {"{": "}", "[": "]"}


def read(folder: Path, project: Project | None = None) -> dict[str, Any]:
    """job.json of a job folder, empty where there is none or nothing can be made of it.

    ``project``: the one around the folder, looked for where it is not given. Where it was moved or renamed since,
    paths into it lead into it again.
    """
    record = content(folder / RECORD)
    if "project" in record:
        project = project or find(folder)
    told = record.get("project")
    same = project is not None and isinstance(told, dict) and project.id and told.get("id") == project.id
    if not same or told.get("root") == str(project.root):
        return record
    return moved(record, Path(str(told.get("root"))), project.root)


def content(path: Path) -> dict[str, Any]:
    """A JSON file that holds a mapping; empty where it is missing or damaged beyond repair."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    found = _parsed(text)
    if found is None:
        found = _parsed(salvaged(text))
    return found if isinstance(found, dict) else {}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def salvaged(text: str) -> str:
    """JSON of which the end is missing, without its last line and closed where it breaks off."""
    kept = text.rstrip().rpartition("\n")[0].rstrip().rstrip(",")
    opened, quoted, escaped = [], False, False
    for letter in kept:
        if quoted:
            quoted = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            quoted = True
        elif letter in CLOSING:
            opened.append(CLOSING[letter])
        elif letter in "}]" and opened:
            opened.pop()
    return kept + "".join(reversed(opened))


def moved(record: Mapping[str, Any], before: Path, now: Path) -> dict[str, Any]:
    """The record of a job in a project that lay in ``before`` and lies in ``now``."""
    working = str(record.get("working_folder", before))
    params = record.get("params")
    inputs = record.get("inputs")
    return {
        **record,
        "working_folder": _moved(working, working, before, now),
        "params": _each(params, working, before, now) if isinstance(params, dict) else params,
        "inputs": {name: {**told, "path": _moved(told.get("path"), working, before, now)}
                   for name, told in inputs.items() if isinstance(told, dict)} if isinstance(inputs, dict) else inputs,
        "project": {**record["project"], "root": str(now)},
    }  # fmt: skip


def _each(params: dict[str, Any], *places: Any) -> dict[str, Any]:
    return {
        name: [_moved(each, *places) for each in value] if isinstance(value, list) else _moved(value, *places)
        for name, value in params.items()
    }


def _moved(value: Any, working: str, before: Path, now: Path) -> Any:
    """A path into the project as it leads there now; a relative one moves along with a working folder inside."""
    if not isinstance(value, str) or not value:
        return value
    old = Project(before)
    if not os.path.isabs(value) and old.inside(working) is not None:
        return value
    inside = old.inside(os.path.normpath(os.path.join(working, value)))
    if inside is None or (inside == "." and not os.path.isabs(value)):  # a word that happens to be the project's name
        return value
    return os.path.normpath(now / inside)
