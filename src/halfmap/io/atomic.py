"""Files and folders that are written whole or not at all.

Owns the temporary name, the fsync, the rename and the words for a full disk; knows no format.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from halfmap.errors import ResourceError

_NO_SPACE = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the quota of the disk is used up",
    errno.EFBIG: "the file would be larger than the system allows this process (ulimit -f)",
}


@contextmanager
def writing(path: str | Path, needed_bytes: int | None = None) -> Iterator[BinaryIO]:
    """A binary handle; when the block ends without an exception, ``path`` is replaced by what was written.

    The temporary file lies in the folder of ``path``, so that the rename never crosses file systems. After an
    exception nothing is left behind and an older ``path`` is untouched. ``needed_bytes``: size of the whole file, for
    the message where it does not fit.
    Raises: ResourceError when the disk or quota is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with full_disk_told(path, needed_bytes):
            with open(temporary, "x+b") as handle:
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, path)
            _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder(path: str | Path, needed_bytes: int | None = None) -> Iterator[Path]:
    """A new folder beside ``path``, ``<name>.part``; when the block ends without an exception it becomes ``path``.

    An older ``path`` gives way. After an exception nothing is left behind. For plain files only, no folders within.
    Raises: ResourceError when the disk or quota is full.
    """
    path = Path(path)
    part, old = path.with_name(f"{path.name}.part"), path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with full_disk_told(path, needed_bytes):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            yield part
            for place in (*part.iterdir(), part):
                _sync(place)
            if path.exists():
                os.rename(path, old)
            os.rename(part, path)
            _sync(path.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def full_disk_told(path: Path, needed_bytes: int | None = None) -> Iterator[None]:
    """Turn the system's word for a full disk into ResourceError, with the bytes needed and those free."""
    try:
        yield
    except OSError as fault:
        if fault.errno not in _NO_SPACE:
            raise
        raise ResourceError(f"{path}: {no_space(fault, path.parent, needed_bytes)}") from fault


def no_space(fault: OSError, place: Path, needed_bytes: int | None = None) -> str:
    """What to say of a disk that is full, and what to do; ``place``: a folder on it."""
    what = _NO_SPACE.get(fault.errno, fault.strerror)
    needed = "" if needed_bytes is None else f", {needed_bytes:,} bytes are needed"
    free = shutil.disk_usage(place).free if place.is_dir() else 0
    return f"{what}: {free:,} bytes are free in {place}{needed}; make room and run again"


def sweep(place: Path) -> None:
    """Remove what writers left in ``place`` and below when they were killed."""
    for path in (*place.rglob(".*.*.tmp"), *place.rglob("*.part")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Make what was written to a file, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
