"""Snapshots of a refinement on disk: a folder an iteration, written whole or not at all. Those of maps that grow are
in `growths`, and written by the same hand.

Owns what lies in ``checkpoints/it_003/``: ``state.npz``, plain arrays and one JSON text for what is no array, and
``job.json``, the record of the job as it was. What a snapshot means is the refinement's affair.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

import halfmap
from halfmap.errors import InputError
from halfmap.jobs.running import kept, record
from halfmap.params.common import Refinement
from halfmap.physics.noise import GroupModel
from halfmap.refine.state import Keeper, Snapshot, State
from halfmap.types import Candidates, Curve, Defocus, Optics

STATE = "state.npz"
PARTS = {"candidates": Candidates, "defocus": Defocus}  # fields of State that are records of arrays
WORDS = ("iteration", "reference_voxel_A", "shell", "band", "reach")  # fields of State that are single numbers


class Checkpoints(Keeper):
    """The snapshots in the folder of a job; ``every``: none of them goes.

    ``origin``: a checkpoint of another run, to go on from while there is none here; see ``kept.chosen``.
    """

    def __init__(self, folder: Path, watch=lambda kind, **data: None, every: bool = False, origin: Path | None = None):
        self._folder, self._watch, self._every, self._origin = folder, watch, every, origin

    def keep(self, snapshot: Snapshot) -> None:
        """Write a snapshot; older ones go, but for the last and the best. Raises ResourceError on a full disk."""
        iteration = snapshot.state.iteration
        written(self._folder, kept.ITERATION, iteration, packed(snapshot), _facts(snapshot))
        if not self._every:
            kept.retire(self._folder)
        self._watch("checkpoint", iteration=iteration, file=str(kept.path_of(self._folder, iteration)))

    def newest(self) -> Snapshot | None:
        """The newest snapshot that verifies, that of the origin where there is none here, None without either."""
        found = newest(kept.listed(self._folder), unpacked, self._watch)
        return read(kept.chosen(self._origin)) if found is None and self._origin is not None else found


def of_job(params: Refinement, folder: Path, watch) -> Checkpoints:
    """The checkpoints of a job, as its settings want them."""
    return Checkpoints(folder, watch, params.keep_checkpoints == "all", params.continue_from)


def written(job: Path, kind: str, number: int, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
    """Write a checkpoint of named arrays, with the record of the job. Raises ResourceError on a full disk."""
    with kept.writing(job, number, sum(array.nbytes for array in arrays.values()), kind) as place:
        np.savez(place / STATE, **arrays)
        if (job / record.RECORD).is_file():
            shutil.copy(job / record.RECORD, place)
        kept.seal(place, {"halfmap": halfmap.__version__, **facts})


def newest(places: Sequence[Path], unpacked: Callable[[dict[str, np.ndarray]], Any], watch: Callable[..., None]) -> Any:
    """What the last of the checkpoints that verifies holds, None where none does."""
    for place in reversed(places):
        try:
            return content(place, unpacked)
        except InputError as fault:
            watch("warning", message=f"{fault}; going on from the one before")
    return None


def read(place: Path) -> Snapshot:
    """A snapshot of a refinement. Raises InputError as ``content``."""
    return content(place, unpacked)


def content(place: Path, unpacked: Callable[[dict[str, np.ndarray]], Any]) -> Any:
    """What a checkpoint holds. Raises InputError where it is damaged or of another layout."""
    kept.verified(place)
    try:
        with np.load(place / STATE, allow_pickle=False) as arrays:
            return unpacked(dict(arrays))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as fault:
        raise InputError(f"{place}: not a whole checkpoint of this version ({fault})") from fault


def _facts(snapshot: Snapshot) -> dict[str, Any]:
    """What the manifest tells of a snapshot."""
    last = snapshot.state.history[-1] if snapshot.state.history else {}
    told = {name: last.get(name) for name in ("resolution_A", "fsc_area")}
    return {"iteration": snapshot.state.iteration, "particles": len(snapshot.half), **told}


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
