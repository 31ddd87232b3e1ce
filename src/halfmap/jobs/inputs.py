"""Reads the input files of a job and reports the faults of all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from halfmap.errors import InputError


def read_all(*readers: Callable[[], Any]) -> list:
    """The result of every reader. Raises one InputError with the faults of all readers that failed."""
    results, faults = [], []
    for reader in readers:
        try:
            results.append(reader())
        except InputError as fault:
            faults.extend(fault.faults)
    if faults:
        raise InputError(faults)
    return results
