"""What the local filter of a non-uniform refinement costs, against its pose refinement, at 256 pixels.

    regulariser.py --bench DIR --out DIR [--set 6cvm_256] [--symmetry D2] [--particles 5000] [--ledger FILE]

One job in this process, every clock in it that of the processor: seconds of all cores together, which other work on the
machine does not lengthen. The filter is everything spent in finding it and in filtering both halves; pose refinement is
the stage of that name. Row: both, over the whole job.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path

import numpy as np
from ledger import Job, Ledger, parser

from halfmap.cli.main import main as halfmap
from halfmap.data import relion
from halfmap.reconstruct import nonuniform

SPENT: list[float] = []


def counted(function):
    """The function, with its processor seconds put down in SPENT."""

    @functools.wraps(function)
    def timed(*arguments, **options):
        began = time.process_time()
        result = function(*arguments, **options)
        SPENT.append(time.process_time() - began)
        return result

    return timed


def run(table: Path, volume: Path, symmetry: str, out: Path) -> Job:
    time.perf_counter = time.process_time  # of this process only
    nonuniform.CrossValidated.fitted = counted(nonuniform.CrossValidated.fitted)
    nonuniform.LocalFilter.applied = counted(nonuniform.LocalFilter.applied)
    words = ("refine", "nonuniform", "--particles", table, "--volume", volume, "--symmetry", symmetry, "--out", out)
    code = halfmap([*map(str, words), "--seed", "1", "--overwrite", "--no-intermediate-plots"])
    if code != 0:
        raise SystemExit(code)
    return Job(out, None)


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--bench", type=Path, required=True)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--set", default="6cvm_256")
    flags.add_argument("--symmetry", default="D2")
    flags.add_argument("--particles", type=int, default=5000)
    chosen = flags.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    source, table = chosen.bench / chosen.set, chosen.out / "first.star"
    particles = relion.read(source / "particles.star")
    relion.write(table, particles[np.arange(min(chosen.particles, len(particles)))])
    job = run(table, source / "map.mrc", chosen.symmetry, chosen.out / "job")
    rows = job.iterations
    poses = [round(row["seconds_poses"], 1) for row in rows]
    ledger = Ledger(chosen.ledger)
    ledger.row(f"{chosen.set}, {job.summary['n_particles']} particles: processor seconds of the local filter / of pose "
               "refinement", f"{sum(SPENT):.1f} / {sum(poses):.1f}", "less", sum(SPENT) < sum(poses),
               iterations=len(rows), poses_s=poses, filter_s=[round(s, 1) for s in SPENT],
               poses_per_image=job.summary["poses_per_image"])
    ledger.exit()


if __name__ == "__main__":
    main()
