"""Text for a terminal: what others wrote is shown as it is, with all that could act on the terminal made visible."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from halfmap.errors import UsageError


def safe(value: Any, longest: int | None = None) -> str:
    r"""A value in one line: line ends, control characters and half letters as \n, \x1b, \udcff.

    ``longest``: characters, more are cut off and marked so.
    """
    text = "".join(letter if letter.isprintable() else _escaped(letter) for letter in str(value))
    return text if longest is None or len(text) <= longest else text[: longest - 1] + "…"


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Lines of a table; columns are as wide as their longest cell, those in ``right`` aligned to the right."""
    columns = list(zip(head, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    marks = [">" if place in right else "<" for place in range(len(head))]
    form = "  ".join(f"{{:{mark}{width}}}" for mark, width in zip(marks, widths, strict=True))
    return [form.format(*row).rstrip() for row in (head, *rows)]


def number(value: float | None, form: str) -> str:
    """A number, nothing where there is none."""
    return "" if value is None else form.format(value)


def size(n_bytes: int) -> str:
    """Bytes in the unit that fits: 12 kB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.1f} {unit}"
    return f"{n_bytes} bytes"


def complain(faults: Sequence[str], code: int) -> int:
    """Tell faults on standard error; returns the exit code."""
    for fault in faults:
        print(f"halfmap: {fault}", file=sys.stderr)
    if code == UsageError.exit_code:
        print("halfmap: add --help to any command to see its settings", file=sys.stderr)
    return code
