"""One command per job of the catalogue, flags made from its settings; reads and performs command lines of jobs.

Owns flags, messages and exit codes (0 ok, 2 usage, 3 input data, 4 disk or memory, 5 interrupted, 70 bug). Knows no
tool that works on jobs: those stand above it and perform or read command lines through it. Imports no numerics, so that
--help answers at once.
"""

from __future__ import annotations

import inspect
import json as json_format
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pydantic
from cyclopts import App, CycloptsError, Parameter, UnknownCommandError

import halfmap
from halfmap.cli import config as config_file
from halfmap.cli import relion_line
from halfmap.cli.flags import flag, joined
from halfmap.cli.shown import complain
from halfmap.errors import HalfmapError, Interrupted, UsageError
from halfmap.jobs import catalog
from halfmap.jobs.project.project import job_folder
from halfmap.params.common import Job

GROUPS = {
    "refine": "Refine a structure from particles and a starting map.",
    "import": "Bring data of other programs into one form.",
    "check": "Look at data before hours are spent on them.",
    "volume": "Change a map, and what belongs to it, in one step.",
    "mask": "Make masks from maps.",
    "cache": "Copies of image stacks on a fast disk.",
}
RESUMED_HELP = "Folder of the interrupted job, or J3."
JSON_HELP = "Print summary.json to standard output, and nothing else there."
CONFIG_HELP = (
    "Settings from a file, .yaml or .json, by the names of settings or flags; also the job.json of an earlier job. "
    "Flags win."
)


Build = Callable[[Sequence[str], config_file.FromFile], App]
JsonFlag = Annotated[bool, Parameter(name="--json", help=JSON_HELP, negative=())]
ConfigFlag = Annotated[Path | None, Parameter(name=config_file.FLAG, help=CONFIG_HELP)]


def build(command_line: Sequence[str] = (), from_file: config_file.FromFile | None = None) -> App:
    """An application of one command per job; ``command_line`` goes into the job record."""
    app = App(
        name="halfmap",
        help="Gold-standard refinement of cryo-EM single particles.",
        version=halfmap.__version__,
        help_format="plaintext",
        default_parameter=Parameter(name_transform=flag, negative_none=()),
        config=from_file or config_file.FromFile(),
    )
    groups = {name: App(name=name, help=help) for name, help in GROUPS.items()}
    for group in groups.values():
        app.command(group)
    app.command(_resume(command_line), name=catalog.RESUME.name, help=catalog.RESUME.summary)
    for entry in catalog.JOBS:
        *group, name = entry.name.split()
        parent = groups[group[0]] if group else app
        parent.command(_command(entry, command_line), name=name, help=entry.summary)
    for tool in catalog.TOOLS:
        *group, name = tool.name.split()
        (groups[group[0]] if group else app).command(_tool_command(tool), name=name, help=tool.summary)
    return app


def _command(entry: catalog.Entry, command_line: Sequence[str]):
    """The function behind a command; its signature, which flags are read from, is the settings model of the job."""

    def command(*, params: Job | None = None, json: bool = False, config: Path | None = None) -> int:
        # the settings in the file ``config`` are already in ``params``
        return run(entry.name, params or entry.params(), json, command_line)

    kinds = {
        "params": Annotated[entry.params, Parameter(name="*")],
        "json": JsonFlag,
        "config": ConfigFlag,
    }
    keyword = inspect.Parameter.KEYWORD_ONLY
    needed = any(field.is_required() for field in entry.params.model_fields.values())
    default = inspect.Parameter.empty if needed else None
    params = inspect.Parameter("params", keyword, annotation=kinds["params"], default=default)
    json = inspect.Parameter("json", keyword, annotation=kinds["json"], default=False)
    config = inspect.Parameter("config", keyword, annotation=kinds["config"], default=None)
    command.__signature__ = inspect.Signature([params, json, config])
    command.__annotations__ = kinds
    command.entry = entry
    return command


def _resume(command_line: Sequence[str]):
    def resume(folder: Annotated[Path, Parameter(help=RESUMED_HELP)], /, *, json: JsonFlag = False) -> int:
        folder = job_folder(folder)
        return show(lambda runner, listener: runner.resume(folder, command_line, [listener]), json)

    return resume


def _tool_command(tool: catalog.Tool):
    """The function behind a command that works on a job folder."""

    def command(folder: Path, /) -> int:
        print(tool.load()(job_folder(folder)))
        return 0

    command.__annotations__["folder"] = Annotated[Path, Parameter(help=tool.folder)]
    return command


def run(name: str, params: Job, json: bool, command_line: Sequence[str]) -> int:
    """Run one job with progress on standard error; returns the exit code."""
    return show(lambda runner, listener: runner.run(name, params, command_line, [listener]), json)


def show(start, json: bool) -> int:
    """Start a job, show its progress and its end; returns the exit code. ``start(runner, listener)`` runs it."""
    from halfmap.cli import progress
    from halfmap.jobs.running import run as runner

    with progress.display(sys.stderr) as listener:
        ended = start(runner, listener)
    if json:
        print(json_format.dumps(ended.summary, indent=1))
    elif ended.exit_code == 0:
        print(progress.closing(ended.summary, ended.folder))
    for fault in ended.summary.get("faults", ()):
        print(f"halfmap: {fault}", file=sys.stderr)
    return ended.exit_code


def perform(arguments: Sequence[str], build: Build = build) -> int:
    """Do what a command line of the application that ``build`` makes asks for; returns the exit code."""
    arguments = with_subject(arguments)
    from_file = config_file.FromFile()
    try:
        line = relion_line.read(arguments)
        for notice in line.notices:
            print(f"halfmap: {notice}", file=sys.stderr)
        result = build(["halfmap", *arguments], from_file)(
            joined(line.words), exit_on_error=False, print_error=False, result_action="return_value"
        )
    except CycloptsError as fault:
        return complain(usage_faults(fault, from_file.places), UsageError.exit_code)
    except HalfmapError as fault:
        return complain(str(fault).splitlines(), fault.exit_code)
    except KeyboardInterrupt:
        return complain(["interrupted"], Interrupted.exit_code)
    return result or 0


def read(arguments: Sequence[str]) -> tuple[catalog.Entry, Job]:
    """The job of a command line and its settings; nothing is run. Raises UsageError with every fault of the flags."""
    from_file = config_file.FromFile()
    app, words = build((), from_file), relion_line.read(with_subject(arguments)).words
    try:
        command, bound, _ = app.parse_args(joined(words), exit_on_error=False, print_error=False)
    except UnknownCommandError as fault:
        raise UsageError(f"{_no_job(arguments)}. {str(fault).partition('. ')[2]}") from fault  # what was meant perhaps
    except CycloptsError as fault:
        raise UsageError("\n".join(usage_faults(fault, from_file.places))) from fault
    entry = getattr(command, "entry", None)
    if entry is None:
        raise UsageError(_no_job(arguments))
    return entry, bound.arguments.get("params") or entry.params()


def _no_job(arguments: Sequence[str]) -> str:
    return f"{' '.join(arguments)}: is no job; the first words name one, such as: refine homogeneous"


def with_subject(arguments: Sequence[str]) -> list[str]:
    """The words of a command line, with the flag of a job's one required input where only the file was named."""
    for entry in catalog.JOBS:
        name = entry.name.split()
        rest = list(arguments[len(name) :])
        if list(arguments[: len(name)]) == name and entry.subject and rest and not rest[0].startswith("-"):
            return [*name, flag(entry.subject), *rest]
    return list(arguments)


def usage_faults(fault: CycloptsError, places: Mapping[str, str]) -> list[str]:
    """Each fault of the flags, on a line: ``--flag: what is wrong``; ``places``: settings that stand in a file."""
    cause = fault.__cause__
    if not isinstance(cause, pydantic.ValidationError):
        return [str(fault)]
    named = re.findall(r"\w+", cause.title)  # the settings model, inside its validators
    settings = next((entry.params.model_fields for entry in catalog.JOBS if entry.params.__name__ in named), {})
    return [_setting_fault(error, settings, places) for error in cause.errors(include_url=False)]


def _setting_fault(error, settings: Mapping[str, Any], places: Mapping[str, str]) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = str(error["loc"][0])
    if error["type"] == "missing" and name in settings:
        return f"{flag(name)}: is needed. {settings[name].description.split('. ')[0].rstrip('.')}"
    given = f", not {error['input']!r}" if "should" in message else ""
    where = f" ({places[name]})" if name in places else ""
    return f"{flag(name)}{where}: {message[0].lower()}{message[1:]}{given}"
