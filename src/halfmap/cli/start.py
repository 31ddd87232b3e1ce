"""Where the command ``halfmap`` begins: what needs no settings of jobs is answered without reading them.

The settings of all jobs take four fifths of the time of a short command; a list of jobs needs none of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from halfmap.cli.shown import complain
from halfmap.errors import HalfmapError, UsageError

QUICK = ("init", "status", "tag", "note")  # the other tools read settings anyway


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: returns the exit code of the process."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = answered(arguments)
        sys.stdout.flush()
    except HalfmapError as fault:
        return complain(str(fault).splitlines(), fault.exit_code)
    except BrokenPipeError:  # halfmap status | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def answered(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    if list(arguments) == ["status"]:  # nothing to read: the reader of flags would take a third of the time
        from halfmap.cli import listing

        return listing.told()
    if list(arguments[:2]) == ["queue", "list"] and set(arguments[2:]) <= {"--all", "--json"}:
        from halfmap.cli import queue_listing

        return queue_listing.told(queue_listing.here(), "--all" in arguments, "--json" in arguments)
    if arguments[:1] and arguments[0] in QUICK:
        return _quick(arguments)
    from halfmap.cli import main as full

    return full.main(arguments)


def _quick(arguments: Sequence[str]) -> int:
    """Run a tool that needs no settings of jobs."""
    from cyclopts import App, CycloptsError

    from halfmap.cli import project, tools

    app = App(name="halfmap", help_format="plaintext")
    tools.add(app, tuple(tool for tool in project.TOOLS if tool.name == arguments[0]))
    try:
        return app(arguments, exit_on_error=False, print_error=False, result_action="return_value") or 0
    except CycloptsError as fault:
        return complain([str(fault)], UsageError.exit_code)


if __name__ == "__main__":
    sys.exit(main())
