"""The files that cryoSPARC keeps particles and maps in, written: tables, passthrough files, result groups."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from halfmap.data import carried
from halfmap.data.cryosparc_fields import (
    PATH,
    UID,
)
from halfmap.data.cryosparc_uids import hashed
from halfmap.data.cryosparc_writing import fields_of
from halfmap.data.particles import Particles
from halfmap.io import cs

RESULT = "halfmap/"  # slot of ``extra``: cryoSPARC has no field for these
SET_BY_REFINEMENT = ("blob", "ctf", "alignments3D")  # slots; all others it passes through


def write(path: str | Path, particles: Particles, extra: dict[str, np.ndarray] | None = None) -> None:
    """Write a ``.cs`` file of format 1, whole or not at all.

    Fields of the input stay where they were, bit by bit, unless their value changed; new ones follow. Particles that
    did not come from cryoSPARC get a ``uid`` made from the name of their image. The terms of the alignment error
    (``alignments3D/error`` and its like) stay those of the program that wrote them. ``extra``: further (n,)
    columns by our names, in the slot ``halfmap``. Raises: InputError for a half-set that only some particles have.
    """
    fields = fields_of(particles)
    fields |= {RESULT + name: np.asarray(values) for name, values in (extra or {}).items()}
    cs.write(path, _structured(fields, len(particles)))


def write_split(path: Path, passthrough: Path, particles: Particles, names: Sequence[str]) -> dict[str, Path]:
    """Write particles as a refinement of cryoSPARC leaves them: what it set, and what it inherited.

    ``names``: each stack as the file is to call it. Columns that cryoSPARC has no field for are left out; without
    inherited fields there is no second file. Returns the file of each slot.
    """
    fields = fields_of(particles)
    foreign = (carried.COLUMN, carried.OPTICS_COLUMN, RESULT)
    fields = {name: values for name, values in fields.items() if not name.startswith(foreign)}
    fields[PATH] = np.array([os.fsencode(name) for name in names], dtype="S")[particles.file]
    slots = dict.fromkeys(name.split("/")[0] for name in fields if name != UID)
    held = {slot: path if slot in SET_BY_REFINEMENT else passthrough for slot in slots}
    for file in dict.fromkeys(held.values()):
        kept = {name: values for name, values in fields.items() if name == UID or held[name.split("/")[0]] == file}
        cs.write(file, _structured(kept, len(particles)))
    return held


def write_volumes(path: Path, files: dict[str, str], box: int, voxel_size_A: float) -> None:
    """Write the one row that describes the maps of a refinement: ``files``, the name of each by its slot."""
    fields = {UID: np.array([hashed("#".join(files.values()))], np.uint64)}
    for slot, name in files.items():
        fields[f"{slot}/path"] = np.array([os.fsencode(name)], dtype="S")
        fields[f"{slot}/shape"] = np.array([(box,) * 3], np.uint32)
        fields[f"{slot}/psize_A"] = np.array([voxel_size_A], np.float32)
    cs.write(path, _structured(fields, 1))


def group_description(kind: str, title: str, slots: dict[str, Path], rows: int) -> dict[str, Any]:
    """What the ``.csg`` file of a result group says, but for date and version: ``slots``, the table of each.

    ``kind``: particle or volume. Source: result groups that cryoSPARC 4 exported, shown in public repositories.
    """
    one, name = ("particle.{0}", "particles") if kind == "particle" else ("volume.blob", kind)
    return {
        "group": {"description": title, "name": name, "title": title, "type": kind},
        "results": {slot: {"metafile": f">{file.name}", "num_items": rows, "type": one.format(slot)}
                    for slot, file in slots.items()},
    }  # fmt: skip


def _structured(fields: carried.Fields, rows: int) -> np.ndarray:
    types = [(name, values.dtype, values.shape[1:]) for name, values in fields.items()]
    table = np.zeros(rows, types)
    for name, values in fields.items():
        table[name] = values
    return table
