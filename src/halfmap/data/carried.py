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
from collections.abc import Callable, Iterable, Iterator
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

    Raises: InputError as ``name_faults``, and where a column does not hold what its name says.
    """
    wrong = name_faults(columns, source)
    if wrong:
        raise InputError(wrong)
    parts: dict[str, dict[int, np.ndarray]] = {}
    types: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}
    for tag, match in _matches(columns):
        types[match["field"]] = np.dtype(match["type"]), _shape(match)
        values = _values(tag, columns[tag], np.dtype(match["type"]), source)
        parts.setdefault(match["field"], {})[int(match["place"] or 0)] = values
    return {name: _joined(parts[name], *types[name]) for name in parts}


def name_faults(columns: Iterable[str], source: str = "") -> list[str]:
    """Fields of which a column was lost, or renamed so that the rest does not fit together any more."""
    lines, places = [], {}
    for tag, match in _matches(columns):
        type_, shape, found = places.setdefault(match["field"], (match["type"], _shape(match), set()))
        found.add(int(match["place"] or 0))
        if (type_, shape) != (match["type"], _shape(match)):
            lines.append(f"{source}: {tag}: columns of one field differ in type or shape; remove them")
    for name, (_, shape, found) in places.items():
        count = math.prod(shape)
        absent = (place for place in range(count) if place not in found)  # a false shape may tell of billions
        missing = [f"{source}: cs:{name}: number {place} of {count} is missing; remove the rest too"
                   for place in islice(absent, faults.LISTED)]  # fmt: skip
        more = [f"{source}: cs:{name}: {len(found)} columns of {count}"] if len(found) > count else []
        lines += faults.capped(missing, source) or more
    return lines


def without_rows(columns: Iterable[str]) -> Fields:
    """The fields that columns carry, of their types and shapes, for columns without ``name_faults``."""
    return {match["field"]: np.empty((0, *_shape(match)), match["type"]) for _, match in _matches(columns)}


def _matches(columns: Iterable[str]) -> Iterator[tuple[str, re.Match]]:
    """Columns that carry a field, and what their names say."""
    matches = ((tag, _TAG.fullmatch(tag)) for tag in columns)
    return ((tag, match) for tag, match in matches if match)


def _shape(match: re.Match) -> tuple[int, ...]:
    return tuple(int(side) for side in match["shape"].split("x")) if match["shape"] else ()


def is_field(tag: str) -> bool:
    """Whether a STAR column carries a ``.cs`` field."""
    return _TAG.fullmatch(tag) is not None


def fields_named(columns: Iterable[str], names: tuple[str, ...]) -> set[str]:
    """Those columns that carry one of these ``.cs`` fields."""
    return {tag for tag, match in _matches(columns) if match["field"] in names}


def star_fields(columns: dict[str, np.ndarray], slot: str) -> Fields:
    """Fields of a ``.cs`` file that hold these STAR columns as they are written."""
    return {slot + tag: star.cells(values) for tag, values in columns.items()}


def star_columns(fields: Fields, slot: str) -> dict[str, np.ndarray]:
    """The inverse of ``star_fields``; other fields are left out."""
    return {name.removeprefix(slot): values for name, values in fields.items() if name.startswith(slot)}


def text_faults(fields: Fields, source: str) -> list[str]:
    """Texts that are none, and fields that should hold characters of a STAR file and hold what would spoil one."""
    lines = []
    for name, values in fields.items():
        if values.dtype.kind != "S":
            continue
        wrong = np.flatnonzero(_has_controls(values))
        lines += faults.by_row(f"{source}: {name}", wrong, lambda row, v=values: f"{v[row]!r} is no text; correct or "
                               "remove the field")  # fmt: skip
        if values.ndim == 1 and not len(wrong):
            cell = name.startswith((COLUMN, OPTICS_COLUMN))
            lines += _cell_faults(values, f"{source}: {name}", _is_cell if cell else star.holds)
    return lines


def _is_cell(value: bytes) -> bool:
    """Whether it is one value of a STAR file as it stands there, with its quotes."""
    return star.split(value) == [value]


def _cell_faults(values: np.ndarray, where: str, fits: Callable[[bytes], bool]) -> list[str]:
    if not _needs_quotes(values):
        return []
    whole = {value: fits(value) for value in set(values.tolist())}
    wrong = [row for row, value in enumerate(values.tolist()) if not whole[value]]
    return faults.by_row(where, wrong, lambda row: f"{values[row]!r} is no value of a STAR file; remove the field")


def _has_controls(texts: np.ndarray) -> np.ndarray:
    """(n,) whether a text has line breaks or other signs of control, which no name has and a STAR file would spoil."""
    signs = np.ascontiguousarray(texts).view(np.uint8).reshape(len(texts), -1, texts.dtype.itemsize)
    control, zero = (signs > 0) & (signs < ord(" ")), signs == 0  # zeros at the end fill the field up
    return np.any(control, axis=(1, 2)) | np.any(zero[..., :-1] & ~zero[..., 1:], axis=(1, 2))


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


def _joined(parts: dict[int, np.ndarray], dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    stacked = np.stack([parts[place] for place in sorted(parts)], axis=-1)
    return stacked.reshape(len(stacked), *shape).astype(dtype, copy=False)
