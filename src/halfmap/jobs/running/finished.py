"""A job folder whose job is finished, as others read it: its record, summary, curves and maps.

Owns what counts as finished. Changes nothing.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halfmap.errors import InputError

if TYPE_CHECKING:
    from halfmap.types import Curve

HALVES = ("half1.mrc", "half2.mrc")
FSC_MASKS = ("mask_fsc_auto.mrc", "mask_fsc.mrc")  # the first that is there made the corrected curve
SHELLS = ("shell", "frequency_1_A", "resolution_A")  # columns of fsc.json that are no curves


@dataclass(frozen=True)
class Finished:
    """A finished job: ``folder`` is absolute; ``job`` and ``summary`` are the contents of job.json and summary.json."""

    folder: Path
    job: dict[str, Any]
    summary: dict[str, Any]

    @property
    def name(self) -> str:
        """What the job is called: "refine homogeneous"."""
        return self.job["job"]

    def file(self, name: str) -> Path | None:
        """A file of the folder, None where it has no such one."""
        path = self.folder / name
        return path if path.is_file() else None

    @property
    def fsc_mask(self) -> Path | None:
        """The mask that made the corrected FSC."""
        return next((path for path in map(self.file, FSC_MASKS) if path is not None), None)

    @property
    def volume(self) -> Path:
        """The map to look at: the sharpened one where it was sharpened. Raises InputError without any."""
        names = ("map_sharp.mrc", "map.mrc") if self.summary.get("bfactor_A2") is not None else ("map.mrc",)
        found = next((path for path in map(self.file, names) if path is not None), None)
        if found is None:
            raise InputError(f"{self.folder}: holds no map.mrc; name the folder of a job that made a map")
        return found

    @cached_property
    def fsc(self) -> dict[str, Any]:
        """Content of fsc.json; empty for a job without curves."""
        path = self.file("fsc.json")
        return {} if path is None else json.loads(path.read_text())

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """The FSC curves by name; NaN where a curve has no value."""
        import numpy as np

        from halfmap.types import Curve

        rows = {name: values for name, values in self.fsc.items() if isinstance(values, list) and name not in SHELLS}
        return {name: Curve(name, np.array(values, float), self.fsc["box"], self.fsc["voxel_size_A"])
                for name, values in rows.items()}  # fmt: skip


def read(folder: str | Path) -> Finished:
    """The finished job in ``folder``. Raises InputError where there is none, or one that has not come to its end."""
    folder = Path(os.path.abspath(folder))
    found = {}
    for name in ("job.json", "summary.json"):
        try:
            found[name] = json.loads((folder / name).read_text())
        except FileNotFoundError as fault:
            raise InputError(f"{folder}: holds no {name}; name the folder of a halfmap job that has ended") from fault
        except (OSError, json.JSONDecodeError) as fault:
            raise InputError(f"{folder / name}: cannot be read ({fault})") from fault
    status = found["summary.json"].get("status")
    if status != "finished":
        raise InputError(f"{folder}: its job is {status}, not finished; let it end first: halfmap resume {folder}")
    return Finished(folder, found["job.json"], found["summary.json"])


def require(job: Finished, names: tuple[str, ...]) -> None:
    """Raise InputError naming every one of these files that the folder lacks."""
    missing = [name for name in names if job.file(name) is None]
    if missing:
        raise InputError([f"{job.folder / name}: missing; name the folder of a refinement or reconstruction" for name
                          in missing])
