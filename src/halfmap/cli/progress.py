"""Shows the events of a running job: a live bar in a terminal, plain lines in a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from halfmap.cli.shown import duration
from halfmap.jobs.running.events import Lines, Listener, sentence

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
        if event["stage"] != self._stage:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._stage = event["stage"]
            text = f"iteration {self._iteration}: {STAGES.get(self._stage, self._stage)}"
            self._task = self._progress.add_task(text, state=self._state)
        self._progress.update(self._task, completed=event["done"], total=event["total"], state=self._state)


def closing(summary: dict, folder: Path) -> str:
    """What a person wants to know at the end: the resolution and where the report is. Warnings were shown before."""
    if summary.get("status") == "dry run":
        return rehearsal(summary)
    lines = []
    if summary.get("resolution_A"):
        threshold = summary.get("fsc_threshold", 0.143)
        lines.append(f"resolution {summary['resolution_A']:.2f} A (corrected FSC at {threshold:g})")
    lines.append(f"report: {folder / 'report.html'}")
    return "\n".join(lines)


def rehearsal(summary: dict) -> str:
    """What --dry-run found: the settings, what the open ones come to, and what the job would need."""
    lines = [f"{summary['job']}: settings and input files are sound; nothing was written"]
    lines += _table("settings", summary["params"])
    if summary.get("n_particles") is not None:
        lines.append(f"particles: {summary['n_particles']:,}")
    lines += _table("for these inputs", summary.get("resolved", {}))
    return "\n".join([*lines, *_needs(summary.get("forecast", {}))])


def _table(head: str, values: dict) -> list[str]:
    shown = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in values.items()}
    return [f"{head}:", *(f"  {name:<34}{value}" for name, value in shown.items())] if shown else []


def _needs(forecast: dict) -> list[str]:
    """The forecast in words; jobs without one say nothing."""
    lines = []
    if "seconds" in forecast:
        lines.append(f"time: about {duration(forecast['seconds'])} with these processor cores as busy as they are now")
        lines.append(f"  assumes {forecast['assumes']}")
        stages = sorted(forecast["stages"].items(), key=lambda item: -item[1])
        lines.append("  " + ", ".join(f"{name} {duration(value)}" for name, value in stages if value >= 0.05))
    if forecast.get("compiling_s", 0) > 1:
        lines.append(f"  compiling took {duration(forecast['compiling_s'])} just now and is not repeated here")
    if "memory_GB" in forecast:
        lines.append(f"peak memory: about {forecast['memory_GB']:.2f} GB")
    if "disk_GB" in forecast:
        lines.append(f"disk: about {forecast['disk_GB']:.2f} GB")
    return lines
