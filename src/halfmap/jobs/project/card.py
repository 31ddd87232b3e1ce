"""All that is known of one job, from its folder: settings, inputs, lineage, result, warnings, remarks, files.

Reads JSON only, nothing of the size of a map.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from halfmap.errors import UsageError
from halfmap.jobs import catalog
from halfmap.jobs.pictures import headlines
from halfmap.jobs.project import index, lineage, places, project, remarks
from halfmap.jobs.project.project import JOB, Project
from halfmap.jobs.running import events, given

TAIL_BYTES = 200_000  # of events.jsonl: the newest iteration of a job that runs is in there


def of(folder: Path) -> dict[str, Any]:
    """The card of a job, its keys in the order of reading. Lists of a job outside of a project know no other jobs."""
    folder = Path(os.path.abspath(folder))
    around = project.find(folder)
    number = number_of(folder, around)
    record, summary = places.read(folder, around), places.content(folder / "summary.json")
    row = index.read(around, number) if number else _row(folder)
    said = remarks.read(folder)
    return {
        "name": folder.name,
        "job": row.job,
        "state": index.state(row),
        "folder": str(folder),
        "started": row.started,
        "machine": (row.process or {}).get("host"),
        "command": [str(word) for word in record.get("command") or ()],
        "settings": _settings(record),
        "inputs": _inputs(record),
        **_relatives(around, number),
        "progress": _progress(folder) if row.status != "finished" else None,
        "numbers": dict(headlines.of(summary)),
        "warnings": _lines(summary.get("warnings")),
        "faults": _lines(summary.get("faults")),
        "tags": list(said.tags),
        "notes": list(said.notes),
        "files": _files(folder),
    }


def number_of(folder: Path, around: Project | None) -> int | None:
    """The number of a job of a project by its folder; None for any other folder."""
    found = JOB.fullmatch(folder.name)
    return int(found[1]) if found and around is not None and folder.parent == around.root else None


def _row(folder: Path) -> index.Row:
    """The row of a job that is in no project. Raises UsageError for a folder that holds no job."""
    if not any((folder / name).exists() for name in (places.RECORD, "summary.json", events.FILE)):
        raise UsageError(f"{folder}: holds no halfmap job")
    return index.row(folder, None, 0, (0, 0))


def _settings(record: dict[str, Any]) -> dict[str, Any]:
    """Settings that differ from their defaults; all of them for a kind of job that this version does not know."""
    known = {entry.name: entry for entry in catalog.JOBS}
    entry = known.get(str(record.get("job")))
    params = record.get("params") if isinstance(record.get("params"), dict) else {}
    return params if entry is None else given.changed(record, entry)


def _inputs(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Each input: the setting, the file, the reference it was named by, and whether it is as it was then."""
    told = record.get("inputs") if isinstance(record.get("inputs"), dict) else {}
    references = record.get("references") if isinstance(record.get("references"), dict) else {}
    return [
        {"setting": name, "path": str(each.get("path")), "in_project": each.get("in_project"),
         "reference": references.get(name), "now": _now(each)}
        for name, each in told.items() if isinstance(each, dict)
    ]  # fmt: skip


def _now(told: dict[str, Any]) -> str:
    """What became of an input: "there", "changed" or "gone". By size and time of change; nothing is read."""
    try:
        state = os.stat(str(told.get("path")))
    except (OSError, ValueError):
        return "gone"
    same = "bytes" not in told or (state.st_size, state.st_mtime) == (told["bytes"], told.get("modified"))
    return "there" if same else "changed"


def _relatives(around: Project | None, number: int | None) -> dict[str, list[str]]:
    if around is None or number is None:
        return {"made_from": [], "ancestors": [], "used_by": [], "descendants": []}
    rows = index.jobs(around).rows
    above, below = lineage.up(rows), lineage.down(rows)
    return {
        "made_from": _names(above.get(number, ())),
        "ancestors": _names(lineage.reached(number, above)),
        "used_by": _names(below.get(number, ())),
        "descendants": _names(lineage.reached(number, below)),
    }


def _names(numbers) -> list[str]:
    return [f"J{number}" for number in numbers]


def _progress(folder: Path) -> str | None:
    """The last iteration that a job without an end has told of."""
    told = [event for event in events.recorded(folder, TAIL_BYTES) if event["kind"] == "iteration"]
    return headlines.written("{}", events.sentence(told[-1])) if told else None


def _lines(value: Any) -> list[str]:
    return [str(line) for line in value] if isinstance(value, list) else []


def _files(folder: Path) -> list[dict[str, Any]]:
    """Files with their bytes, folders with the number of their entries; what begins with a dot is nobody's business."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        try:
            told = {"entries": len(os.listdir(path))} if path.is_dir() else {"bytes": path.stat().st_size}
        except OSError:  # a broken link, or gone this moment
            told = {}
        found.append({"name": path.name, **told})
    return found
