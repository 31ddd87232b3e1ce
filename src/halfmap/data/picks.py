"""Particles in micrographs: where they were picked, and the micrographs themselves.

Owns the join of a table of coordinates with a table of micrographs. The result is a particle table whose images are
the micrographs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from halfmap.data import image_names, relion_columns, relion_micrographs, tables
from halfmap.data.particles import Particles
from halfmap.data.relion_columns import MICROGRAPH
from halfmap.errors import InputError
from halfmap.io import faults, mrc, star


@dataclass(frozen=True)
class Picks:
    """``particles``: ``files`` are micrographs, every ``index`` 0; boxes and pixel sizes of the optics groups are
    those of the micrographs. ``coordinates`` (n, 2): x, y in their pixels, where the table says the box was.
    """

    particles: Particles
    coordinates: np.ndarray


def of_coordinates(coordinates: Path, micrographs: Path, images_root: Path | None) -> Picks:
    """Picks of a coordinate table, with the CTF of their micrographs.

    Raises: InputError with every fault: of both tables, micrographs without an entry, files that do not exist.
    """
    return _located(relion_micrographs.picked(coordinates, micrographs), micrographs, images_root)


def of_particles(path: Path, micrographs: Path | None, images_root: Path | None) -> Picks:
    """Picks of a particle table, with its own CTF and poses; ``micrographs`` tells their pixel size where it is given.

    Raises: InputError with every fault.
    """
    particles = tables.read_table(path)
    if relion_micrographs.positions(particles) is None:
        wanted = ", ".join((MICROGRAPH, *relion_columns.COORDINATES))
        raise InputError(f"{path}: particles are extracted again from {wanted}; give a STAR file with these columns")
    sizes = relion_micrographs.micrograph_pixel_A(particles)
    if micrographs is not None:
        sizes = relion_micrographs.pixel_sizes_of_micrographs(micrographs, particles, path)
    names = star.Block("particles", particles.columns).texts(MICROGRAPH)
    files, file, _ = image_names.split(names)
    return _located(_with_micrographs(particles, files, file, sizes, path), micrographs or path, images_root)


def _with_micrographs(particles: Particles, files, file: np.ndarray, sizes_A: np.ndarray, path: Path) -> Particles:
    """The particles, their images the micrographs, of one pixel size in an optics group."""
    of_group = {int(g): np.unique(sizes_A[particles.group == g]) for g in np.unique(particles.group)}
    if any(len(found) > 1 for found in of_group.values()):
        raise InputError(f"{path}: micrographs of different pixel sizes in one optics group; split the group")
    optics = tuple(
        replace(entry, pixel_size_A=float(of_group[g][0])) if g in of_group else entry
        for g, entry in enumerate(particles.optics)
    )
    index = np.zeros(len(particles), np.int64)
    return relion_micrographs.with_micrograph_pixel(
        tables.with_images(particles, files, file.astype(np.int32), index, optics),
        np.array([entry.pixel_size_A for entry in optics]),
    )


def _located(particles: Particles, table: Path, images_root: Path | None) -> Picks:
    files, missing = image_names.resolve(particles, table, images_root, f"{table}: {MICROGRAPH}")
    if missing:
        raise InputError(missing)
    particles = replace(particles, files=files)
    block = star.Block("particles", particles.columns, source=str(table))
    return Picks(particles, np.stack([block.measures(tag) for tag in relion_columns.COORDINATES], axis=-1))


def sizes(picks: Picks) -> np.ndarray:
    """(micrographs, 2) width and height in pixels. Raises: InputError naming every micrograph that cannot be read."""
    found, bad = np.zeros((len(picks.particles.files), 2), np.int64), []
    for number, path in enumerate(picks.particles.files):
        try:
            header = mrc.read_header(path)
        except InputError as error:
            bad += error.faults
            continue
        found[number] = header.nx, header.ny
        if header.nz != 1:
            bad.append(f"{path}: {header.nz} sections; this is no micrograph but a movie or a stack")
    if bad:
        raise InputError(faults.capped(bad, "micrographs"))
    return found
