"""Every exception halfmap raises on purpose.

HalfmapError
├── UsageError      exit 2   a flag or value that makes no sense
├── InputError      exit 3   files or tables with faults; carries all of them
├── ResourceError   exit 4   disk or memory
└── Interrupted     exit 5   stopped on request; can be resumed
Anything else that escapes is a bug (exit 70).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class HalfmapError(Exception):
    """Base of all expected failures; ``exit_code`` is what the command line returns."""

    exit_code = 70


class UsageError(HalfmapError):
    """A flag or value that makes no sense."""

    exit_code = 2


class InputError(HalfmapError):
    """Input data with faults. ``faults`` lists every one: ``"file: column: row: what; what to do"``.

    ``found``: what was learnt all the same, for summary.json.
    """

    exit_code = 3

    def __init__(self, faults: str | Sequence[str], found: Mapping[str, Any] | None = None):
        self.faults = (faults,) if isinstance(faults, str) else tuple(faults)
        self.found = dict(found or {})
        super().__init__("\n".join(self.faults))


class ResourceError(HalfmapError):
    """Not enough disk or memory."""

    exit_code = 4


class Interrupted(HalfmapError):
    """Stopped on request; the job folder can be resumed."""

    exit_code = 5
