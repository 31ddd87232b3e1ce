"""The folders that checkpoints are kept in: ``checkpoints/it_003/`` with a manifest of what they hold.

Those of an iteration are called ``it_003``, those of the steps of maps that grow from nothing ``growth_020``. Of each
kind the right ones stay; another job goes on from those of an iteration only. Owns their names, the manifest with its
SHA-256, which of them stay and which one a user means. What is in them is the affair of ``checkpoint`` and ``growths``;
no numerics here.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from halfmap.errors import InputError
from halfmap.io import atomic, digest

FOLDER = "checkpoints"
MANIFEST = "manifest.json"
LAYOUT = 5  # number of the layout; a checkpoint with another one is not read
LAST = 2  # that stay: the newest, and one more in case a disk loses it
ITERATION, GROWTH = "it", "growth"  # kinds: what their names begin with
_NAME = re.compile(rf"({ITERATION}|{GROWTH})_(\d{{3,}})")


def path_of(job: Path, number: int, kind: str = ITERATION) -> Path:
    """Where the checkpoint of an iteration, or of so many steps, lies or would."""
    return job / FOLDER / f"{kind}_{number:03d}"


def listed(job: Path, kind: str = ITERATION) -> list[Path]:
    """All checkpoints of a kind in a job folder, oldest first."""
    places = (job / FOLDER).iterdir() if (job / FOLDER).is_dir() else ()
    return sorted((place for place in places if _kind_of(place) == kind), key=iteration_of)


def newest_name(job: Path) -> str:
    """Name of the newest checkpoint in a job folder, empty where there is none. Growths come before iterations."""
    places = [*listed(job, GROWTH), *listed(job)]
    return places[-1].name if places else ""


def iteration_of(place: Path) -> int:
    """The number in the name of a checkpoint."""
    return int(_NAME.fullmatch(place.name)[2])


def _kind_of(place: Path) -> str | None:
    found = _NAME.fullmatch(place.name)
    return found[1] if found else None


def seal(place: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest of the files in ``place``: their sizes and SHA-256, and ``facts`` beside."""
    files = {path.name: {"bytes": path.stat().st_size, "sha256": digest.sha256(path)}
             for path in sorted(place.iterdir())}  # fmt: skip
    (place / MANIFEST).write_text(json.dumps({"layout": LAYOUT, **facts, "files": files}, indent=1) + "\n")


def verified(place: Path) -> dict[str, Any]:
    """The manifest of a checkpoint whose every file is what it says. Raises InputError, with the first that is not."""
    manifest = _manifest(place)
    if manifest.get("layout") != LAYOUT:
        raise InputError(f"{place}: a checkpoint of layout {manifest.get('layout')}, this version reads {LAYOUT}; go "
                         f"on with halfmap {manifest.get('halfmap', 'of the version that wrote it')}")  # fmt: skip
    for name, told in manifest["files"].items():
        path = place / name
        if not path.is_file() or path.stat().st_size != told["bytes"] or digest.sha256(path) != told["sha256"]:
            raise InputError(f"{path}: not what {MANIFEST} says: the checkpoint is damaged")
    return manifest


def retire(job: Path, kind: str = ITERATION) -> None:
    """Remove all of a kind but the last two and the best: that of the finest resolution, among equals of the largest
    FSC area.
    """
    places = listed(job, kind)
    stay = {*places[-LAST:], *([max(places, key=_merit)] if places else [])}
    for place in places:
        if place not in stay:
            shutil.rmtree(place, ignore_errors=True)


def chosen(place: Path, iteration: int | None = None) -> Path:
    """The checkpoint that a user means by a job folder (its newest that verifies, or that of ``iteration``), by the
    folder of one or by its manifest, whatever ``iteration`` says then. Raises InputError where there is none, or it is
    damaged.
    """
    place = Path(place)
    place = place.parent if place.name == MANIFEST else place
    if _kind_of(place) == GROWTH:
        raise InputError(f"{place}: a checkpoint of a map that grows; only iterations can be gone on from in another "
                         f"job, {_there_are(place)}")
    if _kind_of(place):
        iteration = None
    if iteration is not None:
        place = path_of(place, iteration)
    if (place / MANIFEST).is_file():
        verified(place)
        return place
    if iteration is not None or not listed(place):
        raise InputError(f"{place}: no checkpoint in there; {_there_are(place)}")
    for newest in reversed(listed(place)):
        try:
            verified(newest)
        except InputError as fault:
            last = fault
        else:
            return newest
    raise last


def _there_are(place: Path) -> str:
    job = place.parent.parent if _kind_of(place) else place
    names = ", ".join(each.name for each in listed(job))
    return f"there are {names} (--keep-checkpoints all keeps every one)" if names else "name a job that has some"


def _manifest(place: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((place / MANIFEST).read_text())
        whole = isinstance(manifest["files"], dict)
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise InputError(f"{place / MANIFEST}: cannot be read ({fault}): the checkpoint is damaged") from fault
    if not whole:
        raise InputError(f"{place / MANIFEST}: names no files: the checkpoint is damaged")
    return manifest


def _merit(place: Path) -> tuple[float, float]:
    """Larger is better; a damaged checkpoint is worth nothing."""
    try:
        manifest = _manifest(place)
    except InputError:
        return -float("inf"), 0.0
    return -float(manifest.get("resolution_A") or float("inf")), float(manifest.get("fsc_area") or 0.0)


def writing(job: Path, number: int, needed_bytes: int, kind: str = ITERATION):
    """The folder of a new checkpoint, as ``atomic.folder``."""
    (job / FOLDER).mkdir(exist_ok=True)
    return atomic.folder(path_of(job, number, kind), needed_bytes)
