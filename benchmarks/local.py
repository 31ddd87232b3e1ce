"""Local refinement of a part that turns about a hinge, against its true poses.

    local.py --bench DIR --checks DIR --out DIR [--only part prior] [--seeds 1 2 3 4 5] [--ledger FILE]

Set "local_hinge" of make_data.py: 4,000 images; 30 % of the mass turns by 8 degrees per axis. Consensus refinement,
then local refinement of the moving part with the fulcrum at the hinge, and again at the box centre. Rows:
1. FSC of the part with its true map inside its mask, shell where it falls below 0.5: poses found against true poses.
   Maps are reconstructed from both tables, the found one brought into the frame of the truth, which is free.
2. Median rotation error of the part (truth.py) over the accuracy told; before, that of the consensus.
3. Median shift of the fulcrum since the input, hinge over box centre; correlation of both maps in the mask.
4. Seconds of the local refinement.
Sets "small_hinge_1" to "_5": 1,500 images; 10 % of the mass turns by 3 degrees per axis; input poses are the true ones
of the body. With the prior of 3 degrees and 2 A and without: median error of the part, and where the changes peak.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from ledger import Job, Ledger, check, demanded, halfmap, parser, refine
from simulated import crossing

from halfmap.data import relion
from halfmap.geometry import rotations
from halfmap.io import mrc
from halfmap.maps import masks
from halfmap.types import Map, Poses
from halfmap.validate import fsc

LOST_SHELLS, ERROR_RATIO, SECONDS = 2.0, 1.5, 60.0
SAME_MAP = 0.98  # correlation
MASK = (12.0, 0.1, 3.0, 12.0)  # of the true part: resolution, threshold, near, far in A
PRIOR = ("--use-alignment-prior", "--prior-rotation", 3, "--prior-shift", 2)


def mask_of(source: Path, out: Path) -> Path:
    """The mask of the moving part."""
    mrc.write(out, masks.dynamic(mrc.read(source / "moving.mrc"), *MASK))
    return out


def local(particles: Path, volume: Path, mask: Path, fulcrum: str, out: Path, *more: object) -> Job:
    inputs = ("--particles", particles, "--volume", volume, "--mask", mask, "--fulcrum", fulcrum)
    words = ("refine", "local", *inputs, "--out", out, "--overwrite", "--seed", 1, *more)
    return Job(out, demanded(halfmap(*words)))


def framed(found: Path, truth: Path, out: Path) -> Path:
    """The particles found, in the frame of the truth: one turn and one shift of the map, fitted."""
    table = relion.read(found)
    true = relion.read(truth).poses[table.index]
    turn = np.median(rotations.log_so3(np.swapaxes(true.rotations, 1, 2) @ table.poses.rotations), axis=0)
    matrices = table.poses.rotations @ rotations.exp_so3(turn).T
    arms, off = matrices[:, :2], table.poses.shifts_A - true.shifts_A
    move = np.linalg.lstsq(arms.reshape(-1, 3), off.ravel(), rcond=None)[0]
    relion.write(out, replace(table, poses=Poses(matrices, table.poses.shifts_A - arms @ move), columns={}))
    return out


LEVELS = (0.9, 0.8, 0.5)


def shells_of(table: Path, source: Path, mask: Path, out: Path) -> dict[float, float]:
    """Shells where the FSC of a reconstruction with the true part falls below the LEVELS inside the mask."""
    demanded(halfmap("reconstruct", "--particles", table, "--seed", 1, "--out", out, "--overwrite"))
    halves = [mrc.read(out / f"half{i}.mrc") for i in (1, 2)]
    mean = Map((halves[0].data + halves[1].data) / 2, halves[0].voxel_size_A)
    values = list(fsc.curve(mean, mrc.read(source / "moving.mrc"), mrc.read(mask).data).values)
    return {level: crossing(values, level) for level in LEVELS}


def part_against_truth(ledger: Ledger, source: Path, checks: Path, out: Path) -> None:
    """Rows 1 to 4."""
    hinge = (source / "hinge.txt").read_text().split()
    consensus = refine(source / "particles.star", source / "map.mrc", "C1", out / "consensus", "--seed", 1)
    mask = mask_of(source, out / "mask.mrc")
    places = {"hinge": ",".join(hinge) + "A", "box": "box_center"}
    jobs = {name: local(consensus.folder / "particles.star", consensus.folder, mask, place, out / name)
            for name, place in places.items()}  # fmt: skip
    job, truth = jobs["hinge"], source / "truth_moving.star"
    found = framed(job.folder / "particles.star", truth, out / "framed.star")
    best, shells = (shells_of(table, source, mask, out / f"poses_{table.stem}") for table in (truth, found))
    lost = {level: round(best[level] - shells[level], 2) for level in LEVELS}
    ledger.row("local: shells lost against true poses of the part, FSC with truth at 0.5", lost[0.5],
               f"<= {LOST_SHELLS:g}", lost[0.5] <= LOST_SHELLS, lost_at_level=lost, found=shells, true=best)
    before, after = (check(checks, "poses", run.folder / "particles.star", truth) for run in (consensus, job))
    ratio = after["rotation_median_deg"] / job.summary["accuracy_rotation_deg"]
    ledger.row("local: median rotation error of the part / predicted", round(ratio, 3), f"<= {ERROR_RATIO}",
               ratio <= ERROR_RATIO, before_deg=before["rotation_median_deg"], **after)
    shifts = {name: run.iterations[-1]["since_input_shift_A"] for name, run in jobs.items()}
    ledger.row("local: shifts with the fulcrum at the hinge / box centre, A", f"{shifts['hinge']:.2f} / "
               f"{shifts['box']:.2f}", "smaller", shifts["hinge"] < shifts["box"])  # fmt: skip
    inside = mrc.read(mask).data > 0.5
    maps = [mrc.read(run.folder / "map.mrc").data[inside] for run in jobs.values()]
    alike = float(np.corrcoef(*maps)[0, 1])
    ledger.row("local: correlation of both maps in the mask", round(alike, 4), f">= {SAME_MAP}", alike >= SAME_MAP)
    seconds = job.summary["seconds_total"]
    ledger.row("local: seconds of 4,000 particles of 96 px", round(seconds, 1), f"<= {SECONDS:g}", seconds <= SECONDS,
               iterations=job.summary["iterations"])


def errors_deg(found: Path, truth: Path) -> np.ndarray:
    """(n,) angles to the true poses in the frame of the truth."""
    table = relion.read(framed(found, truth, found.parent / "framed.star"))
    return np.rad2deg(rotations.angle_between(table.poses.rotations,
                                              relion.read(truth).poses.rotations[table.index]))


def changes_deg(found: Path, given: Path) -> np.ndarray:
    table = relion.read(found)
    return np.rad2deg(rotations.angle_between(table.poses.rotations, relion.read(given).poses.rotations[table.index]))


def prior_of_small_part(ledger: Ledger, bench: Path, out: Path, seeds: list[int]) -> None:
    """With and without the prior on a small part."""
    better, worse, rows = 0, 0, []
    for seed in seeds:
        source = bench / f"small_hinge_{seed}"
        start, mask = out / f"start_{seed}", mask_of(source, out / f"mask_{seed}.mrc")
        words = ("reconstruct", "--particles", source / "truth.star", "--seed", 1, "--out", start, "--overwrite")
        demanded(halfmap(*words))
        hinge = ",".join((source / "hinge.txt").read_text().split()) + "A"
        medians = {}
        for name, more in (("without", ()), ("with", PRIOR)):
            job = local(source / "truth.star", start, mask, hinge, out / f"{name}_{seed}", *more)
            particles = job.folder / "particles.star"
            medians[name] = float(np.median(errors_deg(particles, source / "truth_moving.star")))
            medians[f"change_{name}"] = float(np.median(changes_deg(particles, source / "truth.star")))
        better += medians["with"] < medians["without"]
        worse += medians["with"] > 1.02 * medians["without"]
        rows.append({name: round(value, 2) for name, value in medians.items()})
    value = f"better on {better}, worse on {worse} of {len(seeds)}"
    ledger.row("local: prior of 3 deg and 2 A on a part of 10 % of the mass", value, "better on most, worse on none",
               worse == 0 and 2 * better > len(seeds), medians_deg=rows)


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--bench", type=Path, required=True)
    flags.add_argument("--checks", type=Path, required=True)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--only", nargs="+", choices=("part", "prior"), default=("part", "prior"))
    flags.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    chosen = flags.parse_args()
    ledger = Ledger(chosen.ledger)
    chosen.out.mkdir(parents=True, exist_ok=True)
    if "part" in chosen.only:
        part_against_truth(ledger, chosen.bench / "local_hinge", chosen.checks, chosen.out)
    if "prior" in chosen.only:
        prior_of_small_part(ledger, chosen.bench, chosen.out, chosen.seeds)
    ledger.exit()


if __name__ == "__main__":
    main()
