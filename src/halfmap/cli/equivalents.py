"""Makes docs/PARAMETERS.md: ``python -m halfmap.cli.equivalents > docs/PARAMETERS.md``."""

from __future__ import annotations

from halfmap.cli.flags import flag
from halfmap.jobs import catalog
from halfmap.params.elsewhere import TABLES, Table
from halfmap.params.equivalent import Parameter

HEAD = """# Parameters of cryoSPARC and RELION, and where they are here

Made from the settings by `python -m halfmap.cli.equivalents`; do not edit. What each setting does, and its
range, stand in [COMMANDS.md](COMMANDS.md). Defaults are those of halfmap.
"""


def markdown() -> str:
    """The whole page."""
    return "\n".join([HEAD, *map(section, TABLES)])


def section(table: Table) -> str:
    """The parameters of one job of another program."""
    fields = catalog.find(table.job).params.model_fields
    rows = (row(parameter, fields) for parameter in table.parameters)
    head = f"## {table.program}\n\nHere: `halfmap {table.job}`.\n\n| there | its name | here | default | remark |\n"
    return head + "|---|---|---|---|---|\n" + "\n".join(rows) + "\n"


def row(parameter: Parameter, fields: dict) -> str:
    """One line of the table."""
    flags = ", ".join(f"`{flag(name)}`" for name in parameter.settings) or "-"
    defaults = ", ".join(default(fields[name]) for name in parameter.settings)
    return f"| `{parameter.name}` | {parameter.title} | {flags} | {defaults} | {parameter.remark} |"


def default(field) -> str:
    """Default and unit of a setting, in words."""
    if field.is_required():
        return "required"
    words = {True: "on", False: "off"} if isinstance(field.default, bool) else {None: "none"}
    number = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
    unit = (field.json_schema_extra or {}).get("unit")
    return words.get(field.default, f"{number} {unit}" if unit else number)


if __name__ == "__main__":
    print(markdown(), end="")
