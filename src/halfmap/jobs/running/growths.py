"""Snapshots of maps that grow from nothing, on disk: ``checkpoints/growth_020/``.

A job goes through stages. It grows one map after another: that of each half-set, and those that are grown anew; or it
grows maps, parts the particles and gives those of each class their poses. A checkpoint holds the stages that have ended
and the one under way; its number is that of the steps and passes of all of them. What lies in it besides, and how it is
written and verified, is as of an iteration: see `checkpoint` and `kept`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from halfmap.jobs.running import checkpoint, kept
from halfmap.physics.noise import GroupModel
from halfmap.refine.growing import Growth
from halfmap.refine.parting import Parted, Sorted
from halfmap.refine.setup import Run
from halfmap.refine.state import Keeper, Snapshot, State
from halfmap.refine.stochastic import Course, Found
from halfmap.types import Candidates, Curve, Defocus, Map, Optics, Poses, Sums

KINDS = {kind.__name__: kind for kind in (
    Snapshot, Course, Growth, Found, Map, Sums, State, Candidates, Defocus, Optics, GroupModel, Curve, Poses, Parted,
    Sorted)}  # fmt: skip
Ended = TypeVar("Ended", Parted, Sorted)


class Growths:
    """The snapshots of all stages of a job; ``every``: none of them goes.

    ``origin``: a checkpoint of another run of the same growths, which are taken over while there are none here.
    """

    def __init__(self, folder: Path, watch: Callable[..., None], every: bool = False, origin: Path | None = None):
        self._folder, self._watch, self._every = folder, watch, every
        places = kept.listed(folder, kept.GROWTH)
        if origin is not None and not places:
            places = kept.listed(kept.chosen(origin).parents[1], kept.GROWTH)
        self._snapshots: list[Snapshot] = list(checkpoint.newest(places, unpacked, watch) or ())

    def of(self, number: int) -> Keeper:
        """The keeper of stage ``number`` of the job, from 0."""
        return _Growth(self, number)

    def snapshot(self, number: int) -> Snapshot | None:
        """The newest one of a stage."""
        return self._snapshots[number] if number < len(self._snapshots) else None

    def once(self, number: int, job: Run, made: Callable[[Keeper], Ended]) -> Ended:
        """What stage ``number`` has come to, where that was kept; else it is made now, and kept."""
        snapshot = self.snapshot(number)
        if snapshot is not None and isinstance(snapshot.state, Parted | Sorted):
            return job.restored(snapshot)
        found = made(self.of(number))
        self.keep(number, job.snapshot(found))
        return found

    def keep(self, number: int, snapshot: Snapshot) -> None:
        """Write it and those of earlier stages; older checkpoints go, but for the last and the best."""
        self._snapshots[number:] = [snapshot]
        steps = sum(_steps(one.state) for one in self._snapshots)
        checkpoint.written(self._folder, kept.GROWTH, steps, packed(tuple(self._snapshots)), _facts(snapshot))
        if not self._every:
            kept.retire(self._folder, kept.GROWTH)
        place = kept.path_of(self._folder, steps, kept.GROWTH)
        self._watch("checkpoint", steps=steps, growth=number + 1, file=str(place))


class _Growth(Keeper):
    """What one stage sees of them."""

    def __init__(self, growths: Growths, number: int):
        self._growths, self._number = growths, number

    def newest(self) -> Snapshot | None:
        return self._growths.snapshot(self._number)

    def keep(self, snapshot: Snapshot) -> None:
        self._growths.keep(self._number, snapshot)


def _steps(state: Course | State | Parted | Sorted) -> int:
    """Steps or passes of a stage, and one more where it has ended."""
    return state.iteration if isinstance(state, Course | State) else state.passes + 1


def _facts(snapshot: Snapshot) -> dict[str, Any]:
    """What the manifest tells. While maps grow its resolution is that of the data in use: there is no FSC yet."""
    told = {"steps": _steps(snapshot.state), "particles": len(snapshot.half)}
    last = getattr(snapshot.state, "history", ({},))[-1]
    if "evidence" in last:
        return {**told, "resolution_A": last["band_A"], "evidence": last["evidence"]}
    return {**told, **{name: last.get(name) for name in ("resolution_A", "fsc_area")}}


def packed(value: Any) -> dict[str, np.ndarray]:
    """Records, tuples, dicts and arrays as named arrays, and one JSON text for all that is no array."""
    arrays: dict[str, np.ndarray] = {}
    words = json.dumps(_words(value, arrays))
    return {**arrays, "words": np.array(words)}


def _words(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        name = f"array{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if is_dataclass(value):
        found = [[field.name, _words(getattr(value, field.name), arrays)] for field in fields(value)]
        return {"record": type(value).__name__, "fields": found}
    if isinstance(value, dict):
        return {"dict": [[key, _words(item, arrays)] for key, item in value.items()]}
    if isinstance(value, tuple | list):
        return {type(value).__name__: [_words(item, arrays) for item in value]}
    return value.item() if isinstance(value, np.generic) else value


def unpacked(arrays: dict[str, np.ndarray]) -> Any:
    """What was ``packed``. Raises KeyError or ValueError for anything else."""
    return _value(json.loads(str(arrays["words"])), arrays)


def _value(word: Any, arrays: dict[str, np.ndarray]) -> Any:
    if not isinstance(word, dict):
        return word
    if "array" in word:
        return arrays[word["array"]]
    if "record" in word:
        return KINDS[word["record"]](**{name: _value(item, arrays) for name, item in word["fields"]})
    if "dict" in word:
        return {key: _value(item, arrays) for key, item in word["dict"]}
    items = [_value(item, arrays) for item in word.get("tuple", word.get("list", ()))]
    return tuple(items) if "tuple" in word else items
