"""The fields that a ``.cs`` table of particles gets when it is written.

Owns which fields of the input stay as they were, bit by bit: those that still say what is to be said.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from halfmap.data import carried, image_names, relion_writing
from halfmap.data.cryosparc_digits import kept
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
    MAGNIFICATION,
    MATE,
    MM,
    PARENT,
    PATH,
    PHASE,
    PIXEL,
    POSE,
    POSE_PIXEL,
    SAME_RAD,
    SHAPE,
    SHIFT,
    SIGN,
    SOURCE_PLACE,
    SOURCE_UID,
    SPLIT,
    TETRAFOIL,
    TILT,
    TREFOIL,
    TYPE,
    UID,
    VOLTAGE,
    of_columns,
)
from halfmap.data.cryosparc_uids import uids_of_images, whole_numbers
from halfmap.data.particles import FIRST, UNASSIGNED, Particles
from halfmap.errors import InputError
from halfmap.geometry import rotations
from halfmap.io import cs

# What cryoSPARC writes for a particle that it aligned, and the value that says "not computed".
_ALIGNMENT = {
    "error": 0.0, "error_min": 0.0, "resid_pow": 0.0, "slice_pow": 0.0, "image_pow": 0.0, "cross_cor": 0.0,
    "alpha_min": 1.0, "weight": 0.0, "pose_ess": 0.0, "shift_ess": 0.0, "class_posterior": 1.0, "class": 0,
    "class_ess": 1.0,
}  # fmt: skip


def fields_of(particles: Particles) -> carried.Fields:
    """All fields: those of the input in their order, then ours, then the columns of a STAR file."""
    old = of_columns(particles.columns)
    fields = {UID: old[UID] if UID in old else uids_of_images(particles), **old}
    fields |= _blob(particles, old) | _ctf(particles, old) | _expansion(particles)
    return _with_alignment(fields, particles, old) | _star_fields(particles)


def faults_of(particles: Particles, source: str, new_halves: bool) -> list[str]:
    """What would keep ``fields_of`` from its work, for a job that writes a ``.cs`` in the end.

    ``new_halves``: the job gives every particle a half-set itself.
    """
    try:
        fields = of_columns(particles.columns, source=source)
        if not new_halves:
            _halves_complete(particles.half, source)
    except InputError as fault:
        return list(fault.faults)
    own = (tag for tag in (*particles.columns, *particles.optics_columns) if not carried.is_field(tag))
    return cs.name_faults(source, own) + (cs.uid_faults(source, fields[UID]) if UID in fields else [])


def _expansion(particles: Particles) -> carried.Fields:
    """cryoSPARC's fields of particles that a symmetry expansion made."""
    if PARENT not in particles.columns:
        return {}
    columns = ((SOURCE_UID, PARENT, np.uint64), (SOURCE_PLACE, MATE, np.uint32))  # which copy it is may be untold
    return {name: whole_numbers(particles.columns[tag]).astype(dtype)
            for name, tag, dtype in columns if tag in particles.columns}  # fmt: skip


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
        ABERRATION: [entry.spherical_aberration_A / MM for entry in optics],
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
        same = rotations.angle_between(rotations.exp_so3(old[POSE]), turned) < SAME_RAD
        fields[POSE] = np.where(same[:, None], old[POSE], fields[POSE])
    slot = POSE.split("/")[0]
    rest = {f"{slot}/{name}": np.full(n, value, np.uint32 if name == "class" else np.float32)
            for name, value in _ALIGNMENT.items()}  # fmt: skip
    return fields | {name: old.get(name, values) for name, values in rest.items()}


def _halves_complete(half: np.ndarray, source: str = "particle table") -> bool:
    """Raises: InputError where only some particles have a half-set: the field has no number for none."""
    none = np.count_nonzero(half == UNASSIGNED)
    if 0 < none < len(half):
        raise InputError(f"{source}: half-sets: {none:,} of {len(half):,} particles have none, which a .cs file cannot "
                         "say; give all of them one, or none, or leave the .cs file out")  # fmt: skip
    return none == 0


def _star_fields(particles: Particles) -> carried.Fields:
    """Columns that came by a STAR file, as a STAR file of these particles would have them now."""
    columns, optics_columns = relion_writing.columns_of(particles)
    own = {tag: columns.get(tag, values) for tag, values in particles.columns.items() if not carried.is_field(tag)}
    shared = {tag: optics_columns[tag] for tag in particles.optics_columns}
    of_rows = {tag: carried.star_fields({tag: values}, "")[tag][particles.group] for tag, values in shared.items()}
    return {**carried.star_fields(own, carried.COLUMN), **carried.star_fields(of_rows, carried.OPTICS_COLUMN)}


def _single(old: np.ndarray | None, new: np.ndarray) -> np.ndarray:
    """float32 values, or those of the input where they still say the same."""
    return np.asarray(new).astype(np.float32) if old is None else kept(old, np.asarray(new, np.float64))


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
