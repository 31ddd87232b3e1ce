"""Lists of faults that stay readable: the first few of a kind, then a count.

Owns the wording "file: column: row N: what" and the cap. Knows no file format.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

# A wrong column of a million rows must not print a million lines; twenty show the pattern.
LISTED = 20
# Of numbers in tables, whatever they measure: products of two stay within float32. The largest that mean something are
# spherical aberrations in Angstrom, 1e8.
LARGEST_MEASURE = 1e12


def capped(lines: Sequence[str], where: str) -> list[str]:
    """The first LISTED lines and, if there are more, one line that counts the rest."""
    rest = len(lines) - LISTED
    return [*lines[:LISTED], *([f"{where}: and {rest:,} more like these"] if rest > 0 else [])]


def no_measure(value: float) -> str:
    """What is said of a number beyond LARGEST_MEASURE, or of none."""
    return f"{value:g} is out of range" if math.isfinite(value) else f"{value} is not a finite number"


def by_row(where: str, rows: Sequence[int], what: Callable[[int], str]) -> list[str]:
    """One fault a row: ``what(row)``. ``rows`` count from 0; the text counts from 1, as a person does."""
    lines = [f"{where}: row {row + 1}: {what(row)}" for row in rows[:LISTED]]
    rest = len(rows) - LISTED
    return [*lines, *([f"{where}: and {rest:,} more rows like these"] if rest > 0 else [])]
