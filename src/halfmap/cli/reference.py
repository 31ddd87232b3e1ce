"""Makes docs/COMMANDS.md from the settings: ``python -m halfmap.cli.reference > docs/COMMANDS.md``."""

from __future__ import annotations

import inspect
from dataclasses import replace

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from halfmap.cli import project, queue
from halfmap.cli.commands import CONFIG_HELP, JSON_HELP
from halfmap.cli.flags import flag
from halfmap.cli.tools import Tool
from halfmap.jobs import catalog

HEAD = """# Commands

Made from the settings by `python -m halfmap.cli.reference`; do not edit. A switch `--x` has a counterpart `--no-x`.
A word in capitals after a command is a file that needs no flag: `halfmap reconstruct particles.star --out J2`.
A job folder may be named in place of the file in it that is meant: its particles, its map, its masks. Inside a project
(see [PROJECTS.md](PROJECTS.md)) `J3` and `J3/map.mrc` name a job and a file of it from every folder, and `--out` may be
left out.
"""


def markdown() -> str:
    """The whole page."""
    tools = (f"## halfmap {tool.name} FOLDER\n\n{tool.summary}\n" for tool in (catalog.RESUME, *catalog.TOOLS))
    mine = [_of_tool(tool) for tool in project.TOOLS]
    mine += [_of_tool(replace(tool, name=f"{queue.NAME} {tool.name}")) for tool in queue.TOOLS]
    return "\n".join([HEAD, *(section(entry) for entry in catalog.JOBS), *tools, *mine])


def _of_tool(tool: Tool) -> str:
    """A command that is no job, with its arguments."""
    arguments = list(tool.arguments())
    places = " ".join(each.written for each in arguments if not each.is_flag)
    rows = [f"| `{each.written}` | {_of(each.default)} | {_escaped(each.help)} |" for each in arguments]
    head = "| argument | default | meaning |\n|---|---|---|\n"
    title = f"## halfmap {tool.name} {places}".rstrip()
    return f"{title}\n\n{tool.summary}\n\n{head}" + "\n".join(rows) + "\n"


def _of(default: object) -> str:
    return "required" if default is inspect.Parameter.empty else f"`{default}`"


def section(entry: catalog.Entry) -> str:
    """One command with its flags."""
    rows = [f"| `{flag(name)}` | {_default(field)} | {_cell(field)} |" for name, field in _fields(entry)]
    rows.append(f"| `--config` | `None` | {CONFIG_HELP} |")
    rows.append(f"| `--json` | `False` | {JSON_HELP} |")
    head = "| flag | default | meaning |\n|---|---|---|\n"
    subject = f" {entry.subject.upper()}" if entry.subject else ""
    return f"## halfmap {entry.name}{subject}\n\n{entry.summary}\n\n{head}" + "\n".join(rows) + "\n"


def _fields(entry: catalog.Entry) -> list[tuple[str, FieldInfo]]:
    """Required settings first, the job's own before those it shares."""
    own = entry.params.__annotations__
    return sorted(entry.params.model_fields.items(), key=lambda item: (not item[1].is_required(), item[0] not in own))


def _default(field: FieldInfo) -> str:
    return "required" if field.default is PydanticUndefined else f"`{field.default}`"


def _cell(field: FieldInfo) -> str:
    return _escaped(field.description or "")


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(markdown(), end="")
