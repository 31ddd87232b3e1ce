"""Jobs as functions: name, signature and docstring come from the catalogue and the settings of each.

Owns the names of the functions, the turn of faults into exceptions, and what is printed while a job runs.
"""

from __future__ import annotations

import difflib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pydantic
from pydantic_core import PydanticUndefined

from halfmap.api.result import Result
from halfmap.errors import HalfmapError, InputError, Interrupted, ResourceError, UsageError
from halfmap.jobs import catalog
from halfmap.jobs.catalog import Entry
from halfmap.jobs.project import project
from halfmap.jobs.running import finished
from halfmap.jobs.running.events import Lines, Listener
from halfmap.params.common import Job

# A package of halfmap has the name of these jobs, and wins: ``from halfmap import simulate`` is that package
OF_PARTICLES = ("simulate", "extract", "subtract", "reconstruct")
ELSEWHERE = ("dry_run",)  # settings that are no setting of a function: ``.forecast`` does it
RETURNS = """Returns a Result. Raises UsageError for a setting that makes no sense, InputError for faulty data,
ResourceError where disk or memory lacks, Interrupted after Ctrl-C."""
EXCEPTIONS = {kind.exit_code: kind for kind in (UsageError, ResourceError, Interrupted)}


def name_of(entry: Entry) -> str:
    """The function of a job: "refine homogeneous" is ``refine_homogeneous``."""
    name = entry.name.replace(" ", "_").replace("-", "_")
    return f"{name}_particles" if name in OF_PARTICLES else name


ENTRIES = {name_of(entry): entry for entry in catalog.JOBS}


@cache
def of(name: str) -> Callable[..., Result]:
    """The function of that name; ``function.forecast(...)`` is its dry run, which returns a dict."""
    entry = ENTRIES[name]

    def run(*subject: Any, progress: bool = True, **settings: Any) -> Result:
        from halfmap.jobs.running import run as runner  # finds the numerics when the job begins

        params = checked(entry, subject, settings)
        ended = runner.run(entry.name, params, [_call(name, params)], _listeners(progress))
        return _result(ended)

    def forecast(*subject: Any, **settings: Any) -> dict[str, Any]:
        """What the job would do and need; writes nothing. Raises as the job."""
        from halfmap.jobs.running import run as runner

        params = checked(entry, subject, settings, dry_run=True)
        ended = runner.run(entry.name, params, [], ())
        _raise_fault(ended)
        return ended.summary

    run.__name__ = run.__qualname__ = name
    run.__module__ = "halfmap"
    run.__doc__ = docstring(entry)
    run.__signature__ = signature(entry)
    run.forecast = forecast
    return run


def signature(entry: Entry) -> inspect.Signature:
    """The settings of a job as keywords; its one needed input may also come first, without its name."""
    kinds = inspect.Parameter
    subject = [entry.subject] if entry.subject else []
    fields = {name: field for name, field in entry.params.model_fields.items() if name not in ELSEWHERE}
    ordered = sorted(fields, key=lambda name: (name not in subject, not fields[name].is_required()))
    found = [
        kinds(
            name,
            kinds.POSITIONAL_OR_KEYWORD if name in subject else kinds.KEYWORD_ONLY,
            default=kinds.empty if fields[name].default is PydanticUndefined else fields[name].default,
            annotation=fields[name].annotation,
        )
        for name in ordered
    ]
    progress = kinds("progress", kinds.KEYWORD_ONLY, default=True, annotation=bool)
    return inspect.Signature([*found, progress], return_annotation=Result)


def docstring(entry: Entry) -> str:
    """Summary, every setting with unit, range and default, what comes back."""
    needed = [name for name, field in entry.params.model_fields.items() if field.is_required()]
    rest = [name for name in entry.params.model_fields if name not in (*needed, *ELSEWHERE)]
    lines = [f"    {name}: {_told(entry, name)}" for name in (*needed, *rest)]
    lines.append("    progress: Print what happens. Default: True.")
    return "\n".join([entry.summary, "", "Settings:", *lines, "", RETURNS])


def _told(entry: Entry, name: str) -> str:
    field = entry.params.model_fields[name]
    if field.is_required():
        return f"{field.description} Required."
    return f"{field.description} Default: {field.default!r}."


def checked(entry: Entry, subject: Sequence[Any], given: dict[str, Any], **more: Any) -> Job:
    """The settings of a call. Raises UsageError naming every one that is unknown, missing or out of range."""
    settings = {name: _plain(value) for name, value in given.items()}
    fields = [name for name in entry.params.model_fields if name not in ELSEWHERE]
    function = name_of(entry)
    if len(subject) > (1 if entry.subject else 0):
        raise UsageError(f"{function}: name its settings, such as {function}({fields[-1]}=...)")
    if subject:
        settings = {entry.subject: _plain(subject[0]), **settings}
    unknown = [name for name in settings if name not in fields]
    if unknown:
        raise UsageError("\n".join(f"{function} has no setting {name!r}{nearest(name, fields)}" for name in unknown))
    try:
        return entry.params(**settings, **more)
    except pydantic.ValidationError as fault:
        raise UsageError("\n".join(_fault(function, error) for error in fault.errors(include_url=False))) from fault


def nearest(name: str, known: Iterable[str], before: str = "") -> str:
    """"; did you mean ...?" or nothing."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {before}{near[0]}?" if near else ""


def _fault(function: str, error: Any) -> str:
    message = error["msg"].removeprefix("Value error, ")
    where = f"{function}: {error['loc'][0]}: " if error["loc"] else f"{function}: "
    given = f", not {error['input']!r}" if "should" in message else ""
    return f"{where}{message[0].lower()}{message[1:]}{given}"


def _plain(value: Any) -> Any:
    """A setting as the settings know it: results and paths are the text of their place."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return tuple(_plain(each) for each in value) if isinstance(value, list | tuple) else value


def open(folder: str | os.PathLike) -> Result:
    """The result in a job folder, or of a job of the project around, by its name: ``halfmap.open("J3")``.

    Raises InputError where there is none that is finished.
    """
    place = Path(os.fspath(folder))
    around = project.find(Path.cwd())
    if not place.exists() and around is not None and project.JOB.fullmatch(str(folder)):
        place = around.root / place
    return Result(finished.read(place))


def resume(folder: str | os.PathLike, progress: bool = True) -> Result:
    """Go on with the interrupted job in a folder, with the settings it had. Raises as the job does."""
    from halfmap.jobs.running import run as runner

    here = Path.cwd()
    try:
        return _result(runner.resume(Path(os.path.abspath(folder)), [f"resume({os.fspath(folder)!r})"],
                                     _listeners(progress)))  # fmt: skip
    finally:
        os.chdir(here)  # file names among the settings of that job start elsewhere


def _listeners(progress: bool) -> tuple[Listener, ...]:
    return (Lines(sys.stdout),) if progress else ()


def _call(name: str, params: Job) -> str:
    """The call, for the job record."""
    given = {field: getattr(params, field) for field in type(params).model_fields if field in params.model_fields_set}
    told = (f"{field}={str(value) if isinstance(value, Path) else value!r}" for field, value in given.items())
    return f"halfmap.{name}({', '.join(told)})"


def _result(ended: Any) -> Result:
    _raise_fault(ended)
    return Result(finished.read(ended.folder))


def _raise_fault(ended: Any) -> None:
    """The exception of a job that did not end well."""
    if ended.exit_code == 0:
        return
    faults = ended.summary.get("faults", ())
    if ended.exit_code == InputError.exit_code:
        raise InputError(faults, ended.summary)
    raise EXCEPTIONS.get(ended.exit_code, HalfmapError)("\n".join(faults))
