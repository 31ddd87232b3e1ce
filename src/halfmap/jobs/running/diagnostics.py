"""The files diagnostics/*.npz: what each iteration and the final maps show, as arrays. docs/JOB_FOLDER.md names them.

Owns their layout. Imports no numerics beyond numpy, so that the drawing process stays light.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from halfmap.io import atomic
from halfmap.jobs.running.events import plain

if TYPE_CHECKING:
    from halfmap.refine.diagnostics import Diagnostics

FOLDER, FINAL = "diagnostics", "final"
ONCE = ("_meeting", "_classes_best")  # what names end with of what is shown once
_ALONE = re.compile(r"iteration_\d+")
ITERATION, OPTICS = "iteration_", "optics_"  # what names begin with: of an iteration, of a look at the CTF before one


def write(folder: Path, made: Diagnostics) -> None:
    """Write diagnostics/NAME.npz, whole or not at all; the facts are JSON in the array "facts"."""
    (folder / FOLDER).mkdir(exist_ok=True)
    facts = np.array(json.dumps(plain(made.facts)))
    with atomic.writing(folder / FOLDER / f"{made.name}.npz") as stream:
        np.savez(stream, facts=facts, **made.arrays)


def read(folder: Path, name: str) -> tuple[dict[str, np.ndarray], dict]:
    """(arrays, facts) of diagnostics/NAME.npz; both empty where there is no such file."""
    path = folder / FOLDER / f"{name}.npz"
    if not path.is_file():
        return {}, {}
    with np.load(path, allow_pickle=False) as content:
        arrays = {key: content[key] for key in content.files}
    return arrays, json.loads(str(arrays.pop("facts")))


def iterations(folder: Path) -> list[str]:
    """Names of the iterations that left a file, in order."""
    return _names(folder, ITERATION)


def lens(folder: Path, name: str) -> tuple[dict[str, np.ndarray], dict]:
    """(arrays, facts) of the look at the CTF that iteration ``name`` began with, of the result the last one.

    Both empty where there was none.
    """
    wanted = _names(folder, OPTICS)[-1:] if name == FINAL else [name.replace(ITERATION, OPTICS)]
    return read(folder, wanted[0]) if wanted else ({}, {})


def beside_result(folder: Path) -> list[str]:
    """What the result shows besides its own numbers: how halves met and particles parted, and the last iteration."""
    names = iterations(folder)
    once = [name for name in names if name.endswith(ONCE)]
    return once + [name for name in names if _ALONE.fullmatch(name)][-1:]


def _names(folder: Path, begin: str) -> list[str]:
    return sorted((path.stem for path in (folder / FOLDER).glob(f"{begin}*.npz")), key=_in_order)


def _in_order(name: str) -> list[tuple[int, str]]:
    """Numbers by their size: a growth may have more than 999 steps."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
