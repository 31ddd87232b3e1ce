"""A particle table of cryoSPARC being read: its fields become ``Particles``, its faults a list.

Owns what the fields mean, their defaults, and the join with a passthrough file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from halfmap.data import carried, cryosparc_uids
from halfmap.data.cryosparc_digits import with_digits_of_text
from halfmap.data.cryosparc_fields import (
    ABERRATION,
    ALPHA,
    ANGLE,
    BFACTOR,
    CONTRAST,
    CTF_SCALE,
    DEFOCUS_U,
    DEFOCUS_V,
    GROUP,
    INDEX,
    LIMITS,
    MAGNIFICATION,
    MM,
    PATH,
    PHASE,
    PIXEL,
    POSE,
    POSE_PIXEL,
    SHAPE,
    SHIFT,
    SIGN,
    SPLIT,
    TETRAFOIL,
    TILT,
    TREFOIL,
    UID,
    VOLTAGE,
    type_faults,
)
from halfmap.data.particles import FIRST, UNASSIGNED, Particles
from halfmap.data.relion_columns import undistorted
from halfmap.errors import InputError
from halfmap.geometry import rotations
from halfmap.io import cs, faults
from halfmap.types import Defocus, Optics, Poses

PASSTHROUGH = "*_passthrough_particles*.cs"  # as cryoSPARC names the file of the inherited fields
_NEEDED = {
    PATH: "where the image is",
    INDEX: "which image of the stack it is",
    SHAPE: "the box",
    PIXEL: "the pixel size",
    VOLTAGE: "the voltage",
    ABERRATION: "the spherical aberration",
    CONTRAST: "the amplitude contrast",
    DEFOCUS_U: "the defocus",
    DEFOCUS_V: "the defocus",
    ANGLE: "the angle of astigmatism",
}
_OF_GROUP = (GROUP, VOLTAGE, ABERRATION, CONTRAST, PIXEL, SHAPE, TILT, MAGNIFICATION, TREFOIL, TETRAFOIL)


@dataclass
class Table:
    """The joined fields of one table and the faults found so far."""

    path: Path
    fields: carried.Fields
    rows: int
    faults: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, path: str | Path, passthrough: Path | None) -> Table:
        table = cs.read(path)
        if not len(table):
            raise InputError(f"{path}: no rows; there is nothing to do")
        fields = {name: table[name] for name in table.dtype.names}
        others = [passthrough] if passthrough is not None else _beside(path)
        for other in others:
            fields |= _joined(path, table[UID], other, fields, passthrough is not None)
        loaded = cls(Path(path), fields, len(table))
        loaded._refuse_missing()
        loaded.faults += type_faults(fields, str(path)) + carried.text_faults(fields, str(path))
        loaded.finish()
        return loaded

    def finish(self) -> None:
        if self.faults:
            raise InputError(self.faults)

    def where(self, name: str) -> str:
        return f"{self.path}: {name}"

    def _refuse_missing(self) -> None:
        missing = [name for name in _NEEDED if name not in self.fields]
        self.faults += [
            f"{self.where(name)}: field missing, it tells {_NEEDED[name]}; give the passthrough file of the job that "
            "wrote this one (--passthrough), or a job's particles that have it"
            for name in missing
        ]
        if POSE in self.fields and SHIFT not in self.fields:
            self.faults.append(f"{self.where(SHIFT)}: field missing beside {POSE}; give all fields of alignments3D")

    def particles(self) -> Particles:
        """The table as written: files unresolved."""
        files, file = self._files()
        group, first = self._groups()
        columns = self._columns()
        self.faults += cryosparc_uids.copy_faults(columns, str(self.path))
        found = Particles(
            files=files,
            file=file,
            index=self.fields[INDEX].astype(np.int64),
            optics=tuple(self._optics(row) for row in first),
            group=group,
            defocus=self._defocus(),
            poses=self._poses(),
            half=self._half(),
            scale=self._numbers(ALPHA, 1.0),
            columns=columns,
            optics_columns=self._optics_columns(first),
        )
        return found if self.faults else with_digits_of_text(found, str(self.path))

    def _columns(self) -> dict[str, np.ndarray]:
        text = (carried.COLUMN, carried.OPTICS_COLUMN)
        own = {name: values for name, values in self.fields.items() if not name.startswith(text)}
        return {**carried.star_columns(self.fields, carried.COLUMN), **carried.columns_of(own)}

    def _optics_columns(self, first: np.ndarray) -> dict[str, np.ndarray]:
        columns = carried.star_columns(self.fields, carried.OPTICS_COLUMN)
        return {tag: values[first] for tag, values in columns.items()}

    def _numbers(self, name: str, default: float | np.ndarray | None = None) -> np.ndarray:
        """Finite float64 values; zeros where there are faults, which are kept for later."""
        if name not in self.fields:
            return np.broadcast_to(np.asarray(default, dtype=np.float64), (self.rows, *np.shape(default)[1:])).copy()
        with np.errstate(invalid="ignore"):  # signalling NaN; found by the next line
            values = self.fields[name].astype(np.float64)
        sound = np.abs(values) <= faults.LARGEST_MEASURE
        wrong = np.flatnonzero(~sound.reshape(self.rows, -1).all(axis=1))
        self.faults += faults.by_row(self.where(name), wrong, lambda row: _no_measures(values[row]))
        return np.where(sound, values, 0.0)

    def _files(self) -> tuple[tuple[Path, ...], np.ndarray]:
        """(stacks as written, stack of each row), numbered as they first appear."""
        names, first, which = np.unique(self.fields[PATH], return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")
        bare = [name.removeprefix(b">") for name in names[order].tolist()]
        empty = np.flatnonzero(np.isin(self.fields[PATH], [name for name in names if name.strip(b">") == b""]))
        self.faults += faults.by_row(self.where(PATH), empty, lambda row: "no file is named; restack the particles")
        return tuple(Path(os.fsdecode(name)) for name in bare), np.argsort(order)[which].astype(np.int32)

    # -- optics

    def _groups(self) -> tuple[np.ndarray, np.ndarray]:
        """(group of each row, first row of each group): particles that share everything that optics say."""
        code = np.zeros(self.rows, dtype=np.int64)
        for name in _OF_GROUP:
            values = self.fields[name].reshape(self.rows, -1) if name in self.fields else np.zeros((self.rows, 0))
            for column in values.T:
                if np.any(column != column[0]):  # mostly all are equal: sorting them would be wasted time
                    _, place = np.unique(column, return_inverse=True)
                    code = np.unique(code * (int(place.max()) + 1) + place, return_inverse=True)[1]
        _, first, group = np.unique(code, return_index=True, return_inverse=True)
        self._refuse_beyond_limits()
        return group.astype(np.int32), first

    def _refuse_beyond_limits(self) -> None:
        for name, (low, high, what) in LIMITS.items():
            values = self._numbers(name).reshape(self.rows, -1)[:, -1]
            wrong = np.flatnonzero((values < low) | (values > high))
            self.faults += faults.by_row(self.where(name), wrong, lambda row, v=values, w=what: f"{v[row]:g} {w}")

    def _optics(self, row: int) -> Optics:
        number = self.fields[GROUP][row] if GROUP in self.fields else 0
        optics = Optics(
            name=f"exp_group_{number}",
            voltage_kV=_decimal(self.fields[VOLTAGE][row]),
            spherical_aberration_A=_decimal(self.fields[ABERRATION][row]) * MM,
            amplitude_contrast=_decimal(self.fields[CONTRAST][row]),
            pixel_size_A=_decimal(self.fields[PIXEL][row]),
            box=int(np.ravel(self.fields[SHAPE][row])[-1]),
            magnification=self._magnification(row),
        )
        return replace(optics, beam_tilt_rad=self._beam_tilt(row, optics.spherical_aberration_A))

    def _vector(self, name: str, row: int, length: int) -> np.ndarray:
        """Finite float64 values of a field of several numbers; zeros where there are faults, kept for later."""
        if name not in self.fields:
            return np.zeros(length)
        with np.errstate(invalid="ignore"):  # signalling NaN; found by the next line
            values = self.fields[name][row].astype(np.float64)
        if np.all(np.abs(values) <= faults.LARGEST_MEASURE):
            return values
        self.faults.append(f"{self.where(name)}: row {row + 1}: {_no_measures(values)}")
        return np.zeros(length)

    def _magnification(self, row: int) -> tuple[tuple[float, float], tuple[float, float]]:
        """cryoSPARC keeps the matrix less the identity."""
        matrix = np.eye(2) + self._vector(MAGNIFICATION, row, 4).reshape(2, 2)
        if not undistorted(matrix):
            what = "is no magnification matrix less the identity; without distortion it is all 0"
            self.faults.append(f"{self.where(MAGNIFICATION)}: row {row + 1}: {self.fields[MAGNIFICATION][row]} {what}")
        (a, b), (c, d) = matrix.tolist()
        return (a, b), (c, d)

    def _beam_tilt(self, row: int, aberration_A: float) -> tuple[float, float]:
        """The tilt is kept as the length Cs sin(tilt)."""
        lengths_A = self._vector(TILT, row, 2)
        if not np.any(lengths_A):
            return 0.0, 0.0
        if aberration_A <= 0 or np.any(np.abs(lengths_A) > aberration_A):
            what = f"{lengths_A} A with Cs {aberration_A:g} A is no beam tilt"
            self.faults.append(f"{self.where(TILT)}: row {row + 1}: {what}")
            return 0.0, 0.0
        x, y = np.arcsin(lengths_A / aberration_A).tolist()
        return x, y

    # -- what each particle has

    def _defocus(self) -> Defocus:
        sign = np.where(self._numbers(SIGN, 1.0) < 0, -1.0, 1.0)
        return Defocus(
            u_A=self._numbers(DEFOCUS_U),
            v_A=self._numbers(DEFOCUS_V),
            angle_rad=self._numbers(ANGLE),
            phase_shift_rad=self._numbers(PHASE, 0.0),
            bfactor_A2=self._numbers(BFACTOR, 0.0),
            scale=sign * self._numbers(CTF_SCALE, 1.0),
        )

    def _poses(self) -> Poses | None:
        """The pose is the rotation vector of R, which takes the image to the molecule: A = R^T."""
        if POSE not in self.fields:
            return None
        pixel = self._numbers(POSE_PIXEL, self._numbers(PIXEL))
        turned = rotations.exp_so3(self._numbers(POSE))
        return Poses(np.ascontiguousarray(np.swapaxes(turned, -1, -2)), self._numbers(SHIFT) * pixel[:, None])

    def _half(self) -> np.ndarray:
        if SPLIT not in self.fields:
            return np.full(self.rows, UNASSIGNED, dtype=np.int8)
        split = self.fields[SPLIT].astype(np.int64)
        wrong = np.flatnonzero((split != 0) & (split != 1))
        self.faults += faults.by_row(self.where(SPLIT), wrong, lambda row: f"{split[row]} is no half-set; use 0 and 1")
        return (np.clip(split, 0, 1) + FIRST).astype(np.int8)


def _no_measures(values: np.ndarray | float) -> str:
    if np.ndim(values) == 0:
        return faults.no_measure(float(values))
    return f"{values} are " + ("out of range" if np.all(np.isfinite(values)) else "not finite numbers")


def _decimal(value: np.generic) -> float:
    """The shortest decimal that is this number in its own precision: 2.7, not 2.7000000477."""
    return float(str(value))


def _beside(path: str | Path) -> list[Path]:
    """Passthrough files in the same folder."""
    here = Path(path)
    return [other for other in sorted(here.parent.glob(PASSTHROUGH)) if other.name != here.name]


def _joined(path: str | Path, uid: np.ndarray, other: Path, known: Iterable[str], asked_for: bool) -> carried.Fields:
    """Fields of ``other`` that are new, in the order of ``uid``.

    A file that was found, not given, is left alone where it lacks particles: it belongs to another output.
    Raises: InputError where a given one lacks particles.
    """
    table = cs.read(other)
    order = np.argsort(table[UID])
    place = np.minimum(np.searchsorted(table[UID][order], uid), max(0, len(table) - 1))
    lacking = np.flatnonzero(table[UID][order][place] != uid) if len(table) else np.arange(len(uid))
    if len(lacking) and not asked_for:
        return {}
    if len(lacking):
        first = f"the first is uid {uid[lacking[0]]} in row {lacking[0] + 1}"
        raise InputError(
            f"{other}: {UID}: {len(lacking):,} of {len(uid):,} particles of {path} are not in it ({first}); "
            "give the passthrough file of the same job"
        )
    return {name: table[name][order[place]] for name in table.dtype.names if name not in known}
