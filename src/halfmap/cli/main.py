"""The whole command line: the commands of jobs, and the tools that work on jobs, projects and the queue.

Owns what is in it. How a command line is read and performed is in ``commands``, which knows none of the tools: they
perform command lines through it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts import App

from halfmap.cli import commands, config, project, queue, tools


def build(command_line: Sequence[str] = (), from_file: config.FromFile | None = None) -> App:
    """The application; ``command_line`` goes into the record of a job."""
    app = commands.build(command_line, from_file)
    tools.add(app, project.TOOLS)
    app.command(queue.app())
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: returns the exit code of the process."""
    return commands.perform(sys.argv[1:] if arguments is None else list(arguments), build)


if __name__ == "__main__":
    sys.exit(main())
