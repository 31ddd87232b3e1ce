"""Simulated particles against their truth: is anything lost by the poses found, and does the program know its errors?

    simulated.py --bench DIR --checks DIR --out DIR [--sets 6cvm_128:D2 asym:C1 octa:O] [--ledger FILE]

For each set (see make_data.py): refinement from the true map, low-passed to 30 A; reconstruction from the true poses.
``--checks`` holds the independent truth.py. Three rows a set:
1. FSC with the true map in truth.py's sphere: shell where it falls below 0.5, refined against true poses.
2. Median rotation error after truth.py's best global frame, over accuracy_rotation_deg. The latter is the median over
   particles of the predicted root-mean-square angle; for equal normal errors the median angle is 0.89 of that.
3. FSC with the true map predicted from the half-maps, C = sqrt(2 F / (1 + F)) with F the corrected curve (Rosenthal &
   Henderson 2003, J Mol Biol 333:721), against the real one of the unfiltered mean of the halves in the same
   mask, mask_fsc_auto.mrc where there is one, else mask_fsc.mrc. Of shells within the resolution, the largest
   difference.
The maps are compared where they lie. A start from the true map fixes the frame: exactly where symmetry leaves no
freedom, up to a small drift (frame_deg) about the axis of a Cn and in every direction in C1. Such a drift lowers the
real FSC in rows 1 and 3, and is not fitted out.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from ledger import Job, Ledger, check, demanded, halfmap, parser, refine

from halfmap.io import mrc
from halfmap.types import Map
from halfmap.validate import fsc

LOST_SHELLS = 1.0
ERROR_RATIO = 1.3
FSC_DIFFERENCE = 0.05


def crossing(values: list[float], level: float) -> float:
    """Shell where an FSC first falls below ``level``, interpolated; the last shell where it never does."""
    below = [shell for shell, value in enumerate(values) if value < level]
    if not below:
        return len(values) - 1.0
    shell = below[0]
    last, first = values[shell - 1], values[shell]
    return shell - 1 + (last - level) / (last - first)


def compare_maps(ledger: Ledger, name: str, job: Job, true_poses: Path, truth: Path, checks: Path) -> None:
    """Row 1."""
    refined, best = (check(checks, "fsc", folder / "map.mrc", truth)["fsc"] for folder in (job.folder, true_poses))
    shells = {level: (crossing(refined, level), crossing(best, level)) for level in (0.8, 0.5, 0.3)}
    lost = {level: round(true - found, 2) for level, (found, true) in shells.items()}
    found, true = shells[0.5]
    ledger.row(f"{name}: shells lost against true poses, FSC with truth at 0.5", lost[0.5], f"<= {LOST_SHELLS:g}",
               lost[0.5] <= LOST_SHELLS, refined_shell=round(found, 2), true_poses_shell=round(true, 2),
               lost_at_level=lost, refined_fsc=refined, true_poses_fsc=best)


def compare_poses(ledger: Ledger, name: str, job: Job, truth: Path, symmetry: str, checks: Path) -> None:
    """Row 2."""
    errors = check(checks, "poses", job.folder / "particles.star", truth, "--symmetry", symmetry)
    predicted = job.summary["accuracy_rotation_deg"]
    ratio = errors["rotation_median_deg"] / predicted
    ledger.row(f"{name}: median rotation error / predicted", round(ratio, 3), f"<= {ERROR_RATIO}", ratio <= ERROR_RATIO,
               predicted_rms_deg=round(predicted, 3), predicted_shift_A=job.summary["accuracy_shift_A"], **errors)


def compare_curves(ledger: Ledger, name: str, job: Job, truth: Path) -> None:
    """Row 3."""
    curves = json.loads((job.folder / "fsc.json").read_text())
    halves = [mrc.read(job.folder / f"half{i}.mrc") for i in (1, 2)]
    mean = Map((halves[0].data + halves[1].data) / 2, halves[0].voxel_size_A)
    in_force = [job.folder / f"{name}.mrc" for name in ("mask_fsc_auto", "mask_fsc")]
    mask = next(path for path in in_force if path.is_file())
    actual = fsc.curve(mean, mrc.read(truth), mrc.read(mask).data).values
    corrected = np.clip(curves["corrected"], 0, 1)
    predicted = np.sqrt(2 * corrected / (1 + corrected))
    inside = 1 + int(mean.box * mean.voxel_size_A / job.summary["resolution_A"])
    difference = (predicted - actual)[1:inside]
    worst = int(np.argmax(abs(difference)))
    value = float(abs(difference[worst]))
    ledger.row(f"{name}: predicted against actual FSC, largest difference", round(value, 4), f"< {FSC_DIFFERENCE}",
               value < FSC_DIFFERENCE, at_shell=worst + 1, last_shell=inside - 1,
               predicted_minus_actual=[round(float(d), 3) for d in difference])


def measure(ledger: Ledger, name: str, symmetry: str, places: tuple[Path, Path, Path]) -> None:
    bench, checks, out = places
    source, true_poses = bench / name, out / f"{name}_true_poses"
    truth = source / "map.mrc"
    job = refine(source / "particles.star", truth, symmetry, out / name, "--seed", 1)
    demanded(halfmap("reconstruct", "--particles", source / "truth.star", "--symmetry", symmetry, "--seed", 1,
                     "--out", true_poses, "--overwrite"))
    compare_maps(ledger, name, job, true_poses, truth, checks)
    compare_poses(ledger, name, job, source / "truth.star", symmetry, checks)
    compare_curves(ledger, name, job, truth)


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--bench", type=Path, required=True)
    flags.add_argument("--checks", type=Path, required=True)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--sets", nargs="+", default=["6cvm_128:D2", "asym:C1", "octa:O"], metavar="NAME:SYMMETRY")
    chosen = flags.parse_args()
    ledger = Ledger(chosen.ledger)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name, symmetry in (pair.split(":") for pair in chosen.sets):
        measure(ledger, name, symmetry, (chosen.bench, chosen.checks, chosen.out))
    ledger.exit()


if __name__ == "__main__":
    main()
