"""What the machine offers: cores and memory. Nothing here knows about cryo-EM."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CGROUP = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")  # the control groups of this process

_threads: int | None = None


def threads() -> int:
    """Threads to use: what ``set_threads`` said, else the cores this process may run on.

    Not every cluster binds a job to the cores that it gave; then what SLURM says counts.
    """
    given, bound = os.environ.get("SLURM_CPUS_ON_NODE", ""), len(os.sched_getaffinity(0))
    return _threads or (min(bound, int(given)) if given.isdecimal() and int(given) else bound)


def set_threads(n: int) -> None:
    """Use ``n`` threads in all kernels and transforms from now on."""
    global _threads
    _threads = max(1, int(n))


def peak_memory_GB() -> float:
    """Largest resident memory of this process so far, in 10^9 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def memory_GB() -> float:
    """Resident memory of this process now, in 10^9 bytes."""
    return _resident_bytes() / 1e9


def available_memory_GB() -> float:
    """What this process may still take without swapping, in 10^9 bytes: of the machine, its control groups, its job."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(lines["MemAvailable"].split()[0]) * 1024
    groups = [max(limit - used, 0) for limit, used in _groups()]
    return min([free, *groups, max(_of_job_bytes() - _resident_bytes(), 0)]) / 1e9


def headroom_GB() -> float:
    """What hard limits leave this process, in 10^9 bytes: ulimit -v, memory of its control groups and of its job on a
    cluster; infinity without.

    Whoever takes more is refused or killed, however much the machine has.
    """
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    address = resource.getrlimit(resource.RLIMIT_AS)[0]
    of_process = float("inf") if address == resource.RLIM_INFINITY else address - size
    groups = min((limit for limit, _ in _groups()), default=float("inf"))
    return min(of_process, min(groups, _of_job_bytes()) - _resident_bytes()) / 1e9


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _of_job_bytes() -> float:
    """Memory that SLURM gave the job that this process is in; infinity outside of one, or where all is given."""
    whole, each = (os.environ.get(f"SLURM_MEM_PER_{what}", "") for what in ("NODE", "CPU"))  # MB
    cores = os.environ.get("SLURM_CPUS_ON_NODE", "")
    if whole.isdecimal():
        megabytes = int(whole)
    else:
        megabytes = int(each) * int(cores) if each.isdecimal() and cores.isdecimal() else 0
    return megabytes * 2.0**20 or float("inf")


def _groups() -> Iterator[tuple[int, int]]:
    """(limit, used) in bytes of each control group around this process that limits memory, the innermost first.

    What is used is counted without files that the system keeps in memory until it is wanted for something else.
    """
    for folder, version in _group_folders():
        limit, used = (_number(folder / name) for name in version.files)
        if limit is not None and used is not None and limit < NO_LIMIT:
            yield limit, max(used - _kept_files(folder, version), 0)


class _Version(NamedTuple):
    """Names in one version of control groups: files of limit and use, and what of the use is kept files."""

    files: tuple[str, str]
    kept: str


V2 = _Version(("memory.max", "memory.current"), "inactive_file")
V1 = _Version(("memory.limit_in_bytes", "memory.usage_in_bytes"), "total_inactive_file")
NO_LIMIT = 2**62  # bytes: version 1 writes a number of this size where there is no limit


def _group_folders() -> Iterator[tuple[Path, _Version]]:
    """Every folder that may limit memory: the group of this process and those around it, up to the root."""
    for line in MEMBERSHIP.read_text().splitlines() if MEMBERSHIP.is_file() else ():
        number, controllers, group = line.split(":", 2)
        if number == "0" or "memory" in controllers.split(","):
            root, version = (CGROUP, V2) if number == "0" else (CGROUP / "memory", V1)
            inner = root / group.lstrip("/")
            yield from ((folder, version) for folder in (inner, *inner.parents) if folder.is_relative_to(root))


def _kept_files(folder: Path, version: _Version) -> int:
    path = folder / "memory.stat"
    lines = [line.split() for line in path.read_text().splitlines()] if path.is_file() else []
    return next((int(value) for name, value in lines if name == version.kept), 0)


def _number(path: Path) -> int | None:
    """The number in a file; None where there is no such file, or "max" in it."""
    text = path.read_text().strip() if path.is_file() else ""
    return int(text) if text.isdigit() else None


def one_blas_thread():
    """Context in which matrix products use one thread: for code that runs its own threads."""
    import threadpoolctl

    return threadpoolctl.threadpool_limits(1, "blas")
