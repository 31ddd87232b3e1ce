"""Settings of `halfmap demo`."""

from __future__ import annotations

from pathlib import Path

from halfmap.params.common import Job, setting


class Demo(Job):
    """A first look: everything is made on the spot, nothing is downloaded."""

    out: Path = setting(Path("halfmap-demo"), help="Job folder to write; must be new or empty.")
    from_scratch: bool = setting(
        False, help="Make the starting map from the particles alone instead of low-passing the one that they show."
    )
