"""Shows the events of a running job: a live bar in a terminal, plain lines in a pipe."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from halfmap.cli.shown import duration
from halfmap.jobs import catalog
from halfmap.jobs.pictures.headlines import judged_by
from halfmap.jobs.running.events import Lines, Listener, plain, sentence, whereabouts

WIDTH = 100  # columns: longer lines are hard to read
SHARE = 0.05  # of the time: what a smaller part takes is no news
STAGES = {
    "search": "global search",
    "poses": "refining poses",
    "solve": "solving maps",
    "lens": "refining the CTF",
    "simulate": "making images",
    "check": "reading images",
    "ab-initio": "growing maps",
    "classes": "sorting particles",
    "locres": "local resolution",
}


@contextmanager
def display(stream: TextIO) -> Iterator[Listener]:
    """A listener that shows events on ``stream``: bars where it is a terminal, lines otherwise."""
    if not stream.isatty():
        yield Lines(stream)
        return
    with _bars(stream) as bars:
        yield bars


@contextmanager
def _bars(stream: TextIO) -> Iterator[Listener]:
    """Bars drawn by rich, which is imported only here: a pipe never needs it."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as progress:
        yield Bars(progress)


class Bars:
    """One bar, for the stage that runs, with iteration, resolution and the time left in the stage."""

    def __init__(self, progress):
        self._progress = progress
        self._stage = None
        self._task = None
        self._iteration = 1
        self._state = ""

    def __call__(self, event: dict) -> None:
        if event["kind"] == "progress":
            self._move(event)
        elif event["kind"] != "failed":
            self._note(event)
            self._progress.console.print(sentence(event), markup=False, highlight=False)

    def _note(self, event: dict) -> None:
        if event["kind"] != "iteration":
            return
        self._iteration = int(event["iteration"]) + 1
        if event.get("resolution_A"):
            self._state = f"{event['resolution_A']:.2f} A"

    def _move(self, event: dict) -> None:
        if whereabouts(event) != self._stage:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._stage = whereabouts(event)
            what = STAGES.get(event["stage"], event["stage"])
            text = f"{event.get('whose') or f'iteration {self._iteration}'}: {what}"
            self._task = self._progress.add_task(text, state=self._state)
        self._progress.update(self._task, completed=event["done"], total=event["total"], state=self._state)


def closing(summary: dict, folder: Path) -> str:
    """What a person wants to know at the end: the resolution and where the report is. Warnings were shown before."""
    if summary.get("status") == "dry run":
        return rehearsal(summary)
    lines = []
    if summary.get("resolution_A"):
        lines.append(f"resolution {summary['resolution_A']:.2f} A ({judged_by(summary)})")
    lines.append(f"report: {folder / 'report.html'}")
    return "\n".join(lines)


def rehearsal(summary: dict) -> str:
    """What --dry-run found: what the job would need, what open settings come to, then what was set otherwise."""
    lines = [f"{summary['job']}: settings and input files are sound; nothing was written"]
    lines += _needs(summary.get("forecast", {}))
    found = {} if summary.get("n_particles") is None else {"particles": f"{summary['n_particles']:,}"}
    lines += _table("for these inputs", found | summary.get("resolved", {}))
    changed = _changed(summary)
    lines += _table("set for this job", changed)
    rest = len(summary["params"]) - len(changed) - 1  # --dry-run itself is told by the first line
    lines.append(f"the other {rest} settings are at their defaults; --dry-run --json lists all of them")
    return "\n".join(lines)


def _changed(summary: dict) -> dict:
    """The settings that are not at their defaults."""
    fields = catalog.find(summary["job"]).params.model_fields
    return {name: value for name, value in summary["params"].items()
            if name != "dry_run" and (fields[name].is_required() or value != plain(fields[name].default))}  # fmt: skip


def _table(head: str, values: dict) -> list[str]:
    shown = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in values.items()}
    return [f"{head}:", *(f"  {name:<34}{value}" for name, value in shown.items())] if shown else []


def _needs(forecast: dict) -> list[str]:
    """The forecast in words; jobs without one say nothing."""
    lines = []
    if "seconds" in forecast:
        lines.append(f"time: about {duration(forecast['seconds'])} with these processor cores as busy as they are now")
        lines += _indented(f"assumes {forecast['assumes']}")
        stages = sorted(forecast["stages"].items(), key=lambda item: -item[1])
        told = [f"{name} {duration(value)}" for name, value in stages if value >= SHARE * forecast["seconds"]]
        lines += _indented(f"most of it: {', '.join(told)}")
    if forecast.get("compiling_s", 0) > 1:
        lines.append(f"  compiling took {duration(forecast['compiling_s'])} just now and is not repeated here")
    if "memory_GB" in forecast:
        lines.append(f"peak memory: about {forecast['memory_GB']:.2f} GB")
    if "disk_GB" in forecast:
        lines.append(f"disk: about {forecast['disk_GB']:.2f} GB")
    return lines


def _indented(text: str) -> list[str]:
    """The lines of a text below a headline, as long as the terminal is wide."""
    width = min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH)
    return textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="  ")
