"""RELION's tables of micrographs and of picks in them, and where the particles of a table lie in theirs.

Owns the join of picks with their micrographs, and the pixel in which coordinates count.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from halfmap.data import image_names, relion_writing
from halfmap.data.particles import Particles
from halfmap.data.relion_columns import (
    BOX,
    COORDINATES,
    DIMENSIONS,
    GROUP,
    IMAGE,
    LIMITS,
    MICROGRAPH,
    MICROGRAPH_PIXEL,
    PIXEL,
    PREMULTIPLIED,
    VERSION,
    shown,
)
from halfmap.data.relion_table import Table
from halfmap.errors import InputError
from halfmap.io import faults, star


def positions(particles: Particles) -> tuple[np.ndarray, np.ndarray] | None:
    """((n,) number of the micrograph, (n, 2) x, y of the particle in it, A); None where the table does not tell.

    The picked coordinate less the shift, which is where the particle was found.
    """
    columns = particles.columns
    if not all(tag in columns for tag in (MICROGRAPH, *COORDINATES)):
        return None
    block = star.Block("particles", columns)
    pixels = np.stack([block.measures(tag) for tag in COORDINATES], axis=-1)
    places_A = pixels * micrograph_pixel_A(particles)[:, None]
    if particles.poses is not None:
        places_A = places_A - particles.poses.shifts_A
    return np.unique(block.texts(MICROGRAPH), return_inverse=True)[1], places_A


def recentred(particles: Particles, moved_A: np.ndarray) -> dict[str, np.ndarray]:
    """The columns, their coordinates in the micrograph moved by -``moved_A`` (n, 2); as they are where there are none.

    What the centre of the box moves by, the shift of the particle loses.
    """
    columns = particles.columns
    if not all(tag in columns for tag in COORDINATES):
        return columns
    pixels = np.asarray(moved_A) / micrograph_pixel_A(particles)[:, None]
    block = star.Block("particles", columns)
    return columns | {tag: np.round(block.measures(tag) - step, 6)
                      for tag, step in zip(COORDINATES, pixels.T, strict=True)}  # fmt: skip


def with_micrograph_pixel(particles: Particles, sizes_A: np.ndarray) -> Particles:
    """The particles, the pixel size (groups,) of their micrographs told in a column of the optics table."""
    own = particles.optics_columns
    columns, shared = (particles.columns, own) if own else relion_writing.columns_of(particles)
    return replace(particles, columns=columns, optics_columns=shared | {MICROGRAPH_PIXEL[0]: np.asarray(sizes_A)})


def picked(coordinates: str | Path, micrographs: str | Path) -> Particles:
    """Particles of a table of picked coordinates, with the CTF and optics of their micrographs, files as written.

    Raises: InputError with every fault of both tables, and where a pick names a micrograph that has no entry.
    """
    picks, (block, optics) = _picks(coordinates), _micrographs(micrographs)
    rows = _rows_of_micrographs(picks, block)
    own = {tag: values for tag, values in picks.columns.items() if tag not in (IMAGE, GROUP)}
    shared = {tag: values[rows] for tag, values in block.columns.items() if tag not in own}
    shared[IMAGE] = picks.texts(MICROGRAPH)
    table = Table(Path(coordinates), star.Block("particles", own | shared, source=str(micrographs)), optics)
    particles = table.particles()
    table.finish()
    return particles


def pixel_sizes_of_micrographs(micrographs: str | Path, particles: Particles, path: str | Path) -> np.ndarray:
    """(n,) pixel size of the micrograph of each particle, from the table of micrographs. Raises as ``picked``."""
    block, optics = _micrographs(micrographs)
    rows = _rows_of_micrographs(star.Block("particles", particles.columns, source=str(path)), block)
    table = Table(Path(micrographs), block, optics)
    group, entries = table._optics_31()
    table.finish()
    return np.array([entry.pixel_size_A for entry in entries])[group][rows]


def write_picks(path: str | Path, micrographs: tuple[Path, ...], which: np.ndarray, coordinates: np.ndarray) -> None:
    """A table of picked coordinates: (n,) number of the micrograph, (n, 2) x, y in its pixels."""
    places = dict(zip(COORDINATES, np.asarray(coordinates).T, strict=True))
    star.write(path, [star.Block("", {MICROGRAPH: _names(micrographs)[which], **places})])


def write_micrographs(path: str | Path, particles: Particles) -> None:
    """A table of micrographs and their CTF: ``particles`` with one row for each, its image the micrograph."""
    pixels = np.array([entry.pixel_size_A for entry in particles.optics])
    columns, shared = relion_writing.columns_of(replace(particles, poses=None, half=np.zeros_like(particles.half)))
    others = {tag: values for tag, values in columns.items() if tag not in (IMAGE, MICROGRAPH, *COORDINATES)}
    own = {MICROGRAPH: _names(particles.files)[particles.file], **others}
    shared = {tag: values for tag, values in shared.items() if tag not in (PIXEL, BOX, DIMENSIONS, PREMULTIPLIED)}
    shared |= dict.fromkeys(MICROGRAPH_PIXEL, pixels)
    star.write(path, [star.Block("optics", shared), star.Block("micrographs", own)], comment=VERSION)


def in_micrographs(particles: Particles, coordinates: np.ndarray) -> dict[str, np.ndarray]:
    """Columns that tell where particles, whose images are micrographs, are in them."""
    places = zip(COORDINATES, np.asarray(coordinates).T, strict=True)
    return {MICROGRAPH: _names(particles.files)[particles.file], **dict(places)}


def _names(files: tuple[Path, ...]) -> np.ndarray:
    return np.array([image_names.written(path) for path in files], dtype=object)


def _picks(path: str | Path) -> star.Block:
    """The table with coordinates of a file. Raises: InputError where there is none, or a coordinate is no number."""
    blocks = [b for b in star.read(path).values() if all(tag in b.columns for tag in (MICROGRAPH, *COORDINATES))]
    if not blocks:
        raise InputError(f"{path}: no table with {MICROGRAPH}, {COORDINATES[0]} and {COORDINATES[1]}")
    if not blocks[0].rows:
        raise InputError(f"{path}: no rows with {MICROGRAPH}; there is nothing to do")
    for tag in COORDINATES:
        blocks[0].measures(tag)
    return blocks[0]


def _micrographs(path: str | Path) -> tuple[star.Block, star.Block]:
    blocks = star.read(path)
    if "optics" not in blocks or MICROGRAPH not in getattr(blocks.get("micrographs"), "columns", {}):
        raise InputError(f"{path}: no data_optics and data_micrographs with {MICROGRAPH}; give the table of a CTF job")
    empty = [f"{path}: data_{name} has no rows" for name in ("micrographs", "optics") if not blocks[name].rows]
    if empty:
        raise InputError(empty)
    return blocks["micrographs"], blocks["optics"]


def _rows_of_micrographs(picks: star.Block, micrographs: star.Block) -> np.ndarray:
    """(n,) row in the table of micrographs of each pick."""
    names = {name: row for row, name in enumerate(micrographs.texts(MICROGRAPH).tolist())}
    wanted = picks.texts(MICROGRAPH).tolist()
    missing = sorted({name for name in wanted if name not in names})
    if missing:
        lines = [f"{picks.where(MICROGRAPH)}: {shown(name)} is not in {micrographs.source}; add it, or remove its "
                 f"{wanted.count(name)} particles" for name in missing]  # fmt: skip
        raise InputError(faults.capped(lines, picks.where(MICROGRAPH)))
    return np.array([names[name] for name in wanted], np.int64)


def micrograph_pixel_A(particles: Particles) -> np.ndarray:
    """(n,) pixel size of the micrographs; that of the images where the table has no other. Raises: InputError."""
    images = np.array([entry.pixel_size_A for entry in particles.optics])
    tag = next((tag for tag in MICROGRAPH_PIXEL if tag in particles.optics_columns), None)
    if tag is None:
        return images[particles.group]
    sizes = star.Block("optics", particles.optics_columns).measures(tag)
    low, high, what = LIMITS[tag]
    wrong = np.flatnonzero((sizes < low) | (sizes > high))
    if len(wrong):
        raise InputError(faults.by_row(tag, wrong, lambda row: f"{sizes[row]:g} {what}"))
    return sizes[particles.group]
