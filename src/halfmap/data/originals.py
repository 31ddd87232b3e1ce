"""The way back from changed images to those they were made of: remembered in columns, exactly.

Owns which columns hold it: the name of the image in RELION's own column for it; box, pixel size and pose in columns of
our own, one value a particle, since optics groups may be split or joined on the way.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from halfmap.data import image_names
from halfmap.data.particles import Particles
from halfmap.data.relion_columns import ORIGINAL_IMAGE
from halfmap.errors import InputError
from halfmap.io import faults, star
from halfmap.types import Optics, Poses

BOX, PIXEL = "halfmapOriginalImageSize", "halfmapOriginalImagePixelSize"
ROTATION = tuple(f"halfmapOriginalRotation{row}{column}" for row in range(3) for column in range(3))
SHIFT = ("halfmapOriginalShiftXAngst", "halfmapOriginalShiftYAngst")


def remembered(particles: Particles) -> Particles:
    """The particles with their images, boxes and poses noted down; what is noted already stays as it is."""
    if ORIGINAL_IMAGE in particles.columns:
        return particles
    sizes = np.array([(entry.box, entry.pixel_size_A) for entry in particles.optics])[particles.group]
    columns = {ORIGINAL_IMAGE: image_names.join(particles.files, particles.file, particles.index)}
    columns |= {BOX: sizes[:, 0].astype(np.int64), PIXEL: _exact(sizes[:, 1:])[0]}
    if particles.poses is not None:
        columns |= dict(zip(ROTATION, _exact(particles.poses.rotations.reshape(-1, 9)), strict=True))
        columns |= dict(zip(SHIFT, _exact(particles.poses.shifts_A), strict=True))
    return replace(particles, columns=particles.columns | columns)


def reverted(particles: Particles, poses: bool, path: str | Path, images_root: Path | None = None) -> Particles:
    """The particles with the images noted down, and the columns that held them gone; ``poses``: their poses, too.

    ``path``: of the table, where images are looked for from. Raises InputError without such columns, or without the
    images.
    """
    if ORIGINAL_IMAGE not in particles.columns:
        raise InputError(f"{path}: {ORIGINAL_IMAGE}: column missing: these particles were not made by a subtraction")
    block = star.Block("particles", particles.columns, source=str(path))
    files, file, number = image_names.split(block.texts(ORIGINAL_IMAGE))
    wrong = np.flatnonzero(number < 1)
    if len(wrong):
        raise InputError(faults.by_row(f"{path}: {ORIGINAL_IMAGE}", wrong, lambda row: "not of the form number@stack"))
    back = replace(particles, files=files, file=file, index=number - 1, optics=_optics(particles, block))
    if poses and ROTATION[0] in particles.columns:
        rotations = np.stack([block.measures(tag) for tag in ROTATION], axis=-1).reshape(-1, 3, 3)
        back = replace(back, poses=Poses(rotations, np.stack([block.measures(tag) for tag in SHIFT], axis=-1)))
    found, missing = image_names.resolve(back, path, images_root, f"{path}: {ORIGINAL_IMAGE}")
    if missing:
        raise InputError(missing)
    gone = (ORIGINAL_IMAGE, BOX, PIXEL, *ROTATION, *SHIFT)
    return replace(back, files=found, columns={tag: v for tag, v in back.columns.items() if tag not in gone})


def _optics(particles: Particles, block: star.Block) -> tuple[Optics, ...]:
    if BOX not in particles.columns:
        return particles.optics
    boxes, pixels = block.integers(BOX), block.measures(PIXEL)
    first = {group: int(np.argmax(particles.group == group)) for group in np.unique(particles.group)}
    return tuple(
        replace(entry, box=int(boxes[first[g]]), pixel_size_A=float(pixels[first[g]])) if g in first else entry
        for g, entry in enumerate(particles.optics)
    )


def _exact(values: np.ndarray) -> list[np.ndarray]:
    """Columns of text that gives the same doubles again."""
    return [np.array([f"{value:.17g}".encode() for value in column]) for column in values.T.tolist()]
