"""Settings from a file: ``--config job.yaml`` or ``.json``, also the job.json of an earlier job. Flags win.

Owns the reading of the file and the names it may use: those of the settings and those of their flags. Whether a value
makes sense is decided where that of a flag is.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclopts import Token

from halfmap.cli.flags import flag
from halfmap.errors import UsageError
from halfmap.jobs import catalog
from halfmap.jobs.project import places
from halfmap.jobs.project.project import job_folder
from halfmap.jobs.running import given

FLAG = "--config"
CONTINUED = "--continue-from"  # the folder of an earlier job, whose settings go on


@dataclass(frozen=True)
class Written:
    """A setting as the file has it, and where: "job.yaml, line 3"."""

    value: Any
    place: str


class FromFile:
    """Fills the settings that no flag gave from the file that --config names; ``places`` tells which, and where."""

    def __init__(self):
        self.places: dict[str, str] = {}

    def __call__(self, app, commands, arguments) -> None:
        """Called by cyclopts between reading the flags and converting their values."""
        by_flag = {name: argument for argument in arguments for name in argument.names}
        path = _file(by_flag, catalog.find(" ".join(commands))) if {FLAG, CONTINUED} & set(by_flag) else None
        if path is None:
            return
        for name, written in read(path, catalog.find(" ".join(commands))).items():
            argument = by_flag[flag(name)]
            if argument.tokens:
                continue  # the flag wins
            self.places[name] = written.place
            for index, text in enumerate(_texts(name, written)):
                keyword = f"{flag(name)} ({written.place})"
                argument.append(Token(keyword=keyword, value=text, source="config", index=index))


def _file(by_flag: Mapping[str, Any], entry: catalog.Entry) -> Path | None:
    """The file with settings: the one that is named, else the record of the job that is gone on from.

    A job of another kind has other settings: they are not taken over.
    """
    named, continued = (by_flag[flag].tokens if flag in by_flag else () for flag in (FLAG, CONTINUED))
    if named:
        return Path(named[-1].value)
    if not continued:
        return None
    named = Path(continued[-1].value)
    place = named.parent if named.is_file() else job_folder(named)
    job = places.read(place).get("job")
    if job is None:
        raise UsageError(f"{CONTINUED} {place}: holds no refinement; name the folder of one, or of its checkpoint")
    return place / places.RECORD if job == entry.name else None


def read(path: Path, entry: catalog.Entry) -> dict[str, Written]:
    """The settings in a file for a job, by their names; those that are null, and mean their default, left out.

    Raises UsageError with every key that is no setting, and where the file cannot be read or is of another job.
    """
    text = _text(path)
    content = _mapping(path, text)
    if "params" in content and "job" in content:
        content = _recorded(path, entry)
    known = names(entry)
    faults, found = [], {}
    for key, value in content.items():
        name, place = known.get(str(key)), f"{path}, {_line(text, key)}"
        if name is None:
            faults.append(f"{place}: {entry.name} has no setting {key!r}{closest(str(key), known)}")
        elif name in found:
            faults.append(f"{place}: {name} is given twice")
        else:
            found[name] = Written(value, place)
    if faults:
        raise UsageError("\n".join(faults))
    return {name: w for name, w in found.items() if w.value is not None or _needs_value(entry, name)}


def names(entry: catalog.Entry) -> dict[str, str]:
    """Every name that a setting of a job goes by, its own and that of its flag with - or _, and its own."""
    flags = {name: flag(name).lstrip("-") for name in entry.params.model_fields}
    written = {alias: name for name, word in flags.items() for alias in (word.replace("-", "_"), word)}
    return written | {name: name for name in flags}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise UsageError(f"{FLAG} {path}: cannot be read: {getattr(fault, 'strerror', None) or fault}") from fault


def _mapping(path: Path, text: str) -> Mapping[str, Any]:
    """What the file says; JSON by its suffix, else YAML."""
    import yaml  # only where a file is given: --help answers without it

    try:
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (json.JSONDecodeError, yaml.YAMLError, RecursionError) as fault:
        raise UsageError(f"{FLAG} {path}: {' '.join(str(fault).split())}") from fault
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise UsageError(f"{FLAG} {path}: holds no settings; write one a line, such as symmetry: D2")
    return content


def _recorded(path: Path, entry: catalog.Entry) -> dict[str, Any]:
    """The settings of an earlier job, its file names as they lead to the same files from here."""
    record = places.read(path.parent) if path.name == places.RECORD else places.content(path)
    if record.get("job") != entry.name:
        raise UsageError(f"{FLAG} {path}: is of a job {record.get('job')!r}, not {entry.name!r}")
    return given.again(record, entry)


def _line(text: str, key: object) -> str:
    """"line 3": where the key stands."""
    found = re.search(rf"^[\s{{,]*[\"']?{re.escape(str(key))}[\"']?\s*:", text, re.MULTILINE)
    found = found or re.search(rf"\"{re.escape(str(key))}\"\s*:", text)
    at = len(found[0]) - len(found[0].lstrip()) + found.start() if found else 0
    return f"line {text.count(chr(10), 0, at) + 1}"


def closest(key: str, known: Mapping[str, str]) -> str:
    """What was perhaps meant by a name that is none, as the end of a sentence."""
    near = difflib.get_close_matches(key.replace("-", "_"), known, 1) or difflib.get_close_matches(key, known, 1)
    return f"; did you mean {known[near[0]]}?" if near else ""


def _needs_value(entry: catalog.Entry, name: str) -> bool:
    return entry.params.model_fields[name].default is not None


def _texts(name: str, written: Written) -> Iterator[str]:
    """A value as the command line would have it, one text for each of a list."""
    values = written.value if isinstance(written.value, list) else [written.value]
    for value in values:
        if value is None or isinstance(value, Mapping | list):
            raise UsageError(f"{written.place}: {name} has no value that a flag could have: {value!r}")
        yield str(value).lower() if isinstance(value, bool) else str(value)
