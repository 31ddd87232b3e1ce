"""cryoSPARC's ``.cs`` tables: one row per item, fields called ``slot/field``, one field ``uid`` that joins tables.

Owns the syntax of both kinds of file; knows no field but ``uid``. Format 1 is NumPy's structured ``.npy``; format 2
("CSDAT") holds the fields one after the other and the texts in a heap at the end, and is read where it is not
compressed. A table is a NumPy structured array in native byte order; texts are bytes (``S``).
Strict: what is no such table is an InputError that lists every fault.
"""

from __future__ import annotations

import json
import math
import os
import struct
import tokenize
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from halfmap.errors import InputError
from halfmap.io import atomic, faults

UID = "uid"
MAGIC_NPY, MAGIC_CSDAT = b"\x93NUMPY", b"\x95CSDAT"
_LARGEST_HEADER = 10_000_000  # bytes: a table of every known field takes 10,000; NumPy's own limit is as low
_KINDS = "biufS"  # truth values, whole numbers, floats, bytes
# What NumPy raises for a header that is no Python; too many brackets are a MemoryError or a RecursionError
_UNREADABLE = (
    ValueError, TypeError, IndexError, KeyError, OverflowError, SyntaxError, tokenize.TokenError, MemoryError,
    RecursionError,
)  # fmt: skip
_MOST_SIDES, _MOST_FIELD_BYTES = 8, (1 << 31) - 1  # of one value; NumPy allows no more
# Texts as wide as the longest one: more than so many bytes for each of the file is a false offset into the heap
_WASTE, _SPARE_BYTES = 64, 1 << 20
_EXPORT = "export it from cryoSPARC in the default format: Dataset.load(path).save(path) of cryosparc-tools"


def read(path: str | Path) -> np.ndarray:
    """(rows,) structured array of a file of either format.

    Raises: InputError if it cannot be read, is of another kind, truncated, compressed, lacks ``uid``, repeats one, or
    has fields that are neither numbers nor texts; all faults at once.
    """
    try:
        with open(path, "rb") as file:
            magic = file.read(6)
            file.seek(0)
            table = _reader(path, magic)(path, file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    found = uid_faults(path, table[UID])
    if found:
        raise InputError(found)
    return table


def is_table(path: str | Path) -> bool:
    """Whether the file begins as one of the two formats; False if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(6) in (MAGIC_NPY, MAGIC_CSDAT)
    except OSError:
        return False


def write(path: str | Path, table: np.ndarray) -> None:
    """Write format 1, little endian; the file appears whole or not at all.

    Raises: InputError if ``uid`` is missing or repeated, or a field is neither number nor text; ResourceError when the
    disk is full.
    """
    found = _type_faults(path, table.dtype) or uid_faults(path, table[UID])
    if found:
        raise InputError(found)
    with atomic.writing(path) as file:
        np.lib.format.write_array(file, table.astype(table.dtype.newbyteorder("<"), copy=False), allow_pickle=False)


def _reader(path: str | Path, magic: bytes):
    readers = {MAGIC_NPY: _read_npy, MAGIC_CSDAT: _read_csdat}
    if magic not in readers:
        what = "empty file; write it again" if not magic else "not a cryoSPARC .cs file (it begins with other bytes)"
        raise InputError(f"{path}: {what}")
    return readers[magic]


# ---- format 1


def _read_npy(path: str | Path, file: BinaryIO) -> np.ndarray:
    shape, dtype = _npy_header(path, file)
    _refuse_types(path, shape, dtype)
    needed, there = shape[0] * dtype.itemsize, os.fstat(file.fileno()).st_size - file.tell()
    if there != needed:
        raise InputError(_wrong_length(path, shape[0], dtype.itemsize, there))
    return np.fromfile(file, dtype=dtype, count=shape[0]).astype(dtype.newbyteorder("="), copy=False)


def _npy_header(path: str | Path, file: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        reader = headers.get(np.lib.format.read_magic(file), np.lib.format.read_array_header_2_0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote, as cryoSPARC 2 did, and of old type names
            shape, _, dtype = reader(file, max_header_size=_LARGEST_HEADER)
    except _UNREADABLE as error:
        raise InputError(f"{path}: its header cannot be read ({error}); the file is damaged") from error
    return shape, dtype


def _wrong_length(path: str | Path, rows: int, row_bytes: int, there: int) -> str:
    return (
        f"{path}: {rows:,} rows of {row_bytes:,} bytes announced, {there / row_bytes:,.1f} are there; "
        f"the file is {'truncated' if there < rows * row_bytes else 'damaged'}, copy it again"
    )


def _refuse_types(path: str | Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if dtype.names is None or len(shape) != 1:
        raise InputError(f"{path}: a plain array of shape {shape}, not a table with named fields; give a .cs file")
    found = _type_faults(path, dtype)
    if found:
        raise InputError(found)


def _type_faults(path: str | Path, dtype: np.dtype) -> list[str]:
    """Everything wrong with the fields, ``uid`` first."""
    names = dtype.names or ()
    lines = name_faults(path, names)
    lines += [] if UID in names else [f"{path}: {UID}: field missing; without it rows cannot be joined"]
    if UID in names and dtype[UID] not in (np.dtype("<u8"), np.dtype(">u8")):
        lines.append(f"{path}: {UID}: type {dtype[UID]}, expected uint64")
    lines += [
        f"{path}: {name}: type {dtype[name].base}, expected numbers or bytes (S); convert the field or remove it"
        for name in names
        if dtype[name].base.kind not in _KINDS
    ]
    return lines


def name_faults(path: str | Path, names: Iterable[str]) -> list[str]:
    """A STAR file, into which fields are carried, has no room for blanks in a name."""
    return [
        f"{path}: {name!r} is no name of a field (blanks, or signs that cannot be printed); rename it"
        for name in names
        if not name.isprintable() or name.split() != [name]
    ]


def uid_faults(path: str | Path, uid: np.ndarray) -> list[str]:
    """Rows whose number another row has, too."""
    order = np.argsort(uid, kind="stable")
    again = np.sort(order[1:][uid[order][1:] == uid[order][:-1]])
    where = f"{path}: {UID}"
    return faults.by_row(where, again, lambda row: f"{uid[row]} stands in an earlier row too; remove one of them")


# ---- format 2


def _read_csdat(path: str | Path, file: BinaryIO) -> np.ndarray:
    header = _csdat_header(path, file)
    fields = [_csdat_field(path, entry) for entry in header["dtype"]]
    _refuse_names(path, [name for name, *_ in fields])
    rows = int(header["length"])
    if rows * np.dtype(np.uint64).itemsize > os.fstat(file.fileno()).st_size:  # not even their uids have room
        raise InputError(f"{path}: {rows:,} rows announced, more than the file has bytes for; it is damaged")
    columns = {}
    for name, dtype, shape in fields if rows else ():  # without rows there is nothing, not even a length
        stored = np.dtype("<u8") if dtype.kind == "O" else dtype  # of texts, where they begin in the heap
        data = _csdat_bytes(path, file, name, rows, stored, shape)
        columns[name] = np.frombuffer(data, stored).reshape(rows, *shape)
    heap = file.read()
    for name, dtype, _ in fields if rows else ():
        if dtype.kind == "O":
            columns[name] = _from_heap(path, name, columns[name], heap)
    return _assembled(path, fields, columns, rows)


def _csdat_header(path: str | Path, file: BinaryIO) -> dict[str, Any]:
    file.seek(len(MAGIC_CSDAT))
    try:
        told = int.from_bytes(file.read(4), "little")
        header = json.loads(file.read(min(told, _left(file))))  # a false length must not become a buffer of 4 GB
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: its header cannot be read ({error}); the file is damaged") from error
    known = header if isinstance(header, dict) else {}
    length = known.get("length")
    if not (type(length) is int and length >= 0 and isinstance(known.get("dtype"), list)):
        raise InputError(f"{path}: its header tells no length or no fields; the file is damaged")
    compressed = header.get("compressed_fields") or []
    if not isinstance(compressed, list):
        raise InputError(f"{path}: its header calls {compressed!r} compressed fields; the file is damaged")
    if compressed:
        raise InputError(f"{path}: {len(compressed)} fields are compressed ({header.get('compression')}); {_EXPORT}")
    return header


def _left(file: BinaryIO) -> int:
    """Bytes from here to the end of the file."""
    return os.fstat(file.fileno()).st_size - file.tell()


Field = tuple[str, np.dtype, tuple[int, ...]]


def _csdat_field(path: str | Path, entry: list) -> Field:
    """(name, type, shape) of ``[name, type]`` or ``[name, type, shape]``; texts have type object."""
    damaged = InputError(f"{path}: its header describes a field as {entry!r}; the file is damaged")
    if not isinstance(entry, list) or len(entry) not in (2, 3):
        raise damaged
    shape = entry[2] if len(entry) == 3 else []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old type names
            field = str(entry[0]), np.dtype(entry[1]), tuple(shape if isinstance(shape, list) else [shape])
    except _UNREADABLE as error:
        raise damaged from error
    return _plausible(field, damaged)


def _plausible(field: Field, damaged: InputError) -> Field:
    """The field, if NumPy can hold values of such a type and shape. Raises: ``damaged``."""
    _, dtype, shape = field
    sides = len(shape) <= _MOST_SIDES and all(type(side) is int and 0 <= side < 1 << 31 for side in shape)
    if not sides or dtype.subdtype or dtype.names is not None or dtype.itemsize == 0:
        raise damaged
    if dtype.itemsize * math.prod(shape) > _MOST_FIELD_BYTES:
        raise damaged
    return field


def _refuse_names(path: str | Path, names: list[str]) -> None:
    """Raises: InputError for names that stand twice or are none."""
    twice = [f"{path}: {name!r} stands twice in its header; the file is damaged"
             for name in dict.fromkeys(names) if names.count(name) > 1]  # fmt: skip
    found = name_faults(path, names) + twice
    if found:
        raise InputError(faults.capped(found, str(path)))


def _csdat_bytes(path: str | Path, file: BinaryIO, name: str, rows: int, dtype: np.dtype, shape) -> bytes:
    """The bytes of one field, which are preceded by their number."""
    needed = rows * dtype.itemsize * math.prod(shape)
    size = file.read(4)
    data = file.read(min(needed, _left(file))) if len(size) == 4 else b""
    if len(size) < 4 or len(data) < needed:
        raise InputError(f"{path}: {name}: ends after {len(data):,} of {needed:,} bytes; the file is truncated")
    if struct.unpack("<I", size)[0] != needed:
        raise InputError(f"{path}: {name}: {struct.unpack('<I', size)[0]:,} bytes, expected {needed:,}; damaged file")
    return data


def _from_heap(path: str | Path, name: str, offsets: np.ndarray, heap: bytes) -> np.ndarray:
    """(rows,) bytes: the text that begins at each offset and ends before the next NUL."""
    known, which = np.unique(offsets, return_inverse=True)
    if len(known) and int(known[-1]) >= max(1, len(heap)):
        raise InputError(f"{path}: {name}: points beyond the texts at the end; the file is truncated")
    starts = known.astype(np.int64)
    ends = _ends(heap, starts)
    widest = int(np.max(ends - starts, initial=1))
    if offsets.size * widest > _WASTE * (len(heap) + offsets.nbytes) + _SPARE_BYTES:
        raise InputError(f"{path}: {name}: a text of {widest:,} bytes among {offsets.size:,}; the file is damaged")
    texts = [heap[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    return np.array(texts, dtype=f"S{max(1, widest)}")[which.reshape(offsets.shape)]


def _ends(heap: bytes, starts: np.ndarray) -> np.ndarray:
    """Where the text that begins at each place ends: at the next NUL, or with the heap."""
    ends = np.append(np.flatnonzero(np.frombuffer(heap, np.uint8) == 0), len(heap))
    return ends[np.searchsorted(ends, starts)]


def _assembled(path: str | Path, fields: list[Field], columns: dict[str, np.ndarray], rows: int) -> np.ndarray:
    def type_of(name: str, dtype: np.dtype) -> np.dtype:
        return columns[name].dtype if name in columns else np.dtype("S1") if dtype.kind == "O" else dtype

    whole = np.dtype([(name, type_of(name, dtype).newbyteorder("="), shape) for name, dtype, shape in fields])
    found = _type_faults(path, whole)
    if found:
        raise InputError(found)
    table = np.zeros(rows, whole)
    for name, column in columns.items():
        table[name] = column
    return table
