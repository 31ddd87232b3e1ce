"""What the machine offers: cores and memory. Nothing here knows about cryo-EM."""

from __future__ import annotations

import os
import resource

_threads: int | None = None


def threads() -> int:
    """Threads to use: what ``set_threads`` said, else the cores this process may run on."""
    return _threads if _threads is not None else len(os.sched_getaffinity(0))


def set_threads(n: int) -> None:
    """Use ``n`` threads in all kernels and transforms from now on."""
    global _threads
    _threads = max(1, int(n))
    import numba

    numba.set_num_threads(min(_threads, numba.config.NUMBA_NUM_THREADS))


def peak_memory_GB() -> float:
    """Largest resident memory of this process so far, in 10^9 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def one_blas_thread():
    """Context in which matrix products use one thread: for code that runs its own threads."""
    import threadpoolctl

    return threadpoolctl.threadpool_limits(1, "blas")
