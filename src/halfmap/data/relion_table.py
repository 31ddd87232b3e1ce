"""A particle table of RELION being read: its columns become ``Particles``, its faults a list.

Owns what the columns mean, their defaults, and the order in which alternatives are looked up, for STAR 3.0 and 3.1 to
5. Source of the rules: RELION 5 (CTF::readValue, ObservationModel::loadSafely, StarConverter) and its documentation of
conventions. Their names: ``relion_columns``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from halfmap.data import cryosparc_fields, cryosparc_uids, image_names
from halfmap.data.particles import Particles
from halfmap.data.relion_columns import (
    ABERRATION,
    BEAM_TILT,
    BOX,
    CONTRAST,
    DEFOCUS,
    DETECTOR,
    DIMENSIONS,
    EULER,
    EVEN_ZERNIKE,
    GROUP,
    GROUP_NAME,
    HALF,
    IMAGE,
    LIMITS,
    MAGNIFICATION,
    MATRIX,
    ODD_ZERNIKE,
    ORIGIN_A,
    ORIGIN_PX,
    PIXEL,
    PIXEL_30,
    PIXEL_31,
    PREMULTIPLIED,
    VOLTAGE,
    Limits,
    coefficients,
    shown,
    undistorted,
)
from halfmap.errors import InputError
from halfmap.geometry import rotations
from halfmap.io import faults, star
from halfmap.types import Defocus, Optics, Poses

Matrix = tuple[tuple[float, float], tuple[float, float]]


@dataclass
class Table:
    """Both tables of one file and the faults found so far."""

    path: Path
    block: star.Block
    optics: star.Block | None  # None in 3.0
    faults: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, path: str | Path) -> Table:
        blocks = star.read(path)
        block = _particle_block(path, blocks)
        table = cls(Path(path), block, blocks.get("optics"))
        if block.rows == 0:
            table.faults.append(f"{path}: data_{block.name} has no rows; there is nothing to do")
        if table.optics is not None and table.optics.rows == 0:
            table.faults.append(f"{path}: data_optics has no rows; add the optics groups")
        table.finish()
        return table

    def finish(self) -> None:
        if self.faults:
            raise InputError(self.faults)

    def broken(self, tag: str) -> bool:
        return any(fault.startswith(self.block.where(tag) + ":") for fault in self.faults)

    def particles(self) -> Particles:
        """The table as written: files unresolved."""
        image = self._images()
        group, optics = self._optics_31() if self.optics is not None else self._optics_30()
        n = self.block.rows
        self.faults += cryosparc_fields.name_faults(self.block.columns, str(self.path))
        self.faults += cryosparc_uids.copy_faults(self.block.columns, str(self.path))
        return Particles(
            files=image[0],
            file=image[1],
            index=image[2],
            optics=optics,
            group=group,
            defocus=self._defocus(group),
            poses=self._poses(group, optics),
            half=self._half(),
            scale=np.ones(n),
            columns=dict(self.block.columns),
            optics_columns=dict(self.optics.columns) if self.optics is not None else {},
        )

    # -- columns, with faults collected

    def _numbers(self, block: star.Block, tag: str) -> np.ndarray:
        """Numbers that can be computed with; where there are faults, which are kept for later, anything."""
        return self._within_limits(block, tag, self._read(block.measures, tag, block), LIMITS.get(tag))

    def _integers(self, block: star.Block, tag: str) -> np.ndarray:
        numbers = self._read(block.integers, tag, block).astype(np.int64)
        return self._within_limits(block, tag, numbers, LIMITS.get(tag))

    def _read(self, read: Callable[[str], np.ndarray], tag: str, block: star.Block) -> np.ndarray:
        """Zeros where there are faults."""
        try:
            return read(tag)
        except InputError as error:
            self.faults += error.faults
            return np.zeros(block.rows)

    def _within_limits(self, block: star.Block, tag: str, values: np.ndarray, limits: Limits | None) -> np.ndarray:
        if limits is None or any(fault.startswith(block.where(tag) + ":") for fault in self.faults):
            return values
        low, high, what = limits
        wrong = np.flatnonzero((values < low) | (values > high))
        self.faults += faults.by_row(block.where(tag), wrong, lambda row: f"{values[row]:g} {what}")
        return np.clip(values, low, high)

    def _first_present(self, block: star.Block, tags: Iterable[str]) -> str | None:
        return next((tag for tag in tags if tag in block.columns), None)

    # -- images

    def _images(self) -> tuple[tuple[Path, ...], np.ndarray, np.ndarray]:
        """(files as written, file of each row, image in the file from 0)."""
        try:
            names = self.block.texts(IMAGE)
        except InputError as error:
            self.faults += error.faults
            return (), np.zeros(self.block.rows, np.int32), np.zeros(self.block.rows, np.int64)
        files, file, number = image_names.split(names)
        wrong = np.flatnonzero(number < 1)
        self.faults += faults.by_row(
            self.block.where(IMAGE),
            wrong,
            lambda row: f"{shown(names[row])} is not of the form number@stack with numbers from 1",
        )
        return files, file, np.maximum(number - 1, 0)

    # -- optics

    def _optics_31(self) -> tuple[np.ndarray, tuple[Optics, ...]]:
        numbers = self._integers(self.optics, GROUP)
        repeated = [i for i, number in enumerate(numbers) if number in numbers[:i]]
        self.faults += faults.by_row(
            self.optics.where(GROUP), repeated, lambda row: f"group {numbers[row]} stands twice; remove one"
        )
        group = self._group_of_rows(numbers)
        values = [self._shared(tag, group, len(numbers)) for tag in (VOLTAGE, ABERRATION, CONTRAST)]
        sizes = self._integers(self.optics, BOX) if BOX in self.optics.columns else np.zeros(len(numbers), np.int64)
        flags = self._optional_optics(PREMULTIPLIED, 0)
        names = self.optics.strings(GROUP_NAME) if GROUP_NAME in self.optics.columns else map(_group_name, numbers)
        self._refuse_volumes()
        ctf = zip(*values, strict=True)
        columns = zip(names, ctf, self._pixel_31(), sizes, flags, strict=True)
        optics = [_optics(*row) for row in columns]
        return group, self._aberrated(optics, group)

    def _aberrated(self, optics: list[Optics], group: np.ndarray) -> tuple[Optics, ...]:
        """The groups with the columns of the optics table that describe the lens."""
        tilt = [1e-3 * self._lens(tag, group, 0.0) for tag in BEAM_TILT]
        odd, even = (self._lists(tag) for tag in (ODD_ZERNIKE, EVEN_ZERNIKE))
        matrices = self._matrices(group)
        return tuple(
            replace(entry, beam_tilt_rad=(float(tilt[0][i]), float(tilt[1][i])), odd_zernike=odd[i],
                    even_zernike=even[i], magnification=matrices[i])
            for i, entry in enumerate(optics)
        )

    def _lens(self, tag: str, group: np.ndarray, default: float) -> np.ndarray:
        """(groups,) of the optics table, as RELION does; else of the particle table, where a group must agree."""
        if tag in self.optics.columns or tag not in self.block.columns:
            return self._optional_optics(tag, default)
        return self._shared(tag, group, self.optics.rows)

    def _lists(self, tag: str) -> list[tuple[float, ...]]:
        """Coefficients of each optics group, written as ``[a,b,...]``; none where there is no column."""
        if tag not in self.optics.columns:
            return [()] * self.optics.rows
        texts = self.optics.strings(tag)
        found = [coefficients(text) for text in texts]
        wrong = [row for row, values in enumerate(found) if values is None]
        self.faults += faults.by_row(
            self.optics.where(tag), wrong, lambda row: f"{texts[row]!r} is no list of numbers like [0,0.5]"
        )
        return [values or () for values in found]

    def _matrices(self, group: np.ndarray) -> list[Matrix]:
        rows = np.stack([self._lens(tag, group, tag in MATRIX[::3]) for tag in MATRIX], axis=-1)
        in_optics = any(tag in self.optics.columns for tag in MATRIX)
        return self._sound_matrices(rows, self.optics if in_optics else self.block, range(len(rows)))

    def _sound_matrices(self, rows: np.ndarray, block: star.Block, places: Sequence[int]) -> list[Matrix]:
        """The matrices whose elements are (n, 4), faults kept for later; ``places``: the row of each in its table."""
        rows = rows.reshape(-1, 2, 2)
        wrong = {places[i]: rows[i].tolist() for i in np.flatnonzero(~undistorted(rows))}
        self.faults += faults.by_row(
            block.where(f"{MATRIX[0]} to {MATRIX[-1][-2:]}"), list(wrong),
            lambda row: f"{wrong[row]} is no magnification matrix; without distortion it is [[1, 0], [0, 1]]",
        )
        return [tuple(map(tuple, matrix)) for matrix in rows.tolist()]

    def _group_of_rows(self, numbers: np.ndarray) -> np.ndarray:
        """Position in the optics table of the group number of each particle."""
        wanted = self._integers(self.block, GROUP)
        order = np.argsort(numbers, kind="stable")
        place = np.minimum(np.searchsorted(numbers[order], wanted), len(numbers) - 1)
        group = order[place]
        unknown = np.flatnonzero(numbers[group] != wanted) if not self.broken(GROUP) else ()
        self.faults += faults.by_row(
            self.block.where(GROUP), unknown, lambda row: f"group {wanted[row]} is not in data_optics; add it there"
        )
        return group.astype(np.int32)

    def _shared(self, tag: str, group: np.ndarray, groups: int) -> np.ndarray:
        """(groups,) value of each optics group: from the particle table first, as RELION does, then from optics."""
        if tag not in self.block.columns:
            return self._numbers(self.optics, tag)
        values = self._numbers(self.block, tag)
        of_group = np.zeros(groups)
        of_group[group[::-1]] = values[::-1]  # the first row of each group wins
        differing = np.flatnonzero(of_group[group] != values)
        self.faults += faults.by_row(
            self.block.where(tag),
            differing,
            lambda row: f"{values[row]:g} differs from {of_group[group[row]]:g} of its optics group; split the group",
        )
        return of_group

    def _optional_optics(self, tag: str, default: float) -> np.ndarray:
        present = tag in self.optics.columns
        return self._numbers(self.optics, tag) if present else np.full(self.optics.rows, float(default))

    def _pixel_31(self) -> np.ndarray:
        return self._numbers(self.optics, self._first_present(self.optics, PIXEL_31) or PIXEL)

    def _refuse_volumes(self) -> None:
        dimensions = self._optional_optics(DIMENSIONS, 2)
        wrong = np.flatnonzero(dimensions != 2)
        self.faults += faults.by_row(
            self.optics.where(DIMENSIONS), wrong, lambda row: f"{dimensions[row]:g}D images; only 2D is supported"
        )

    def _optics_30(self) -> tuple[np.ndarray, tuple[Optics, ...]]:
        """Particles with the same voltage, Cs, amplitude contrast, pixel size and lens share a group."""
        values = [self._numbers(self.block, tag) for tag in (VOLTAGE, ABERRATION, CONTRAST)]
        flags = self._numbers(self.block, PREMULTIPLIED) if PREMULTIPLIED in self.block.columns else 0 * values[0]
        tilts = [1e-3 * self._of_particle(tag, None, 0.0) for tag in BEAM_TILT]
        matrix = [self._of_particle(tag, None, tag in MATRIX[::3]) for tag in MATRIX]
        values += [self._pixel_30(), flags, *tilts, *matrix]
        group, first = _unique_rows(values)
        rows = [[float(column[row]) for column in values] for row in first]
        matrices = self._sound_matrices(np.array([row[7:] for row in rows]), self.block, first.tolist())
        optics = (_optics(_group_name(i), row[:3], row[3], 0, row[4]) for i, row in enumerate(rows, start=1))
        return group, tuple(
            replace(entry, beam_tilt_rad=tuple(row[5:7]), magnification=each)
            for entry, row, each in zip(optics, rows, matrices, strict=True)
        )

    def _pixel_30(self) -> np.ndarray:
        tag = self._first_present(self.block, PIXEL_30)
        if DETECTOR not in self.block.columns and tag is not None:
            return self._numbers(self.block, tag)
        detector_um, magnification = (self._numbers(self.block, name) for name in (DETECTOR, MAGNIFICATION))
        sizes = detector_um * 1e4 / np.where(magnification > 0, magnification, 1.0)
        return self._within_limits(self.block, DETECTOR, sizes, LIMITS[PIXEL])

    # -- what each particle has

    def _defocus(self, group: np.ndarray) -> Defocus:
        u, v, angle, phase, bfactor, scale = DEFOCUS
        u_A = self._of_particle(u, group)
        return Defocus(
            u_A=u_A,
            v_A=self._of_particle(v, group, u_A),
            angle_rad=np.deg2rad(self._of_particle(angle, group, 0.0)),
            phase_shift_rad=np.deg2rad(self._of_particle(phase, group, 0.0)),
            bfactor_A2=self._of_particle(bfactor, group, 0.0),
            scale=self._of_particle(scale, group, 1.0),
        )

    def _of_particle(self, tag: str, group: np.ndarray | None, default: np.ndarray | float | None = None) -> np.ndarray:
        """(n,) values: particle table, else optics table, else ``default``; a fault where that is None."""
        if tag in self.block.columns:
            return self._numbers(self.block, tag)
        if self.optics is not None and tag in self.optics.columns:
            return self._numbers(self.optics, tag)[group]
        if default is None:
            return self._numbers(self.block, tag)
        return np.broadcast_to(default, self.block.rows).astype(np.float64)

    def _poses(self, group: np.ndarray, optics: tuple[Optics, ...]) -> Poses | None:
        """None without rot and tilt: psi alone comes from a picker and says nothing about the view."""
        if not all(tag in self.block.columns for tag in EULER[:2]):
            return None
        angles = [self._of_particle(tag, group, 0.0) for tag in EULER]
        shifts = [self._origin_A(*tags, group, optics) for tags in zip(ORIGIN_A, ORIGIN_PX, strict=True)]
        return Poses(rotations.euler_to_matrix(*angles), np.stack(shifts, axis=-1))

    def _origin_A(self, tag_A: str, tag_px: str, group: np.ndarray, optics: tuple[Optics, ...]) -> np.ndarray:
        if tag_A in self.block.columns or tag_px not in self.block.columns:
            return self._of_particle(tag_A, group, 0.0)
        pixel_size_A = np.array([entry.pixel_size_A for entry in optics])
        return self._numbers(self.block, tag_px) * pixel_size_A[group]

    def _half(self) -> np.ndarray:
        if HALF not in self.block.columns:
            return np.zeros(self.block.rows, dtype=np.int8)
        half = self._integers(self.block, HALF)
        wrong = np.flatnonzero((half < 0) | (half > 2))
        self.faults += faults.by_row(
            self.block.where(HALF), wrong, lambda row: f"{half[row]} is no half-set; use 1 and 2, or 0 for none"
        )
        return np.clip(half, 0, 2).astype(np.int8)


def _particle_block(path: str | Path, blocks: dict[str, star.Block]) -> star.Block:
    """``data_particles``; else the only block with image names (3.0 files name it as they like)."""
    if "particles" in blocks:
        return blocks["particles"]
    found = [block for block in blocks.values() if IMAGE in block.columns]
    if len(found) == 1:
        return found[0]
    have = ", ".join(f"data_{name}" for name in blocks)
    what = "several tables with" if found else "no table with"
    raise InputError(f"{path}: {IMAGE}: {what} this column (found {have}); give a particle file with data_particles")


def _optics(
    name: str, ctf: tuple[float, float, float], pixel_size_A: float, box: float, premultiplied: float
) -> Optics:
    """``ctf``: voltage in kV, spherical aberration in mm, amplitude contrast."""
    voltage_kV, aberration_mm, contrast = ctf
    return Optics(
        name=str(name),
        voltage_kV=float(voltage_kV),
        spherical_aberration_A=float(aberration_mm) * 1e7,
        amplitude_contrast=float(contrast),
        pixel_size_A=float(pixel_size_A),
        box=int(box),
        premultiplied=bool(premultiplied),
    )


def _group_name(number: int) -> str:
    return f"opticsGroup{number}"


def _unique_rows(columns: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(group of each row, first row of each group) of equal rows, groups numbered as they first appear."""
    code = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        if np.all(column == column[:1]):  # almost always: sorting a million equal numbers is wasted time
            continue
        values, inverse = np.unique(column, return_inverse=True)
        code = np.unique(code * len(values) + inverse, return_inverse=True)[1]
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return np.argsort(order)[inverse].astype(np.int32), first[order]
