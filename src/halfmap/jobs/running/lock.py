"""One process to a job folder: a lock that ends with its process, and says who holds it.

``.lock`` in the folder is held with flock, which the system lets go however a process ends; in it stand the process and
a counter that grows. Where a file system has no flock, or the holder is on another machine, the counter tells whether
it lives: no clocks are compared. A lock whose holder is gone is broken with the reason told, never by a person.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from halfmap.errors import UsageError
from halfmap.io import atomic
from halfmap.jobs.running import processes

FILE = ".lock"
STOP = "stop"  # a file of this name in a job folder asks the job to stop
BEAT_S = 5.0  # between two counts of a holder
PATIENCE = 4  # beats without a count after which a holder that cannot be seen from here is taken for gone
TAKEN = (errno.EWOULDBLOCK, errno.EACCES)
NO_FLOCK = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EIO)


@dataclass
class Lock:
    """A lock that this process holds until ``release``. ``broken``: whose it was before, in words; empty = nobody's."""

    path: Path
    descriptor: int
    broken: str = ""
    _over: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        """Let others in."""
        self._over.set()
        self.path.unlink(missing_ok=True)  # while it is held: whoever waits for this file looks again
        os.close(self.descriptor)

    def beat(self) -> None:
        """Count until the end; for a thread."""
        beats = 0
        while not self._over.wait(BEAT_S):
            beats += 1
            try:
                _tell(self.descriptor, beats)
            except OSError:
                pass  # a full disk: whoever waits sees no count, but flock still holds


def marked(folder: Path) -> bool:
    """Whether a process works in ``folder``, or did and was killed."""
    return os.path.isfile(folder / FILE)


def take(folder: Path) -> Lock:
    """The lock of a job folder that exists. Raises UsageError where another process works in it, and says which."""
    path = folder / FILE
    descriptor, flocked = _opened(path)
    try:
        holder = _told(descriptor)
        broken = "" if holder is None else _stale(folder, descriptor, holder)
        with atomic.full_disk_told(path):
            _tell(descriptor, 0)
        if not flocked:
            _settled(folder, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    lock = Lock(path, descriptor, broken)
    threading.Thread(target=lock.beat, daemon=True, name="halfmap-lock").start()
    return lock


def _opened(path: Path) -> tuple[int, bool]:
    """(the file, whether flock holds it). Raises UsageError where another process has it."""
    while True:
        try:
            with atomic.full_disk_told(path):
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as fault:
            raise UsageError(f"--out {path.parent}: cannot be written to: {fault.strerror}") from fault
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            if fault.errno in NO_FLOCK:
                return descriptor, False
            holder = _told(descriptor)
            os.close(descriptor)
            raise _in_use(path.parent, holder) from fault
        if os.path.exists(path) and os.path.samestat(os.stat(path), os.fstat(descriptor)):
            return descriptor, True
        os.close(descriptor)  # its holder has just ended and taken the file away


def _stale(folder: Path, descriptor: int, holder: dict[str, Any]) -> str:
    """Why the lock that ``holder`` left may be broken. Raises UsageError where it lives."""
    living = processes.alive(holder)
    if living is None:
        time.sleep(BEAT_S * PATIENCE)
        living = (_told(descriptor) or {}).get("beats") != holder.get("beats")
        sign = f"gave no sign of life for {BEAT_S * PATIENCE:g} s"
    else:
        sign = "is gone"
    if living:
        raise _in_use(folder, holder)
    return f"the lock of {_named(holder)} was broken: that process {sign}"


def _settled(folder: Path, descriptor: int) -> None:
    """Without flock two processes may have come at once: the one that wrote last has it."""
    time.sleep(1.0)
    if (_told(descriptor) or {}).get("pid") != os.getpid():
        raise _in_use(folder, _told(descriptor))


def _in_use(folder: Path, holder: dict[str, Any] | None) -> UsageError:
    return UsageError(f"{folder}: {_named(holder or {})} works in this folder; wait for it, ask it to stop by a file "
                      f"named {STOP} in there, or name another folder with --out")  # fmt: skip


def _named(holder: dict[str, Any]) -> str:
    return f"process {holder.get('pid', '(unknown)')} on {holder.get('host', 'an unknown machine')}"


def _told(descriptor: int) -> dict[str, Any] | None:
    """What stands in the lock; None where nothing does, an empty mapping where it is no sense."""
    text = os.pread(descriptor, 4096, 0)
    if not text.strip():
        return None
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _tell(descriptor: int, beats: int) -> None:
    text = json.dumps({**processes.this(), "beats": beats}).encode()
    os.pwrite(descriptor, text.ljust(512), 0)  # of one length: a reader never sees the end of an older one
    os.ftruncate(descriptor, 512)
