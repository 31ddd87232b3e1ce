"""A large box: 5,000 particles of 6CVM, box 256, 1.244 A, D2. Time, memory, and where an iteration's time goes.

    box256.py --bench DIR --out DIR [--set 6cvm_256] [--symmetry D2] [--ledger FILE]

The settled iteration is the last one of a second run with an extra pass: its band and its poses are those of the
iteration before. Its cost, pose refinement + insertion, is divided by that of reading and
transforming the stack once, in two ways: as the iteration itself records it (seconds_reading is what remains after
reading ahead; seconds_fft holds two transforms an image, masked and unmasked, and the masking), and by a plain pass
over the stack here, in a process of its own: read in batches, float32 FFT on all cores. Files in the cache of the
operating system are read fast; both passes find the stack there.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import scipy.fft
from ledger import Job, Ledger, parser, refine, stage_seconds

from halfmap import device
from halfmap.data import relion
from halfmap.data.stack import Stack

WALL_S, MEMORY_GB = 360, 6.0
RATIO = 10
SOLVE_S = 15
BATCH = 64


def plain_pass_s(table: Path) -> float:
    """Seconds to read all images and transform each once."""
    particles = relion.read(table)
    begun = time.perf_counter()
    for _, images in Stack(particles).batches(np.arange(len(particles)), BATCH):
        scipy.fft.rfft2(images.astype(np.float32, copy=False), workers=device.threads())
    return time.perf_counter() - begun


def whole_job(ledger: Ledger, name: str, job: Job) -> None:
    summary, seconds, memory = job.summary, job.finished.seconds, job.finished.peak_memory_GB
    stages = {key: round(value, 1) for key, value in summary.items() if key.startswith("seconds_")}
    ledger.row(f"{name}: wall time, s", round(seconds, 1), f"<= {WALL_S}", seconds <= WALL_S, **stages,
               iterations=summary["iterations"], resolution_A=round(summary["resolution_A"], 3))
    ledger.row(f"{name}: peak memory, GB", round(memory, 2), f"<= {MEMORY_GB:g}", memory <= MEMORY_GB,
               own_record_GB=summary["peak_memory_GB"])


def settled_iteration(ledger: Ledger, name: str, job: Job, pass_s: float) -> None:
    last, n = job.iterations[-1], job.summary["n_particles"]
    work, once = stage_seconds(last, "poses", "insert"), stage_seconds(last, "reading", "fft")
    details = {"ms_per_particle": round(1e3 * work / n, 3), "iteration": last["iteration"], "band_A": last["band_A"],
               "searched": last["searched"], "change_rotation_deg": last["change_rotation_deg"],
               "stages": {key: round(value, 2) for key, value in last.items() if key.startswith("seconds")}}
    for way, seconds in (("its own reading and FFT", once), ("a plain pass", pass_s)):
        ledger.row(f"{name}: (poses + insertion) / {way}, per particle", round(work / seconds, 2), f"<= {RATIO}",
                   work / seconds <= RATIO, once_ms_per_particle=round(1e3 * seconds / n, 3), **details)
        details = {}
    solves = [stage_seconds(iteration, "solve") for iteration in job.iterations]
    ledger.row(f"{name}: solving, FSC and filter, slowest iteration, s", round(max(solves), 2), f"<= {SOLVE_S}",
               max(solves) <= SOLVE_S, every_iteration=[round(s, 2) for s in solves])


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--bench", type=Path, required=True)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--set", default="6cvm_256")
    flags.add_argument("--symmetry", default="D2")
    chosen = flags.parse_args()
    ledger, source = Ledger(chosen.ledger), chosen.bench / chosen.set
    job = refine(source / "particles.star", source / "map.mrc", chosen.symmetry, chosen.out, "--seed", 1)
    whole_job(ledger, chosen.set, job)
    settled = refine(source / "particles.star", source / "map.mrc", chosen.symmetry, chosen.out, "--seed", 1,
                     "--extra-final-passes", 1)  # fmt: skip
    settled_iteration(ledger, chosen.set, settled, plain_pass_s(source / "particles.star"))
    ledger.exit()


if __name__ == "__main__":
    main()
