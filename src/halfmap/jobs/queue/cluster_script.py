"""The script that a cluster is given: a template of RELION, of cryoSPARC or of ours, with its variables filled in.

A template with ``{{`` in it is Jinja's, in a sandbox; any other is taken word for word but for RELION's
``XXXnameXXX``. Values are put in once and never read again as a template. What reaches a shell is checked: no line
breaks and no character that a shell acts on; the command itself is quoted.
"""

from __future__ import annotations

import getpass
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from halfmap.errors import UsageError
from halfmap.jobs.queue.cluster import Cluster, Word, checked_name
from halfmap.jobs.queue.queue import Queue, Queued
from halfmap.jobs.queue.queue_local import command

RELION = re.compile(r"XXX([A-Za-z][A-Za-z0-9_]*?)XXX")
ACTIVE = re.compile(r"[$`\"'\\;&|<>(){}!\x00-\x1f\x7f\x85\u2028\u2029]")
NUMBER = re.compile(r"(0|[1-9]\d*)(\.\d+)?")
UNSAFE_IN_NAME = re.compile(r"[^A-Za-z0-9._-]")
THREADS = ("--threads", "--j")  # flags that say how many cores a job uses
LEAST_GB, MARGIN = 2, 1.5  # of the memory that is asked for
DEFAULTS: Mapping[str, Word] = {"num_cpu": 4, "num_gpu": 0, "ram_gb": 16, "queue": "", "nodes": 1, "mpinodes": 1}


def values(queue: Queue, entry: Queued, cluster: Cluster) -> dict[str, Word]:
    """Every variable of an entry, paths as they are. Raises UsageError for values that a shell would act on."""
    given = {name: number(text) for name, text in entry.variables.items()}
    chosen = {**DEFAULTS, **_estimated(entry), **cluster.variables, **_of_words(entry), **given}
    own = {**_of_job(queue, entry), **_of_paths(queue, entry)}
    taken = {name: chosen.pop(name) for name in own if name in chosen}
    if taken:
        raise UsageError(f"{', '.join(taken)}: set by halfmap and cannot be given as a variable of a cluster")
    cores = chosen["num_cpu"]
    chosen = {"threads": cores, "cores": cores, "dedicated": cores, **chosen}
    return {**{name: passive(name, value) for name, value in chosen.items()}, **own}


def leaves_memory_open(entry: Queued, cluster: Cluster) -> bool:
    """Whether the script asks for ``ram_gb`` and nobody says how much: then a dry run of the job should tell."""
    if entry.memory_GB is not None or "ram_gb" in {**cluster.variables, **entry.variables}:
        return False
    text = cluster.template.read_text(encoding="utf-8", errors="replace") if cluster.template.is_file() else ""
    return "ram_gb" in text + " ".join(cluster.submit)


def _estimated(entry: Queued) -> dict[str, Word]:
    """Memory to ask for, by the forecast of the job: half as much again, as a job that takes more is killed."""
    return {} if entry.memory_GB is None else {"ram_gb": max(LEAST_GB, math.ceil(entry.memory_GB * MARGIN))}


def _of_words(entry: Queued) -> dict[str, Word]:
    """Cores to ask for: those that the command line names."""
    named = [after for word, after in pairwise(entry.words) if word in THREADS and after.isdecimal()]
    named += [value for word in entry.words for name, _, value in [word.partition("=")]
              if name in THREADS and value.isdecimal()]  # fmt: skip
    return {"num_cpu": int(named[-1])} if named else {}


def job_name(entry: Queued) -> str:
    """What the entry is called on the cluster; no other start of any job has this name."""
    return f"{UNSAFE_IN_NAME.sub('_', Path(entry.out).name)[:40]}-{entry.token}"


def filled(text: str, found: Mapping[str, Word], place: str) -> str:
    """A template with its variables filled in. Raises UsageError naming the variables it lacks; ``place``: its name."""
    if "{{" not in text and "{%" not in text:
        return RELION.sub(lambda match: str(_known(match, found, place)), text)
    for match in RELION.finditer(text):
        _known(match, found, place)
    return _jinja(RELION.sub(r"{{ \1 }}", text), found, place)


def script(queue: Queue, entry: Queued, cluster: Cluster) -> str:
    """The script of an entry. Raises UsageError where the template or a value makes no sense."""
    try:
        text = cluster.template.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise UsageError(f"{cluster.template}: cannot be read: {getattr(fault, 'strerror', None) or fault}") from fault
    found = values(queue, entry, cluster)
    quoted = {name: shlex.quote(str(found[name])) for name in _of_paths(queue, entry)}  # a template has them bare
    return filled(text, {**found, **quoted}, str(cluster.template))


def words(command: Sequence[str], found: Mapping[str, Word]) -> list[str]:
    """A command of a cluster with its variables filled in; each word stays one word."""
    return [_jinja(word, found, word) if "{" in word else word for word in command]


def passive(name: str, value: Word) -> Word:
    """A value that no shell acts on. Raises UsageError for any other."""
    found = ACTIVE.search(str(value))
    if found:
        raise UsageError(f"{checked_name(name)}: {str(value)!r} holds {found[0]!r}, which a shell would act on")
    return value


def number(text: str) -> Word:
    """A value given as text: a number where it looks like one."""
    if not NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)


def _of_job(queue: Queue, entry: Queued) -> dict[str, Word]:
    program, *arguments = command(queue, entry)
    whole = shlex.join([program, *arguments])
    user = UNSAFE_IN_NAME.sub("_", getpass.getuser())
    return {
        "name": job_name(entry),
        "command": whole,
        "run_cmd": whole,
        "worker_bin_path": shlex.quote(program),
        "run_args": shlex.join(arguments),
        "job_uid": UNSAFE_IN_NAME.sub("_", Path(entry.out).name),
        "project_uid": UNSAFE_IN_NAME.sub("_", queue.root.name),
        "job_type": UNSAFE_IN_NAME.sub("_", entry.job),
        "job_creator": user,
        "cryosparc_username": user,
    }


def _of_paths(queue: Queue, entry: Queued) -> dict[str, Word]:
    paths = {
        "job_dir_abs": queue.path(entry.out),
        "project_dir_abs": queue.root,
        "job_log_path_abs": queue.file(entry.number, ".out"),
        "script_path_abs": queue.file(entry.number, ".sh"),
        "outfile": queue.file(entry.number, ".out"),
        "errfile": queue.file(entry.number, ".out"),
    }
    return {name: passive(name, str(path)) for name, path in paths.items()}


def _known(match: re.Match, found: Mapping[str, Word], place: str) -> Word:
    if match[1] not in found:
        raise UsageError(f"{place}: has {match[0]}, which nobody gave; add --variable {match[1]}=VALUE, or write it "
                         "below variables in clusters.yaml")  # fmt: skip
    return found[match[1]]


def _jinja(text: str, found: Mapping[str, Word], place: str) -> str:
    """A text of Jinja, in its sandbox."""
    import jinja2  # only where a cluster is used
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    try:
        return environment.from_string(text).render(found)
    except jinja2.UndefinedError as fault:
        raise UsageError(f"{place}: {fault.message}; add --variable NAME=VALUE, or write it below variables in "
                         "clusters.yaml") from fault  # fmt: skip
    except jinja2.TemplateError as fault:
        raise UsageError(f"{place}: line {getattr(fault, 'lineno', '?')}: {fault.message}") from fault
    except (ArithmeticError, TypeError, ValueError, LookupError, MemoryError) as fault:
        raise UsageError(f"{place}: {type(fault).__name__}: {fault}") from fault
