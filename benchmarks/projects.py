"""How quick a project of many jobs is: processor time of `halfmap status` and its neighbours.

    projects.py --out FOLDER [--jobs 10000] [--runs 5] [--ledger FILE]

Makes the folders of ``--jobs`` jobs in ``--out`` where they are not there yet (records of the usual size, no maps) and
runs each command as a user does, in a process of its own. The first look makes the index, later ones use it.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
from pathlib import Path

from ledger import Ledger, demanded, parser, run

from halfmap.jobs.project import project
from halfmap.params.homogeneous import Homogeneous

LIMIT_S = 0.3
PROGRAM = ("-m", "halfmap.cli.start")


def fill(one: project.Project, jobs: int) -> None:
    """Folders of jobs as a refinement leaves them, each made from one a few before it."""
    params = Homogeneous(particles=Path("p.star"), volume=Path("v.mrc"), out=Path("J1")).model_dump(mode="json")
    for number in range(1, jobs + 1):
        source = f"J{max(1, number - 1 - number % 7)}/particles.star"
        told = {"path": str(one.root / source), "bytes": 1, "modified": 1.0, "sha256_of_first_bytes": "a" * 64}
        record = {"job": "refine homogeneous", "command": ["halfmap"], "working_folder": str(one.root), "seed": number,
                  "project": {"id": one.id, "root": str(one.root)}, "params": params, "references": {},
                  "inputs": {"particles": {**told, "in_project": source}} if number > 1 else {}}  # fmt: skip
        summary = {"job": "refine homogeneous", "status": "finished", "resolution_A": 3 + number / 1e4,
                   "n_particles": number, "seconds_total": 100.0, "warnings": []}  # fmt: skip
        one.folder(number).mkdir()
        (one.folder(number) / "job.json").write_text(json.dumps(record, indent=1))
        (one.folder(number) / "summary.json").write_text(json.dumps(summary, indent=1))


def seconds(one: project.Project, *words: str) -> float:
    """Processor time of one command, user and system, from the start of Python to its end."""
    before = os.times()
    demanded(run(sys.executable, *PROGRAM, *words, folder=one.root))
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def first_look(one: project.Project) -> float:
    shutil.rmtree(one.private, ignore_errors=True)
    return seconds(one, "status")


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--jobs", type=int, default=10_000)
    flags.add_argument("--runs", type=int, default=5)
    arguments = flags.parse_args()
    ledger, name = Ledger(arguments.ledger), f"{arguments.jobs:,} jobs"
    folder = arguments.out / f"of_{arguments.jobs}"
    one = project.find(folder) if (folder / project.MARKER).is_file() else project.create(folder, nested=True)
    if not one.numbers():
        fill(one, arguments.jobs)
    ledger.row(f"{name}: status, index made, s of processor time",
               round(statistics.median(first_look(one) for _ in range(3)), 2), "reported", True)  # fmt: skip
    commands = {"status": True, "status --last 0": False, "status --tree": False, "status --json": False,
                f"show J{arguments.jobs}": False, "tag J1 good": False}  # fmt: skip
    for words, limited in commands.items():
        value = statistics.median(seconds(one, *words.split()) for _ in range(arguments.runs))
        must = f"< {LIMIT_S}" if limited else "reported"
        ledger.row(f"{name}: {words}, s of processor time", round(value, 3), must, not limited or value < LIMIT_S)
    ledger.exit()


if __name__ == "__main__":
    main()
