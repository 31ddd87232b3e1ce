"""What cryoSPARC calls the fields of its particle tables, what they hold and what their numbers can be.

Names and types only: what they mean is in ``cryosparc_table`` and ``cryosparc_writing``.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from halfmap.data import carried
from halfmap.errors import InputError
from halfmap.io import mrc

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
# What NumPy may keep each field as: kinds (f = floats of 32 bits and more), shape of one value
TYPES = {
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
LIMITS = {  # as in ``relion``: what can be computed with at all
    PIXEL: (1e-6, 1e6, "A is no pixel size"),
    VOLTAGE: (1e-3, 1e5, "kV is no voltage"),
    ABERRATION: (-1e3, 1e3, "mm is no spherical aberration"),
    CONTRAST: (-1.0, 1.0, "is no amplitude contrast; it is a fraction, 0.07 to 0.1 in most data"),
    SHAPE: (0, mrc.LARGEST_SIDE, "is no box, in pixels"),
    INDEX: (0, 1 << 40, "is no number of an image"),
}
# Two numbers of 32 bits that went through one multiplication differ by up to 2e-7 of their size.
SAME, SAME_RAD = 5e-7, 1e-6
MM = 1e7  # Angstrom


def of_columns(columns: dict[str, np.ndarray], names: tuple[str, ...] | None = None,
               source: str = "particle table") -> carried.Fields:  # fmt: skip
    """The ``.cs`` fields of these names, or all, that columns carry. Raises: InputError where one was edited."""
    wanted = columns if names is None else carried.fields_named(columns, names)
    fields = carried.fields_of({tag: columns[tag] for tag in columns if tag in wanted}, source)
    wrong = type_faults(fields, source)
    if wrong:
        raise InputError(wrong)
    return fields


def name_faults(columns: Iterable[str], source: str) -> list[str]:
    """What is wrong with carried columns by their names alone: one is lost, or of a type that its field never has."""
    return carried.name_faults(columns, source) or type_faults(carried.without_rows(columns), source)


def type_faults(fields: carried.Fields, source: str) -> list[str]:
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
    return ("S", ()) if is_text else TYPES.get(name, ("", ()))
