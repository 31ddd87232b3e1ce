"""1,000, 4,000 and 8,000 particles of 6CVM, box 128: time of a settled iteration, and peak memory.

    scaling.py --bench DIR --out DIR [--set 6cvm_8000] [--sizes 1000 4000 8000] [--ledger FILE]

All align to the same resolution (--max-align-resolution), or more particles would mean more shells each. The last
iteration counts. An iteration has a part that costs the same for any number of particles (solving, FSC, filter,
clearing the grids), so three numbers are given: how far the middle size lies off the straight line through the others;
time per particle, most against fewest, where below 1 means that the fixed part is shared by more; the same of peak
memory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ledger import Job, Ledger, parser, refine

from halfmap.data import relion

LINEAR, FLAT = 0.15, 0.10


def subset(source: Path, out: Path, n: int) -> Path:
    """A table of the first n particles."""
    path = out / f"first_{n}.star"
    relion.write(path, relion.read(source / "particles.star")[np.arange(n)])
    return path


def last_seconds(job: Job) -> float:
    return job.iterations[-1]["seconds"]


def described(job: Job) -> dict:
    last = job.iterations[-1]
    stages = {key.removeprefix("seconds_"): round(v, 2) for key, v in last.items() if key.startswith("seconds_")}
    return {"particles": job.summary["n_particles"], "seconds": round(last["seconds"], 2), "stages": stages,
            "iteration": last["iteration"], "band_A": last["band_A"], "searched": last["searched"],
            "peak_memory_GB": round(job.finished.peak_memory_GB, 3)}


def compare(ledger: Ledger, jobs: list[Job]) -> None:
    few, some, many = (job.summary["n_particles"] for job in jobs)
    times = [last_seconds(job) for job in jobs]
    on_the_line = np.interp(some, (few, many), (times[0], times[2]))
    off = times[1] / on_the_line - 1
    ledger.row(f"{some:,} particles: time of an iteration off the line {few:,} to {many:,}", f"{100 * off:+.1f} %",
               f"+- {100 * LINEAR:g} %", abs(off) <= LINEAR, jobs=[described(job) for job in jobs])
    each = (times[2] / many) / (times[0] / few)
    ledger.row(f"{few:,} -> {many:,} particles: time per particle and iteration, ratio", round(each, 3),
               f"<= {1 + LINEAR}", each <= 1 + LINEAR)
    memory = jobs[2].finished.peak_memory_GB / jobs[0].finished.peak_memory_GB
    ledger.row(f"{few:,} -> {many:,} particles: peak memory, ratio", round(memory, 3), f"<= {1 + FLAT}",
               memory <= 1 + FLAT)


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--bench", type=Path, required=True)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--set", default="6cvm_8000")
    flags.add_argument("--sizes", nargs=3, type=int, default=[1000, 4000, 8000], help="numbers of particles, ascending")
    flags.add_argument("--symmetry", default="D2")
    flags.add_argument("--max-align-resolution", type=float, default=5.0, help="A, coarser than what all sizes reach")
    chosen = flags.parse_args()
    ledger, source = Ledger(chosen.ledger), chosen.bench / chosen.set
    chosen.out.mkdir(parents=True, exist_ok=True)
    jobs = [
        refine(subset(source, chosen.out, n), source / "map.mrc", chosen.symmetry, chosen.out / f"n_{n}", "--seed", 1,
               "--max-align-resolution", chosen.max_align_resolution)
        for n in chosen.sizes
    ]
    compare(ledger, jobs)
    ledger.exit()


if __name__ == "__main__":
    main()
