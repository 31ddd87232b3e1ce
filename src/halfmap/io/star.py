"""STAR files as used in cryo-EM: ``data_`` blocks, each with one ``loop_`` or with tag-value pairs.

Owns the syntax: comments, quotes, one table row per line, numbers as text. Knows no tag by name. Values stay the
bytes that stand in the file until somebody asks for numbers, so what is not understood is written back unchanged.
Strict: text that does not fit the syntax is an InputError that lists every fault with its line.
Not supported, because no cryo-EM program writes them: values over several lines, save frames, a row over several lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from halfmap.errors import InputError
from halfmap.io import atomic, faults

# Plain Python reads about 60 MB/s; loading numba and the compiled bodies costs about 0.7 s.
_SHORT_FILE_BYTES = 16_000_000
_SHORT_COLUMN = 100_000  # values; numpy converts these in about 15 ms
# Fixed-width columns waste space where one value is very long; above this factor each value gets its own object.
_WASTE = 8
_VALUE = re.compile(rb"""(?:"[^\n]*?"|'[^\n]*?')(?=\s|$)|\#.*|\S+""")
_WRITE_ROWS = 20_000  # rows formatted at a time: bounds memory, costs nothing


@dataclass(frozen=True)
class Block:
    """One data block. ``columns``: tag without its underscore -> (rows,) array.

    After ``read`` the arrays are bytes (dtype S, or object for very uneven lengths), verbatim, quotes included.
    ``write`` also takes str, float and integer arrays. A block of tag-value pairs has one row and ``is_loop`` False.
    """

    name: str
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    is_loop: bool = True
    source: str = ""  # file, for messages

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def where(self, tag: str) -> str:
        """``file: column``, the beginning of every message about a column."""
        return f"{self.source}: {tag}" if self.source else tag

    def texts(self, tag: str) -> np.ndarray:
        """(rows,) bytes without the quotes around a value. Raises: InputError if there is no such column."""
        column = self._column(tag)
        opens = {value[:1] for value in column} if column.dtype == object else _first_bytes(column)
        return _unquoted(column) if opens & {b'"', b"'"} else column

    def strings(self, tag: str) -> list[str]:
        """Values as str without quotes. Raises: InputError if there is no such column."""
        return [_text(value) for value in self.texts(tag)]

    def numbers(self, tag: str) -> np.ndarray:
        """(rows,) float64, correctly rounded. Raises: InputError that lists the rows that hold no number."""
        column = self._column(tag)
        if column.dtype.kind in "iuf":
            return column.astype(np.float64)
        return _numbers(column, self.where(tag))

    def measures(self, tag: str) -> np.ndarray:
        """(rows,) float64 that can be computed with: finite, up to ``faults.LARGEST_MEASURE``.

        Raises: InputError that lists the rows that hold none.
        """
        numbers = self.numbers(tag)
        wrong = np.flatnonzero(~(np.abs(numbers) <= faults.LARGEST_MEASURE))
        if len(wrong):
            raise InputError(faults.by_row(self.where(tag), wrong, lambda row: faults.no_measure(numbers[row])))
        return numbers

    def integers(self, tag: str) -> np.ndarray:
        """(rows,) int64; ``3.000`` counts as 3. Raises: InputError that lists the rows that hold no whole number."""
        numbers = self.numbers(tag)
        with np.errstate(invalid="ignore"):
            whole = np.where(np.isfinite(numbers), numbers, 0).astype(np.int64)
        wrong = np.flatnonzero(whole != numbers)
        if len(wrong):
            raise InputError(
                faults.by_row(self.where(tag), wrong, lambda row: f"{numbers[row]:g} is not a whole number")
            )
        return whole

    def _column(self, tag: str) -> np.ndarray:
        if tag not in self.columns:
            raise InputError(f"{self.where(tag)}: column missing in data_{self.name}; add it")
        return self.columns[tag]


def read(path: str | Path) -> dict[str, Block]:
    """All blocks of a file by name (``data_particles`` -> ``particles``), in file order.

    Raises: InputError that lists every fault of syntax: short or long rows, duplicate tags or blocks, values outside
    a loop, an empty or binary file.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not data or data.isspace():
        raise InputError(f"{path}: empty file; write it again")
    if b"\0" in data[:4096]:
        raise InputError(f"{path}: binary data, not a STAR file")
    return _Parser(str(path), data).blocks()


def write(path: str | Path, blocks: Iterable[Block] | dict[str, Block], comment: str = "") -> None:
    """Write blocks in order; the file appears whole or not at all. ``comment`` stands above each block.

    Bytes are written as they are, text is quoted where it needs to be, floats get 12 significant digits.
    Raises: ResourceError when the disk is full.
    """
    with atomic.writing(path) as file:
        for block in blocks.values() if isinstance(blocks, dict) else blocks:
            file.write(f"\n# {comment}\n".encode() if comment else b"")
            file.write(f"\ndata_{block.name}\n\n".encode())
            for piece in _formatted(block):
                file.write(piece)


def cells(column: np.ndarray) -> np.ndarray:
    """(rows,) bytes: the values of a column as ``write`` puts them into a file."""
    return np.array(_cells(column), dtype="S")


# ---- reading


class _Parser:
    """One pass over the lines of a file. Short bodies are split by Python, long ones by ``rows``."""

    def __init__(self, source: str, data: bytes):
        self._source, self._data = source, data
        self._position, self._line_number = 0, 0
        self._faults: list[str] = []
        self._row_faults: list[str] = []  # capped already, table by table
        self._blocks: dict[str, Block] = {}
        self._block: Block | None = None

    def blocks(self) -> dict[str, Block]:
        while self._position < len(self._data):
            values = self._next_line()
            if values:
                self._take(values)
        if not self._blocks and not self._faults:
            self._faults.append(f"{self._source}: no data_ block; this is not a STAR file")
        if self._faults or self._row_faults:
            raise InputError(faults.capped(self._faults, self._source) + self._row_faults)
        return self._blocks

    def _next_line(self) -> list[bytes]:
        line, self._position = _line_at(self._data, self._position)
        self._line_number += 1
        return split(line)

    def _fault_here(self, what: str) -> None:
        self._faults.append(f"{self._source}: line {self._line_number}: {what}")

    def _take(self, values: list[bytes]) -> None:
        first = values[0]
        if first.startswith(b"data_") and len(values) == 1:
            self._begin_block(_text(first[5:]))
        elif self._block is None:
            self._fault_here("text before the first data_ block; this is not a STAR file")
            self._position = len(self._data)
        elif first == b"loop_" and len(values) == 1:
            self._loop()
        elif first.startswith(b"_"):
            self._pair(values)
        else:
            self._fault_here(f"value {_text(first)!r} outside a loop; expected _tag, loop_ or data_")

    def _begin_block(self, name: str) -> None:
        if name in self._blocks:
            self._fault_here(f"a second block data_{name}; give each block its own name")
        self._block = Block(name, {}, is_loop=False, source=self._source)
        self._blocks[name] = self._block

    def _pair(self, values: list[bytes]) -> None:
        tag = _text(values[0][1:])
        if len(values) != 2:
            self._fault_here(f"{tag} has {len(values) - 1} values, expected 1; quote a value with blanks")
        elif tag in self._block.columns:
            self._fault_here(f"{tag} stands twice in data_{self._block.name}; remove one")
        else:
            self._block.columns[tag] = np.array([values[1]])

    def _loop(self) -> None:
        name = self._block.name
        if self._block.columns:
            self._fault_here(f"a second table in data_{name}; give it its own data_ block")
        tags = self._tags()
        if not tags:
            self._fault_here(f"loop_ without tags in data_{name}")
        columns = self._body(len(tags))
        self._block = Block(name, dict(zip(tags, columns, strict=True)), is_loop=True, source=self._source)
        self._blocks[name] = self._block

    def _tags(self) -> list[str]:
        tags: list[str] = []
        while self._position < len(self._data):
            before = self._position
            values = self._next_line()
            if values and not values[0].startswith(b"_"):
                self._position, self._line_number = before, self._line_number - 1
                break
            if not values:
                continue
            if len(values) > 1:
                self._fault_here(f"{_text(values[0])} has a value inside a loop header; put # before a column number")
            tags.append(self._new_tag(_text(values[0][1:]), tags))
        return tags

    def _new_tag(self, tag: str, tags: list[str]) -> str:
        if tag not in tags:
            return tag
        self._fault_here(f"{tag} stands twice in data_{self._block.name}; remove one column")
        return f"{tag} (column {len(tags) + 1})"

    def _body(self, columns: int) -> list[np.ndarray]:
        short = not columns or len(self._data) - self._position < _SHORT_FILE_BYTES
        body = (_short_body if short else _long_body)(self._data, self._position, columns)
        self._row_faults += [
            f"{self._source}: line {self._line_number + line + 1}: {count} values in a row of data_{self._block.name}, "
            f"expected {columns}; complete or remove the row"
            for line, count in body.listed
        ]
        if body.bad > len(body.listed):
            self._row_faults.append(f"{self._source}: and {body.bad - len(body.listed):,} more rows like these")
        self._line_number += body.lines
        self._position = body.end
        return body.columns or [np.empty(0, dtype="S1")] * columns


class _Body(NamedTuple):
    """The rows of one loop."""

    columns: list[np.ndarray]  # empty if there are bad rows
    lines: int  # lines of text, blank ones included
    listed: list[tuple[int, int]]  # (line from 0, number of values) of the first bad rows
    bad: int
    end: int  # position of what follows


def split(line: bytes) -> list[bytes]:
    """Values of one line, quotes kept, comment removed."""
    if b"#" not in line and b'"' not in line and b"'" not in line:
        return line.split()
    values = _VALUE.findall(line)
    return values[: next((i for i, value in enumerate(values) if value.startswith(b"#")), len(values))]


def _line_at(data: bytes, position: int) -> tuple[bytes, int]:
    end = data.find(b"\n", position)
    end = len(data) if end < 0 else end
    return data[position:end], end + 1


def _short_body(data: bytes, position: int, columns: int) -> _Body:
    """The rows of a loop, to the next block or the end: the definition that ``rows`` repeats for long files."""
    values: list[bytes] = []
    bad: list[tuple[int, int]] = []
    lines = 0
    while position < len(data):
        line, following = _line_at(data, position)
        row = split(line)
        if len(row) == 1 and (row[0] == b"loop_" or row[0].startswith(b"data_")):
            break
        if len(row) == columns:
            values += row
        elif row:
            bad.append((lines, len(row)))
        lines, position = lines + 1, following
    arrays = [] if bad else [_array(values[c::columns]) for c in range(columns)]
    return _Body(arrays, lines, bad[: faults.LISTED], len(bad), position)


def _long_body(data: bytes, position: int, columns: int) -> _Body:
    """The same as ``_short_body``, compiled and on all threads."""
    from halfmap.io import rows

    found = rows.survey(data, position, columns, faults.LISTED)
    if found.bad:
        return _Body([], found.lines, found.listed()[: faults.LISTED], found.bad, found.end)
    if found.widths.sum() * found.rows > _WASTE * (found.end - position):
        return _short_body(data, position, columns)
    return _Body(rows.gather(data, found), found.lines, [], 0, found.end)


def _array(values: list[bytes]) -> np.ndarray:
    if not values:
        return np.empty(0, dtype="S1")
    lengths = np.fromiter(map(len, values), dtype=np.int64, count=len(values))
    if lengths.max() * len(values) > _WASTE * lengths.sum() + 1_000_000:
        out = np.empty(len(values), dtype=object)
        out[:] = values
        return out
    return np.array(values)


# ---- values


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _first_bytes(column: np.ndarray) -> set[bytes]:
    if column.dtype.kind != "S" or not len(column):
        return set()
    return {bytes([byte]) for byte in np.unique(_matrix(column)[:, 0])}


def _matrix(column: np.ndarray) -> np.ndarray:
    """(rows, width) uint8 view of a bytes column."""
    column = np.ascontiguousarray(column)
    return column.view(np.uint8).reshape(len(column), column.dtype.itemsize)


def _unquoted(column: np.ndarray) -> np.ndarray:
    quoted = (b'"', b"'")
    return _array([v[1:-1] if len(v) > 1 and v[:1] in quoted and v[:1] == v[-1:] else v for v in column.tolist()])


def _numbers(column: np.ndarray, where: str) -> np.ndarray:
    if column.dtype.kind == "S" and len(column) > _SHORT_COLUMN:
        from halfmap.io import rows

        values, unsure = rows.numbers(_matrix(column))
    else:
        values, unsure = _plain_numbers(column)
    wrong = []
    for row in unsure.tolist():
        number = _number(column[row])
        values[row] = np.nan if number is None else number
        wrong += [row] if number is None else []
    if wrong:
        raise InputError(faults.by_row(where, wrong, lambda row: f"{_text(column[row])!r} is not a number"))
    return values


def _plain_numbers(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(values, rows to be looked at one by one)."""
    none, every = np.empty(0, dtype=np.int64), np.arange(len(column))
    if column.dtype.kind != "S" or b"_" in column.tobytes():
        return np.empty(len(column)), every
    try:
        return column.astype(np.float64), none
    except ValueError:
        return np.empty(len(column)), every


def _number(value: bytes | str) -> float | None:
    """Python's correctly rounded float(), without the 1_000 that only Python allows."""
    text = _text(value)
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


# ---- writing


def _formatted(block: Block) -> Iterator[bytes]:
    if not block.is_loop:
        for tag, column in block.columns.items():
            yield f"_{tag}    ".encode() + _cells(column[:1])[0] + b"\n"
        return
    yield b"loop_\n"
    yield b"".join(b"_%b #%d\n" % (_encoded(tag), number) for number, tag in enumerate(block.columns, start=1))
    for start in range(0, block.rows, _WRITE_ROWS):
        cells = [_cells(column[start : start + _WRITE_ROWS]) for column in block.columns.values()]
        yield b"\n".join(map(b" ".join, zip(*cells, strict=True))) + b"\n"
    yield b"\n"


def _cells(column: np.ndarray) -> list[bytes]:
    if column.dtype.kind == "S":
        return column.tolist()
    if column.dtype.kind == "f":
        return _joined("%.12g", column)
    if column.dtype.kind in "iub":
        return _joined("%d", column)
    return [_quoted(value) for value in column.tolist()]


def _joined(pattern: str, column: np.ndarray) -> list[bytes]:
    """One formatting call for all values is three times faster than one each."""
    return ("\n".join([pattern] * len(column)) % tuple(column.tolist())).encode().split(b"\n")


def _quoted(value: bytes | str | float) -> bytes:
    if isinstance(value, bytes):
        return value
    raw = _encoded(str(value))
    if _needs_no_quotes(raw):
        return raw
    if not holds(raw):
        text = str(value)
        raise InputError(f"value {text!r} cannot be written to a STAR file: a line break, or both kinds of quotes")
    quote = b"'" if b'"' in raw else b'"'
    return b"".join((quote, raw, quote))


def holds(text: bytes) -> bool:
    """Whether a STAR file can hold a text, in quotes where it needs them: of the two kinds it can only hold one."""
    return _needs_no_quotes(text) or not (b"\n" in text or (b"'" in text and b'"' in text))


def _needs_no_quotes(text: bytes) -> bool:
    return split(text) == [text] and not text.startswith((b"_", b"data_", b"loop_", b"'", b'"'))


def _encoded(text: str) -> bytes:
    """UTF-8; bytes of file names that are no UTF-8 come back as they were (PEP 383)."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as fault:
        raise InputError(f"value {text!r} cannot be written to a STAR file: it is no text") from fault
