"""What the machine offers: cores and memory. Nothing here knows about cryo-EM."""

from __future__ import annotations

import os
import resource
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")

_threads: int | None = None


def threads() -> int:
    """Threads to use: what ``set_threads`` said, else the cores this process may run on."""
    return _threads if _threads is not None else len(os.sched_getaffinity(0))


def set_threads(n: int) -> None:
    """Use ``n`` threads in all kernels and transforms from now on."""
    global _threads
    _threads = max(1, int(n))


def peak_memory_GB() -> float:
    """Largest resident memory of this process so far, in 10^9 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def memory_GB() -> float:
    """Resident memory of this process now, in 10^9 bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e9


def available_memory_GB() -> float:
    """What this process may still take without swapping, in 10^9 bytes: of the machine, or of its control group."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(lines["MemAvailable"].split()[0]) * 1024
    limit, used = (_number(CGROUP / name) for name in ("memory.max", "memory.current"))
    return (free if limit is None or used is None else min(free, max(limit - used, 0))) / 1e9


def headroom_GB() -> float:
    """What hard limits leave this process, in 10^9 bytes: ulimit -v, memory of the control group; infinity without.

    Whoever takes more is refused or killed, however much the machine has.
    """
    size, resident = (int(pages) for pages in Path("/proc/self/statm").read_text().split()[:2])
    page, address = resource.getpagesize(), resource.getrlimit(resource.RLIMIT_AS)[0]
    group = _number(CGROUP / "memory.max")
    of_process = float("inf") if address == resource.RLIM_INFINITY else address - size * page
    return min(of_process, float("inf") if group is None else group - resident * page) / 1e9


def _number(path: Path) -> int | None:
    """The number in a file; None where there is no such file, or "max" in it."""
    text = path.read_text().strip() if path.is_file() else ""
    return int(text) if text.isdigit() else None


def one_blas_thread():
    """Context in which matrix products use one thread: for code that runs its own threads."""
    import threadpoolctl

    return threadpoolctl.threadpool_limits(1, "blas")
