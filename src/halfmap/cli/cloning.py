"""Runs a job again with changed settings, or a job and all that was made from it: prints each command, then runs it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from halfmap.cli import commands, config
from halfmap.cli.flags import flag
from halfmap.errors import UsageError
from halfmap.jobs.catalog import Entry
from halfmap.jobs.project import card, index, lineage, places, project
from halfmap.jobs.project.project import Project
from halfmap.jobs.running import given

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
Changes = Mapping[str, Mapping[str, list[str]]]  # job ("" = the one that is cloned) -> setting -> values


@dataclass(frozen=True)
class Planned:
    """A command line, and the same from inputs that are there already: those of the job that it replaces."""

    words: Sequence[str]
    from_old: Sequence[str]


Perform = Callable[[Planned], int]  # what is done with a command line: returns an exit code


def clone(folder: Path, wanted: Sequence[str], chain: bool, out: Path | None, perform: Perform) -> int:
    """Clone the job in a folder, or plan it, as ``perform`` does; returns the exit code of the first that fails."""
    around = project.find(folder)
    number = card.number_of(Path(os.path.abspath(folder)), around)
    if chain and (around is None or number is None):
        raise UsageError(f"{folder}: is no job of a project; only there it is known what was made from it")
    if chain and out is not None:
        raise UsageError("--out: a chain makes several jobs; they get the next numbers of the project")
    changes = _changes(wanted)
    if not chain:
        words = _Plan(folder, changes.get("", {})).words(out)
        return perform(Planned(words, words))
    numbers = _worth_it(lineage.chain(number, rows := index.jobs(around).rows), rows)
    unknown = set(changes) - {""} - {f"J{n}" for n in numbers[1:]}
    if unknown:
        raise UsageError(f"--set {min(unknown)}.: no job of this chain; it is {', '.join(f'J{n}' for n in numbers)}")
    return _run_chain(around, numbers, {**changes, f"J{number}": changes.get("", {})}, perform)


def _worth_it(numbers: Sequence[int], rows: Mapping[int, index.Row]) -> list[int]:
    """The jobs of a chain but those that came to nothing; the first was asked for by name."""
    first, *others = numbers
    left_out = [number for number in others if index.state(rows[number]) in ("failed", "empty")]
    for number in left_out:
        print(f"J{number} came to nothing and is left out", file=sys.stderr)
    return [first, *(number for number in others if number not in left_out)]


def _changes(wanted: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """What is to be set, by job and setting. Raises UsageError for anything that is not key=value."""
    found: dict[str, dict[str, list[str]]] = {}
    for word in wanted:
        key, equals, value = word.partition("=")
        job, dot, name = key.rpartition(".")
        if not equals or not name:
            raise UsageError(f"--set {word}: write key=value, such as symmetry=D2")
        found.setdefault(job, {}).setdefault(name, []).append(value)
    return found


@dataclass(frozen=True)
class _Plan:
    """A job that is to be made again: its folder, what is changed, and by which jobs others are replaced."""

    folder: Path
    changes: Mapping[str, list[str]]
    instead: Mapping[str, str] = field(default_factory=dict)

    def words(self, out: Path | None) -> list[str]:
        """The command line, without ``halfmap``."""
        record = places.read(self.folder)
        entry = given.entry_of(record, self.folder)
        settings = {name: self._pointed(value) for name, value in given.again(record, entry).items()}
        settings = _with(settings, self.changes, entry)
        words = [word for name, value in settings.items() for word in _words(name, value)]
        return [*entry.name.split(), *words, *(() if out is None else ("--out", _short(out)))]

    def _pointed(self, value: Any) -> Any:
        """A reference with the new job in place of the old one."""
        if isinstance(value, list):
            return [self._pointed(each) for each in value]
        job, slash, file = str(value).partition("/")
        return f"{self.instead[job]}{slash}{file}" if job in self.instead else value


def _with(settings: Mapping[str, Any], changes: Mapping[str, list[str]], entry: Entry) -> dict[str, Any]:
    """The settings with changes. Raises UsageError for names that the job does not have."""
    known, changed = config.names(entry), dict(settings)
    for key, values in changes.items():
        name = known.get(key)
        if name in given.OF_ONE_RUN:
            raise UsageError(f"--set {key}: belongs to one run, not to a clone; --print shows the commands, to be run "
                             f"with {flag(name)}, and --dry-run what they would need")  # fmt: skip
        if name is None:
            raise UsageError(f"--set {key}: {entry.name} has no such setting{config.closest(key, known)}")
        changed.pop(name, None)
        if values != [""]:
            changed[name] = _value(values, entry.params.model_fields[name].annotation is bool)
    return changed


def _value(values: list[str], is_switch: bool) -> Any:
    if is_switch and values[-1].lower() in (*TRUE, *FALSE):
        return values[-1].lower() in TRUE
    return values if len(values) > 1 else values[0]


def _words(name: str, value: Any) -> list[str]:
    """A setting as the command line has it."""
    if isinstance(value, bool):
        return [flag(name) if value else f"--no-{flag(name).lstrip('-')}"]
    if isinstance(value, list):
        return [word for each in value for word in _words(name, each)]
    text = "none" if value is None else str(value)
    return [f"{flag(name)}={text}"] if text.startswith("-") else [flag(name), text]


def _short(path: Path) -> str:
    """A path as it is seen from the working folder."""
    return os.path.relpath(path)


def _run_chain(around: Project, numbers: Sequence[int], changes: Changes, perform: Perform) -> int:
    """Make jobs again one after the other, each from those made before. All are looked through before the first."""
    prospects = (around.folder(around.next_number() + place) for place in range(len(numbers)))
    foreseen = list(_commands(around, numbers, changes, prospects))
    if perform in (tell, rehearse):
        return max([perform(planned) for _, planned in foreseen])
    for folder, planned in _commands(around, numbers, changes, (around.new_folder() for _ in numbers)):
        code = None
        try:
            code = perform(planned)
        finally:
            if perform is run or code is None:  # a job of the queue has an empty folder until it begins
                with suppress(OSError):  # it holds a job, as it should
                    folder.rmdir()
        if code:
            return code
    return 0


def _commands(around: Project, numbers: Sequence[int], changes: Changes, folders: Iterable[Path]):
    """(new folder, command line) of each job of a chain, those made before in place of the old ones."""
    instead: dict[str, str] = {}
    for number, new in zip(numbers, folders, strict=True):
        plan = _Plan(around.folder(number), changes.get(f"J{number}", {}), dict(instead))
        yield new, Planned(plan.words(new), replace(plan, instead={}).words(new))
        instead[f"J{number}"] = new.name


def tell(planned: Planned) -> int:
    """Print a command line; run nothing."""
    print(shlex.join(["halfmap", *planned.words]), flush=True)
    return 0


def rehearse(planned: Planned) -> int:
    """Print a command line and what a dry run of it tells; where it needs what is yet to be made, of the old inputs."""
    tell(planned)
    if planned.from_old != planned.words:
        print("its inputs are yet to be made; for those of the job it replaces:", flush=True)
    return commands.perform([*planned.from_old, flag("dry_run")])


def run(planned: Planned) -> int:
    """Print a command line, then run it."""
    tell(planned)
    return commands.perform(planned.words)


def to_queue(around: Project, cluster: str | None, made: bool) -> Perform:
    """Puts a command line at the end of the queue of a project, here or for a cluster.

    ``made``: its job folder was made for it, and goes with it where it is taken out again.
    """
    from halfmap.cli import queue
    from halfmap.jobs.queue.queue import Queue

    def put(planned: Planned) -> int:
        waiting = Queue(around)
        entry = queue.put(waiting, planned.words, cluster)
        waiting.update(entry.number, made=entry.made or made)
        print(queue.added(entry))
        return 0

    return put
