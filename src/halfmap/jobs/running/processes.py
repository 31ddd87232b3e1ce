"""Which process works on a job, and whether it still does. No clocks: they jump, and those of two machines differ.

A process is known by its machine, the start of that machine (boot id), its namespace of process numbers, its number
and the tick at which it began: a number that was given to another process later is not taken for it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def this() -> dict[str, Any]:
    """The process that asks, as ``alive`` wants it told."""
    return {"pid": os.getpid(), "ticks": _ticks(os.getpid()), **machine()}


def alive(process: Any) -> bool | None:
    """Whether a process told by ``this`` lives; None where that cannot be known from here."""
    if not isinstance(process, dict) or not isinstance(process.get("pid"), int):
        return None
    mine = machine()
    if process.get("host") != mine["host"]:
        return None
    if process.get("boot") != mine["boot"]:
        return False  # the machine was started anew since
    if process.get("namespace") != mine["namespace"]:
        return None
    ticks = _ticks(process["pid"])
    return ticks is not None and ticks == process.get("ticks")


def machine() -> dict[str, str]:
    """Name of this machine, the id of its start, and the namespace of process numbers: empty where not told."""
    return {"host": os.uname().nodename, "boot": _boot_id(), "namespace": _namespace()}


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _ticks(pid: int) -> int | None:
    """Ticks from the start of the machine to that of the process; None where it is gone or only waits to be reaped."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    state, *rest = text.rpartition(")")[2].split()  # the name before may hold anything
    return None if state in "ZX" else int(rest[18])
