"""Who is alive, told by locks that the system drops when a process ends, however it ends; and by no clock.

A lock belongs to an open file, which a child inherits: it stands until the last process that has the file open ends.
Looking at a lock does not take it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from halfmap.errors import UsageError
from halfmap.jobs.running import processes

HELD = (errno.EAGAIN, errno.EACCES)
FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux: type, whence, start, length (0 = all), process


def host() -> str:
    """Name of this machine."""
    return processes.machine()["host"]


def boot() -> str:
    """What a process number is good for: the time since this machine was started, and this container on it."""
    here = processes.machine()
    return f"{here['boot']} {here['namespace']}".strip()


def claim(path: Path) -> int | None:
    """The locked file, open until it is closed or the process ends; None where somebody else has it.

    Raises UsageError where the file system has no locks.
    """
    handle = _opened(path)
    try:
        _ask(handle, path, fcntl.F_OFD_SETLK)
    except OSError as fault:
        os.close(handle)
        if fault.errno in HELD:
            return None
        raise
    return handle


def held(path: Path) -> bool:
    """Whether a living process has the lock. Raises UsageError where the file system has no locks."""
    if not path.is_file():
        return False
    handle = _opened(path)
    try:
        return _ask(handle, path, fcntl.F_OFD_GETLK) != fcntl.F_UNLCK
    finally:
        os.close(handle)


@contextmanager
def waiting(path: Path) -> Iterator[None]:
    """Hold the lock for the block; others wait for it. Raises UsageError where the file system has no locks."""
    handle = _opened(path)
    try:
        _ask(handle, path, fcntl.F_OFD_SETLKW)
        yield
    finally:
        os.close(handle)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _ask(handle: int, path: Path, how: int) -> int:
    """Set the lock, or tell which kind stands in its way. Raises OSError where it is held and not waited for."""
    try:
        answer = fcntl.fcntl(handle, how, struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except OSError as fault:
        if fault.errno in HELD:
            raise
        raise UsageError(f"{path}: this file system has no locks ({fault.strerror}), which the queue needs; keep the "
                         "project on another one") from fault  # fmt: skip
    return struct.unpack(FLOCK, answer)[0]
