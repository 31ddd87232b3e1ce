"""The columns that a particle table of RELION 3.1 gets when it is written.

Owns which columns of the input stay as they were, character by character: those that still say what is to be said.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from pathlib import Path

import numpy as np

from halfmap.data import image_names
from halfmap.data.particles import Particles
from halfmap.data.relion_columns import (
    ABERRATION,
    BEAM_TILT,
    BOX,
    CONTRAST,
    DEFOCUS,
    DIMENSIONS,
    EULER,
    EVEN_ZERNIKE,
    EXTRA,
    GROUP,
    GROUP_NAME,
    HALF,
    IMAGE,
    MATRIX,
    MOVED_TO_OPTICS,
    ODD_ZERNIKE,
    ORIGIN_A,
    ORIGIN_PX,
    PIXEL,
    PREMULTIPLIED,
    VOLTAGE,
    coefficients,
)
from halfmap.errors import InputError
from halfmap.geometry import rotations
from halfmap.io import star
from halfmap.types import Optics

_SAME = 5e-7  # numbers closer than the last of RELION's six decimals are the same: the text is kept


def columns_of(particles: Particles) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(columns of the particle table, columns of the optics table) that ``relion.write`` would write."""
    return particle_columns(particles, {}), optics_columns(particles)


def particle_columns(particles: Particles, extra: dict[str, np.ndarray], root: Path | None = None
                      ) -> dict[str, np.ndarray]:  # fmt: skip
    dropped = () if particles.optics_columns else MOVED_TO_OPTICS
    dropped += ORIGIN_PX if particles.poses is not None else ()
    columns = {tag: values for tag, values in particles.columns.items() if tag not in dropped}
    columns[IMAGE] = image_names.join(particles.files, particles.file, particles.index, root)
    columns[GROUP] = _kept(columns, GROUP, _group_numbers(particles)[particles.group])
    for tag, values in _own_numbers(particles):
        columns[tag] = _kept(columns, tag, values)
    if HALF in columns or np.any(particles.half):
        columns[HALF] = _kept(columns, HALF, particles.half)
    columns.update({EXTRA[name]: np.asarray(values) for name, values in extra.items()})
    return columns


def _own_numbers(particles: Particles) -> Iterable[tuple[str, np.ndarray]]:
    """Columns computed from the particles; those at their default only where the input had them."""
    defocus, scale = particles.defocus, particles.defocus.scale * particles.scale
    angles = np.rad2deg(defocus.angle_rad), np.rad2deg(defocus.phase_shift_rad)
    values = (defocus.u_A, defocus.v_A, *angles, defocus.bfactor_A2, scale)
    defaults = (None, None, None, 0.0, 0.0, 1.0)
    for tag, column, default in zip(DEFOCUS, values, defaults, strict=True):
        if tag in particles.columns or default is None or np.any(column != default):
            yield tag, column
    if particles.poses is not None:
        yield from zip(EULER, rotations.matrix_to_euler(particles.poses.rotations), strict=True)
        yield from zip(ORIGIN_A, particles.poses.shifts_A.T, strict=True)


def _kept(columns: dict[str, np.ndarray], tag: str, values: np.ndarray) -> np.ndarray:
    """The text of the input where it still says ``values``, else the values."""
    text = columns.get(tag)
    return values if text is None or differs(text, values) else text


def differs(text: np.ndarray | None, values: np.ndarray | float) -> bool:
    if text is None:
        return False
    try:
        return not np.allclose(star.Block("", {"": text}).numbers(""), values, rtol=0, atol=_SAME)
    except InputError:
        return True


def _group_numbers(particles: Particles) -> np.ndarray:
    """(groups,) the numbers of the input, else 1, 2, ..."""
    known = particles.optics_columns.get(GROUP)
    if known is not None and len(known) == len(particles.optics):
        return star.Block("", {GROUP: known}).integers(GROUP)
    return np.arange(1, len(particles.optics) + 1)


def optics_columns(particles: Particles) -> dict[str, np.ndarray]:
    optics = particles.optics
    complete = all(len(values) == len(optics) for values in particles.optics_columns.values())
    columns = dict(particles.optics_columns) if complete else {}
    columns[GROUP] = _kept(columns, GROUP, _group_numbers(particles))
    columns.setdefault(GROUP_NAME, np.array([entry.name for entry in optics], dtype=object))
    values = {
        VOLTAGE: [entry.voltage_kV for entry in optics],
        ABERRATION: [entry.spherical_aberration_A * 1e-7 for entry in optics],
        CONTRAST: [entry.amplitude_contrast for entry in optics],
        PIXEL: [entry.pixel_size_A for entry in optics],
        BOX: [entry.box for entry in optics],
        DIMENSIONS: [2] * len(optics),
        PREMULTIPLIED: [int(entry.premultiplied) for entry in optics],
    }
    for tag, column in values.items():
        columns[tag] = _kept(columns, tag, np.array(column))
    return _with_lens(columns, optics, particles.columns)


def _with_lens(columns: dict[str, np.ndarray], optics: tuple[Optics, ...], of_rows: Container[str]
               ) -> dict[str, np.ndarray]:  # fmt: skip
    """The columns of tilt, Zernike terms and magnification too, where the input had them or they say something.

    ``of_rows``: columns of the particle table: those of the lens there would be read where the optics table had none.
    """
    tilt = 1e3 * np.array([entry.beam_tilt_rad for entry in optics])
    matrices = np.array([entry.magnification for entry in optics]).reshape(-1, 4)
    for tags, values, idle in ((BEAM_TILT, tilt, 0.0), (MATRIX, matrices, np.eye(2).ravel())):
        if np.any(values != idle) or any(tag in columns or tag in of_rows for tag in tags):
            columns.update({tag: _kept(columns, tag, column) for tag, column in zip(tags, values.T, strict=True)})
    for tag, field_ in ((ODD_ZERNIKE, "odd_zernike"), (EVEN_ZERNIKE, "even_zernike")):
        lists = [getattr(entry, field_) for entry in optics]
        if any(map(any, lists)) or tag in columns:
            columns[tag] = _kept_lists(columns.get(tag), tag, lists)
    return columns


def _kept_lists(text: np.ndarray | None, tag: str, lists: list[tuple[float, ...]]) -> np.ndarray:
    """The text of the input where it still says ``lists``, else the lists as RELION writes them."""
    if text is not None and [coefficients(value) for value in star.Block("", {tag: text}).strings(tag)] == lists:
        return text
    return np.array(["[" + ",".join(f"{value:.9g}" for value in values) + "]" for values in lists], dtype=object)
