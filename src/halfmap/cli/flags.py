"""Names of flags: what a setting is called on the command line."""

from __future__ import annotations

import re

UNIT = re.compile("_(A|A2|kV|kDa|mm|deg|mrad)$")


def flag(field: str) -> str:
    """Flag of a setting: kebab case, without the unit at the end of the name; one dash before a single letter."""
    name = UNIT.sub("", field).lower().replace("_", "-")
    return f"-{name}" if len(name) == 1 else f"--{name}"
