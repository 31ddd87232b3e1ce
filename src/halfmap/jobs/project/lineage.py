"""Which job was made from which: upwards, downwards, in an order in which they can be made again, and as a tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from halfmap.jobs.project.index import Row

Links = Mapping[int, list[int]]


def up(rows: Mapping[int, Row]) -> dict[int, list[int]]:
    """For every job those it was made from, ascending; one whose folder is gone is named all the same."""
    return {number: row.parents for number, row in rows.items()}


def down(rows: Mapping[int, Row]) -> dict[int, list[int]]:
    """For every job those made from it, ascending."""
    found: dict[int, list[int]] = {number: [] for number in rows}
    for number, parents in up(rows).items():
        for parent in parents:
            found.setdefault(parent, []).append(number)
    return found


def reached(start: int, links: Links) -> list[int]:
    """Every job that can be reached from one, nearest first, without itself; each once, though jobs lie in a circle."""
    found, queue = {start: None}, [start]
    for number in queue:
        for other in links.get(number, ()):
            if other not in found:
                found[other] = None
                queue.append(other)
    return list(found)[1:]


def chain(start: int, rows: Mapping[int, Row]) -> list[int]:
    """A job and every job made from it, directly or not, each after all of them that it was made from."""
    parents, wanted = up(rows), {start, *reached(start, down(rows))}
    ordered: list[int] = []
    open_ = sorted(wanted - {start})
    ordered.append(start)
    while open_:
        ready = [n for n in open_ if not (set(parents.get(n, ())) & set(open_))]
        ordered += ready or open_[:1]  # in a circle, made by --overwrite, there is no right order
        open_ = [n for n in open_ if n not in ordered]
    return ordered


def tree(rows: Mapping[int, Row]) -> Iterator[tuple[int, int]]:
    """(depth, number) of every job once: below the newest job it was made from, roots first, by their numbers."""
    parents = {number: max((p for p in found if p in rows), default=None) for number, found in up(rows).items()}
    children: dict[int | None, list[int]] = {}
    for number, parent in parents.items():
        children.setdefault(parent, []).append(number)
    seen: set[int] = set()
    for root in [*children.get(None, ()), *rows]:  # those in a circle hang below no root
        stack = [(0, root)]
        while stack:
            depth, number = stack.pop()
            if number not in seen:
                seen.add(number)
                yield depth, number
                stack += [(depth + 1, child) for child in reversed(children.get(number, ()))]
