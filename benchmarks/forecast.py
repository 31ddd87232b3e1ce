"""What --dry-run foretells against what happens: seconds, peak memory and size of the job folder, 64, 128 and 256 px.

    forecast.py --bench DIR --data DIR --out DIR [--sizes 64 128 256] [--particles N N N] [--local] [--ledger FILE]

Each set is forecast and then refined and reconstructed, one right after the other, on the same cores; a run without
measurement fills the cache of compiled kernels first. 64 px: EMPIAR-10204; 128 and 256 px: simulated 6CVM, the first
particles of the table. ``--local``: also a local refinement of the set local_hinge. ``--runs N`` takes the median of
N runs of each kind.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import numpy as np
from ledger import Ledger, demanded, halfmap, parser
from local import mask_of

from halfmap.data import relion

WITHIN = 0.30
FIRST = {64: 2374, 128: 1500, 256: 600}
LONGEST = ("solve", "end", "begin", "prepare", "search", "poses", "insert", "stock", "start")


def inputs(size: int, chosen) -> tuple[Path, Path]:
    """(particle table, starting map) of a box size."""
    if size == 64:
        folder = chosen.data / "empiar-10204"
        table, volume = folder / "particles.star", folder / "reference_100px.mrc"
    else:
        folder = chosen.bench / f"6cvm_{size}"
        table, volume = folder / "particles.star", folder / "map.mrc"
    particles = relion.read(table)
    count = min(len(particles), dict(zip(chosen.sizes, chosen.particles, strict=True))[size])
    path = chosen.out / f"first_{size}.star"
    relion.write(path, particles[np.arange(count)])
    return path, volume


def local_words(bench: Path, out: Path) -> tuple:
    """A local refinement of the moving part, from the true poses of the body."""
    source, start = bench / "local_hinge", out / "local_start"
    demanded(halfmap("reconstruct", "--particles", source / "truth.star", "--seed", 1, "--out", start, "--overwrite"))
    hinge = ",".join((source / "hinge.txt").read_text().split()) + "A"
    return ("refine", "local", "--particles", source / "truth.star", "--volume", start, "--fulcrum", hinge,
            "--mask", mask_of(source, out / "local_mask.mrc"))


def folder_GB(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9


def stages_of(summary: dict, folder: Path) -> dict[str, float]:
    """Seconds by stage of what happened, by the events. "begin" holds the inputs' reading, too, which is told
    as part of "start"."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    iterations = [event for event in events if event["kind"] == "iteration"]
    times = {event["kind"]: event["time"] for event in events}
    total = {"begin": round(iterations[0]["time"] - iterations[0]["seconds"] - events[0]["time"], 2),
             "end": round(times["finished"] - times["iteration"], 2)}
    for event in iterations:
        for key, value in event.items():
            if key.startswith("seconds_"):
                total[key.removeprefix("seconds_")] = round(total.get(key.removeprefix("seconds_"), 0) + value, 2)
    return total


def compare(ledger: Ledger, name: str, command: list, out: Path, runs: int) -> None:
    """Forecast, run, compare; ``runs`` times."""
    found: dict[str, list[float]] = {"seconds": [], "memory_GB": [], "disk_GB": []}
    details = {}
    for _ in range(runs):
        arguments = (*command, "--out", out, "--overwrite", "--seed", 1, "--json")
        told = json.loads(demanded(halfmap(*arguments, "--dry-run")).stdout)["forecast"]
        done = demanded(halfmap(*arguments))
        summary = json.loads(done.stdout)
        happened = {"seconds": done.seconds, "memory_GB": summary["peak_memory_GB"], "disk_GB": folder_GB(out)}
        for key, values in found.items():
            values.append(told[key] / happened[key])
        details = {"told": {key: round(told[key], 2) for key in found},
                   "happened": {key: round(value, 2) for key, value in happened.items()},
                   "stages_told": {key: round(told["stages"][key], 2) for key in LONGEST},
                   "stages_happened": stages_of(summary, out), "iterations_told": len(told["iterations"]),
                   "iterations": summary["iterations"]}
    for key in ("seconds", "memory_GB"):
        ratio = statistics.median(found[key])
        ledger.row(f"{name}: {key.replace('_', ', ')}, told / happened", round(ratio, 2), f"+- {100 * WITHIN:g} %",
                   1 - WITHIN <= ratio <= 1 + WITHIN, **details)
        details = {}
    # what the folder must have room for: a checkpoint more than is left at the end, never less
    ratio = statistics.median(found["disk_GB"])
    ledger.row(f"{name}: disk, GB, told / happened", round(ratio, 2), ">= 0.95", ratio >= 0.95)


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--bench", type=Path, required=True)
    flags.add_argument("--data", type=Path, required=True)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--sizes", type=int, nargs="*", default=list(FIRST), choices=list(FIRST))
    flags.add_argument("--particles", type=int, nargs="+", help="of each size; default 2374, 1500 and 600")
    flags.add_argument("--local", action="store_true")
    flags.add_argument("--runs", type=int, default=1)
    chosen = flags.parse_args()
    chosen.particles = chosen.particles or [FIRST[size] for size in chosen.sizes]
    chosen.out.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(chosen.ledger)
    for size in chosen.sizes:
        table, volume = inputs(size, chosen)
        refined = chosen.out / f"refined_{size}"
        command = ["refine", "homogeneous", "--particles", table, "--volume", volume, "--symmetry", "D2"]
        if size == chosen.sizes[0]:
            demanded(halfmap(*command, "--out", chosen.out / "first", "--overwrite"))
        compare(ledger, f"refine homogeneous, {size} px", command, refined, chosen.runs)
        command = ["reconstruct", "--particles", refined / "particles.star", "--symmetry", "D2"]
        compare(ledger, f"reconstruct, {size} px", command, chosen.out / f"made_{size}", chosen.runs)
    if chosen.local:
        words = local_words(chosen.bench, chosen.out)
        compare(ledger, "refine local, 96 px", words, chosen.out / "refined_local", chosen.runs)
    ledger.exit()


if __name__ == "__main__":
    main()
