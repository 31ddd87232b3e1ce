"""Where the command ``halfmap`` begins: what needs no settings of jobs is answered without reading them.

The settings of all jobs take four fifths of the time of a short command; a list of jobs needs none of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from halfmap.cli import project, tools
from halfmap.cli.shown import complain
from halfmap.errors import HalfmapError, UsageError

QUICK = ("init", "status", "tag", "note")  # the other tools read settings anyway


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: returns the exit code of the process."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = answered(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # halfmap status | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def answered(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    quick = tuple(tool for tool in project.TOOLS if tool.name in QUICK and arguments[:1] == [tool.name])
    if not quick:
        from halfmap.cli import main as full

        return full.main(arguments)
    app = App(name="halfmap", help_format="plaintext")
    tools.add(app, quick)
    try:
        return app(arguments, exit_on_error=False, print_error=False, result_action="return_value") or 0
    except CycloptsError as fault:
        return complain([str(fault)], UsageError.exit_code)
    except HalfmapError as fault:
        return complain(str(fault).splitlines(), fault.exit_code)


if __name__ == "__main__":
    sys.exit(main())
