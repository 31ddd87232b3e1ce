"""Images that come in batches, as stacks on the disk: one file for each kind of box and pixel size.

Owns the names of the files and which image of which file a particle became. A stack appears whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from halfmap.data import tables
from halfmap.data.particles import Particles
from halfmap.data.stack import faulty
from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.types import Optics

STACK, FURTHER = "particles.mrcs", "stacks"  # the first stack; folder of those of other sizes
UNUSABLE = "image has NaN, infinite or huge pixels, or is constant"

Batch = tuple[np.ndarray, np.ndarray]  # rows (b,) of the table, images (b, N, N)


@dataclass
class Rejects:
    """Rows that have no new image, each with the reason."""

    reasons: dict[int, str] = field(default_factory=dict)

    def add(self, rows: np.ndarray, reason: str) -> None:
        self.reasons.update(dict.fromkeys(rows.tolist(), reason))

    @property
    def listed(self) -> tuple[tuple[int, str], ...]:
        return tuple(sorted(self.reasons.items()))

    def usable(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches without images of NaN, infinite, huge or constant pixels, which are noted down."""
        for rows, images in batches:
            bad = faulty(images)
            self.add(rows[bad], UNUSABLE)
            if not bad.all():
                yield (rows[~bad], images[~bad]) if bad.any() else (rows, images)


def write(folder: Path, particles: Particles, optics: tuple[Optics, ...], mode: int,
          stream: Callable[[np.ndarray], Iterator[Batch]]) -> tuple[Particles, np.ndarray]:  # fmt: skip
    """Write the images of ``stream(rows)``, which may leave rows out; returns the particles that have one, and (n,)
    their rows in ``particles``.

    ``optics``: of the groups, with the box and pixel size of the new images. ``mode`` of MRC: 2 float32, 12 float16.
    Raises: InputError where not one image came.
    """
    files, parts = [], []
    for rows in _kinds(particles, optics):
        batches = stream(rows)
        first = next(batches, None)
        if first is None:
            continue  # not one image of this kind could be used
        path = folder / STACK if not files else folder / FURTHER / f"particles_{len(files) + 1}.mrcs"
        path.parent.mkdir(exist_ok=True)
        written: list[np.ndarray] = []
        pixel_size_A = optics[particles.group[rows[0]]].pixel_size_A
        mrc.write_stack(path, _noted(chain([first], batches), written), pixel_size_A, mode)
        files.append(path)
        parts.append(np.concatenate(written))
    if not files:
        raise InputError(f"{folder / STACK}: not one particle is left to write")
    return _table(particles, optics, tuple(files), parts)


def _kinds(particles: Particles, optics: tuple[Optics, ...]) -> list[np.ndarray]:
    """Rows of each kind of box and pixel size that is used."""
    kinds = sorted({(optics[g].box, optics[g].pixel_size_A) for g in np.unique(particles.group)}, reverse=True)
    of_group = np.array([kinds.index((o.box, o.pixel_size_A)) if (o.box, o.pixel_size_A) in kinds else -1
                         for o in optics])  # fmt: skip
    return [np.flatnonzero(of_group[particles.group] == kind) for kind in range(len(kinds))]


def _noted(batches: Iterable[Batch], written: list[np.ndarray]) -> Iterator[np.ndarray]:
    for rows, images in batches:
        written.append(rows)
        yield images


def _table(particles: Particles, optics, files: tuple[Path, ...], parts: list[np.ndarray]):
    file, index = (np.full(len(particles), -1, kind) for kind in (np.int32, np.int64))
    for number, rows in enumerate(parts):
        file[rows], index[rows] = number, np.arange(len(rows))
    kept = np.flatnonzero(file >= 0)
    return tables.with_images(particles[kept], files, file[kept], index[kept], optics), kept
