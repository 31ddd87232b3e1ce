"""cryoSPARC's particle tables: ``.cs`` -> ``Particles`` -> ``.cs``.

Owns the tables as wholes: reading them, and what can be asked of them. The meaning of the fields is in
``cryosparc_table`` and ``cryosparc_writing``, their names in ``cryosparc_fields``. How columns of a STAR file travel in
a ``.cs`` and back: ``carried``, ``cryosparc_digits``. Where images are looked for: ``image_names``.

Dark protein (``blob/sign`` -1, images that were not inverted) is a negative scale of the CTF: image = -C V. So nothing
has to be inverted, and a STAR file made of such a table tells RELION the same by a negative rlnCtfScalefactor.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from halfmap.data import carried, image_names
from halfmap.data.cryosparc_fields import (
    CENTRE_X,
    CENTRE_Y,
    INDEX,
    MICROGRAPH,
    MICROGRAPH_PIXEL,
    MICROGRAPH_SHAPE,
    PATH,
    POSE,
    POSE_PIXEL,
    SHAPE,
    SHIFT,
    TETRAFOIL,
    TILT,
    TREFOIL,
    of_columns,
)
from halfmap.data.cryosparc_table import Table
from halfmap.data.particles import Particles

_REMARKS = {
    TREFOIL: "trefoil; its sign is that of another program, not verified: compare with a run that ignores it.",
    TETRAFOIL: "tetrafoil; its sign is that of another program, not verified: compare with a run that ignores it.",
    "ctf/shift_A": "a shift of the CTF; it is ignored.",
}


def read(path: str | Path, images_root: Path | None = None, passthrough: Path | None = None) -> Particles:
    """Particles of a ``.cs`` file, their stacks found (absolute paths).

    ``passthrough``: the file of the inherited fields; left out, those beside ``path`` that hold all its particles.
    Raises: InputError with every fault: of the files, missing fields, numbers that make no sense, absent stacks.
    """
    table = Table.load(path, passthrough)
    written = table.particles()
    files, missing = image_names.resolve(written, path, images_root, f"{path}: {PATH}")
    table.faults += missing
    table.finish()
    return replace(written, files=files)


def read_table(path: str | Path, passthrough: Path | None = None) -> Particles:
    """The same without looking for images: ``files`` as written. Raises: InputError with every fault of the table."""
    table = Table.load(path, passthrough)
    particles = table.particles()
    table.finish()
    return particles


def unmodelled(particles: Particles) -> list[str]:
    """Warnings: what the file says about the images and halfmap ignores or is not sure of. Plain sentences."""
    fields = of_columns(particles.columns, tuple(_REMARKS))
    return [f"The particle file describes {_REMARKS[name]}" for name, values in fields.items() if np.any(values)]


def without_poses(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns without rotations and shifts."""
    dropped = carried.fields_named(columns, (POSE, SHIFT, POSE_PIXEL))
    return {tag: values for tag, values in columns.items() if tag not in dropped}


def positions(particles: Particles) -> tuple[np.ndarray, np.ndarray] | None:
    """((n,) number of the micrograph, (n, 2) x, y in it, A); None where the table does not tell.

    As picked: the fractions count y from the other end than the images do, so shifts are left out.
    """
    wanted = (MICROGRAPH, CENTRE_X, CENTRE_Y, MICROGRAPH_SHAPE, MICROGRAPH_PIXEL)
    fields = of_columns(particles.columns, wanted)
    if set(fields) != set(wanted):
        return None
    fractions = np.stack([fields[CENTRE_X], fields[CENTRE_Y]], axis=-1).astype(np.float64)
    places_A = fractions * fields[MICROGRAPH_SHAPE][:, ::-1] * fields[MICROGRAPH_PIXEL][:, None]
    return np.unique(fields[MICROGRAPH], return_inverse=True)[1], places_A


def lens_lengths(particles: Particles) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(tilt (2,), trefoil (2,), tetrafoil (4,)) of each optics group in A; zeros where the table does not tell.

    Tilt is in ``Optics`` already; what trefoil and tetrafoil mean as phases is no matter of this file.
    """
    sizes = {TILT: 2, TREFOIL: 2, TETRAFOIL: 4}
    fields = of_columns(particles.columns, tuple(sizes))
    first = [np.flatnonzero(particles.group == number)[:1] for number in range(len(particles.optics))]

    def of_group(name: str, rows: np.ndarray) -> np.ndarray:
        return fields[name][rows[0]].astype(np.float64) if name in fields and len(rows) else np.zeros(sizes[name])

    return [tuple(of_group(name, rows) for name in sizes) for rows in first]


def without_images(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns without what tells of stacks: the particles have new images."""
    dropped = carried.fields_named(columns, (PATH, INDEX, SHAPE, "blob/import_sig"))
    return {tag: values for tag, values in columns.items() if tag not in dropped}
