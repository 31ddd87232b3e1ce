"""RELION's particle files: STAR 3.0 and 3.1 to 5 -> ``Particles`` -> STAR 3.1.

Owns the files as wholes: reading, writing, and what halfmap ignores of them. The meaning of the columns is in
``relion_table`` and ``relion_writing``, their names in ``relion_columns``, picks and micrographs in
``relion_micrographs``. Where images are looked for and how their names are written: ``image_names``.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from halfmap.data import image_names
from halfmap.data.particles import Particles
from halfmap.data.relion_columns import (
    DEFOCUS,
    EULER,
    GROUP,
    IMAGE,
    MTF,
    MTF_COLUMNS,
    ORIGIN_A,
    ORIGIN_PX,
    PIXEL_30,
    UNMODELLED,
    VERSION,
    VOLTAGE,
)
from halfmap.data.relion_table import Table
from halfmap.data.relion_writing import differs, optics_columns, particle_columns
from halfmap.errors import InputError
from halfmap.geometry import rotations
from halfmap.io import faults, mrc, star
from halfmap.types import Poses


def read(path: str | Path, images_root: Path | None = None) -> Particles:
    """Particles of a STAR file, their stacks found (absolute paths).

    Raises: InputError with every fault of the file: syntax, missing columns, text in numbers, unknown optics groups,
    image files that do not exist. The image files themselves are checked by ``stack.check``.
    """
    table = Table.load(path)
    written = table.particles()
    files, missing = image_names.resolve(written, path, images_root, f"{path}: {IMAGE}")
    table.faults += missing
    particles = with_boxes(replace(written, files=files), table.faults)
    table.finish()
    return particles


def read_table(path: str | Path) -> Particles:
    """The same without looking for images: ``files`` as written, ``box`` 0 where the file does not say it.

    For comparing tables. Raises: InputError with every fault of the table.
    """
    table = Table.load(path)
    particles = table.particles()
    table.finish()
    return particles


def write(path: str | Path, particles: Particles, extra: dict[str, np.ndarray] | None = None,
          root: Path | None = None) -> None:  # fmt: skip
    """Write STAR 3.1: an optics table and a particle table, whole or not at all.

    Columns of the input stay where they were, character by character, unless their value changed; new ones follow.
    ``extra``: further (n,) columns by our names, see ``EXTRA``. ``root``: the folder that image names start from.
    """
    optics = star.Block("optics", optics_columns(particles))
    table = star.Block("particles", particle_columns(particles, extra or {}, root))
    star.write(path, [optics, table], comment=VERSION)


def read_mtf(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """(frequency in 1/pixel, value) of a detector's MTF, both (n,) float64, frequencies rising.

    Raises InputError for a file without such a table, and naming the rows that are out of order or not positive.
    """
    blocks = [block for block in star.read(path).values() if MTF_COLUMNS[0] in block.columns]
    if len(blocks) != 1 or blocks[0].rows < 2:
        raise InputError(f"{path}: {MTF_COLUMNS[0]}: no table with this column and two rows or more; give an MTF file")
    frequency, value = (blocks[0].measures(tag) for tag in MTF_COLUMNS)
    unordered = np.flatnonzero(~(np.diff(frequency, prepend=-1.0) > 0) | (frequency < 0))
    unusable = np.flatnonzero(~(value > 0))
    wrong = [
        *faults.by_row(f"{path}: {MTF_COLUMNS[0]}", unordered, lambda row: f"{frequency[row]:g} does not rise"),
        *faults.by_row(f"{path}: {MTF_COLUMNS[1]}", unusable, lambda row: f"{value[row]:g} is not positive"),
    ]
    if wrong:
        raise InputError(wrong)
    return frequency, value


def is_complete(columns: dict[str, np.ndarray], optics_columns: dict[str, np.ndarray]) -> bool:
    """Whether these columns are a table that ``interpreted`` understands."""
    needed = (IMAGE, DEFOCUS[0], GROUP) if optics_columns else (IMAGE, DEFOCUS[0], VOLTAGE)
    return all(tag in columns for tag in needed)


def interpreted(columns: dict[str, np.ndarray], optics_columns: dict[str, np.ndarray], source: str) -> Particles:
    """Particles of columns that did not come by a STAR file; those of the optics table empty for the form of 3.0.

    Raises: InputError with every fault, each beginning with ``source``.
    """
    optics = star.Block("optics", optics_columns, source=source) if optics_columns else None
    table = Table(Path(source), star.Block("particles", columns, source=source), optics)
    particles = table.particles()
    table.finish()
    return particles


def without_poses(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns without angles and origins."""
    return {tag: values for tag, values in columns.items() if tag not in (*EULER, *ORIGIN_A, *ORIGIN_PX)}


def write_templates(path: str | Path, stack: Path, poses: Poses, pixel_size_A: float) -> None:
    """A STAR file of images that are projections: their names, views and pixel size; they have no CTF."""
    n = len(poses)
    names = image_names.join((stack,), np.zeros(n, np.int32), np.arange(n))
    angles = dict(zip(EULER, rotations.matrix_to_euler(poses.rotations), strict=True))
    star.write(path, [star.Block("", {IMAGE: names, **angles, PIXEL_30[1]: np.full(n, pixel_size_A)})])


def unmodelled(particles: Particles) -> list[str]:
    """Warnings: what the file says about the images and halfmap ignores or may read differently. Plain sentences."""
    columns = {**particles.columns, **particles.optics_columns}
    found = {name for tag, (idle, name) in UNMODELLED.items() if differs(columns.get(tag), idle)}
    if MTF in columns and any(star.Block("", {MTF: columns[MTF]}).strings(MTF)):
        found.add("the transfer function of the detector (MTF)")
    warnings = [f"The particle file describes {name}; it is ignored." for name in sorted(found)]
    if any(any(entry.beam_tilt_rad) and any(entry.odd_zernike[3:5]) for entry in particles.optics):
        what = "The particle file describes coma twice, by beam tilt and by odd Zernike terms"
        warnings.append(f"{what}; both are added. RELION 3.1 uses the beam tilt alone.")
    return warnings


def with_boxes(particles: Particles, found: list[str]) -> Particles:
    """Optics groups without a size get it from the header of the first stack of the group."""
    optics = list(particles.optics)
    for number in np.unique(particles.group):
        file = particles.files[particles.file[np.argmax(particles.group == number)]] if particles.files else None
        if optics[number].box == 0 and file is not None and os.path.isfile(file):
            try:
                optics[number] = replace(optics[number], box=mrc.read_header(file).nx)
            except InputError as error:
                found += error.faults
    return replace(particles, optics=tuple(optics))
