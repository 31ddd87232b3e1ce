"""halfmap in a notebook: every job as a function, every result as an object.

Owns the names that ``import halfmap`` offers. They are looked up when they are asked for, so that the import itself
stays light.
"""

from __future__ import annotations

from collections.abc import Callable

from halfmap.api import functions
from halfmap.api.functions import open, resume
from halfmap.api.result import Result
from halfmap.errors import HalfmapError, InputError, Interrupted, ResourceError, UsageError

OFFERED = {each.__name__: each for each in
           (open, resume, Result, HalfmapError, InputError, Interrupted, ResourceError, UsageError)}  # fmt: skip


def names() -> list[str]:
    """Everything that ``halfmap`` offers, jobs included."""
    return sorted([*OFFERED, *functions.ENTRIES])


def named(name: str) -> Callable | type:
    """What ``halfmap.NAME`` is. Raises AttributeError, with the nearest name, where there is none."""
    if name in OFFERED:
        return OFFERED[name]
    if name in functions.ENTRIES:
        return functions.of(name)
    raise AttributeError(f"halfmap has no {name!r}{functions.nearest(name, names(), 'halfmap.')}")
