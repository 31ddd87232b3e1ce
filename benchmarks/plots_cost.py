"""What drawing costs: a refinement with and without the plots of its iterations, and the plots of its result.

    plots_cost.py --data DIR --bench DIR --out DIR [--particles 1500] [--runs 3] [--only 64 256] [--ledger FILE]

EMPIAR-10204 (64 px) and the first particles of the set 6cvm_256. A run without measurement fills the cache of compiled
kernels; of ``--runs`` pairs the shortest of each kind counts: other work on a machine only ever adds. The plots of the
result are drawn once more on their own, imports included, as the job does beside its last steps: that is the most they
can add.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path

from ledger import Job, Ledger, demanded, parser, refine, run

from halfmap.data import relion

MOST = 0.10
DRAW = "from pathlib import Path; from halfmap.jobs.pictures import plots; plots.draw_all(Path({!r}))"


def first(source: Path, out: Path, n: int) -> Path:
    """A table of the first n particles."""
    relion.write(out, relion.read(source)[:n])
    return out


def drawn(folder: Path) -> float:
    """Seconds to draw the result."""
    then = time.perf_counter()
    demanded(run(sys.executable, "-c", DRAW.format(str(folder)), folder=folder))
    return time.perf_counter() - then


def measure(ledger: Ledger, name: str, job, runs: int) -> None:
    """The row of one set; ``job(*flags)`` refines it."""
    job()
    pairs: list[tuple[Job, Job]] = [(job("--intermediate-plots"), job("--no-intermediate-plots")) for _ in range(runs)]
    with_plots, without = (min(pair[i].finished.seconds for pair in pairs) for i in (0, 1))
    final = min(drawn(pairs[0][0].folder) for _ in range(runs))
    share = (max(with_plots - without, 0.0) + final) / with_plots
    ledger.row(f"{name}: drawing, part of the time of the run", round(share, 3), f"< {MOST}", share < MOST,
               seconds=round(with_plots, 2), without_iterations=round(without, 2), result=round(final, 2))


def main() -> None:
    flags = parser(__doc__)
    for folder in ("data", "bench", "out"):
        flags.add_argument(f"--{folder}", type=Path, required=True)
    flags.add_argument("--particles", type=int, default=1500)
    flags.add_argument("--runs", type=int, default=3)
    flags.add_argument("--only", type=int, nargs="*", default=[64, 256])
    chosen = flags.parse_args()
    ledger = Ledger(chosen.ledger)
    chosen.out.mkdir(parents=True, exist_ok=True)
    real, large = chosen.data / "empiar-10204", chosen.bench / "6cvm_256"
    table = first(large / "particles.star", chosen.out / "large.star", chosen.particles)
    sets = {
        64: (real / "particles.star", real / "reference_100px.mrc"),
        256: (table, large / "map.mrc"),
    }
    for box in chosen.only:
        inputs = (*sets[box], "D2", chosen.out / str(box), "--seed", 1)
        measure(ledger, f"{box} px", partial(refine, *inputs), chosen.runs)
    ledger.exit()


if __name__ == "__main__":
    main()
