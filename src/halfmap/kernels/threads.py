"""How a kernel's loop is shared among threads: in pieces, by a pool of our own.

A kernel is a plain compiled function `loop(first, last, ...)` that lets go of the interpreter's lock. numba's own
parallel loops are not used: what such a function computes after it was compiled and what it computes when it comes out
of the cache differ in the last bits (the loop body is optimised once in the one and twice in the other), so the first
run after an installation would not repeat. Pieces do not depend on each other: their number changes no result.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from halfmap import device

PIECES = 4  # of each thread: pieces of unequal work even out


def share(loop: Callable[..., None], n: int, *arguments) -> None:
    """Run ``loop(first, last, *arguments)`` over 0 <= first < last <= n in pieces on all threads."""
    threads = device.threads()
    pieces = min(n, PIECES * threads)
    if threads == 1 or pieces <= 1:
        loop(0, n, *arguments)
        return
    bounds = [n * piece // pieces for piece in range(pieces + 1)]
    list(_pool(threads).map(lambda first, last: loop(first, last, *arguments), bounds[:-1], bounds[1:]))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that run nothing but pieces of kernels, so that none of them ever waits for another."""
    return ThreadPoolExecutor(threads, "kernel")
