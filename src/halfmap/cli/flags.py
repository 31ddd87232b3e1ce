"""Names of flags: what a setting is called on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence

NEGATIVE = re.compile(r"-[\d.]+\s*[,;\s].*")  # "-4, 3, -2 px": several numbers, the first below 0
UNIT = re.compile("_(A|A2|kV|kDa|mm|deg|mrad)$")


def flag(field: str) -> str:
    """Flag of a setting: kebab case, without the unit at the end of the name; one dash before a single letter."""
    name = UNIT.sub("", field).lower().replace("_", "-")
    return f"-{name}" if len(name) == 1 else f"--{name}"


def joined(arguments: Sequence[str]) -> list[str]:
    """The arguments, a list of numbers that begins with a minus tied to its flag: alone it would be taken for one."""
    tied: list[str] = []
    for word in arguments:
        if tied and tied[-1].startswith("--") and "=" not in tied[-1] and NEGATIVE.fullmatch(word):
            tied[-1] += f"={word}"
        else:
            tied.append(word)
    return tied
