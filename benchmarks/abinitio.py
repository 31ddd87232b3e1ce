"""Maps from particles alone, against the truth.

    abinitio.py --data DIR --bench DIR --out DIR [--only real simulated classes noise] [--symmetries D2 C1]
                [--seeds 1 2 3] [--ledger FILE]

``--data`` holds empiar-10204/, ``--bench`` the sets of make_data.py. Rows:
1. real: EMPIAR-10204 with D2 told and in C1: correlation with reference_100px.mrc at 20 A, in a sphere of 90 A, after
   alignment, hand free; seconds, on the threads that the process has.
2. simulated: nothing_6cvm (D2 told), nothing_70s (C1) and nothing_8eow (symmetry not told): resolution at which the FSC
   with the truth falls below 0.5, after alignment, hand free.
3. classes: nothing_classes: part of the particles in the right class.
4. noise sets: whether it says that nothing was found.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ledger import Job, Ledger, demanded, halfmap, parser

from halfmap.align import maps
from halfmap.data import relion
from halfmap.io import mrc
from halfmap.maps import filters, masks, resample, turn
from halfmap.types import Map
from halfmap.validate import fsc

CORRELATION, AT_A, RADIUS_A, SECONDS = 0.9, 20.0, 90.0, 180.0
RESOLUTION_A = 25.0
SETS = (("nothing_6cvm", "D2", 190.0), ("nothing_70s", "C1", 290.0), ("nothing_8eow", "C1", 200.0))
RIGHT = 0.9
SILENT = ("noise", "noise_8", "noise_9", "noise_phases")  # sets without a particle; those that are there are taken


def job(particles: Path, out: Path, seed: int, diameter_A: float, *more: object) -> Job:
    words = ("abinitio", particles, "--out", out, "--overwrite", "--seed", seed, "--particle-diameter", diameter_A)
    return Job(out, demanded(halfmap(*words, "--no-intermediate-plots", *more)))


def placed(found: Map, truth: Map) -> tuple[Map, Map]:
    """Both on the grid of the map, one on the other, of whichever hand fits."""
    there = resample.to_grid(truth, found.box, found.voxel_size_A)
    low = [filters.lowpass(one, AT_A) for one in (found, there)]
    return turn.placed(found, maps.find(*low, test_hand=True).frame), there


def correlation(found: Map, truth: Map) -> float:
    """At AT_A, inside a sphere, its mean left out."""
    sphere = masks.sphere(found.box, RADIUS_A / found.voxel_size_A, 3) > 0.5
    a, b = (filters.lowpass(one, AT_A).data[sphere] for one in placed(found, truth))
    return float(np.corrcoef(a, b)[0, 1])


def resolution(found: Map, truth: Map, diameter_A: float) -> float:
    """A, where the FSC with the truth falls below 0.5, in a sphere of the diameter."""
    a, b = placed(found, truth)
    sphere = masks.sphere(found.box, diameter_A / 2 / found.voxel_size_A, 5)
    return fsc.resolution_A(fsc.Pair(a, b, 1).masked(sphere, "spherical"), 0.5)


def real(ledger: Ledger, data: Path, out: Path, seeds: list[int], symmetries: list[str]) -> None:
    folder = data / "empiar-10204"
    truth = mrc.read(folder / "reference_100px.mrc")
    for symmetry in symmetries:
        jobs = [job(folder / "particles.star", out / f"real_{symmetry}_{seed}", seed, 200.0, "--symmetry", symmetry)
                for seed in seeds]
        values = [correlation(mrc.read(one.folder / "map.mrc"), truth) for one in jobs]
        good = sum(value >= CORRELATION for value in values)
        shown = ", ".join(f"{value:.3f}" for value in values)
        ledger.row(f"EMPIAR-10204, {symmetry}: seeds with correlation >= 0.9 at 20 A ({shown})", good,
                   f"= {len(seeds)}", good == len(seeds))
        seconds = max(one.finished.seconds for one in jobs)
        ledger.row(f"EMPIAR-10204, {symmetry}: longest time, s", round(seconds, 1), "<= 180", seconds <= SECONDS)


def simulated(ledger: Ledger, bench: Path, out: Path, seeds: list[int]) -> None:
    for name, symmetry, diameter in SETS:
        truth = mrc.read(bench / name / "map.mrc")
        values = []
        for seed in seeds:
            done = job(bench / name / "particles.star", out / f"{name}_{seed}", seed, diameter, "--symmetry", symmetry)
            values.append(resolution(mrc.read(done.folder / "map.mrc"), truth, diameter))
        good = sum(value < RESOLUTION_A for value in values)
        shown = ", ".join(f"{value:.1f}" for value in values)
        ledger.row(f"{name}, {symmetry}: seeds with FSC 0.5 finer than 25 A ({shown})", good, f"= {len(seeds)}",
                   good == len(seeds))


def classes(ledger: Ledger, bench: Path, out: Path, seeds: list[int]) -> None:
    folder = bench / "nothing_classes"
    true = np.array((folder / "classes.txt").read_text().split(), int)
    source = relion.read(folder / "particles.star")
    names = {source.image_name(row): row for row in range(len(source))}
    values = []
    for seed in seeds:
        done = job(folder / "particles.star", out / f"classes_{seed}", seed, 290.0, "--classes", 2)
        table = relion.read(done.folder / "particles.star")
        found = np.array([float(x) for x in table.columns["rlnClassNumber"]])
        right = np.mean(found == true[[names[table.image_name(row)] for row in range(len(table))]])
        values.append(float(max(right, 1 - right)))
    good = int(sum(value >= RIGHT for value in values))
    shown = ", ".join(f"{value:.3f}" for value in values)
    ledger.row(f"two classes: seeds with 90 % in the right one ({shown})", good, f">= {len(seeds) - 1}",
               good >= len(seeds) - 1)


def noise(ledger: Ledger, bench: Path, out: Path, seeds: list[int]) -> None:
    sets = [name for name in SILENT if (bench / name).is_dir()]
    told = [job(bench / name / "particles.star", out / f"{name}_{seed}", seed, 200.0).summary
            for name in sets for seed in seeds]
    shown = ", ".join(f"{one['significance']:.1f}" for one in told)
    silent = sum(not one["found"] for one in told)
    ledger.row(f"{', '.join(sets)}: runs that say nothing was found (standard errors above a ball: {shown})", silent,
               f"= {len(told)}", silent == len(told))


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--data", type=Path)
    options.add_argument("--bench", type=Path)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--only", nargs="+", choices=("real", "simulated", "classes", "noise"),
                         default=("real", "simulated", "classes", "noise"))
    options.add_argument("--symmetries", nargs="+", choices=("D2", "C1"), default=["D2", "C1"], help="of the real set")
    options.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    chosen = options.parse_args()
    ledger = Ledger(chosen.ledger)
    chosen.out.mkdir(parents=True, exist_ok=True)
    if "real" in chosen.only:
        real(ledger, chosen.data, chosen.out, chosen.seeds, chosen.symmetries)
    for name, rows in (("simulated", simulated), ("classes", classes), ("noise", noise)):
        if name in chosen.only:
            rows(ledger, chosen.bench, chosen.out, chosen.seeds)
    ledger.exit()


if __name__ == "__main__":
    main()
