"""The process that draws the plots while the job's own process computes.

Importing matplotlib takes half a second of one core. A second process (`painting`) does it while this one imports the
numerics and reads the input; so a short job pays for drawing only.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


class Painter:
    """Context of the drawing process of a job folder; ``draw`` makes it draw, leaving without draw ends it."""

    def __init__(self, folder: Path):
        self._command = [sys.executable, "-m", "halfmap.jobs.pictures.painting", str(folder)]

    def __enter__(self) -> Painter:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C in the terminal is for the job, which then ends this process
        )
        return self

    def iteration(self, name: str) -> None:
        """Ask for the plots of an iteration; they are drawn as far as there is time to spare."""
        try:
            self._process.stdin.write(f"{name}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the process has ended; ``draw`` tells why

    def draw(self) -> str:
        """Draw all plots the result files allow; returns what went wrong, empty if nothing."""
        errors = self._process.communicate("draw\n")[1]
        if self._process.returncode == 0:
            return ""
        return (errors.strip().splitlines() or [f"the drawing process ended with {self._process.returncode}"])[-1]

    def __exit__(self, *_) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
