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
from pydantic.fields import FieldInfo

from halfmap.cli.flags import flag
from halfmap.errors import UsageError
from halfmap.jobs import catalog

FLAG = "--config"
OF_ONE_RUN = ("out", "overwrite", "resume", "dry_run")  # a job.json tells them of the job it was written for


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
        given = by_flag.get(FLAG)
        if given is None or not given.tokens:
            return
        for name, written in read(Path(given.tokens[-1].value), catalog.find(" ".join(commands))).items():
            argument = by_flag[flag(name)]
            if argument.tokens:
                continue  # the flag wins
            self.places[name] = written.place
            for index, text in enumerate(_texts(name, written)):
                keyword = f"{flag(name)} ({written.place})"
                argument.append(Token(keyword=keyword, value=text, source="config", index=index))


def read(path: Path, entry: catalog.Entry) -> dict[str, Written]:
    """The settings in a file for a job, by their names; those that are null, and mean their default, left out.

    Raises UsageError with every key that is no setting, and where the file cannot be read or is of another job.
    """
    text = _text(path)
    content = _mapping(path, text)
    if "params" in content and "job" in content:
        content = _recorded(path, content, entry)
    known = {alias: name for name in entry.params.model_fields for alias in (name, flag(name).lstrip("-"))}
    faults, found = [], {}
    for key, value in content.items():
        name, place = known.get(str(key)), f"{path}, {_line(text, key)}"
        if name is None:
            faults.append(f"{place}: {entry.name} has no setting {key!r}{_closest(str(key), known)}")
        elif name in found:
            faults.append(f"{place}: {name} is given twice")
        else:
            found[name] = Written(value, place)
    if faults:
        raise UsageError("\n".join(faults))
    return {name: w for name, w in found.items() if w.value is not None or _needs_value(entry, name)}


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


def _recorded(path: Path, record: Mapping[str, Any], entry: catalog.Entry) -> dict[str, Any]:
    """The settings in a job.json that are not of that run alone; its file names start in its working folder.

    It holds every setting. Those at their default are left out: nobody set them, and they say the same unsaid.
    """
    if record["job"] != entry.name:
        raise UsageError(f"{FLAG} {path}: is of a job {record['job']!r}, not {entry.name!r}")
    fields = entry.params.model_fields
    kept = {name: value for name, value in record["params"].items()
            if name not in OF_ONE_RUN and not (name in fields and _is_default(fields[name], value))}  # fmt: skip
    for name in (*entry.inputs, "images_root"):
        file = Path(record.get("working_folder", "."), str(kept.get(name)))
        if kept.get(name) is not None and file.exists():
            kept[name] = str(file)
    return kept


def _is_default(field: FieldInfo, value: Any) -> bool:
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    return value == default


def _line(text: str, key: object) -> str:
    """"line 3": where the key stands."""
    found = re.search(rf"^[\s{{,]*[\"']?{re.escape(str(key))}[\"']?\s*:", text, re.MULTILINE)
    found = found or re.search(rf"\"{re.escape(str(key))}\"\s*:", text)
    at = len(found[0]) - len(found[0].lstrip()) + found.start() if found else 0
    return f"line {text.count(chr(10), 0, at) + 1}"


def _closest(key: str, known: Mapping[str, str]) -> str:
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
