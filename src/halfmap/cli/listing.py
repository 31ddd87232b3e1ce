"""The list of the jobs of a project, as a table, a tree or JSON.

Apart from the other commands because it is asked for most: it must not wait for anything that reads flags or settings.
"""

from __future__ import annotations

import json as json_format
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from halfmap.cli.shown import duration, number, safe, table
from halfmap.jobs.project import index, lineage, project
from halfmap.jobs.project.index import Row

LAST = 30  # jobs: what a terminal shows
HEAD = ("job", "type", "state", "resolution", "particles", "time", "tags")
NUMBERS = (3, 4, 5)  # columns of HEAD


def told(last: int = LAST, tag: str | None = None, tree: bool = False, json: bool = False) -> int:
    """Print the list; returns the exit code. Arguments as those of ``halfmap status``. Raises UsageError outside."""
    around = project.here()
    found = index.jobs(around)
    rows = {n: row for n, row in found.rows.items() if tag is None or tag in row.tags}
    if json:
        print(json_format.dumps([_told(row) for row in rows.values()], indent=1))
        return 0
    print(f"project {safe(around.marker.get('name') or around.root.name)}: {safe(around.root)}")
    for line in (*_listed(rows, tree, last), _counted(rows.values())):
        print(line)
    if found.trouble:
        print(f"halfmap: {safe(found.trouble)}", file=sys.stderr)
    return 0


def _told(row: Row) -> dict[str, Any]:
    kept = {name: value for name, value in row._asdict().items() if name not in ("stamp", "process", "status")}
    return {**kept, "state": index.state(row)}


def _listed(rows: Mapping[int, Row], tree: bool, last: int) -> list[str]:
    """The lines of the table; the newest ``last`` jobs, and all that a tree needs to reach them."""
    order = list(lineage.tree(rows)) if tree else [(0, n) for n in rows]
    newest = set(sorted(rows)[-last:] if last else rows)
    picked = [(depth, rows[n]) for depth, n in order if n in newest]
    if not picked:
        return ["no jobs" if not rows else "no jobs listed"]
    lines = table(HEAD, [_cells(depth, row) for depth, row in picked], NUMBERS)
    missing = len(rows) - len(picked)
    return [*lines, f"... and {missing:,} older ones: --last 0 lists all"] if missing else lines


def _cells(depth: int, row: Row) -> tuple[str, ...]:
    tags = " ".join(f"#{safe(tag, 30)}" for tag in row.tags)
    marks = f"{row.n_notes} note{'s' * (row.n_notes > 1)}" if row.n_notes else ""
    return (
        f"{'  ' * depth}J{row.number}",
        safe(row.job, 30),
        index.state(row),
        number(row.resolution_A, "{:.2f} A"),
        number(row.n_particles, "{:,}"),
        "" if row.seconds is None else duration(row.seconds),
        "  ".join(filter(None, (tags, marks))),
    )


def _counted(rows: Iterable[Row]) -> str:
    counts = Counter(map(index.state, rows))
    parts = ", ".join(f"{n:,} {state}" for state, n in counts.most_common())
    return f"{sum(counts.values()):,} jobs: {parts}" if counts else "make one: halfmap --help lists the commands"
