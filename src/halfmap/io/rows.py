"""Compiled bodies for long STAR loops: measure, copy and convert millions of values.

Owns nothing that ``star.py`` does not define: a row is a line, values are separated by blanks, a value that opens
with a quote ends at the same quote followed by a blank, and a value that opens with # starts a comment. Imported only
when a file is long, because importing numba takes longer than reading a short one.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba import njit

from halfmap import device

_TAB, _NEWLINE, _RETURN, _SPACE = 9, 10, 13, 32
_HASH, _DOUBLE, _SINGLE = 35, 34, 39
_DATA = np.frombuffer(b"data_", dtype=np.uint8)
_LOOP = np.frombuffer(b"loop_", dtype=np.uint8)
_POWERS = 10.0 ** np.arange(23)  # 10^22 is the largest power of ten that float64 holds exactly
_PLAIN, _UNSURE = 0, 1  # done exactly, or left to Python's own float()


class Part(NamedTuple):
    """What ``_measure`` found in one stretch of a body."""

    begin: int
    end: int  # where it stopped
    rows: int
    lines: int
    bad: int
    listed: list[tuple[int, int]]  # (line, values) of the first bad lines
    widths: np.ndarray


class Survey(NamedTuple):
    """A measured loop body, as stretches that threads can copy side by side."""

    parts: list[Part]

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def lines(self) -> int:
        return sum(part.lines for part in self.parts)

    @property
    def bad(self) -> int:
        return sum(part.bad for part in self.parts)

    @property
    def end(self) -> int:
        return self.parts[-1].end

    @property
    def widths(self) -> np.ndarray:
        """(columns,) longest value of each column, at least 1 byte."""
        return np.maximum(np.max([part.widths for part in self.parts], axis=0), 1)

    def listed(self) -> list[tuple[int, int]]:
        """(line counted from 0 at the body's start, number of values) of the first bad lines."""
        before = np.cumsum([0, *(part.lines for part in self.parts)])
        return [(int(b) + line, n) for b, part in zip(before, self.parts, strict=False) for line, n in part.listed]


def survey(data: bytes, position: int, columns: int, listed: int) -> Survey:
    """Measure the loop body at ``position``, each thread a stretch of it; ``listed`` bad lines are remembered."""
    text = np.frombuffer(data, dtype=np.uint8)
    edges = _line_starts(data, position, device.threads())

    def measured(begin: int, stop: int) -> Part:
        widths, lines, counts = np.zeros(columns, np.int64), np.zeros(listed, np.int64), np.zeros(listed, np.int64)
        rows, total, bad, end = _measure(text, begin, stop, widths, lines, counts)
        kept = min(bad, listed)
        return Part(begin, end, rows, total, bad, list(zip(lines[:kept], counts[:kept], strict=True)), widths)

    with ThreadPoolExecutor(len(edges)) as pool:
        parts = list(pool.map(measured, edges[:-1], edges[1:]))
    # A part that stopped early met the next block: what follows belongs to that.
    last = next((i for i, part in enumerate(parts) if part.end < edges[i + 1]), len(parts) - 1)
    return Survey(parts[: last + 1])


def gather(data: bytes, found: Survey) -> list[np.ndarray]:
    """The columns of a body without bad lines: (rows,) bytes each."""
    text = np.frombuffer(data, dtype=np.uint8)
    widths, rows = found.widths, found.rows
    sizes = widths * rows
    offsets = np.cumsum(sizes) - sizes
    out = np.empty(int(sizes.sum()), dtype=np.uint8)
    first = np.cumsum([0, *(part.rows for part in found.parts)])

    def copy(part: Part, row: int) -> None:
        _copy(text, part.begin, part.end, row, widths, offsets, out)

    with ThreadPoolExecutor(len(found.parts)) as pool:
        list(pool.map(copy, found.parts, first))
    return [out[o : o + s].view(f"S{w}") for o, s, w in zip(offsets, sizes, widths, strict=True)]


def numbers(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(float64 of each value, rows that ``_convert`` left undone) of (n, width) bytes."""
    out, status = np.empty(len(values)), np.empty(len(values), dtype=np.uint8)
    edges = np.linspace(0, len(values), device.threads() + 1).astype(np.int64)
    with ThreadPoolExecutor(device.threads()) as pool:
        list(pool.map(lambda a, b: _convert(values[a:b], out[a:b], status[a:b]), edges[:-1], edges[1:]))
    return out, np.flatnonzero(status == _UNSURE)


def _line_starts(data: bytes, position: int, parts: int) -> list[int]:
    """Ascending positions from ``position`` to the end of the data that cut it into about ``parts`` whole lines."""
    wanted = np.linspace(position, len(data), parts + 1)[1:-1]
    cuts = {data.find(b"\n", int(place)) + 1 for place in wanted} - {0}
    return [position, *sorted(cut for cut in cuts if position < cut < len(data)), len(data)]


@njit(cache=True, nogil=True, inline="always")
def _blank(c):
    return c == _SPACE or _TAB <= c <= _RETURN


@njit(cache=True, nogil=True)
def _closing(text, start):
    """Position after the closing quote of the value that opens at ``start``; -1 if the line has none."""
    p = start + 1
    while p < text.size and text[p] != _NEWLINE:
        if text[p] == text[start] and (p + 1 == text.size or _blank(text[p + 1])):
            return p + 1
        p += 1
    return -1


@njit(cache=True, nogil=True)
def _end_of_value(text, start):
    if text[start] == _DOUBLE or text[start] == _SINGLE:
        end = _closing(text, start)
        if end > 0:
            return end
    p = start
    while p < text.size and not _blank(text[p]):
        p += 1
    return p


@njit(cache=True, nogil=True)
def _begins(text, start, stop, word):
    if stop - start < word.size:
        return False
    for i in range(word.size):
        if text[start + i] != word[i]:
            return False
    return True


@njit(cache=True, nogil=True)
def _line(text, p, starts, stops):
    """Values of the line at ``p``: fills what fits into ``starts`` and ``stops``; returns (count, next line)."""
    count = 0
    while p < text.size and text[p] != _NEWLINE:
        if _blank(text[p]):
            p += 1
            continue
        if text[p] == _HASH:
            while p < text.size and text[p] != _NEWLINE:
                p += 1
            break
        end = _end_of_value(text, p)
        if count < starts.size:
            starts[count] = p
            stops[count] = end
        count += 1
        p = end
    return count, min(p + 1, text.size)


@njit(cache=True, nogil=True)
def _measure(text, position, stop, widths, bad_lines, bad_counts):
    """Walk a loop body from ``position`` to ``stop`` or to the next block, whichever comes first.

    Fills ``widths`` (columns,) with the longest value of each column and ``bad_*`` with the first lines (counted from
    0 at ``position``) that have a wrong number of values. Returns (rows, lines, bad lines, end)."""
    columns = widths.size
    starts, stops = np.empty(columns, np.int64), np.empty(columns, np.int64)
    rows = lines = bad = 0
    while position < stop:
        count, following = _line(text, position, starts, stops)
        if count == 1 and (
            _begins(text, starts[0], stops[0], _DATA)
            or (stops[0] - starts[0] == _LOOP.size and _begins(text, starts[0], stops[0], _LOOP))
        ):
            break
        if count == columns:
            rows += 1
            for c in range(columns):
                widths[c] = max(widths[c], stops[c] - starts[c])
        elif count > 0:
            if bad < bad_lines.size:
                bad_lines[bad] = lines
                bad_counts[bad] = count
            bad += 1
        lines += 1
        position = following
    return rows, lines, bad, position


@njit(cache=True, nogil=True)
def _copy(text, position, stop, row, widths, offsets, out):
    """Copy the values between two line starts into ``out``, the first line as ``row``. Column c is (rows, widths[c])
    bytes at ``offsets[c]``, padded with zeros."""
    columns = widths.size
    starts, stops = np.empty(columns, np.int64), np.empty(columns, np.int64)
    while position < stop:
        count, position = _line(text, position, starts, stops)
        if count == 0:
            continue
        for c in range(columns):
            # Unsigned, since an index that could be negative costs a test each: 0.6 s instead of 1.4 s for 360 MB.
            target, source = np.uint64(offsets[c] + row * widths[c]), np.uint64(starts[c])
            length = np.uint64(stops[c] - starts[c])
            for i in range(length):
                out[target + i] = text[source + i]
            for i in range(length, np.uint64(widths[c])):
                out[target + i] = 0
        row += 1


@njit(cache=True, nogil=True)
def _convert(values, numbers, status):
    """Decimal numbers of ``values`` (rows, width) uint8 into ``numbers`` (rows,) float64.

    Exact where the digits fit 2^53 and the power of ten 10^22: one correctly rounded operation on two exact float64
    (Clinger 1990, fast path). Everything else, faults included, gets status _UNSURE.
    """
    rows, width = values.shape
    for r in range(rows):
        digits, after, seen, p = np.uint64(0), 0, 0, 0
        negative = values[r, 0] == ord("-")
        if negative or values[r, 0] == ord("+"):
            p = 1
        point = False
        while p < width:
            c = values[r, p]
            if ord("0") <= c <= ord("9"):
                if digits >= np.uint64(1) << np.uint64(53):
                    break
                digits = digits * np.uint64(10) + np.uint64(c - ord("0"))
                seen += 1
                after += point
            elif c == ord(".") and not point:
                point = True
            else:
                break
            p += 1
        exponent, p = _exponent(values, r, p)
        power = exponent - after
        ended = p == width or values[r, p] == 0
        if seen == 0 or not ended or digits > np.uint64(1) << np.uint64(53) or power < -22 or power > 22:
            status[r] = _UNSURE
            continue
        number = float(digits) / _POWERS[-power] if power < 0 else float(digits) * _POWERS[power]
        numbers[r] = -number if negative else number
        status[r] = _PLAIN


@njit(cache=True, nogil=True)
def _exponent(values, r, p):
    """(exponent, position after it); (0, p) where there is none."""
    width = values.shape[1]
    if p >= width or (values[r, p] != ord("e") and values[r, p] != ord("E")):
        return 0, p
    q = p + 1
    negative = q < width and values[r, q] == ord("-")
    if q < width and (negative or values[r, q] == ord("+")):
        q += 1
    first, exponent = q, 0
    while q < width and ord("0") <= values[r, q] <= ord("9") and q - first < 4:
        exponent = exponent * 10 + (values[r, q] - ord("0"))
        q += 1
    if q == first:
        return 0, p
    return (-exponent if negative else exponent), q
