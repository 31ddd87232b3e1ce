"""Compiled bodies for long STAR loops: measure, copy and convert millions of values.

Owns nothing that ``star.py`` does not define: a row is a line, values are separated by blanks, a value that opens
with a quote ends at the same quote followed by a blank, and a value that opens with # starts a comment. Imported only
when a file is long, because importing numba takes longer than reading a short one.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_TAB, _NEWLINE, _RETURN, _SPACE = 9, 10, 13, 32
_HASH, _DOUBLE, _SINGLE = 35, 34, 39
_DATA = np.frombuffer(b"data_", dtype=np.uint8)
_LOOP = np.frombuffer(b"loop_", dtype=np.uint8)
_POWERS = 10.0 ** np.arange(23)  # 10^22 is the largest power of ten that float64 holds exactly
PLAIN, UNSURE = 0, 1  # ``convert``: done exactly, or left to Python's own float()


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
def measure(text, position, widths, bad_lines, bad_counts):
    """Walk one loop body from ``position``. Fills ``widths`` (columns,) with the longest value of each column and
    ``bad_*`` with the first lines (from 0 at ``position``) of a wrong number of values.
    Returns (rows, lines, bad, end of the body)."""
    columns = widths.size
    starts, stops = np.empty(columns, np.int64), np.empty(columns, np.int64)
    rows = lines = bad = 0
    while position < text.size:
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
def copy(text, position, end, widths, offsets, out):
    """Copy the values of a body without faults into ``out``: column c is (rows, widths[c]) bytes at ``offsets[c]``,
    padded with zeros."""
    columns = widths.size
    starts, stops = np.empty(columns, np.int64), np.empty(columns, np.int64)
    row = 0
    while position < end:
        count, position = _line(text, position, starts, stops)
        if count == 0:
            continue
        for c in range(columns):
            target = offsets[c] + row * widths[c]
            length = stops[c] - starts[c]
            for i in range(length):
                out[target + i] = text[starts[c] + i]
            for i in range(length, widths[c]):
                out[target + i] = 0
        row += 1


@njit(cache=True, nogil=True)
def convert(values, numbers, status):
    """Decimal numbers of ``values`` (rows, width) uint8 into ``numbers`` (rows,) float64.

    Exact where the digits fit 2^53 and the power of ten 10^22: one correctly rounded operation on two exact float64
    (Clinger 1990, fast path). Everything else, faults included, gets status UNSURE.
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
            status[r] = UNSURE
            continue
        number = float(digits) / _POWERS[-power] if power < 0 else float(digits) * _POWERS[power]
        numbers[r] = -number if negative else number
        status[r] = PLAIN


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
