"""A command line as an entry of the queue: checked before it is accepted, as far as that takes no numerics.

What a queued job reads may be what an earlier entry will make: then it waits for that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from halfmap.errors import InputError, UsageError
from halfmap.jobs.catalog import Entry
from halfmap.jobs.project import project as projects
from halfmap.jobs.queue import queue as queues
from halfmap.jobs.queue.queue import Queue, Queued
from halfmap.jobs.running import record
from halfmap.params.common import Job

OUT = "--out"


def entry_of(queue: Queue, words: Sequence[str], entry: Entry, params: Job, folder: Path) -> Queued:
    """The entry, with number 0, of a command line whose settings are ``params``, given in the working folder.

    Raises UsageError for words that cannot wait in a queue and for a job folder that is taken, InputError for input
    files that are not there and that nothing in the queue makes.
    """
    for word in words:
        if not word.isprintable():
            raise UsageError(f"{word!r}: holds a line break or another character that cannot be seen")
    if params.dry_run:
        raise UsageError("--dry-run: tells what a job would need, now; run it without the queue")
    entries = queue.entries()
    named = dict(_inputs(queue, entry, params, folder))
    after = queues.needs(entries, named.values())
    _require(queue, named, after, folder)
    out = "" if params.out is None else _free(queue, entries, params, folder)
    return Queued(0, tuple(words), entry.name, out, queue.name(folder), after)


def placed(queue: Queue, entry: Queued) -> Queued:
    """The entry with a job folder: where its words name none, the next of the project, made here."""
    if entry.out:
        return entry
    made = queue.project.new_folder()
    words = (*entry.words, OUT, os.path.relpath(made, queue.path(entry.folder)))
    return replace(entry, words=words, out=queue.name(made), made=True)


def _inputs(queue: Queue, entry: Entry, params: Job, folder: Path) -> Iterator[tuple[str, str]]:
    """Each input as it was written, and as entries name files; words such as ``none`` stay words."""
    for name in entry.inputs:
        given = getattr(params, name)
        for each in given if isinstance(given, tuple) else (given,):
            if isinstance(each, Path) or (isinstance(each, str) and _is_reference(each)):
                yield str(each), queue.name(_file(queue, str(each), folder))


def _is_reference(text: str) -> bool:
    return "/" in text or projects.REFERENCE.fullmatch(text) is not None


def _file(queue: Queue, given: str, folder: Path) -> Path:
    """The path that is meant: one that is there, seen from the working folder, before a job of the project."""
    path = folder / given
    return path if path.exists() else queue.project.named(given) or path


def _require(queue: Queue, named: dict[str, str], after: Sequence[str], folder: Path) -> None:
    """Raise InputError for the inputs that are neither there nor to come."""
    missing = [
        given for given, name in named.items()
        if not queue.path(name).exists() and not any(Path(name).is_relative_to(made) for made in after)
    ]  # fmt: skip
    if missing:
        raise InputError([f"{given}: there is no such file, seen from {folder}, and nothing in the queue makes it"
                          for given in missing])  # fmt: skip


def _free(queue: Queue, entries: Sequence[Queued], params: Job, folder: Path) -> str:
    """The job folder that the words name. Raises UsageError where another job has it."""
    path = folder / params.out
    name = queue.name(path)
    for other in entries:
        if other.out == name:
            raise UsageError(f"{OUT} {params.out}: entry {other.number} of the queue writes there; name another folder")
    if not params.resume:
        record.claimable(path, params.overwrite)
    return name
