"""What people say about a job: tags and notes, in notes.json of its folder.

Two people may write at once: each change is made under a lock on the folder, where its file system has locks.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halfmap.errors import UsageError
from halfmap.jobs.project import places

FILE = "notes.json"
DAMAGED = "notes_damaged.json"
MOST = 10_000  # characters of a tag or note; a file of megabytes would slow down every list


@dataclass(frozen=True)
class Remarks:
    """Tags in the order they were given; notes as mappings with ``time`` and ``text``."""

    tags: tuple[str, ...] = ()
    notes: tuple[dict[str, str], ...] = ()


def read(folder: Path) -> Remarks:
    """The remarks on a job; of a damaged file what can be read."""
    return of(places.content(folder / FILE))


def of(told: dict[str, Any]) -> Remarks:
    """The remarks in the content of the file."""
    tags, notes = told.get("tags"), told.get("notes")
    texts = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    kept = [note for note in notes if isinstance(note, dict)] if isinstance(notes, list) else []
    return Remarks(tuple(texts), tuple({"time": str(n.get("time", "")), "text": str(n.get("text", ""))} for n in kept))


def tag(folder: Path, tags: Sequence[str], remove: bool = False) -> Remarks:
    """Give a job tags, or take them away; returns all remarks. Raises UsageError for a tag it does not have."""
    tags = [_checked(tag, "tag") for tag in tags]

    def change(before: Remarks) -> Remarks:
        missing = [tag for tag in tags if remove and tag not in before.tags]
        if missing:
            raise UsageError(f"{folder}: has no tag {missing[0]!r}")
        kept = tuple(tag for tag in before.tags if tag not in tags)
        return Remarks(kept if remove else tuple(dict.fromkeys((*before.tags, *tags))), before.notes)

    return _changed(folder, change)


def note(folder: Path, text: str) -> Remarks:
    """Add a note to a job; returns all remarks."""
    added = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "text": _checked(text, "note")}
    return _changed(folder, lambda before: Remarks(before.tags, (*before.notes, added)))


def _checked(text: str, kind: str) -> str:
    text = text.strip()
    if not text:
        raise UsageError(f"an empty {kind} says nothing")
    if len(text) > MOST:
        raise UsageError(f"a {kind} has at most {MOST:,} characters; this one has {len(text):,}")
    return text.encode("utf-8", "replace").decode("utf-8")  # bytes that are no letters cannot be written


def _changed(folder: Path, change: Callable[[Remarks], Remarks]) -> Remarks:
    """Read, change and write under the lock. Raises UsageError where the folder cannot be written."""
    from halfmap.io import atomic  # with random names and hashes, for which a list of jobs need not wait

    try:
        with _locked(folder):
            now = change(read(folder))
            _keep_damaged(folder / FILE)
            told = {"tags": list(now.tags), "notes": list(now.notes)}
            with atomic.writing(folder / FILE) as stream:
                stream.write((json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "replace"))
    except OSError as fault:
        raise UsageError(f"{folder / FILE}: cannot be written: {fault.strerror}") from fault
    return now


def _keep_damaged(path: Path) -> None:
    """Put a file that cannot be read as a whole aside, so that nothing in it is lost by writing it anew."""
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (ValueError, RecursionError):
        os.replace(path, path.with_name(DAMAGED))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems have no locks; the file is replaced whole all the same
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
