"""Reading from file systems that fail for a moment: a few attempts with growing pauses, then a fault with the file.

Owns which errors may pass by themselves, and how long they get.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from halfmap.errors import InputError

PASSING = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EREMOTEIO)  # NFS after a server came back, a loose cable
PAUSES_S = (0.2, 1.0, 5.0)  # before the second, third and fourth attempt

Result = TypeVar("Result")


def steadily(path: str | Path, read: Callable[[], Result], anew: Callable[[], None] = lambda: None) -> Result:
    """``read()``, again after a pause where the file system failed in a way that may pass; ``anew`` before each.

    Raises: InputError where it still fails after the last pause, or failed in another way.
    """
    for pause in (*PAUSES_S, None):
        try:
            return read()
        except OSError as fault:
            if fault.errno not in PASSING or pause is None:
                often = f", {len(PAUSES_S) + 1} times" if fault.errno in PASSING else ""
                raise InputError(f"{path}: cannot be read ({fault.strerror}{often})") from fault
        time.sleep(pause)
        anew()
    raise AssertionError("the last attempt returns or raises")
