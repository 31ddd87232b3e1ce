"""The drawing process of a job: ``python -m halfmap.jobs.pictures.painting FOLDER``, told what to do on standard input.

A line "iteration_003" puts the plots of that iteration on a list; they are drawn one at a time, the newest iteration
first, at the lowest priority and only while their processor time stays below SHARE of the time that has passed. What
does not fit stays undrawn. The line "draw" breaks that off, draws the result with all cores and ends. The end of the
input ends the process.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import traceback
from pathlib import Path

from halfmap.jobs.pictures import plots
from halfmap.jobs.pictures.views import View

SHARE = 0.08  # of the time that has passed, on one core; a small price for a look at a run under way
FIRST_COST_S = 0.2  # expected of a plot before one was drawn
LOWEST = 19  # nice
POLL_S = 0.1
FIRST = ("fsc", "slices", "ab_initio_maps")  # what is looked at most


class Budget:
    """Processor seconds spent, and whether another plot fits."""

    def __init__(self, began: float):
        self._began, self._spent, self._drawn = began, 0.0, 0

    def spend(self, seconds: float) -> None:
        self._spent, self._drawn = self._spent + seconds, self._drawn + 1

    def allows(self, now: float) -> bool:
        cost = self._spent / self._drawn if self._drawn else FIRST_COST_S
        return self._spent + cost <= SHARE * (now - self._began)


class Desk:
    """What is waiting to be drawn, and the process that draws one of it."""

    def __init__(self, folder: Path, budget: Budget):
        self._folder, self._budget = folder, budget
        self._waiting: list[tuple[str, View]] = []
        self._artist: int | None = None

    @property
    def busy(self) -> bool:
        return bool(self._waiting) or self._artist is not None

    def add(self, name: str) -> None:
        """Put the plots of an iteration before all older ones."""
        view = View(self._folder, name)
        mine = sorted((plot.name for plot in plots.drawable(view)), key=lambda name: name not in FIRST)
        self._waiting = [*((name, view) for name in mine), *self._waiting]

    def work(self) -> None:
        """Take note of what is done; begin the next plot if there is time for it."""
        if self._artist is not None:
            done, _, usage = os.wait4(self._artist, os.WNOHANG)
            if not done:
                return
            self._artist = None
            self._budget.spend(usage.ru_utime + usage.ru_stime)
        if self._waiting and self._budget.allows(time.monotonic()):
            self._artist = _begin(*self._waiting.pop(0))

    def stop(self) -> None:
        """End what is being drawn."""
        if self._artist is not None:
            os.kill(self._artist, signal.SIGKILL)
            os.waitpid(self._artist, 0)
            self._artist = None


def _begin(name: str, view: View) -> int:
    """Draw in a process of its own; returns its number. A plot that fails is left out: the report says so."""
    artist = os.fork()
    if artist:
        return artist
    try:
        os.nice(LOWEST)
        plots.draw(name, view)
        os._exit(0)
    finally:
        traceback.print_exc()
        os._exit(1)


def main(folder: Path) -> None:
    """Serve until told to draw the result, or until the input ends."""
    desk = Desk(folder, Budget(time.monotonic()))
    plots.import_all()
    text = b""
    while True:
        if select.select([0], [], [], POLL_S if desk.busy else None)[0]:
            more = os.read(0, 4096)
            if not more:
                desk.stop()
                return
            *lines, text = (text + more).split(b"\n")
            for line in lines:
                if line == b"draw":
                    desk.stop()
                    plots.draw_all(folder)
                    return
                desk.add(line.decode())
        desk.work()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
