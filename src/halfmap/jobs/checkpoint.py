"""Snapshots of a refinement on disk: one file an iteration, written whole or not at all, the last two or all kept.

Owns the layout of ``checkpoints/iteration_003.npz``: plain arrays, and one JSON text for what is no array. What a
snapshot means is the refinement's affair.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from halfmap.errors import InputError
from halfmap.io import atomic
from halfmap.physics.noise import GroupModel
from halfmap.refine.state import Keeper, Snapshot, State
from halfmap.types import Candidates, Curve, Defocus, Optics

FOLDER = "checkpoints"
KEPT = 2  # files: the newest, and one more in case a disk loses it
LAYOUT = 3  # number of the layout; a file with another one is not read
PARTS = {"candidates": Candidates, "defocus": Defocus}  # fields of State that are records of arrays
WORDS = ("iteration", "reference_voxel_A", "shell", "band", "reach")  # fields of State that are single numbers


class Checkpoints(Keeper):
    """The snapshots in the folder of a job; the newest ``kept`` stay, None = all."""

    def __init__(self, folder: Path, watch=lambda kind, **data: None, kept: int | None = KEPT):
        self._job, self._folder, self._watch, self._kept = folder, folder / FOLDER, watch, kept

    def keep(self, snapshot: Snapshot) -> None:
        """Write a snapshot; older ones but the last go."""
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"iteration_{snapshot.state.iteration:03d}.npz"
        with atomic.writing(path) as stream:
            np.savez(stream, **packed(snapshot))
        for old in files(self._job)[: -self._kept] if self._kept else ():
            old.unlink()
        self._watch("checkpoint", iteration=snapshot.state.iteration, file=str(path))

    def newest(self) -> Snapshot | None:
        """The newest snapshot that can be read, None where there is none."""
        for path in reversed(files(self._job)):
            try:
                return read(path)
            except InputError as fault:
                self._watch("warning", message=f"{fault}; going on from the one before")
        return None


def files(folder: Path) -> list[Path]:
    """The snapshots in the folder of a job, the oldest first."""
    return sorted((folder / FOLDER).glob("iteration_*.npz"))


def read(path: Path) -> Snapshot:
    """A snapshot. Raises InputError where the file is damaged or of another layout."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return unpacked(dict(arrays))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as fault:
        raise InputError(f"{path}: not a whole checkpoint of this version ({fault})") from fault


def packed(snapshot: Snapshot) -> dict[str, np.ndarray]:
    """A snapshot as named arrays."""
    state = snapshot.state
    arrays = {"half": snapshot.half}
    for field in fields(State):
        value = getattr(state, field.name)
        if isinstance(value, np.ndarray):
            arrays[field.name] = value
    for name, kind in PARTS.items():
        arrays |= {f"{name}/{f.name}": getattr(getattr(state, name), f.name) for f in fields(kind)}
    arrays |= {f"noise_sd/{i}": model.noise_sd for i, model in enumerate(state.models)}
    arrays |= {f"noise_angular/{i}": m.angular for i, m in enumerate(state.models) if m.angular is not None}
    arrays |= {f"curve/{name}": curve.values for name, curve in state.curves.items()}
    return {**arrays, "words": np.array(json.dumps(_words(snapshot)))}


def _words(snapshot: Snapshot) -> dict[str, Any]:
    """What is no array."""
    state = snapshot.state
    return {
        "layout": LAYOUT,
        "rejected": {str(row): reason for row, reason in snapshot.rejected.items()},
        "warnings": list(snapshot.warnings),
        "rng": snapshot.rng,
        "seconds": snapshot.seconds,
        "history": list(state.history),
        "grey": [model.grey for model in state.models],
        "optics": [asdict(optics) for optics in state.optics],
        "curves": {key: [c.name, c.box, c.voxel_size_A] for key, c in state.curves.items()},
        **{name: getattr(state, name) for name in WORDS},
    }


def unpacked(arrays: dict[str, np.ndarray]) -> Snapshot:
    """The snapshot of ``packed`` arrays. Raises KeyError or ValueError for anything else."""
    words = json.loads(str(arrays["words"]))
    if words["layout"] != LAYOUT:
        raise ValueError(f"layout {words['layout']}, expected {LAYOUT}")
    parts = {name: kind(*(arrays[f"{name}/{f.name}"] for f in fields(kind))) for name, kind in PARTS.items()}
    angular = [arrays.get(f"noise_angular/{i}") for i in range(len(words["grey"]))]
    plain = {f.name: arrays[f.name] for f in fields(State) if f.name in arrays}
    state = State(
        **plain,
        **parts,
        **{name: words[name] for name in WORDS},
        models=tuple(GroupModel(arrays[f"noise_sd/{i}"], *rest)
                     for i, rest in enumerate(zip(words["grey"], angular, strict=True))),
        curves={key: Curve(name, arrays[f"curve/{key}"], *rest) for key, (name, *rest) in words["curves"].items()},
        optics=tuple(_optics(row) for row in words["optics"]),
        history=tuple(words["history"]),
    )
    rejected = {int(row): reason for row, reason in words["rejected"].items()}
    return Snapshot(state, arrays["half"], rejected, tuple(words["warnings"]), words["rng"], words["seconds"])


def _optics(row: dict[str, Any]) -> Optics:
    """JSON has lists where Optics has tuples."""
    return Optics(**{name: _tuple(value) for name, value in row.items()})


def _tuple(value):
    return tuple(_tuple(item) for item in value) if isinstance(value, list) else value
