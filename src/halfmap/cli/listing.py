"""The list of the jobs of a project, as a table, a tree or JSON.

Apart from the other commands because it is asked for most: it must not wait for anything that reads flags or settings.
"""

from __future__ import annotations

import json as json_format
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from halfmap.cli.shown import duration, number, safe, table
from halfmap.jobs.project import index, lineage, project, signs
from halfmap.jobs.project.index import Row
from halfmap.jobs.queue import prospects

LAST = 30  # jobs: what a terminal shows
HEAD = ("job", "type", "state", "resolution", "particles", "time", "remarks")
NUMBERS = (3, 4, 5)  # columns of HEAD


def told(last: int = LAST, tag: str | None = None, tree: bool = False, json: bool = False) -> int:
    """Print the list; returns the exit code. Arguments as those of ``halfmap status``. Raises UsageError outside."""
    around = project.here()
    found = index.jobs(around)
    rows = {n: row for n, row in found.rows.items() if tag is None or tag in row.tags}
    lines = _lines(around, rows)
    if json:
        print(json_format.dumps([_told(line) for line in lines.values()], indent=1))
        return 0
    print(f"project {safe(around.marker.get('name') or around.root.name)}: {safe(around.root)}")
    for line in (*_listed(lines, tree, last), _counted(lines.values())):
        print(line)
    if found.trouble:
        print(f"halfmap: {safe(found.trouble)}", file=sys.stderr)
    return 0


class Line(NamedTuple):
    """A job as it is listed: its row, its state, what it is, and what the queue says of it, if anything."""

    row: Row
    state: str
    job: str
    queue: str = ""


def line(around: project.Project, number: int) -> Line:
    """One job of a project as it is listed."""
    return _lines(around, {number: index.read(around, number)})[number]


def _lines(around: project.Project, rows: Mapping[int, Row]) -> dict[int, Line]:
    states, to_come = signs.states(around, rows), prospects.of(around)
    return {n: _line(row, states[n], to_come.get(n)) for n, row in rows.items()}


def _line(row: Row, state: str, prospect: prospects.Prospect | None) -> Line:
    """A job, with what the queue will do about it, where it is not at work or done already."""
    if prospect is None or state in ("finished", "running"):
        return Line(row, state, row.job)
    if state == "empty":
        return Line(row, prospect.state, prospect.job, prospect.waits)
    again = ": ".join(filter(None, ("queued to go on", prospect.waits)))
    return Line(row, state, row.job, again if prospect.state == prospects.QUEUED else "")


def _told(line: Line) -> dict[str, Any]:
    kept = {name: value for name, value in line.row._asdict().items() if name not in ("stamp", "process", "status")}
    return {**kept, "job": line.job, "state": line.state, "queue": line.queue}


def _listed(lines: Mapping[int, Line], tree: bool, last: int) -> list[str]:
    """The lines of the table; the newest ``last`` jobs, and all that a tree needs to reach them."""
    rows = {n: line.row for n, line in lines.items()}
    order = list(lineage.tree(rows)) if tree else [(0, n) for n in rows]
    newest = set(sorted(rows)[-last:] if last else rows)
    picked = [(depth, lines[n]) for depth, n in order if n in newest]
    if not picked:
        return ["no jobs" if not rows else "no jobs listed"]
    told = table(HEAD, [_cells(depth, line) for depth, line in picked], NUMBERS)
    missing = len(rows) - len(picked)
    return [*told, f"... and {missing:,} older ones: --last 0 lists all"] if missing else told


def _cells(depth: int, line: Line) -> tuple[str, ...]:
    row = line.row
    tags = " ".join(f"#{safe(tag, 30)}" for tag in row.tags)
    marks = f"{row.n_notes} note{'s' * (row.n_notes > 1)}" if row.n_notes else ""
    return (
        f"{'  ' * depth}J{row.number}",
        safe(line.job, 30),
        line.state,
        number(row.resolution_A, "{:.2f} A"),
        number(row.n_particles, "{:,}"),
        "" if row.seconds is None else duration(row.seconds),
        "  ".join(filter(None, (tags, marks, safe(line.queue, 60)))),
    )


def _counted(lines: Iterable[Line]) -> str:
    counts = Counter(line.state for line in lines)
    parts = ", ".join(f"{n:,} {state}" for state, n in counts.most_common())
    total = sum(counts.values())
    return f"{total:,} job{'s' * (total != 1)}: {parts}" if counts else "make one: halfmap --help lists the commands"
