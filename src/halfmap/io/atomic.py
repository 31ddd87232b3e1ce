"""Files and folders that are written whole or not at all.

Owns the temporary name, the fsync and the rename; knows no format.
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

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def writing(path: str | Path) -> Iterator[BinaryIO]:
    """A binary handle; when the block ends without an exception, ``path`` is replaced by what was written.

    The temporary file lies in the folder of ``path``, so that the rename never crosses file systems. After an
    exception nothing is left behind and an older ``path`` is untouched.
    Raises: ResourceError when the disk or quota is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "x+b") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise ResourceError(f"{path}: no space left on the disk; free some and run again") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder(path: str | Path) -> Iterator[Path]:
    """A new folder to fill; when the block ends without an exception it stands at ``path``, all its files on the disk.

    Until then it lies beside ``path``, so that relative links out of it stay right. Nothing may be at ``path``.
    Raises: ResourceError when the disk or quota is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir()
        yield temporary
        for place in (*temporary.rglob("*"), temporary):
            if not place.is_symlink():
                _sync(place)
        os.rename(temporary, path)
        _sync(path.parent)
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise ResourceError(f"{path}: no space left on the disk; free some and run again") from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what writers left in ``folder`` and below when they were killed."""
    for path in list(folder.rglob(".*.*.tmp")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
