"""Two half-maps from particles alone, against homogeneous refinement from a given map.

    abinitio_refine.py --data DIR --bench DIR --out DIR [--only real simulated noise] [--seeds 1 2 3] [--ledger FILE]

``--data`` holds empiar-10204/, ``--bench`` the sets of make_data.py. Rows:
1. real: EMPIAR-10204, D2 told: resolution of every seed against that of homogeneous refinement from
   reference_100px.mrc; correlation of the map with that reference at 20 A after alignment, hand free.
2. simulated: 6cvm_128, D2 told, in a box of --box: the same against the map that was simulated.
3. noise: whether it says that nothing was found, and gives no particle a pose.
"""

from __future__ import annotations

from pathlib import Path

from abinitio import SILENT, correlation
from ledger import Job, Ledger, demanded, halfmap, parser, refine

from halfmap.io import mrc

WITHIN = 1.15  # of the resolution that homogeneous refinement reaches
CORRELATION = 0.9


def job(particles: Path, out: Path, seed: int, diameter_A: float, *more: object) -> Job:
    words = ("abinitio-refine", particles, "--out", out, "--overwrite", "--seed", seed, "--symmetry", "D2",
             "--particle-diameter", diameter_A, "--no-intermediate-plots", *more)
    return Job(out, demanded(halfmap(*words)))


def compared(ledger: Ledger, name: str, jobs: list[Job], given: Job, truth: Path) -> None:
    """Rows of one set: ``given`` is the refinement that knew the map."""
    wanted = given.summary["resolution_A"]
    found = [one.summary["resolution_A"] for one in jobs]
    shown = ", ".join(f"{value:.2f}" for value in found)
    good = sum(value <= WITHIN * wanted for value in found)
    ledger.row(f"{name}: seeds within 15 % of the {wanted:.2f} A of homogeneous refinement ({shown} A)", good,
               f"= {len(jobs)}", good == len(jobs))
    values = [correlation(mrc.read(one.folder / "map.mrc"), mrc.read(truth)) for one in jobs]
    shown = ", ".join(f"{value:.3f}" for value in values)
    good = sum(value >= CORRELATION for value in values)
    ledger.row(f"{name}: seeds whose map correlates >= 0.9 at 20 A with the truth ({shown})", good,
               f"= {len(jobs)}", good == len(jobs))


def real(ledger: Ledger, data: Path, out: Path, seeds: list[int]) -> None:
    folder = data / "empiar-10204"
    truth = folder / "reference_100px.mrc"
    given = refine(folder / "particles.star", truth, "D2", out / "real_given", "--seed", 1)
    jobs = [job(folder / "particles.star", out / f"real_{seed}", seed, 200.0) for seed in seeds]
    compared(ledger, "EMPIAR-10204", jobs, given, truth)


def simulated(ledger: Ledger, bench: Path, out: Path, seeds: list[int], box: int) -> None:
    folder = bench / "6cvm_128"
    size = ("--box-size", box)
    given = refine(folder / "particles.star", folder / "map.mrc", "D2", out / "6cvm_given", "--seed", 1, *size)
    jobs = [job(folder / "particles.star", out / f"6cvm_{seed}", seed, 190.0, *size) for seed in seeds]
    compared(ledger, f"6cvm_128, box {box}", jobs, given, folder / "map.mrc")


def noise(ledger: Ledger, bench: Path, out: Path, seeds: list[int]) -> None:
    sets = [name for name in SILENT if (bench / name).is_dir()]
    told = [job(bench / name / "particles.star", out / f"{name}_{seed}", seed, 200.0).summary
            for name in sets for seed in seeds]
    shown = "; ".join(", ".join(f"{value:.1f}" for value in one["significance"]) for one in told)
    silent = sum(not one["found"] and one["n_particles"] == 0 for one in told)
    ledger.row(f"{', '.join(sets)}: runs that say nothing was found (standard errors above a ball: {shown})", silent,
               f"= {len(told)}", silent == len(told))


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--data", type=Path)
    options.add_argument("--bench", type=Path)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--only", nargs="+", choices=("real", "simulated", "noise"),
                         default=("real", "simulated", "noise"))
    options.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    options.add_argument("--box", type=int, default=128, help="box of the maps of 6cvm_128")
    chosen = options.parse_args()
    ledger = Ledger(chosen.ledger)
    chosen.out.mkdir(parents=True, exist_ok=True)
    if "real" in chosen.only:
        real(ledger, chosen.data, chosen.out, chosen.seeds)
    if "simulated" in chosen.only:
        simulated(ledger, chosen.bench, chosen.out, chosen.seeds, chosen.box)
    if "noise" in chosen.only:
        noise(ledger, chosen.bench, chosen.out, chosen.seeds)
    ledger.exit()


if __name__ == "__main__":
    main()
