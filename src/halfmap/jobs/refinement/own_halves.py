"""Whether particles and half-maps belong to one split: a particle never meets a map it has helped to make.

Owns what tells of it without looking at a density: the names of the half-maps, and the particles of the job that made
them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from halfmap.data import relion
from halfmap.data.particles import UNASSIGNED, Particles
from halfmap.errors import InputError
from halfmap.params.local import Local

TABLE = "particles.star"
_SECOND, _FIRST = (re.compile(rf"half_?{letter}", re.IGNORECASE) for letter in ("[2b]", "[1a]"))


def check(particles: Particles, params: Local, half1: Path, half2: Path, watch: Callable[..., None]) -> None:
    """Raises InputError where a particle belongs to the other half-map than that of its half-set."""
    if _SECOND.search(half1.name) and _FIRST.search(half2.name):
        raise InputError(f"--half1 {half1}, --half2 {half2}: by their names they are exchanged; each half-set would be "
                         "refined against the map of the other, and the FSC would be too good")  # fmt: skip
    table = half1.parent / TABLE
    if not table.is_file():
        return
    try:
        theirs = relion.read(table, params.images_root)
    except InputError as fault:
        watch("warning", message=f"whether the half-maps are of these half-sets could not be checked: {fault}")
        return
    count, both = other_half(particles, theirs)
    if count:
        raise InputError(f"{table}: {count:,} of the {both:,} particles it has in common with those given are in the "
                         "other half-set there: they have made the half-map that they would be refined against; give "
                         "the particles of that job, or half-maps of these half-sets")  # fmt: skip


def other_half(a: Particles, b: Particles) -> tuple[int, int]:
    """(images in another half-set of ``b`` than of ``a``, images with a half-set in both tables)."""
    ours, theirs = _images(a, b)
    _, mine, its = np.intersect1d(ours, theirs, return_indices=True)
    mine, its = a.half[mine], b.half[its]
    known = (mine != UNASSIGNED) & (its != UNASSIGNED)
    return int(np.count_nonzero(mine[known] != its[known])), int(np.count_nonzero(known))


def _images(a: Particles, b: Particles) -> tuple[np.ndarray, np.ndarray]:
    """A number for the image of every row of both tables, the same for the same image, wherever it was seen from."""
    paths = [[os.path.realpath(path) for path in table.files] for table in (a, b)]
    number = {path: place for place, path in enumerate(sorted({*paths[0], *paths[1]}))}
    most = max(int(table.index.max(initial=0)) for table in (a, b)) + 1
    return tuple(np.array([number[path] for path in mine], np.int64)[table.file] * most + table.index
                 for mine, table in zip(paths, (a, b), strict=True))  # fmt: skip
