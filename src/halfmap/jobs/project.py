"""A project: a folder of jobs `J1/`, `J2/`, ... below a file that says so. Files are the truth.

Owns where a project begins, the numbers of its jobs and where its private files lie.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

MARKER = "halfmap.json"  # in the root of every project
PRIVATE = ".halfmap"  # beside it: index and queue, which can be made again from the job folders
JOB = re.compile(r"J([1-9][0-9]*)")


@dataclass(frozen=True)
class Project:
    """A project by its absolute root folder."""

    root: Path

    @property
    def private(self) -> Path:
        """The folder of index and queue."""
        return self.root / PRIVATE

    def folder(self, number: int) -> Path:
        """Where the job of that number lies, or would."""
        return self.root / f"J{number}"

    def numbers(self) -> list[int]:
        """Numbers of all jobs, ascending."""
        names = (JOB.fullmatch(entry.name) for entry in os.scandir(self.root) if entry.is_dir())
        return sorted(int(name[1]) for name in names if name)

    def new_folder(self) -> Path:
        """Make the next job folder and return it; two processes never get the same one."""
        number = max(self.numbers(), default=0) + 1
        while True:
            try:
                self.folder(number).mkdir()
            except FileExistsError:
                number += 1
            else:
                return self.folder(number)


def find(start: Path) -> Project | None:
    """The project that ``start`` lies in, None outside of any."""
    start = Path(os.path.abspath(start))
    root = next((place for place in (start, *start.parents) if (place / MARKER).is_file()), None)
    return None if root is None else Project(root)
