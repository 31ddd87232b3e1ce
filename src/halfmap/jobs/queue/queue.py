"""The queue of a project: one file an entry in `.halfmap/queue/`, written whole or not at all. The files are the truth.

Owns the entries, their states and what stands in the way of each. Starts nothing. Imports no settings, so that a list
is quick.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from halfmap.errors import UsageError
from halfmap.jobs.project.project import Project
from halfmap.jobs.queue import queue_locks

FOLDER = "queue"  # in the private folder of the project
ENDED = "ended"  # in that: entries whose job is finished
HELD = "held"  # in that: there while nothing may be handed to a cluster

WAITING = "waiting"  # to be started, or to be gone on with
SUBMITTED = "submitted"  # in the hands of a cluster
RUNNING = "running"
FINISHED = "finished"
FAILED = "failed"
INTERRUPTED = "interrupted"  # its folder can be resumed, which a person has to ask for
BLOCKED = "blocked"  # shown, never written: what it needs will not come
BEGUN = (SUBMITTED, RUNNING)
READY = (WAITING, "")  # nothing in its way
STUCK = (FAILED, INTERRUPTED)
GONE = "gone"  # of a job that is needed: no entry makes it
AHEAD = {  # states of a needed job that will not end well by themselves
    FAILED: "failed",
    INTERRUPTED: "was interrupted",
    BLOCKED: "is blocked",
    GONE: "is not finished and not in the queue",
}


@dataclass(frozen=True)
class Queued:
    """A job in the queue.

    ``words``: its command line after ``halfmap``. ``out``, ``folder`` and ``after`` are the job folder, the working
    folder and the job folders it needs, from the root of the project where they lie in it. ``made``: the queue made
    the job folder. ``reason``: why the state is what it is, in words. ``resume``: go on with what is in the folder.
    ``checkpoint``: name of the newest one when it was started. ``stopping``: asked to end. ``vanished``: how often its
    process was gone without a word. ``token``: drawn at each start; a process with an older one has been given up.
    ``host boot pid``: who runs it. ``unseen``: looks at the cluster in a row that did not find it.
    """

    number: int
    words: tuple[str, ...]
    job: str
    out: str
    folder: str = "."
    after: tuple[str, ...] = ()
    made: bool = False
    cluster: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    state: str = WAITING
    reason: str = ""
    resume: bool = False
    checkpoint: str = ""
    stopping: bool = False
    vanished: int = 0
    token: str = ""
    host: str = ""
    boot: str = ""
    pid: int = 0
    cluster_job: str = ""
    unseen: int = 0
    memory_GB: float | None = None

    @property
    def command(self) -> list[str]:
        """What to run after ``halfmap``."""
        return [*self.words, *(["--resume"] if self.resume and "--resume" not in self.words else [])]

    @property
    def here(self) -> bool:
        """Whether its process was started on this machine since the machine was."""
        return (self.host, self.boot) == (queue_locks.host(), queue_locks.boot())


class Queue:
    """The entries of a project."""

    def __init__(self, project: Project):
        self.root = project.root
        self.project = project
        self.folder = project.private / FOLDER
        (self.folder / ENDED).mkdir(parents=True, exist_ok=True)

    def file(self, number: int, suffix: str = ".json") -> Path:
        """A file of an entry: the entry itself, its .lock, the .out of its process, the .sh given to a cluster."""
        return self.folder / f"{number:06d}{suffix}"

    @property
    def runner_lock(self) -> Path:
        """Held by the process that starts jobs."""
        return self.folder / "runner.lock"

    @property
    def stop_request(self) -> Path:
        """There while the runner is asked to end."""
        return self.folder / "stop"

    @property
    def is_held(self) -> bool:
        """Whether nothing may be handed to a cluster, as ``stop`` was said and nobody has gone on since."""
        return (self.folder / HELD).exists()

    def hold(self, wanted: bool) -> None:
        """Hand nothing to clusters from now on, or do so again."""
        (self.folder / HELD).touch() if wanted else (self.folder / HELD).unlink(missing_ok=True)

    def changing(self) -> AbstractContextManager[None]:
        """Every change of an entry is made in this: two processes never overwrite each other's."""
        return queue_locks.waiting(self.folder / "queue.lock")

    def entries(self) -> list[Queued]:
        """Everything not finished, in the order in which it is started: what was begun first, then as it came."""
        found = [_read(path) for path in self.folder.glob("[0-9]*.json")]
        return sorted((entry for entry in found if entry), key=lambda entry: (not entry.resume, entry.number))

    def ended(self) -> list[Queued]:
        """Everything finished, as it came."""
        found = [_read(path) for path in (self.folder / ENDED).glob("[0-9]*.json")]
        return sorted((entry for entry in found if entry), key=lambda entry: entry.number)

    def unreadable(self) -> list[Path]:
        """Files that should be entries and are not."""
        return [path for path in sorted(self.folder.glob("[0-9]*.json")) if path.exists() and _read(path) is None]

    def find(self, number: int) -> Queued:
        """An entry. Raises UsageError where there is none of that number."""
        entry = _read(self.file(number))
        if entry is None:
            raise UsageError(f"the queue has no entry {number}; halfmap queue list shows those it has")
        return entry

    def add(self, entry: Queued) -> Queued:
        """Put an entry at the end of the queue; its number is given here."""
        with self.changing():
            names = (path.stem for path in self.folder.rglob("[0-9]*.*"))  # also of removed entries that ran
            numbers = (int(name) for name in names if name.isdecimal())
            entry = replace(entry, number=max(numbers, default=0) + 1)
            self._write(entry)
        return entry

    def update(self, number: int, held: str | None = None, during: Sequence[str] = (),
               **changes: Any) -> Queued | None:  # fmt: skip
        """Change an entry, and return it.

        None, and nothing is changed, where it is gone, has another token than ``held``, so that somebody else has it
        now, or is in another state than those of ``during``.
        """
        with self.changing():
            entry = _read(self.file(number))
            if entry is None or held not in (None, entry.token) or (during and entry.state not in during):
                return None
            if changes:
                entry = replace(entry, **changes)
                self._write(entry)
        return entry

    def finish(self, number: int, token: str) -> None:
        """The job of an entry is finished: out of the way with it."""
        if self.update(number, token, BEGUN, state=FINISHED, reason="", stopping=False) is not None:
            os.replace(self.file(number), self.folder / ENDED / self.file(number).name)
            self.file(number, ".lock").unlink(missing_ok=True)

    def remove(self, number: int) -> Queued:
        """Take an entry out. Its job folder stays, unless it is an empty one that the queue made. Raises UsageError."""
        with self.changing():
            entry = self.find(number)
            self.file(number).unlink()
        if entry.made and entry.state == WAITING and not entry.resume:
            _remove_empty(self.path(entry.out))
        return entry

    def retry(self, number: int) -> Queued:
        """Start a failed or interrupted entry anew. Raises UsageError for one that is neither."""
        entry = self.find(number)
        if entry.state not in STUCK and not self.elsewhere(entry):
            raise UsageError(f"entry {number} is {entry.state}; only a failed or interrupted one is tried again")
        return self.update(number, state=WAITING, reason="", vanished=0, stopping=False, token="", cluster_job="",
                           host="", pid=0, unseen=0)  # fmt: skip

    def path(self, name: str) -> Path:
        """The absolute path of a folder as an entry names it."""
        return self.root / name

    def name(self, path: Path) -> str:
        """A path as an entry names it: from the root where it lies in the project, so that the project may move."""
        path = os.path.normpath(path)
        return self.project.inside(path) or path

    def summary(self, out: str) -> dict[str, Any]:
        """summary.json of a job folder: how the job ended; empty where it has not, or there is none."""
        return _content(self.path(out) / "summary.json")

    def newest_checkpoint(self, out: str) -> str:
        """Name of the newest checkpoint in a job folder, empty where there is none."""
        from halfmap.jobs.running import kept  # with hashes, for which a list of the queue need not wait

        return kept.newest_name(self.path(out))

    def left_results(self, out: str) -> bool:
        """Whether a job folder holds something worth going on from; a job that left nothing begins anew."""
        return bool(self.newest_checkpoint(out)) or any(self.path(out).glob("*.mrc"))

    def elsewhere(self, entry: Queued) -> bool:
        """Whether another machine or container runs it, or did: nothing can be done about it from here."""
        if entry.state != RUNNING or entry.cluster or not entry.host:
            return False
        return entry.host != queue_locks.host() or (not entry.here and self.alive(entry))

    def alive(self, entry: Queued) -> bool:
        """Whether a process of this machine runs the entry."""
        return queue_locks.held(self.file(entry.number, ".lock"))

    def standing(self, entries: Sequence[Queued]) -> dict[int, tuple[str, str]]:
        """State and reason of each entry, with what it waits for; ("waiting", "") may be started."""
        makers = {entry.out: entry for entry in entries}
        found: dict[int, tuple[str, str]] = {}
        for entry in sorted(entries, key=lambda entry: entry.number):  # what an entry needs came before it
            found[entry.number] = (entry.state, entry.reason)
            if entry.state == WAITING:
                found[entry.number] = self._obstacle(entry, makers, found)
        return found

    def ready(self) -> list[Queued]:
        """Entries that may begin, in their order."""
        entries = self.entries()
        standing = self.standing(entries)
        return [entry for entry in entries if standing[entry.number] == READY]

    def _obstacle(self, entry: Queued, makers: Mapping[str, Queued], found) -> tuple[str, str]:
        """What keeps a waiting entry from being started; the first need that fails counts most."""
        needs = [(name, self._need(name, makers.get(name), found)) for name in entry.after]
        for name, state in needs:
            if state in AHEAD:
                return BLOCKED, f"{name} {AHEAD[state]}"
        late = [name for name, state in needs if state != FINISHED]
        return WAITING, f"for {', '.join(late)}" if late else ""

    def _need(self, name: str, maker: Queued | None, found: Mapping[int, tuple[str, str]]) -> str:
        """State of a job folder that is needed: what its entry says; out of the queue, what the folder says."""
        if self.summary(name).get("status") == FINISHED:
            return FINISHED
        return GONE if maker is None else found.get(maker.number, (maker.state, ""))[0]

    def _write(self, entry: Queued) -> None:
        from halfmap.jobs.running import record  # with the settings of all jobs

        record.write_json(self.file(entry.number), asdict(entry))


def needs(entries: Iterable[Queued], files: Iterable[str]) -> tuple[str, ...]:
    """Job folders of entries that make one of the files, or are one, all named as entries name them."""
    folders = {entry.out for entry in entries}
    found = (str(place) for file in files for place in (Path(file), *Path(file).parents))
    return tuple(dict.fromkeys(name for name in found if name in folders))


def token() -> str:
    """A word that no other start has."""
    return os.urandom(4).hex()


def _read(path: Path) -> Queued | None:
    """The entry in a file; None where it is gone or no entry."""
    content = _content(path)
    known = {each.name: each for each in fields(Queued)}
    found = {name: value for name, value in content.items() if name in known}
    sound = (
        path.stem.isdecimal() and found.get("number") == int(path.stem)
        and all(isinstance(found.get(name), str) for name in ("job", "out"))
        and all(_are_texts(found.get(name, [])) for name in ("words", "after")) and "words" in found
        and isinstance(found.get("variables", {}), dict)
        and all(isinstance(value, type(known[name].default)) for name, value in found.items() if name in PLAIN)
    )  # fmt: skip
    if not sound:
        return None
    return Queued(**{**found, "words": tuple(found["words"]), "after": tuple(found.get("after", ()))})


PLAIN = ("folder made state reason resume checkpoint stopping vanished token host boot pid cluster_job "
         "unseen").split()  # fields of Queued whose default has their type  # fmt: skip


def _content(path: Path) -> dict[str, Any]:
    """What a JSON file maps; empty where it is gone or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        pass  # somebody put something in it, or removed it: it is theirs
