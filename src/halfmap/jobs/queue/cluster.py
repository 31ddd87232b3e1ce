"""Clusters: the commands of their schedulers and the template of their scripts, from `clusters.yaml`.

Read from the root of the project, then from the user's configuration folder; the project's description of a name
counts. Every command is a list of words: no shell ever reads one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from halfmap.errors import UsageError

FILE = "clusters.yaml"
Word = str | int | float


class Cluster(pydantic.BaseModel):
    """One cluster. Words of commands may hold ``{{ name }}``, ``{{ script_path_abs }}``, ``{{ cluster_job_id }}`` and
    all variables of the script. What is not given is that of SLURM.

    ``status`` prints a line for each job of the user, ``number|name|state|reason``, also for those that ended lately:
    where SLURM keeps no accounting, nothing else tells how they did. ``accounting`` prints one for a job that has
    ended, ``number|name|state|exit code``.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    template: Path
    variables: dict[str, Word] = {}
    submit: tuple[str, ...] = ("sbatch", "--parsable", "--job-name={{ name }}", "{{ script_path_abs }}")
    status: tuple[str, ...] = ("squeue", "--noheader", "--me", "--states=all", "--format=%i|%j|%T|%r")
    accounting: tuple[str, ...] = ("sacct", "--noheader", "--parsable2", "--allocations",
                                   "--format=JobID,JobName,State,ExitCode", "--jobs={{ cluster_job_id }}")  # fmt: skip
    cancel: tuple[str, ...] = ("scancel", "{{ cluster_job_id }}")

    @pydantic.field_validator("submit", "status", "accounting", "cancel")
    @classmethod
    def has_words(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not value[0]:
            raise ValueError("names no program; write a list of words, such as [sbatch, '{{ script_path_abs }}']")
        return value

    @pydantic.field_validator("variables")
    @classmethod
    def names_are_names(cls, value: dict[str, Word]) -> dict[str, Word]:
        for name in value:
            checked_name(name)
        return value


@dataclass(frozen=True)
class Clusters:
    """The clusters that are described, by name; ``files``: where descriptions are looked for."""

    found: Mapping[str, Cluster]
    files: tuple[Path, ...]

    def named(self, name: str) -> Cluster:
        """A cluster. Raises UsageError naming those that are described, and where."""
        if name not in self.found:
            known = f"described are: {', '.join(sorted(self.found))}" if self.found else "none is described"
            raise UsageError(f"--cluster {name}: {known} in {' or '.join(str(file) for file in self.files)}")
        return self.found[name]


def read(root: Path) -> Clusters:
    """The clusters that a project and its user describe. Raises UsageError for a file that makes no sense."""
    files = (configuration_folder() / FILE, root / FILE)
    found: dict[str, Cluster] = {}
    for file in files:
        found |= _described(file)
    return Clusters(found, files[::-1])


def configuration_folder() -> Path:
    """The user's folder of settings."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "halfmap"


def checked_name(name: str) -> str:
    """A name of a variable. Raises ValueError for anything else."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(f"{name!r} cannot be the name of a variable: letters, digits and _ only")
    return name


def _described(file: Path) -> dict[str, Cluster]:
    if not file.is_file():
        return {}
    content = _content(file)
    faults, found = [], {}
    for name, described in content.items():
        try:
            cluster = Cluster.model_validate(described)
        except pydantic.ValidationError as fault:
            faults += [f"{file}: {name}: {_sentence(error)}" for error in fault.errors(include_url=False)]
        else:
            found[str(name)] = cluster.model_copy(update={"template": file.parent / cluster.template.expanduser()})
    if faults:
        raise UsageError("\n".join(faults))
    return found


def _content(file: Path) -> dict[str, Any]:
    """What a file says, a description for each name."""
    import yaml  # only where a cluster is used

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
        raise UsageError(f"{file}: cannot be read: {' '.join(str(fault).split())}") from fault
    if not isinstance(content, dict):
        raise UsageError(f"{file}: describes no cluster; write its name, and below it template: FILE")
    return content


def _sentence(error) -> str:
    where = ".".join(str(part) for part in error["loc"])
    return f"{where}: {error['msg'].removeprefix('Value error, ')}".removeprefix(": ")
