"""A project: a folder of jobs `J1/`, `J2/`, ... below a file that says so. Files are the truth.

Owns where a project begins, the numbers of its jobs, where its private files lie and how a job is named (`J3`,
`J3/map.mrc`). Imports no numerics and no settings.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import halfmap
from halfmap.errors import UsageError

MARKER = halfmap.PROJECT_MARKER
PRIVATE = ".halfmap"  # beside it: the index, which can be made again from the job folders, and the queue
LAYOUT = 1  # of a project; one with a higher number was made by a newer halfmap
JOB = re.compile(r"J([1-9][0-9]*)")
REFERENCE = re.compile(r"J([1-9][0-9]*)(?:/(.*))?")


@dataclass(frozen=True)
class Project:
    """A project by its absolute root folder."""

    root: Path

    @property
    def private(self) -> Path:
        """The folder of index and queue."""
        return self.root / PRIVATE

    @cached_property
    def marker(self) -> dict[str, Any]:
        """What its file says: name, id, created, version, layout; empty where it cannot be read."""
        try:
            told = json.loads((self.root / MARKER).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return told if isinstance(told, dict) else {}

    @property
    def id(self) -> str:
        """What stays the same when the project is moved or renamed; empty where the file does not tell."""
        return str(self.marker.get("id") or "")

    def folder(self, number: int) -> Path:
        """Where the job of that number lies, or would."""
        return self.root / f"J{number}"

    def numbers(self) -> list[int]:
        """Numbers of all jobs, ascending."""
        with os.scandir(self.root) as entries:
            names = [JOB.fullmatch(entry.name) for entry in entries if entry.is_dir()]
        return sorted(int(name[1]) for name in names if name)

    def next_number(self) -> int:
        """The number that the next job would get."""
        return max(self.numbers(), default=0) + 1

    def next_folder(self) -> Path:
        """The folder that the next job would get."""
        return self.folder(self.next_number())

    def new_folder(self) -> Path:
        """Make the next job folder and return it; two processes never get the same one."""
        number = self.next_number()
        while True:
            try:
                self.folder(number).mkdir()
            except FileExistsError:
                number += 1
            except OSError as fault:
                raise UsageError(f"{self.folder(number)}: cannot be made: {fault.strerror}") from fault
            else:
                return self.folder(number)

    def inside(self, path: str | Path) -> str | None:
        """An absolute path relative to the root, ``J3/map.mrc``; None for one outside."""
        relative = os.path.relpath(path, self.root)
        return None if relative == ".." or relative.startswith(f"..{os.sep}") else relative

    def named(self, reference: str) -> Path | None:
        """The path behind ``J3`` or ``J3/map.mrc``, whether it is there or not; None for what is no reference."""
        found = REFERENCE.fullmatch(reference)
        if found is None or ".." in Path(reference).parts:
            return None
        return self.folder(int(found[1])) / (found[2] or "")


def find(start: Path | str | None = None) -> Project | None:
    """The project that ``start``, else the working folder, lies in; None outside of any.

    Raises UsageError for one of a newer halfmap.
    """
    start = Path(os.path.abspath(start or "."))
    root = next((place for place in (start, *start.parents) if os.path.isfile(place / MARKER)), None)
    if root is None:
        return None
    project = Project(root)
    layout = project.marker.get("layout")
    if isinstance(layout, int) and layout > LAYOUT:
        raise UsageError(f"{root}: a project of halfmap {project.marker.get('version')}, layout {layout}; this halfmap "
                         f"({halfmap.__version__}) knows layout {LAYOUT}: update it")
    return project


def here() -> Project:
    """The project around the working folder. Raises UsageError outside of any."""
    project = find()
    if project is None:
        raise UsageError(f"{os.getcwd()}: lies in no project; go into one, or make one: halfmap init")
    return project


def create(folder: Path, name: str | None = None, nested: bool = False) -> Project:
    """Make a folder a project, and the folder itself where it is missing.

    Raises UsageError where it is one already, lies in another without ``nested``, or cannot be written.
    """
    from halfmap.io import atomic  # with random names and hashes, for which a list of jobs need not wait

    folder = Path(os.path.abspath(folder))
    around = find(folder)
    if around is not None and around.root == folder:
        raise UsageError(f"{folder}: is a project already")
    if around is not None and not nested:
        raise UsageError(f"{folder}: lies in the project {around.root}; add --nested to make a project inside it")
    told = {
        "name": name or folder.name,
        "id": os.urandom(8).hex(),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "version": halfmap.__version__,
        "layout": LAYOUT,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic.writing(folder / MARKER) as stream:
            stream.write((json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "replace"))
    except OSError as fault:
        raise UsageError(f"{folder}: cannot be made a project: {fault.strerror}") from fault
    return Project(folder)


def job_folder(reference: str | Path) -> Path:
    """The folder of a job named ``J3`` or by its path; a path that is there comes first.

    Raises UsageError where there is no such folder.
    """
    path = Path(reference)
    if path.is_dir():
        return path
    project = find()
    named = project and project.named(str(reference))
    if named is None or not named.is_dir():
        inside = "" if project is None else f", nor a job of the project {project.root}"
        raise UsageError(f"{reference}: there is no such folder{inside}")
    return named
