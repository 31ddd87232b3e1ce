"""The numbers by which cryoSPARC knows particles, and those of the particles that copies were made of.

Owns how a number is made for a particle that has none: from the name of its image.
"""

from __future__ import annotations

import hashlib
import os

import numpy as np

from halfmap.data import carried
from halfmap.data.cryosparc_fields import (
    MATE,
    PARENT,
    SOURCE_UID,
    UID,
    of_columns,
)
from halfmap.data.particles import Particles
from halfmap.io import faults


def uids(particles: Particles) -> np.ndarray:
    """(n,) uint64: those of the table, else those that a ``.cs`` of it would have."""
    fields = of_columns(particles.columns, (UID,))
    return fields[UID] if UID in fields else uids_of_images(particles)


def uids_of_copies(uid: np.ndarray, copy: np.ndarray) -> np.ndarray:
    """(n,) uint64 of the copies (numbered ``copy``) of particles."""
    return np.array([hashed(f"{u}~{c}") for u, c in zip(uid.tolist(), copy.tolist(), strict=True)], np.uint64)


def with_uids(columns: dict[str, np.ndarray], uid: np.ndarray) -> dict[str, np.ndarray]:
    """The columns with these uids, where they are a ``.cs`` table; others get theirs when they become one."""
    return columns | dict.fromkeys(carried.fields_named(columns, (UID,)), uid)


def parents(particles: Particles) -> np.ndarray | None:
    """(n,) uint64 uid of the particle that each row is a symmetry copy of; None where nothing is told of it."""
    if PARENT in particles.columns:
        return whole_numbers(particles.columns[PARENT])
    return of_columns(particles.columns, (SOURCE_UID,)).get(SOURCE_UID)


def copy_faults(columns: dict[str, np.ndarray], source: str) -> list[str]:
    """Rows whose columns PARENT and MATE do not say which particle they are a copy of, and which copy."""
    advice = f"is no number of a particle; where rows are no symmetry copies, remove {PARENT} and {MATE}"
    lines = []
    for tag in (PARENT, MATE):
        values = columns.get(tag, np.zeros(0, np.uint64))
        if values.dtype.kind not in "iu":
            texts = values.tolist()
            wrong = [row for row, text in enumerate(texts) if _whole_number(text) is None]
            lines += faults.by_row(f"{source}: {tag}", wrong, lambda row, texts=texts: f"{texts[row]!r} {advice}")
    return lines


def whole_numbers(column: np.ndarray) -> np.ndarray:
    """(n,) uint64 of numbers or their text, see ``copy_faults``; a float64 would lose the last digits."""
    if column.dtype.kind in "iu":
        return column.astype(np.uint64)
    return np.array([_whole_number(value) for value in column.tolist()], np.uint64)


def _whole_number(value: bytes | str) -> int | None:
    try:
        number = int(value)
    except ValueError:
        return None
    return number if 0 <= number < 1 << 64 else None


def uids_of_images(particles: Particles) -> np.ndarray:
    """(n,) uint64: the same for the same image in every table; rows that repeat an image are counted."""
    seen: dict[tuple[int, int], int] = {}
    uid = np.empty(len(particles), dtype=np.uint64)
    kind = "~" if PARENT in particles.columns else ""  # a copy is not its parent
    for row, image in enumerate(zip(particles.file.tolist(), particles.index.tolist(), strict=True)):
        seen[image] = seen.get(image, 0) + 1
        uid[row] = hashed(f"{image[1]}@{particles.files[image[0]]}#{seen[image]}{kind}")
    return uid


def hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(os.fsencode(text), digest_size=8).digest(), "little")
