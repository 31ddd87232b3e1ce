"""Names of images, ``000012@stack.mrcs``: taken apart, found on the disk, written again.

Owns where image files are looked for; knows no column names.

Where images are looked for, first found wins: ``images_root`` where given; the current directory, as RELION does;
the folder of the STAR file; the folders above it, nearest first. The last one finds the images of a RELION project
(names relative to the project, STAR files in Refine3D/job012) from any directory.
How image names are written: relative to the current directory, or another root, where the stack lies below it, so that
RELION run from the same directory finds it; else absolute. Inside a project its root takes the place of the current
directory: tables then lead to their images from every folder of it, also after it was moved.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from halfmap import PROJECT_MARKER
from halfmap.data.particles import Particles
from halfmap.io import faults


def split(names: np.ndarray) -> tuple[tuple[Path, ...], np.ndarray, np.ndarray]:
    """(n,) bytes -> (files, (n,) int32 file of each row, (n,) number as written, from 1).

    A name without @ is the first image of its file; the number is 0 where it is not a whole number.
    """
    names = names.astype("S") if names.dtype.kind != "S" else names
    text = np.ascontiguousarray(names).view(np.uint8).reshape(len(names), -1)
    at = _position_of_at(text)
    number = np.ones(len(names), dtype=np.int64)
    file = np.empty(len(names), dtype=np.int32)
    known: dict[bytes, int] = {}
    for position in np.unique(at):
        rows = np.flatnonzero(at == position)
        here = text if len(rows) == len(text) else text[rows]
        if position >= 0:
            number[rows] = _image_numbers(here[:, :position])
        file[rows] = _interned(_as_bytes(here[:, position + 1 :]), known)
    return tuple(Path(os.fsdecode(name)) for name in known), file, number


def join(files: tuple[Path, ...], file: np.ndarray, index: np.ndarray, root: Path | None = None) -> np.ndarray:
    """(n,) names as they are written; ``index`` counts from 0."""
    names = [written(path, root) for path in files]
    texts = [f"{i + 1:06d}@{names[f]}" for i, f in zip(index.tolist(), file.tolist(), strict=True)]
    if any(" " in name for name in names):
        return np.array(texts, dtype=object)  # STAR quotes these
    return np.array([os.fsencode(text) for text in texts], dtype="S")


def written(file: Path, root: Path | None = None) -> str:
    """The name of a file as it is written: relative below ``root``, else absolute.

    None: below the project the current directory lies in, or below that directory.
    """
    here, absolute = Path(os.path.abspath(root)) if root else _root(), Path(os.path.abspath(file))
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)


def _root() -> Path:
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if os.path.isfile(folder / PROJECT_MARKER)), here)


def resolve(
    particles: Particles, path: str | Path, images_root: Path | None, where: str
) -> tuple[tuple[Path, ...], list[str]]:
    """(absolute files, faults); a file that is nowhere stays as written and makes one fault.

    ``path``: the STAR file that names them; ``where``: how the faults begin.
    """
    if not particles.files:
        return (), []
    folders = _folders(Path(path), images_root)
    found = [_find(file, folders) for file in particles.files]
    counts = np.bincount(particles.file, minlength=len(found))
    first = np.full(len(found), len(particles), dtype=np.int64)
    np.minimum.at(first, particles.file, np.arange(len(particles)))
    looked = ", ".join(map(str, folders[:3]))
    lines = [
        f"{where}: row {first[i] + 1}: no file {particles.files[i]}, used by {counts[i]:,} particles (looked in "
        f"{looked} and above); copy it there or give the images root"
        for i in range(len(found))
        if found[i] is None
    ]
    files = tuple(file or original for file, original in zip(found, particles.files, strict=True))
    return files, faults.capped(lines, where)


def _position_of_at(text: np.ndarray) -> np.ndarray:
    """(n,) column of the first @ in (n, width) ASCII; -1 where there is none."""
    hits = text == ord("@")
    at = np.argmax(hits, axis=1)
    return np.where(hits[np.arange(len(text)), at], at, -1)


def _as_bytes(text: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(text).view(f"S{text.shape[1]}")[:, 0] if text.shape[1] else np.zeros(len(text), "S1")


def _image_numbers(text: np.ndarray) -> np.ndarray:
    """(n,) whole numbers of (n, width) ASCII digits; 0 where there is anything else."""
    digits = text.astype(np.int64) - ord("0")
    powers = 10 ** np.arange(text.shape[1] - 1, -1, -1) if text.shape[1] <= 18 else np.zeros(text.shape[1], np.int64)
    return np.where(np.all((digits >= 0) & (digits <= 9), axis=1), digits @ powers, 0)


def _interned(names: np.ndarray, known: dict[bytes, int]) -> np.ndarray:
    """Number of each name in ``known``, which grows. Neighbours mostly share a stack: only changes are looked up."""
    starts = np.concatenate([[0], np.flatnonzero(names[1:] != names[:-1]) + 1])
    numbers = [known.setdefault(name, len(known)) for name in names[starts].tolist()]
    return np.repeat(numbers, np.diff([*starts, len(names)]))


def _folders(path: Path, images_root: Path | None) -> list[Path]:
    home = Path(os.path.abspath(path)).parent
    roots = [Path(os.path.abspath(images_root))] if images_root is not None else []
    return list(dict.fromkeys([*roots, Path.cwd(), home, *home.parents]))


def _find(file: Path, folders: list[Path]) -> Path | None:
    candidates = [file] if file.is_absolute() else [folder / file for folder in folders]
    return next((Path(os.path.abspath(name)) for name in candidates if os.path.isfile(name)), None)
