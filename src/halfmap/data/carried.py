"""What one kind of particle file tells and the other has no place for, carried through it unchanged.

Owns the names under which it travels; knows no field or column by name.

* A ``.cs`` field is a STAR column ``cs:FIELD:TYPE``, an array of several numbers one column each,
  ``cs:FIELD:TYPE:SHAPE:PLACE``: ``cs:uid:u8``, ``cs:alignments3D/pose:f4:3:0``. TYPE is NumPy's, so that the numbers
  come back bit by bit.
* A STAR column is a ``.cs`` field ``star/COLUMN``, a column of the optics table ``star_optics/COLUMN``, both the
  characters of the STAR file.
"""

from __future__ import annotations

import math
import re
from itertools import islice

import numpy as np

from halfmap.errors import InputError
from halfmap.io import faults, star

COLUMN, OPTICS_COLUMN = "star/", "star_optics/"  # slots of a .cs file that hold columns of a STAR file
_TAG = re.compile(
    r"cs:(?P<field>\S+?):(?P<type>b1|[iu][1248]|f[248]|S[1-9]\d{0,8})(?::(?P<shape>\d+(?:x\d+)*):(?P<place>\d+))?"
)
_UNSAFE = (b" ", b"\t", b"\n", b"#", b'"', b"'")  # what a STAR file needs quotes for
# What NumPy raises for text that is no number, or none of this size
_NO_NUMBER = (ValueError, OverflowError, FloatingPointError)
_WIDE_TEXT, _WASTE = 4096, 64  # wider than any path, and so many times wider than the longest text: no .cs had it

Fields = dict[str, np.ndarray]  # field of a .cs file -> (n, ...) values


def columns_of(fields: Fields) -> dict[str, np.ndarray]:
    """STAR columns, (n,) each, that say all of ``fields``; views where the numbers are exact in a STAR file."""
    columns = {}
    for name, values in fields.items():
        shape = values.shape[1:]
        flat = values.reshape(len(values), -1) if shape else values[:, None]
        for place in range(flat.shape[1]):
            columns[_tag(name, values.dtype, shape, place)] = _writable(flat[:, place])
    return columns


def fields_of(columns: dict[str, np.ndarray], source: str = "") -> Fields:
    """The inverse of ``columns_of``, whether the columns were read as text or not; other columns are left out.

    Raises: InputError where a column does not hold what its name says or an array has lost a column.
    """
    parts: dict[str, dict[int, np.ndarray]] = {}
    shapes: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}
    for tag, values in columns.items():
        match = _TAG.fullmatch(tag)
        if match:
            shape = tuple(int(side) for side in match["shape"].split("x")) if match["shape"] else ()
            told = np.dtype(match["type"]), shape
            if shapes.setdefault(match["field"], told) != told:
                raise InputError(f"{source}: {tag}: columns of one field differ in type or shape; remove them")
            parts.setdefault(match["field"], {})[int(match["place"] or 0)] = _values(
                tag, values, shapes[match["field"]][0], source
            )
    return {name: _joined(name, parts[name], *shapes[name], source) for name in parts}


def is_field(tag: str) -> bool:
    """Whether a STAR column carries a ``.cs`` field."""
    return _TAG.fullmatch(tag) is not None


def fields_named(columns: dict[str, np.ndarray], names: tuple[str, ...]) -> set[str]:
    """Those columns that carry one of these ``.cs`` fields."""
    matches = {tag: _TAG.fullmatch(tag) for tag in columns}
    return {tag for tag, match in matches.items() if match and match["field"] in names}


def star_fields(columns: dict[str, np.ndarray], slot: str) -> Fields:
    """Fields of a ``.cs`` file that hold these STAR columns as they are written."""
    return {slot + tag: star.cells(values) for tag, values in columns.items()}


def star_columns(fields: Fields, slot: str) -> dict[str, np.ndarray]:
    """The inverse of ``star_fields``; other fields are left out."""
    return {name.removeprefix(slot): values for name, values in fields.items() if name.startswith(slot)}


def text_faults(fields: Fields, source: str) -> list[str]:
    """Fields that should hold characters of a STAR file, and hold what would spoil one."""
    lines = []
    for name, values in fields.items():
        is_text = name.startswith((COLUMN, OPTICS_COLUMN)) and values.dtype.kind == "S" and values.ndim == 1
        if is_text and _needs_quotes(values):
            whole = {value: star.split(value) == [value] for value in set(values.tolist())}
            wrong = [row for row, value in enumerate(values.tolist()) if not whole[value]]
            lines += faults.by_row(f"{source}: {name}", wrong, lambda row, v=values: f"{v[row]!r} is no value of a "
                                   "STAR file; remove the field")  # fmt: skip
    return lines


def _tag(name: str, dtype: np.dtype, shape: tuple[int, ...], place: int) -> str:
    head = f"cs:{name}:{dtype.kind}{dtype.itemsize}"
    return f"{head}:{'x'.join(map(str, shape))}:{place}" if shape else head


def _writable(values: np.ndarray) -> np.ndarray:
    """Doubles and texts with blanks as text: STAR files print 12 digits and quote only ``str``."""
    if values.dtype == np.float64:
        return np.array([f"{value:.17g}".encode() for value in values.tolist()], dtype="S")
    if values.dtype.kind != "S" or not _needs_quotes(values):
        return values
    return np.array([value.decode("utf-8", "surrogateescape") for value in values.tolist()], dtype=object)


def _needs_quotes(values: np.ndarray) -> bool:
    content = values.tobytes()
    return bool(np.any(values == b"")) or any(character in content for character in _UNSAFE) or any(
        value.startswith((b"_", b"data_", b"loop_")) for value in set(values.tolist())
    )


def _values(tag: str, column: np.ndarray, dtype: np.dtype, source: str) -> np.ndarray:
    """(n,) values of ``dtype`` of a column, which holds them or their text."""
    if column.dtype.kind in "biuf":
        return column.astype(dtype)
    texts = star.Block("", {tag: column}, source=source).texts(tag)
    if dtype.kind == "S":
        raw = [text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape") for text in texts.tolist()]
        if dtype.itemsize > max(_WIDE_TEXT, _WASTE * max(map(len, raw), default=0)):
            raise InputError(f"{source}: {tag}: no text is that wide; the column was renamed, remove it")
        return np.array(raw, dtype=dtype)
    try:
        return _parsed(texts, dtype)
    except _NO_NUMBER as error:
        raise InputError(f"{source}: {tag}: {error}; the column was edited, remove it") from error


def _parsed(texts: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Text becomes the widest number of its kind first; rounding it finds the float32 that was printed.

    Raises: one of _NO_NUMBER where the text is none, or does not fit ``dtype``.
    """
    if dtype.kind == "b":
        return texts.astype(np.uint8).astype(bool)
    wide = texts.astype(np.dtype(f"{dtype.kind}8"))
    with np.errstate(over="raise"):
        values = wide.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(values, wide):
        raise ValueError(f"numbers that do not fit {dtype}")
    return values


def _joined(name: str, parts: dict[int, np.ndarray], dtype: np.dtype, shape: tuple[int, ...], source: str):
    count = math.prod(shape)
    absent = (place for place in range(count) if place not in parts)  # a false shape may tell of billions
    missing = list(islice(absent, faults.LISTED))
    if missing or len(parts) > count:
        lines = [f"{source}: cs:{name}: number {place} of {count} is missing; remove the rest too" for place in missing]
        raise InputError(faults.capped(lines, source) or f"{source}: cs:{name}: {len(parts)} columns of {count}")
    stacked = np.stack([parts[place] for place in range(count)], axis=-1)
    return stacked.reshape(len(stacked), *shape).astype(dtype, copy=False)
