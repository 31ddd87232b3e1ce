"""cryoSPARC's particle tables: ``.cs`` -> ``Particles`` -> ``.cs``.

The only file that knows cryoSPARC's field names. Owns their meaning, the join with a passthrough file, and which
fields a result replaces; all others stay bit by bit. How columns of a STAR file travel in a ``.cs`` and back:
``carried``. Where images are looked for: ``image_names``.

Dark protein (``blob/sign`` -1, images that were not inverted) is a negative scale of the CTF: image = -C V. So nothing
has to be inverted, and a STAR file made of such a table tells RELION the same by a negative rlnCtfScalefactor.
Numbers in a ``.cs`` have 32 bits. Where the table once was a STAR file, its text is carried along; as long as it says
the same to within these 32 bits, the text is what counts, so that going there and back loses no digit.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from halfmap.data import carried, image_names, relion
from halfmap.data.particles import FIRST, UNASSIGNED, Particles
from halfmap.errors import InputError
from halfmap.geometry import rotations
from halfmap.io import cs, faults, mrc
from halfmap.types import Defocus, Optics, Poses

UID = "uid"
PATH, INDEX, SHAPE, PIXEL, SIGN = "blob/path", "blob/idx", "blob/shape", "blob/psize_A", "blob/sign"
GROUP, VOLTAGE, ABERRATION, CONTRAST = "ctf/exp_group_id", "ctf/accel_kv", "ctf/cs_mm", "ctf/amp_contrast"
DEFOCUS_U, DEFOCUS_V, ANGLE = "ctf/df1_A", "ctf/df2_A", "ctf/df_angle_rad"
PHASE, BFACTOR, CTF_SCALE, TYPE = "ctf/phase_shift_rad", "ctf/bfactor", "ctf/scale", "ctf/type"
TILT, MAGNIFICATION, TREFOIL, TETRAFOIL = "ctf/tilt_A", "ctf/anisomag", "ctf/trefoil_A", "ctf/tetra_A"
POSE, SHIFT, POSE_PIXEL = "alignments3D/pose", "alignments3D/shift", "alignments3D/psize_A"
SPLIT, ALPHA = "alignments3D/split", "alignments3D/alpha"
MICROGRAPH, CENTRE_X, CENTRE_Y = "location/micrograph_uid", "location/center_x_frac", "location/center_y_frac"
MICROGRAPH_SHAPE, MICROGRAPH_PIXEL = "location/micrograph_shape", "location/micrograph_psize_A"
SOURCE_UID, SOURCE_PLACE = "sym_expand/src_uid", "sym_expand/idx"
PARENT, MATE = "halfmapParent", "halfmapSymmetryMate"  # columns of our own, which say the same in a STAR file
RESULT = "halfmap/"  # slot of ``extra``: cryoSPARC has no field for these

SET_BY_REFINEMENT = ("blob", "ctf", "alignments3D")  # slots; all others it passes through
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
# What NumPy may keep each field as: kinds (f = floats of 32 bits and more), shape of one value
_TYPES = {
    **dict.fromkeys((PATH, TYPE), ("S", ())),
    **dict.fromkeys((INDEX, GROUP, SPLIT, MICROGRAPH, SOURCE_UID), ("iu", ())),
    **dict.fromkeys((SHAPE, MICROGRAPH_SHAPE), ("iu", (2,))),
    **dict.fromkeys((PIXEL, SIGN, VOLTAGE, ABERRATION, CONTRAST, DEFOCUS_U, DEFOCUS_V, ANGLE, PHASE, BFACTOR, CTF_SCALE,
                     POSE_PIXEL, ALPHA, CENTRE_X, CENTRE_Y, MICROGRAPH_PIXEL), ("iuf", ())),
    **dict.fromkeys((TILT, TREFOIL, SHIFT), ("iuf", (2,))),
    **dict.fromkeys((MAGNIFICATION, TETRAFOIL), ("iuf", (4,))),
    POSE: ("iuf", (3,)),
}  # fmt: skip
_KINDS = {"S": "text", "iu": "whole numbers", "iuf": "numbers"}
_LIMITS = {  # as in ``relion``: what can be computed with at all
    PIXEL: (1e-6, 1e6, "A is no pixel size"),
    VOLTAGE: (1e-3, 1e5, "kV is no voltage"),
    CONTRAST: (-1.0, 1.0, "is no amplitude contrast; it is a fraction, 0.07 to 0.1 in most data"),
    SHAPE: (0, mrc.LARGEST_SIDE, "is no box, in pixels"),
    INDEX: (0, 1 << 40, "is no number of an image"),
}
_OF_GROUP = (GROUP, VOLTAGE, ABERRATION, CONTRAST, PIXEL, SHAPE, TILT, MAGNIFICATION, TREFOIL, TETRAFOIL)
_REMARKS = {
    TREFOIL: "trefoil; its sign is that of another program, not verified: compare with a run that ignores it.",
    TETRAFOIL: "tetrafoil; its sign is that of another program, not verified: compare with a run that ignores it.",
    "ctf/shift_A": "a shift of the CTF; it is ignored.",
}
# What cryoSPARC writes for a particle that it aligned, and the value that says "not computed".
_ALIGNMENT = {
    "error": 0.0, "error_min": 0.0, "resid_pow": 0.0, "slice_pow": 0.0, "image_pow": 0.0, "cross_cor": 0.0,
    "alpha_min": 1.0, "weight": 0.0, "pose_ess": 0.0, "shift_ess": 0.0, "class_posterior": 1.0, "class": 0,
    "class_ess": 1.0,
}  # fmt: skip
# Two numbers of 32 bits that went through one multiplication differ by up to 2e-7 of their size.
_SAME, _SAME_RAD = 5e-7, 1e-6
_MM = 1e7  # Angstrom


def read(path: str | Path, images_root: Path | None = None, passthrough: Path | None = None) -> Particles:
    """Particles of a ``.cs`` file, their stacks found (absolute paths).

    ``passthrough``: the file of the inherited fields; left out, those beside ``path`` that hold all its particles.
    Raises: InputError with every fault: of the files, missing fields, numbers that make no sense, absent stacks.
    """
    table = _Table.load(path, passthrough)
    written = table.particles()
    files, missing = image_names.resolve(written, path, images_root, f"{path}: {PATH}")
    table.faults += missing
    table.finish()
    return replace(written, files=files)


def read_table(path: str | Path, passthrough: Path | None = None) -> Particles:
    """The same without looking for images: ``files`` as written. Raises: InputError with every fault of the table."""
    table = _Table.load(path, passthrough)
    particles = table.particles()
    table.finish()
    return particles


def write(path: str | Path, particles: Particles, extra: dict[str, np.ndarray] | None = None) -> None:
    """Write a ``.cs`` file of format 1, whole or not at all.

    Fields of the input stay where they were, bit by bit, unless their value changed; new ones follow. Particles that
    did not come from cryoSPARC get a ``uid`` made from the name of their image. The terms of the alignment error
    (``alignments3D/error`` and its like) stay those of the program that wrote them. ``extra``: further (n,)
    columns by our names, in the slot ``halfmap``. Raises: InputError for a half-set that only some particles have.
    """
    fields = _fields(particles)
    fields |= {RESULT + name: np.asarray(values) for name, values in (extra or {}).items()}
    cs.write(path, _structured(fields, len(particles)))


def write_split(path: Path, passthrough: Path, particles: Particles, names: Sequence[str]) -> dict[str, Path]:
    """Write particles as a refinement of cryoSPARC leaves them: what it set, and what it inherited.

    ``names``: each stack as the file is to call it. Columns that cryoSPARC has no field for are left out; without
    inherited fields there is no second file. Returns the file of each slot.
    """
    fields = _fields(particles)
    foreign = (carried.COLUMN, carried.OPTICS_COLUMN, RESULT)
    fields = {name: values for name, values in fields.items() if not name.startswith(foreign)}
    fields[PATH] = np.array([os.fsencode(name) for name in names], dtype="S")[particles.file]
    slots = dict.fromkeys(name.split("/")[0] for name in fields if name != UID)
    held = {slot: path if slot in SET_BY_REFINEMENT else passthrough for slot in slots}
    for file in dict.fromkeys(held.values()):
        kept = {name: values for name, values in fields.items() if name == UID or held[name.split("/")[0]] == file}
        cs.write(file, _structured(kept, len(particles)))
    return held


def write_volumes(path: Path, files: dict[str, str], box: int, voxel_size_A: float) -> None:
    """Write the one row that describes the maps of a refinement: ``files``, the name of each by its slot."""
    fields = {UID: np.array([_hashed("#".join(files.values()))], np.uint64)}
    for slot, name in files.items():
        fields[f"{slot}/path"] = np.array([os.fsencode(name)], dtype="S")
        fields[f"{slot}/shape"] = np.array([(box,) * 3], np.uint32)
        fields[f"{slot}/psize_A"] = np.array([voxel_size_A], np.float32)
    cs.write(path, _structured(fields, 1))


def group_description(kind: str, title: str, slots: dict[str, Path], rows: int) -> dict[str, Any]:
    """What the ``.csg`` file of a result group says, but for date and version: ``slots``, the table of each.

    ``kind``: particle or volume. Source: result groups that cryoSPARC 4 exported, shown in public repositories.
    """
    one, name = ("particle.{0}", "particles") if kind == "particle" else ("volume.blob", kind)
    return {
        "group": {"description": title, "name": name, "title": title, "type": kind},
        "results": {slot: {"metafile": f">{file.name}", "num_items": rows, "type": one.format(slot)}
                    for slot, file in slots.items()},
    }  # fmt: skip


def unmodelled(particles: Particles) -> list[str]:
    """Warnings: what the file says about the images and halfmap ignores or is not sure of. Plain sentences."""
    fields = _carried(particles.columns, tuple(_REMARKS))
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
    fields = _carried(particles.columns, wanted)
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
    fields = _carried(particles.columns, tuple(sizes))
    first = [np.flatnonzero(particles.group == number)[:1] for number in range(len(particles.optics))]

    def of_group(name: str, rows: np.ndarray) -> np.ndarray:
        return fields[name][rows[0]].astype(np.float64) if name in fields and len(rows) else np.zeros(sizes[name])

    return [tuple(of_group(name, rows) for name in sizes) for rows in first]


def without_images(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns without what tells of stacks: the particles have new images."""
    dropped = carried.fields_named(columns, (PATH, INDEX, SHAPE, "blob/import_sig"))
    return {tag: values for tag, values in columns.items() if tag not in dropped}


def uids(particles: Particles) -> np.ndarray:
    """(n,) uint64: those of the table, else those that a ``.cs`` of it would have."""
    fields = _carried(particles.columns, (UID,))
    return fields[UID] if UID in fields else _uids(particles)


def uids_of_copies(uid: np.ndarray, copy: np.ndarray) -> np.ndarray:
    """(n,) uint64 of the copies (numbered ``copy``) of particles."""
    return np.array([_hashed(f"{u}~{c}") for u, c in zip(uid.tolist(), copy.tolist(), strict=True)], np.uint64)


def with_uids(columns: dict[str, np.ndarray], uid: np.ndarray) -> dict[str, np.ndarray]:
    """The columns with these uids, where they are a ``.cs`` table; others get theirs when they become one."""
    return columns | dict.fromkeys(carried.fields_named(columns, (UID,)), uid)


def parents(particles: Particles) -> np.ndarray | None:
    """(n,) uint64 uid of the particle that each row is a symmetry copy of; None where nothing is told of it."""
    if PARENT in particles.columns:
        return _whole_numbers(particles.columns[PARENT])
    return _carried(particles.columns, (SOURCE_UID,)).get(SOURCE_UID)


def _whole_numbers(column: np.ndarray) -> np.ndarray:
    """(n,) uint64 of numbers or their text; a float64 would lose the last digits. Raises: InputError by row."""
    if column.dtype.kind in "iu":
        return column.astype(np.uint64)
    found = [_whole_number(value) for value in column.tolist()]
    wrong = [row for row, number in enumerate(found) if number is None]
    if wrong:
        raise InputError(faults.by_row(PARENT, wrong, lambda row: f"{column[row]!r} is no number of a particle"))
    return np.array(found, np.uint64)


def _whole_number(value: bytes | str) -> int | None:
    try:
        number = int(value)
    except ValueError:
        return None
    return number if 0 <= number < 1 << 64 else None


def _carried(columns: dict[str, np.ndarray], names: tuple[str, ...] | None = None) -> carried.Fields:
    """The ``.cs`` fields of these names, or all, that columns carry. Raises: InputError where one was edited."""
    wanted = columns if names is None else carried.fields_named(columns, names)
    fields = carried.fields_of({tag: columns[tag] for tag in columns if tag in wanted}, "particle table")
    wrong = _type_faults(fields, "particle table")
    if wrong:
        raise InputError(wrong)
    return fields


def _type_faults(fields: carried.Fields, source: str) -> list[str]:
    """Known fields that are of another type or shape than they can be read from."""
    lines = []
    for name, values in fields.items():
        kinds, shape = _kind_of(name)
        fits = values.dtype.kind in kinds and not (values.dtype.kind == "f" and values.dtype.itemsize < 4)
        if kinds and not (fits and values.shape[1:] == shape):
            told = f"{shape[0]} {_KINDS[kinds]}" if shape else _KINDS[kinds].removesuffix("s")
            lines.append(f"{source}: {name}: type {values.dtype} of shape {values.shape[1:]}, expected {told} in a row")
    return lines


def _kind_of(name: str) -> tuple[str, tuple[int, ...]]:
    """Columns of a STAR file are text; of an unknown field there is nothing to say."""
    is_text = name.startswith((carried.COLUMN, carried.OPTICS_COLUMN))
    return ("S", ()) if is_text else _TYPES.get(name, ("", ()))


# ---- reading


@dataclass
class _Table:
    """The joined fields of one table and the faults found so far."""

    path: Path
    fields: carried.Fields
    rows: int
    faults: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, path: str | Path, passthrough: Path | None) -> _Table:
        table = cs.read(path)
        if not len(table):
            raise InputError(f"{path}: no rows; there is nothing to do")
        fields = {name: table[name] for name in table.dtype.names}
        others = [passthrough] if passthrough is not None else _beside(path)
        for other in others:
            fields |= _joined(path, table[UID], other, fields, passthrough is not None)
        loaded = cls(Path(path), fields, len(table))
        loaded._refuse_missing()
        loaded.faults += _type_faults(fields, str(path)) + carried.text_faults(fields, str(path))
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
            columns=self._columns(),
            optics_columns=self._optics_columns(first),
        )
        return found if self.faults else _with_digits_of_text(found, str(self.path))

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
        for name, (low, high, what) in _LIMITS.items():
            values = self._numbers(name).reshape(self.rows, -1)[:, -1]
            wrong = np.flatnonzero((values < low) | (values > high))
            self.faults += faults.by_row(self.where(name), wrong, lambda row, v=values, w=what: f"{v[row]:g} {w}")

    def _optics(self, row: int) -> Optics:
        number = self.fields[GROUP][row] if GROUP in self.fields else 0
        optics = Optics(
            name=f"exp_group_{number}",
            voltage_kV=_decimal(self.fields[VOLTAGE][row]),
            spherical_aberration_A=_decimal(self.fields[ABERRATION][row]) * _MM,
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
        (a, b), (c, d) = (np.eye(2) + self._vector(MAGNIFICATION, row, 4).reshape(2, 2)).tolist()
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


# ---- joining


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


# ---- digits of the text of a STAR file


def _with_digits_of_text(found: Particles, source: str) -> Particles:
    """``found``, its numbers replaced by those of the carried STAR columns where both agree within 32 bits."""
    columns = {tag: values for tag, values in found.columns.items() if not carried.is_field(tag)}
    if not relion.is_complete(columns, found.optics_columns):
        return found
    told = relion.interpreted(columns, found.optics_columns, source)
    return replace(
        found,
        optics=_optics_of_text(found, told),
        defocus=_defocus_of_text(found, told.defocus),
        poses=_poses_of_text(found.poses, told.poses),
    )


def _optics_of_text(found: Particles, told: Particles) -> tuple[Optics, ...]:
    if len(found.optics) != len(told.optics) or not np.array_equal(found.group, told.group):
        return found.optics
    return tuple(map(_optics_group_of_text, found.optics, told.optics))


def _optics_group_of_text(ours: Optics, told: Optics) -> Optics:
    names = ("voltage_kV", "spherical_aberration_A", "amplitude_contrast", "pixel_size_A", "beam_tilt_rad")
    names += ("magnification",)
    pairs = {name: (getattr(ours, name), getattr(told, name)) for name in names}
    same = {name: theirs for name, (mine, theirs) in pairs.items() if np.allclose(mine, theirs, rtol=_SAME, atol=1e-9)}
    # Names, premultiplied images and higher aberrations have no field in a .cs: only the text tells them.
    only = {"name": told.name, "premultiplied": told.premultiplied}
    only |= {"odd_zernike": told.odd_zernike} if told.odd_zernike else {}
    only |= {"even_zernike": told.even_zernike} if told.even_zernike else {}
    return replace(ours, **same, **only)


def _defocus_of_text(found: Particles, told: Defocus) -> Defocus:
    """In a STAR file the scale of a particle is part of its CTF scale."""
    ours, scale = found.defocus, np.where(found.scale == 0, 1.0, found.scale)
    theirs = replace(told, scale=told.scale / scale)
    return Defocus(*(_kept(getattr(theirs, name), getattr(ours, name)) for name in Defocus.__dataclass_fields__))


def _poses_of_text(ours: Poses | None, told: Poses | None) -> Poses | None:
    if ours is None or told is None:
        return ours
    same = rotations.angle_between(ours.rotations, told.rotations) < _SAME_RAD
    turned = np.where(same[:, None, None], told.rotations, ours.rotations)
    return Poses(turned, _kept(told.shifts_A, ours.shifts_A))


def _kept(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """``old`` where it says the same as ``new`` within 32 bits, else ``new`` in the type of ``old``."""
    same = np.isclose(old.astype(np.float64), new, rtol=_SAME, atol=1e-9)
    return np.where(same, old, np.asarray(new).astype(old.dtype))


# ---- writing


def _fields(particles: Particles) -> carried.Fields:
    """All fields: those of the input in their order, then ours, then the columns of a STAR file."""
    old = _carried(particles.columns)
    fields = {UID: old[UID] if UID in old else _uids(particles), **old}
    fields |= _blob(particles, old) | _ctf(particles, old) | _expansion(particles)
    return _with_alignment(fields, particles, old) | _star_fields(particles)


def _expansion(particles: Particles) -> carried.Fields:
    """cryoSPARC's fields of particles that a symmetry expansion made."""
    if PARENT not in particles.columns:
        return {}
    return {SOURCE_UID: _whole_numbers(particles.columns[PARENT]),
            SOURCE_PLACE: _whole_numbers(particles.columns[MATE]).astype(np.uint32)}  # fmt: skip


def _blob(particles: Particles, old: carried.Fields) -> carried.Fields:
    optics, group = particles.optics, particles.group
    shape = np.array([(entry.box, entry.box) for entry in optics], np.uint32)[group]
    boxless = np.array([entry.box == 0 for entry in optics])[group]  # tables read without their images
    return {
        PATH: _paths(particles, old.get(PATH)),
        INDEX: _whole(old.get(INDEX), particles.index),
        SHAPE: np.where(boxless[:, None], old[SHAPE], shape) if SHAPE in old else shape,
        PIXEL: _single(old.get(PIXEL), np.array([entry.pixel_size_A for entry in optics])[group]),
        SIGN: _single(old.get(SIGN), np.where(particles.defocus.scale < 0, -1.0, 1.0)),
    }


def _ctf(particles: Particles, old: carried.Fields) -> carried.Fields:
    optics, group, defocus = particles.optics, particles.group, particles.defocus
    of_group = {
        VOLTAGE: [entry.voltage_kV for entry in optics],
        ABERRATION: [entry.spherical_aberration_A / _MM for entry in optics],
        CONTRAST: [entry.amplitude_contrast for entry in optics],
        TILT: [entry.spherical_aberration_A * np.sin(entry.beam_tilt_rad) for entry in optics],
        MAGNIFICATION: [np.ravel(np.array(entry.magnification) - np.eye(2)) for entry in optics],
    }
    of_particle = {
        DEFOCUS_U: defocus.u_A,
        DEFOCUS_V: defocus.v_A,
        ANGLE: defocus.angle_rad,
        PHASE: defocus.phase_shift_rad,
        CTF_SCALE: _ctf_scale(particles, old),
        BFACTOR: defocus.bfactor_A2,
    }
    kept = {TYPE: old.get(TYPE, np.full(len(particles), b"imported")), GROUP: old.get(GROUP, group.astype(np.uint32))}
    kept |= {name: old.get(name, np.zeros((len(particles), size), np.float32))
             for name, size in ((TREFOIL, 2), (TETRAFOIL, 4))}  # fmt: skip
    values = {**{name: np.array(column)[group] for name, column in of_group.items()}, **of_particle}
    return kept | {name: _single(old.get(name), column) for name, column in values.items()}


def _with_alignment(fields: carried.Fields, particles: Particles, old: carried.Fields) -> carried.Fields:
    """The fields with half-set, scale and pose; without a half-set or pose where the particles have none."""
    dropped = set() if particles.poses is not None else {POSE, SHIFT, POSE_PIXEL}
    dropped |= set() if _halves_complete(particles.half) else {SPLIT}
    fields = {name: values for name, values in fields.items() if name not in dropped}
    if SPLIT not in dropped:
        fields[SPLIT] = _whole(old.get(SPLIT), particles.half - FIRST)
    ctf_scale = _ctf_scale(particles, old)
    scale = np.abs(particles.defocus.scale) * particles.scale / np.where(ctf_scale == 0, 1.0, ctf_scale)
    if ALPHA in old or particles.poses is not None or np.any(scale != 1):
        fields[ALPHA] = _single(old.get(ALPHA), scale)
    return fields if particles.poses is None else fields | _pose(particles, old)


def _ctf_scale(particles: Particles, old: carried.Fields) -> np.ndarray:
    """(n,) that of the input, 1 where it has none: what a STAR file multiplied it by is the scale of the particle."""
    ones = np.ones(len(particles))
    return old.get(CTF_SCALE, ones) if old else np.abs(particles.defocus.scale)


def _pose(particles: Particles, old: carried.Fields) -> carried.Fields:
    n, turned = len(particles), np.swapaxes(particles.poses.rotations, -1, -2)
    pixel = old.get(POSE_PIXEL, np.array([entry.pixel_size_A for entry in particles.optics])[particles.group])
    pixel = np.where(pixel > 0, pixel, 1.0).astype(np.float32)
    fields = {
        SHIFT: _single(old.get(SHIFT), particles.poses.shifts_A / pixel[:, None].astype(np.float64)),
        POSE: rotations.log_so3(turned).astype(np.float32),
        POSE_PIXEL: pixel,
    }
    if POSE in old:
        same = rotations.angle_between(rotations.exp_so3(old[POSE]), turned) < _SAME_RAD
        fields[POSE] = np.where(same[:, None], old[POSE], fields[POSE])
    slot = POSE.split("/")[0]
    rest = {f"{slot}/{name}": np.full(n, value, np.uint32 if name == "class" else np.float32)
            for name, value in _ALIGNMENT.items()}  # fmt: skip
    return fields | {name: old.get(name, values) for name, values in rest.items()}


def _halves_complete(half: np.ndarray) -> bool:
    """Raises: InputError where only some particles have a half-set: the field has no number for none."""
    none = np.count_nonzero(half == UNASSIGNED)
    if 0 < none < len(half):
        raise InputError(f"half-sets: {none:,} of {len(half):,} particles have none, which a .cs file cannot say")
    return none == 0


def _star_fields(particles: Particles) -> carried.Fields:
    """Columns that came by a STAR file, as a STAR file of these particles would have them now."""
    columns, optics_columns = relion.columns_of(particles)
    own = {tag: columns.get(tag, values) for tag, values in particles.columns.items() if not carried.is_field(tag)}
    shared = {tag: optics_columns[tag] for tag in particles.optics_columns}
    of_rows = {tag: carried.star_fields({tag: values}, "")[tag][particles.group] for tag, values in shared.items()}
    return {**carried.star_fields(own, carried.COLUMN), **carried.star_fields(of_rows, carried.OPTICS_COLUMN)}


def _single(old: np.ndarray | None, new: np.ndarray) -> np.ndarray:
    """float32 values, or those of the input where they still say the same."""
    return np.asarray(new).astype(np.float32) if old is None else _kept(old, np.asarray(new, np.float64))


def _whole(old: np.ndarray | None, new: np.ndarray) -> np.ndarray:
    """Whole numbers from 0 in the type of the input, a wider one where that is too narrow for them."""
    dtype = np.dtype(np.uint32) if old is None else old.dtype
    return np.asarray(new).astype(dtype if new.max(initial=0) <= np.iinfo(dtype).max else np.uint64)


def _paths(particles: Particles, old: np.ndarray | None) -> np.ndarray:
    """(n,) names as the input had them while they mean the same file, else as ``image_names`` writes them."""
    written = np.array([os.fsencode(image_names.written(path)) for path in particles.files], dtype="S")
    new = written[particles.file] if len(written) else np.zeros(len(particles), "S1")
    if old is None:
        return new
    pairs = set(zip(old.tolist(), particles.file.tolist(), strict=True))
    moved = {pair for pair in pairs if not _means(pair[0], particles.files[pair[1]])}
    if not moved:
        return old
    changed = [pair in moved for pair in zip(old.tolist(), particles.file.tolist(), strict=True)]
    return np.where(changed, new, old)


def _means(name: bytes, path: Path) -> bool:
    """Whether a file found at ``path`` is the one a table calls ``name``."""
    told = Path(os.fsdecode(name.removeprefix(b">"))).parts
    return path.parts[len(path.parts) - len(told) :] == told


def _uids(particles: Particles) -> np.ndarray:
    """(n,) uint64: the same for the same image in every table; rows that repeat an image are counted."""
    seen: dict[tuple[int, int], int] = {}
    uid = np.empty(len(particles), dtype=np.uint64)
    kind = "~" if PARENT in particles.columns else ""  # a copy is not its parent
    for row, image in enumerate(zip(particles.file.tolist(), particles.index.tolist(), strict=True)):
        seen[image] = seen.get(image, 0) + 1
        uid[row] = _hashed(f"{image[1]}@{particles.files[image[0]]}#{seen[image]}{kind}")
    return uid


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(os.fsencode(text), digest_size=8).digest(), "little")


def _structured(fields: carried.Fields, rows: int) -> np.ndarray:
    types = [(name, values.dtype, values.shape[1:]) for name, values in fields.items()]
    table = np.zeros(rows, types)
    for name, values in fields.items():
        table[name] = values
    return table
