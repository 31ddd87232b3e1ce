"""Image stacks kept on a fast local disk: copied once, read from there, the least recently used thrown out for room.

Owns the folder ``halfmap-cache`` in the one the user names, and in it only files of its own names: nothing else is ever
deleted. Several processes may share it. Whatever goes wrong here, the source is read instead, with one warning.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = "halfmap-cache"
COPY, PART, LOCK = ".mrcs", ".part", ".lock"
_OURS = re.compile(r"[0-9a-f]{40}(\.mrcs|\.[0-9]+\.part|\.lock)")
_HEAD_BYTES = 1024  # of a stack, its header: hashed with path, size and time of change
_CHUNK = 1 << 24  # bytes copied at a time


@dataclass
class Cache:
    """Stacks in ``place``; at most ``quota_bytes`` of them, ``reserve_bytes`` of the disk left free for others.

    What a job uses does not give way to more of the same job: it reads all its stacks in every pass, and where they do
    not fit, each would be thrown out before it is read again. Those that find no room are read where they are.
    """

    place: Path
    quota_bytes: float = float("inf")
    reserve_bytes: float = 0.0
    warn: Callable[[str], None] = lambda message: None
    _refused: set[Path] = field(default_factory=set)  # sources that found no room: they are read where they are
    _taken: set[Path] = field(default_factory=set)  # copies that this job uses
    _warned: bool = False

    def path(self, source: Path) -> Path:
        """The copy of a stack, made now where there is none; the stack itself where that cannot be."""
        if source in self._refused:
            return source
        try:
            return self._copy_of(source)
        except OSError as fault:
            self._refused.add(source)
            if not self._warned:
                self._warned = True
                self.warn(f"--cache-dir {self.place.parent}: {fault.strerror or fault}: stacks that are not there yet "
                          "are read from where they are")  # fmt: skip
            return source

    def _copy_of(self, source: Path) -> Path:
        """Raises OSError where there is no room, or the disk fails."""
        self.place.mkdir(parents=True, exist_ok=True)
        size, key = os.stat(source).st_size, key_of(source)
        copy = self.place / f"{key}{COPY}"
        if not _whole(copy, size):
            if copy in self._taken:
                raise OSError(errno.ENOSPC, "another job has thrown out a stack to make room")
            with _alone(self.place / f"{key}{LOCK}"):  # who comes second waits, and finds the copy
                if not _whole(copy, size):
                    self._make_room(size)
                    _copied(source, copy, size)
        os.utime(copy)  # used just now
        self._taken.add(copy)
        return copy

    def _make_room(self, size: int) -> None:
        """Throw out what was not used for longest, until ``size`` bytes fit. Raises OSError where they never will."""
        for part in _stray_parts(self.place):
            part.unlink(missing_ok=True)
        kept = sorted(set(_copies(self.place)) - self._taken, key=lambda path: path.stat().st_mtime_ns)
        while self._lacks(size):
            if size > self.quota_bytes or not kept:
                raise OSError(errno.ENOSPC, "no room in the cache: quota or reserve would be exceeded")
            kept.pop(0).unlink(missing_ok=True)  # who has it open reads on

    def _lacks(self, size: int) -> bool:
        used = sum(path.stat().st_size for path in _copies(self.place))
        return used + size > self.quota_bytes or shutil.disk_usage(self.place).free - size < self.reserve_bytes


def key_of(source: Path) -> str:
    """40 hexadecimal digits that change when the stack does: of its path, size, time of change and header."""
    state = os.stat(source)
    with open(source, "rb") as stream:
        head = stream.read(_HEAD_BYTES)
    told = f"{os.path.abspath(source)}\0{state.st_size}\0{state.st_mtime_ns}\0".encode("utf-8", "surrogateescape")
    return hashlib.sha256(told + head).hexdigest()[:40]


_current: Cache | None = None


def current() -> Cache | None:
    """The cache that stacks are read through; None without one."""
    return _current


@contextmanager
def used(cache: Cache | None) -> Iterator[None]:
    """Read stacks through ``cache`` while the block lasts."""
    global _current
    before, _current = _current, cache
    try:
        yield
    finally:
        _current = before


def at(folder: Path) -> Path:
    """Where the cache in a folder of the user lies."""
    return Path(os.path.abspath(folder)) / FOLDER


def listed(folder: Path) -> list[tuple[str, int, float]]:
    """(name, bytes, seconds since it was used last) of every copy, the last used first."""
    states = [(path.name, path.stat()) for path in _copies(at(folder))]
    rows = [(name, state.st_size, time.time() - state.st_mtime) for name, state in states]
    return sorted(rows, key=lambda row: row[2])


def clear(folder: Path) -> tuple[int, int]:
    """Remove every copy; (how many, their bytes). What a process copies just now stays, and so does all else."""
    copies = list(_copies(at(folder)))
    total = sum(path.stat().st_size for path in copies)
    for path in (*copies, *_stray_parts(at(folder))):
        path.unlink(missing_ok=True)
    return len(copies), total


def _copies(place: Path) -> Iterator[Path]:
    return (path for path in _ours(place) if path.suffix == COPY)


def _ours(place: Path) -> Iterator[Path]:
    """Files that a cache wrote, by their names; no links."""
    if place.is_dir():
        yield from (Path(entry.path) for entry in os.scandir(place)
                    if _OURS.fullmatch(entry.name) and entry.is_file(follow_symlinks=False))  # fmt: skip


def _stray_parts(place: Path) -> list[Path]:
    """Halves of copies whose process is gone: nobody holds their lock."""
    found = []
    for part in [path for path in _ours(place) if path.suffix == PART]:
        try:
            with _alone(place / f"{part.name[:40]}{LOCK}", wait=False):
                found.append(part)
        except OSError:
            pass
    return found


def _whole(copy: Path, size: int) -> bool:
    return os.path.isfile(copy) and os.stat(copy).st_size == size


def _copied(source: Path, copy: Path, size: int) -> None:
    """Copy beside, through to the disk, then rename: the copy is whole or not there."""
    part = copy.with_suffix(f".{os.getpid()}{PART}")
    try:
        with open(source, "rb") as reader, open(part, "wb") as writer:
            shutil.copyfileobj(reader, writer, _CHUNK)
            writer.flush()
            os.fsync(writer.fileno())
            if writer.tell() != size:
                raise OSError(errno.EIO, f"{source} changed while it was copied")
        os.replace(part, copy)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _alone(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock of one copy. Raises OSError where another has it and ``wait`` is False."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)
