"""What all benchmark scripts share: jobs run as a user runs them, and rows that are printed and put on record.

A row is one line of JSON on standard output and, with --ledger FILE, a line of a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Finished:
    """A process that has ended: wall time, processor time and peak memory (10^9 bytes, the largest) with what it
    started.
    """

    command: tuple[str, ...]
    code: int
    seconds: float
    cpu_seconds: float
    peak_memory_GB: float
    stdout: str
    stderr: str


def run(*command: object, folder: Path | None = None, **environment: str) -> Finished:
    """Run a command to its end; output goes through files so that no pipe can fill up."""
    words = tuple(map(str, command))
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begun = time.monotonic()
        process = subprocess.Popen(words, cwd=folder, stdout=out, stderr=err, env={**os.environ, **environment})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = [(file.seek(0), file.read())[1] for file in (out, err)]
    busy = usage.ru_utime + usage.ru_stime
    return Finished(words, process.returncode, seconds, busy, usage.ru_maxrss * 1024 / 1e9, *texts)


def demanded(finished: Finished) -> Finished:
    """The same, or the end of the script where the process failed."""
    if finished.code != 0:
        sys.exit(f"exit {finished.code} from {' '.join(finished.command)}\n{finished.stderr[-4000:]}")
    return finished


def halfmap(*arguments: object, **environment: str) -> Finished:
    """The command line of the halfmap that this Python finds."""
    return run(sys.executable, "-m", "halfmap.cli.main", *arguments, **environment)


@dataclass(frozen=True)
class Job:
    """A finished refinement."""

    folder: Path
    finished: Finished

    @property
    def summary(self) -> dict:
        return json.loads((self.folder / "summary.json").read_text())

    @property
    def iterations(self) -> list[dict]:
        """The events of kind "iteration", seconds per stage included."""
        events = map(json.loads, (self.folder / "events.jsonl").read_text().splitlines())
        return [event for event in events if event["kind"] == "iteration"]


def refine(particles: Path, volume: Path, symmetry: str, out: Path, *more: object, **environment: str) -> Job:
    """`halfmap refine homogeneous`; ends the script where it fails."""
    return refine_as("homogeneous", particles, volume, symmetry, out, *more, **environment)


def refine_as(kind: str, particles: Path, volume: Path, symmetry: str, out: Path, *more: object, **environment: str
              ) -> Job:
    """`halfmap refine KIND`; ends the script where it fails."""
    inputs = ("--particles", particles, "--volume", volume, "--symmetry", symmetry)
    finished = halfmap("refine", kind, *inputs, "--out", out, "--overwrite", *more, **environment)
    return Job(out, demanded(finished))


def stage_seconds(iteration: dict, *stages: str) -> float:
    """Sum of the seconds an iteration spent in ``stages``; ends the script where the job did not record them."""
    missing = [stage for stage in stages if iteration.get(f"seconds_{stage}") is None]
    if missing:
        sys.exit(f"the iteration event has no seconds of {', '.join(missing)}: this halfmap does not record them")
    return sum(iteration[f"seconds_{stage}"] for stage in stages)


def check(checks: Path, *arguments: object) -> dict:
    """Answer of the independent truth.py in ``checks``."""
    return json.loads(demanded(run(sys.executable, checks / "truth.py", *arguments)).stdout)


@dataclass
class Ledger:
    """Prints rows and appends them to a Markdown table; knows whether all of them held."""

    path: Path | None
    failed: list[str] = field(default_factory=list)

    def row(self, measure: str, value: object, must: str, holds: bool, **details: object) -> None:
        """One measurement; ``details`` are printed only."""
        holds = bool(holds)
        print(json.dumps({"measure": measure, "value": value, "must": must, "holds": holds, **details}), flush=True)
        if not holds:
            self.failed.append(measure)
        if self.path is not None:
            cells = (time.strftime("%Y-%m-%d"), commit(), machine(), f"`{command()}`", measure, value, must, holds)
            with open(self.path, "a") as file:
                file.write("| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |\n")

    def skipped(self, measure: str, reason: str) -> None:
        """A measurement that could not be made here."""
        print(json.dumps({"measure": measure, "skipped": reason}), flush=True)

    def exit(self) -> None:
        """End the script: 1 where a row does not hold."""
        sys.exit(1 if self.failed else 0)


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with --ledger."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--ledger", type=Path, help="Markdown table to append the rows to")
    return made


def command(arguments: Sequence[str] = sys.argv) -> str:
    """The script as it was called; of absolute paths only the last part: the rest is one machine's."""
    words = [Path(word).name if Path(word).is_absolute() else word for word in arguments[1:]]
    return " ".join([f"benchmarks/{Path(arguments[0]).name}", *words])


def commit() -> str:
    """Short name of the commit, with + where tracked files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if git("diff", "--stat", "HEAD") else "")


def machine() -> str:
    """Processor and the cores this process may use."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else 'unknown'}, {len(os.sched_getaffinity(0))} cores"
