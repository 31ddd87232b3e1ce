"""A parameter of another program, and where it is found here."""

from __future__ import annotations

from typing import NamedTuple


class Parameter(NamedTuple):
    """One parameter of another program."""

    name: str  # key or flag
    title: str  # what its window calls it, or what it is
    settings: tuple[str, ...]  # of the job of ours; empty = not offered
    remark: str = ""  # what differs; without a setting, why there is none


P = Parameter
NO_GPU = "halfmap computes on the processor"
