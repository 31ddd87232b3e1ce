"""The cache of image stacks as the settings want it, and what `halfmap cache list` and `halfmap cache clear` say."""

from __future__ import annotations

from pathlib import Path

from halfmap.data import cache
from halfmap.jobs.running.events import Passing, Watch
from halfmap.params.common import Job


def of_job(params: Job, watch: Watch | Passing) -> cache.Cache | None:
    """The cache of a job, None where it wants none."""
    folder = getattr(params, "cache_dir", None)
    if folder is None:
        return None
    quota = float("inf") if params.cache_quota_GB is None else 1e9 * params.cache_quota_GB
    return cache.Cache(cache.at(folder), quota, 1e9 * params.cache_reserve_GB,
                       lambda message: watch("warning", message=message))  # fmt: skip


def in_use(params: Job, watch: Watch | Passing):
    """Context in which stacks are read through the cache of a job."""
    return cache.used(of_job(params, watch))


def told(folder: Path) -> str:
    """Every copy with its size and when it was used last, and their sum."""
    rows = cache.listed(folder)
    lines = [f"{name}  {size / 1e9:10.3f} GB  used {age / 3600:.1f} h ago" for name, size, age in rows]
    return "\n".join([*lines, f"{len(rows)} stacks, {sum(size for _, size, _ in rows) / 1e9:.3f} GB"])


def cleared(folder: Path) -> str:
    """Remove every copy; says how many."""
    count, total = cache.clear(folder)
    return f"{count} stacks removed, {total / 1e9:.3f} GB"
