"""All jobs of a project at a glance, from an SQLite file that is never the only home of anything.

Owns `.halfmap/index.sqlite`: which files of a job it follows, when a row is read anew and what is done where the file
is missing, damaged, locked, of another layout or cannot be written: jobs are then read from their folders, and the
file is made again where it can be.
"""

from __future__ import annotations

import gc
import json
import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from halfmap.jobs.project import places, remarks
from halfmap.jobs.project.project import JOB, Project
from halfmap.jobs.running import processes

FILE = "index.sqlite"
LAYOUT = 1  # of the table below; another one is made anew
ENDED = ("finished", "failed", "interrupted")
WAIT_S = 0.2  # for a file locked by another process; reading the folders instead takes seconds at worst
SOUND = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN,
         sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_PROTOCOL)  # no damage
# where SQLite's write-ahead log, which needs shared memory, is safe; elsewhere it keeps a plain journal
LOCAL = frozenset("ext2 ext3 ext4 xfs btrfs zfs tmpfs ramfs overlay f2fs jfs reiserfs bcachefs".split())


class Row(NamedTuple):
    """What the index knows of a job. Texts are empty and numbers None where its files do not tell."""

    number: int
    stamp: int  # of its files: changes whenever one of them does
    job: str  # what it is: "refine homogeneous"
    status: str  # as summary.json has it: one of ENDED
    process: dict[str, Any] | None  # for processes.alive
    started: str
    resolution_A: float | None
    n_particles: int | None
    seconds: float | None
    parents: list[int]  # numbers of the jobs it was made from, ascending
    tags: list[str]
    n_notes: int
    n_warnings: int


@dataclass(frozen=True)
class Jobs:
    """All jobs of a project by number, ascending; ``trouble``: a sentence where the index was of no use, else empty."""

    rows: dict[int, Row]
    trouble: str = ""


TABLE = "CREATE TABLE jobs (number INTEGER PRIMARY KEY, row TEXT, checksum INTEGER)"  # row: JSON, a list


def jobs(project: Project) -> Jobs:
    """Every job of a project, as its files are at this moment."""
    try:
        with closing(_opened(project)) as base, _no_collection():
            known = _known(base)
            rows = _current(project, known)
            _keep(base, known, rows)
            return Jobs(rows)
    except (sqlite3.Error, ValueError, OSError) as fault:
        if isinstance(fault, OSError) or getattr(fault, "sqlite_errorcode", 0) & 0xFF in SOUND:
            known = _read_only(project)
            trouble = "" if known else f"the index cannot be used ({fault}): all job folders are read each time"
            return Jobs(_current(project, known), trouble)
        rows = _current(project, {})
        return Jobs(rows, _remade(project, rows, fault))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Leave the search for garbage: among 10,000 rows that all stay it took a fifth of the time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _current(project: Project, known: dict[int, Row]) -> dict[int, Row]:
    """The rows that are still right, the others read from their folders."""
    rows = {}
    root = os.open(project.root, os.O_RDONLY)
    try:
        for number in project.numbers():
            row = known.get(number)
            kept = row is not None and row.stamp == _stamp(number, root, bool(row.n_notes or row.tags))
            rows[number] = row if kept else read(project, number, root)
    finally:
        os.close(root)
    return rows


def _stamp(number: int, root: int, noted: bool) -> int:
    """Times of change, sizes and inodes of what is followed of a job, and of its notes where it has any, as one number.

    Times are compared for being equal only, so a clock may go as it likes. Notes that come or go change the folder.
    """
    folder = f"J{number}"
    facts = (_facts(folder, root), _facts(f"{folder}/job.json", root), _facts(f"{folder}/summary.json", root))
    return hash((*facts, _facts(f"{folder}/{remarks.FILE}", root)) if noted else facts)


def _facts(path: str, root: int) -> tuple[int, ...]:
    try:
        state = os.stat(path, dir_fd=root)
    except OSError:
        return ()
    return state.st_mtime_ns, state.st_size, state.st_ino


def read(project: Project, number: int, root: int | None = None) -> Row:
    """A row from the files of a job, whatever state they are in; stamped where ``root``, the open folder, is given."""
    folder = project.folder(number)
    stamps = (0, 0) if root is None else (_stamp(number, root, False), _stamp(number, root, True))  # before reading
    return row(folder, project, number, stamps)


def row(folder: Path, project: Project | None, number: int, stamps: tuple[int, int]) -> Row:
    """The row of any job folder; ``stamps``: without and with its notes."""
    record, summary = places.read(folder, project), places.content(folder / "summary.json")
    said = remarks.read(folder)
    warnings = summary.get("warnings")
    return Row(
        number=number,
        stamp=stamps[bool(said.tags or said.notes)],
        job=_text(record.get("job")) or _text(summary.get("job")) or _begun(folder),
        status=summary["status"] if summary.get("status") in ENDED else "",
        process=record["process"] if isinstance(record.get("process"), dict) else None,
        started=_text(record.get("started")),
        resolution_A=_number(summary.get("resolution_A")),
        n_particles=_whole(summary.get("n_particles")),
        seconds=_number(summary.get("seconds_total")),
        parents=[] if project is None else parents(project, record, number),
        tags=list(said.tags),
        n_notes=len(said.notes),
        n_warnings=len(warnings) if isinstance(warnings, list) else 0,
    )


def parents(project: Project, record: dict[str, Any], number: int) -> list[int]:
    """Numbers of the jobs whose files a job was given, ascending."""
    inputs = record.get("inputs")
    told = [each for each in inputs.values() if isinstance(each, dict)] if isinstance(inputs, dict) else []
    found = {job_of(project, each.get("path")) for each in told}
    return sorted(found - {None, number})


def job_of(project: Project, path: Any) -> int | None:
    """The number of the job whose folder an absolute path leads into."""
    inside = project.inside(path) if isinstance(path, str) and os.path.isabs(path) else None
    found = JOB.fullmatch(inside.partition(os.sep)[0]) if inside else None
    return int(found[1]) if found else None


def state(row: Row) -> str:
    """One word: finished failed interrupted running crashed, or unknown for a job of another machine, or empty."""
    if row.status or not (row.job or row.process):
        return row.status or "empty"
    lives = processes.alive(row.process) if row.process else False
    return "unknown" if lives is None else "running" if lives else "crashed"


def _begun(folder: Path) -> str:
    """What a job without a readable record is, from the first line of its events."""
    with suppress(OSError, ValueError, RecursionError), open(folder / "events.jsonl", encoding="utf-8") as lines:
        event = json.loads(lines.readline(MOST_BYTES))
        return _text(event.get("job")) if isinstance(event, dict) else ""
    return ""


MOST_BYTES = 100_000  # of a line; ours have a few hundred


def _text(value: Any) -> str:
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and abs(value) < 1e300 else None


def _whole(value: Any) -> int | None:
    found = _number(value)
    return None if found is None or abs(found) > 2**62 else int(found)


def _opened(project: Project) -> sqlite3.Connection:
    """The index, made where there is none. Raises sqlite3.Error or OSError where it cannot be used."""
    project.private.mkdir(exist_ok=True)
    base = sqlite3.connect(project.private / FILE, timeout=WAIT_S, isolation_level=None)
    try:
        base.execute("PRAGMA synchronous = OFF")  # after a power cut it is made again
        if base.execute("PRAGMA user_version").fetchone() != (LAYOUT,):
            base.execute(f"PRAGMA journal_mode = {'WAL' if _is_local(project.private) else 'TRUNCATE'}")
            _made(base)
    except sqlite3.Error:
        base.close()
        raise
    return base


def _made(base: sqlite3.Connection) -> None:
    """An empty table in place of whatever is there."""
    base.execute("BEGIN IMMEDIATE")
    base.execute("DROP TABLE IF EXISTS jobs")
    base.execute(TABLE)
    base.execute(f"PRAGMA user_version = {LAYOUT}")
    base.execute("COMMIT")


def _known(base: sqlite3.Connection) -> dict[int, Row]:
    """All rows but those that are not as they were written, because the disk or somebody changed them."""
    found = base.execute("SELECT row, checksum FROM jobs").fetchall()
    sound = [text for text, checksum in found if isinstance(text, str) and zlib.crc32(text.encode()) == checksum]
    return {values[0]: Row._make(values) for values in json.loads(f"[{','.join(sound)}]")}


def _keep(base: sqlite3.Connection, known: dict[int, Row], rows: dict[int, Row]) -> None:
    """Write what changed. A file locked by a writer, or that cannot be written, stays as it is."""
    texts = {number: json.dumps(row) for number, row in rows.items() if known.get(number) is not row}
    changed = [(number, text, zlib.crc32(text.encode())) for number, text in texts.items()]
    gone = [(number,) for number in known.keys() - rows.keys()]
    if not (changed or gone):
        return
    with suppress(sqlite3.OperationalError):
        base.execute("BEGIN IMMEDIATE")
        base.executemany("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?)", changed)
        base.executemany("DELETE FROM jobs WHERE number = ?", gone)
        base.execute("COMMIT")


def _read_only(project: Project) -> dict[int, Row]:
    """The rows of an index in a folder that cannot be written; none where that fails, too."""
    address = f"{(project.private / FILE).as_uri()}?mode=ro&immutable=1"
    with suppress(sqlite3.Error, ValueError):
        if not os.access(project.private, os.W_OK):
            with closing(sqlite3.connect(address, uri=True)) as base:
                return _known(base)
    return {}


def _remade(project: Project, rows: dict[int, Row], fault: Exception) -> str:
    """Make a damaged index again; returns what is to be said about it."""
    try:
        for ending in ("", "-wal", "-shm", "-journal"):
            (project.private / f"{FILE}{ending}").unlink(missing_ok=True)
        with closing(_opened(project)) as base:
            _keep(base, {}, rows)
    except (OSError, sqlite3.Error) as second:
        return f"the index is damaged ({fault}) and cannot be made again: {second}"
    return f"the index was damaged ({fault}) and has been made again"


def _is_local(folder: Path) -> bool:
    """Whether a folder lies on a disk of this machine, as far as the system tells."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text(errors="replace").splitlines()]
    except OSError:
        return False
    real = os.path.realpath(folder)
    over = [(point, kind) for _, point, kind, *_ in mounts if _lies_below(real, point)]
    return bool(over) and max(over, key=lambda mount: len(mount[0]))[1] in LOCAL


def _lies_below(path: str, mount: str) -> bool:
    mount = mount.encode().decode("unicode_escape")  # a space is written \040
    return mount == "/" or path == mount or path.startswith(f"{mount}/")
