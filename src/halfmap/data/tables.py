"""Particle tables of any kind: which reader a file needs.

Owns the choice alone; the meaning of the columns is in ``relion`` and ``cryosparc``. A table that was of one kind may
carry columns of the other, so both are asked about what is ignored, poses and positions.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from halfmap.data import cryosparc, image_names, relion, relion_micrographs
from halfmap.data.particles import Particles
from halfmap.data.relion_micrographs import micrograph_pixel_A
from halfmap.errors import InputError
from halfmap.io import cs
from halfmap.types import Optics


def read(path: str | Path, images_root: Path | None = None, passthrough: Path | None = None) -> Particles:
    """Particles of a STAR or ``.cs`` file, their stacks found. Raises: InputError with every fault."""
    if _is_cryosparc(path, passthrough):
        return cryosparc.read(path, images_root, passthrough)
    return relion.read(path, images_root)


def read_table(path: str | Path, passthrough: Path | None = None) -> Particles:
    """The same without looking for images: ``files`` as written, ``box`` 0 where the file does not say it."""
    if _is_cryosparc(path, passthrough):
        return cryosparc.read_table(path, passthrough)
    return relion.read_table(path)


def located(particles: Particles, path: str | Path, images_root: Path | None) -> tuple[Particles, list[str]]:
    """(``particles`` of ``read_table`` with their stacks found where they exist, one fault for each that does not)."""
    files, missing = image_names.resolve(particles, path, images_root, str(path))
    return relion.with_boxes(replace(particles, files=files), missing), missing


def unmodelled(particles: Particles) -> list[str]:
    """Warnings: what the table says about the images and halfmap ignores. Plain sentences."""
    return list(dict.fromkeys([*relion.unmodelled(particles), *cryosparc.unmodelled(particles)]))


def without_poses(particles: Particles) -> Particles:
    """The particles without rotations and shifts."""
    return replace(particles, poses=None, columns=cryosparc.without_poses(relion.without_poses(particles.columns)))


def with_images(particles: Particles, files: tuple[Path, ...], file: np.ndarray, index: np.ndarray,
                optics: tuple[Optics, ...]) -> Particles:  # fmt: skip
    """The particles with new images. Shifts are in A and stay; the pixel size of the micrographs is kept in mind."""
    before = micrograph_pixel_A(particles)
    moved = replace(particles, files=files, file=file, index=index, optics=optics,
                    columns=cryosparc.without_images(particles.columns))  # fmt: skip
    if relion_micrographs.positions(particles) is None or np.array_equal(before, micrograph_pixel_A(moved)):
        return moved
    rows = [np.flatnonzero(particles.group == group)[:1] for group in range(len(optics))]
    sizes = [before[row[0]] if len(row) else optics[group].pixel_size_A for group, row in enumerate(rows)]
    return relion_micrographs.with_micrograph_pixel(moved, np.array(sizes))


def positions(particles: Particles) -> tuple[np.ndarray, np.ndarray] | None:
    """((n,) number of the micrograph, (n, 2) x, y of the particle in it, A); None where the table does not tell."""
    found = relion_micrographs.positions(particles)
    return cryosparc.positions(particles) if found is None else found


def _is_cryosparc(path: str | Path, passthrough: Path | None) -> bool:
    """Raises: InputError for a description of tables (.csg), and for a passthrough file beside a STAR file."""
    suffix = Path(path).suffix
    if suffix == ".csg":
        raise InputError(f"{path}: this describes a result of cryoSPARC; give the particle table (.cs) that it names")
    is_cs = suffix == ".cs" or cs.is_table(path)
    if passthrough is not None and not is_cs:
        raise InputError(f"{passthrough}: a passthrough file belongs to a .cs table, and {path} is none; leave it out")
    return is_cs
