"""The same seed twice, another batch size, another number of threads: what changes in the poses?

    determinism.py --bench DIR --out DIR [--set 6cvm_128:D2] [--particles 600] [--ledger FILE]

Same seed: the tables must hold the same digits. Another batch size or number of threads adds float32 numbers in
another order, which is a relative change of about 1e-7 in a map and of its root, times the accuracy of a pose, where a
pose is an optimum of that size of error. The rounds of pose refinement also stop when steps get small. The limits
below are far above such rounding and far below what one particle's data can tell (0.3 degrees, 0.2 A at best).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ledger import Job, Ledger, parser, refine

from halfmap.data import relion
from halfmap.data.particles import Particles
from halfmap.geometry import symmetry

ROUNDING_DEG, ROUNDING_A = 0.02, 0.01


def subset(source: Path, out: Path, n: int) -> Path:
    """A table of the first n particles."""
    path = out / "subset.star"
    relion.write(path, relion.read(source / "particles.star")[np.arange(n)])
    return path


def poses(job: Job) -> Particles:
    return relion.read_table(job.folder / "particles.star")


def differences(a: Job, b: Job, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per particle: degrees modulo the point group, and A."""
    first, second = poses(a), poses(b)
    if not np.array_equal(first.index, second.index):
        raise SystemExit(f"{a.folder} and {b.folder} do not hold the same particles")
    turned = np.rad2deg(symmetry.distance(first.poses.rotations, second.poses.rotations, group))
    return turned, np.linalg.norm(first.poses.shifts_A - second.poses.shifts_A, axis=1)


def identical(ledger: Ledger, measure: str, a: Job, b: Job) -> None:
    first, second = (poses(job) for job in (a, b))
    same = all(np.array_equal(x, y) for x, y in (
        (first.poses.rotations, second.poses.rotations), (first.poses.shifts_A, second.poses.shifts_A),
        (first.half, second.half), (first.index, second.index)))
    ledger.row(measure, same, "identical", same, resolution_A=[job.summary["resolution_A"] for job in (a, b)])


def equal(ledger: Ledger, measure: str, a: Job, b: Job, group: np.ndarray) -> None:
    turned, moved = differences(a, b, group)
    within = turned.max() <= ROUNDING_DEG and moved.max() <= ROUNDING_A
    ledger.row(measure, f"{turned.max():.2g} deg, {moved.max():.2g} A", f"<= {ROUNDING_DEG} deg, {ROUNDING_A} A",
               within, median_deg=float(np.median(turned)), quantile_99_deg=float(np.quantile(turned, 0.99)),
               beyond=int(((turned > ROUNDING_DEG) | (moved > ROUNDING_A)).sum()), particles=len(turned),
               resolution_A=[job.summary["resolution_A"] for job in (a, b)])


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--bench", type=Path, required=True)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--set", default="6cvm_128:D2", metavar="NAME:SYMMETRY")
    flags.add_argument("--particles", type=int, default=600)
    flags.add_argument("--batch", type=int, default=16, help="fewer than the particles of one half and optics group")
    chosen = flags.parse_args()
    ledger, (name, point_group) = Ledger(chosen.ledger), chosen.set.split(":")
    source, out = chosen.bench / name, chosen.out
    out.mkdir(parents=True, exist_ok=True)
    table = subset(source, out, chosen.particles)

    def job(label: str, *more: object) -> Job:
        return refine(table, source / "map.mrc", point_group, out / label, "--seed", 1, *more)

    usual, group = job("usual"), symmetry.group(point_group)
    identical(ledger, "same seed twice: poses", usual, job("again"))
    batched = job(f"batch_{chosen.batch}", "--minibatch-size", chosen.batch)
    equal(ledger, f"batches of {chosen.batch}: largest change of a pose", usual, batched, group)
    one, two = job("threads_1", "--threads", 1), job("threads_2", "--threads", 2)
    equal(ledger, "1 or 2 threads: largest change of a pose", one, two, group)
    ledger.exit()


if __name__ == "__main__":
    main()
