"""A domain that turns about a hinge, from the particle table to its sharp map: the case study of docs/case_study.md.

    case_study.py --out DIR [--data DIR --checks DIR] [--quick] [--page]

Runs every command of that page, one job folder each, in DIR; run again, it goes on after the last job that ended. The
images are simulated: of a small molecule made by `halfmap simulate`, or with ``--data`` and ``--checks``
(benchmarks/README.md) of a ribosome by an independent program. So the truth is known, and every stage is measured
against it. Choosing regions of the map is the only step at which a person would look at a picture; here the truth
chooses. ``--quick``: few small images, to see that all runs. ``--page`` writes docs/case_study.md, its numbers and its
figures.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from halfmap.cli.commands import with_subject
from halfmap.cli.main import main as halfmap
from halfmap.data import relion
from halfmap.geometry import rotations
from halfmap.io import mrc
from halfmap.types import Poses

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "benchmarks")]  # the measures of benchmarks/ are used here, too

import case_study_page  # noqa: E402
import local as against_truth  # noqa: E402
import make_data  # noqa: E402

ROUGH_DEG, ROUGH_A = 3.0, 3.0  # standard deviations per axis of the poses that the data "came with"
REGIONS = {True: ("--gaussian-sdev", 0.5, "--regions", 12), False: ("--regions", 16)}
DOMAIN = ("--dilation", 2, "--soft-edge", 6)  # px
BODY = ("--dilation", 0, "--soft-edge", 3)  # px
ALWAYS = ("--seed", "1", "--overwrite")  # beside the words that the page shows
SIZES = {True: ("-n", 300, "--box-size", 32, "--pixel-size", 5, "--snr", 10), False: ("-n", 4000, "--snr", 0.1)}


@dataclass
class Study:
    """Runs commands in a folder; keeps their words and what they tell. A job is not run twice with the same words."""

    folder: Path
    commands: dict[str, str] = field(default_factory=dict)
    summaries: dict[str, dict] = field(default_factory=dict)

    def run(self, name: str, *words: object) -> dict:
        """One job into the folder ``name``; ends the script where it fails."""
        line = [str(word) for word in (*words, "--out", name)]
        self.commands[name] = shlex.join(["halfmap", *line])
        print(f"\n$ {self.commands[name]}", flush=True)
        if not self._ended(name, line) and (code := halfmap([*line, *ALWAYS])) != 0:
            sys.exit(code)
        self.summaries[name] = json.loads((self.folder / name / "summary.json").read_text())
        return self.summaries[name]

    def _ended(self, name: str, line: list[str]) -> bool:
        summary, record = (self.folder / name / file for file in ("summary.json", "job.json"))
        if not summary.exists() or json.loads(summary.read_text())["status"] != "finished":
            return False
        return json.loads(record.read_text())["command"] == ["halfmap", *with_subject([*line, *ALWAYS])]


def simulated(study: Study, quick: bool) -> Path:
    """Images of a molecule made from nothing, 30 % of which turns by 8 degrees per axis."""
    told = study.run("truth", "simulate", *SIZES[quick], "--domain-fraction", 0.3, "--hinge-angle", 8)
    (study.folder / "truth" / "hinge.txt").write_text(" ".join(f"{x:g}" for x in told["hinge_px"]) + "\n")
    return study.folder / "truth"


def ribosome(study: Study, data: Path, checks: Path) -> Path:
    """The set local_hinge of the benchmarks; hinge.txt then in voxels."""
    truth = study.folder / "truth"
    if not (truth / "truth.star").exists():
        truth.mkdir(exist_ok=True)
        make_data.make_local_hinge(make_data.Sources(checks, data), truth)
        hinge_A = np.array((truth / "hinge.txt").read_text().split(), float)
        hinge = hinge_A / mrc.read(truth / "moving.mrc").voxel_size_A
        (truth / "hinge.txt").write_text(" ".join(f"{x:.2f}" for x in hinge) + "\n")
    return truth


def rough(truth: Path) -> None:
    """deposited.star: the particles with poses as a first refinement elsewhere may have left them, no half-sets."""
    table = relion.read(truth / "truth.star")
    rng = np.random.default_rng(1)
    turns = rotations.exp_so3(rng.normal(0, np.deg2rad(ROUGH_DEG), (len(table), 3)))
    shifts = table.poses.shifts_A + rng.normal(0, ROUGH_A, (len(table), 2))
    poses = Poses(turns @ table.poses.rotations, shifts)
    relion.write(truth / "deposited.star", replace(table, poses=poses, half=np.zeros_like(table.half), columns={}))


def consensus(study: Study) -> None:
    """From the table to a map in which the body is sharp."""
    study.run("1_import", "import", "particles", "--particles", "truth/deposited.star")
    study.run("2_reconstruct", "reconstruct", "--particles", "1_import")
    study.run("3_nonuniform", "refine", "nonuniform", "--particles", "1_import", "--volume", "2_reconstruct")


def made_masks(study: Study, *regions: object) -> str:
    """Masks of the domain and of the rest; returns the fulcrum, where both touch."""
    study.run("4_regions", "mask", "segment", "3_nonuniform", *regions)
    numbers = ",".join(map(str, regions_of_the_domain(study.folder)))
    again = ("mask", "segment", "3_nonuniform", *regions)
    told = study.run("5_around_domain", *again, "--choose", numbers, *DOMAIN)
    study.run("6_body", *again, "--exclude", numbers, *BODY)
    combine = ("mask", "combine", "--operation", "difference")
    study.run("7_domain", *combine, "--mask", "5_around_domain", "--mask", "6_body")
    study.run("8_whole", "mask", "from-map", "3_nonuniform")
    study.run("9_rest", *combine, "--mask", "8_whole", "--mask", "7_domain")
    return ",".join(f"{x:.1f}" for x in told["border_px"])


def regions_of_the_domain(folder: Path) -> list[int]:
    """Regions that hold more of the true domain than of the true body, at least one: what a person sees in pictures."""
    labels = mrc.read(folder / "4_regions" / "regions.mrc").data.astype(int).ravel()
    moving, body = (mrc.read(folder / "truth" / name).data.ravel() for name in ("moving.mrc", "map.mrc"))
    held = [np.bincount(labels, np.maximum(part, 0)) for part in (moving, body)]
    share = held[0][1:] / np.maximum(held[0] + held[1], 1e-30)[1:]
    return [number for number, part in enumerate(share.tolist(), start=1) if part > 0.5 or part == share.max()]


def local(study: Study, name: str, particles: str, fulcrum: str, *more: object, mask: str = "7_domain") -> dict:
    return study.run(name, "refine", "local", "--particles", particles, "--volume", "3_nonuniform", "--mask", mask,
                     "--fulcrum", fulcrum, *more)


def refined_domain(study: Study, fulcrum: str) -> None:
    """Local refinement, subtraction, a look at what is left, local refinement again."""
    local(study, "10_local", "3_nonuniform", fulcrum)
    study.run("11_subtracted", "subtract", "--particles", "3_nonuniform", "--volume", "3_nonuniform",
              "--mask", "9_rest")
    study.run("12_left", "reconstruct", "--particles", "11_subtracted")
    local(study, "13_local_again", "11_subtracted", fulcrum, "--rotation-search-extent", 30)
    study.run("14_reverted", "revert", "--particles", "13_local_again")


def mistakes(study: Study, fulcrum: str) -> None:
    """What goes wrong: a mask with body in it, a search that is too narrow."""
    local(study, "wrong_mask", "3_nonuniform", fulcrum, "--max-iterations", 2, mask="5_around_domain")  # enough to see
    local(study, "wrong_extent", "3_nonuniform", fulcrum, "--rotation-search-extent", 5)


def compared(study: Study) -> None:
    """The half-maps of every stage in one mask: what a person has who does not know the truth."""
    for name, job in STAGES.items():
        halves = [word for half in (1, 2) for word in (f"--half{half}", f"{job}/half{half}.mrc")]
        study.run(f"fsc_{name}", "fsc", *halves, "--mask", "7_domain/mask.mrc")


STAGES = {"before": "3_nonuniform", "local": "10_local", "again": "13_local_again"}
TABLES = {"consensus": "3_nonuniform", "local": "10_local", "local after subtraction": "14_reverted"}


def measured(folder: Path) -> dict:
    """Of each stage: error of the domain's poses, and the shells where its FSC with the truth falls below levels."""
    kept, last = folder / "measured.json", folder / "14_reverted" / "summary.json"
    if kept.exists() and kept.stat().st_mtime > last.stat().st_mtime:
        return json.loads(kept.read_text())
    truth, mask = folder / "truth", folder / "true_mask.mrc"
    against_truth.mask_of(truth, mask)
    shells = against_truth.shells_of
    found = {"true poses": {"shells": shells(truth / "truth_moving.star", truth, mask, folder / "of_true_poses")}}
    for name, job in TABLES.items():
        errors = errors_deg(folder, job)
        framed = folder / job / "framed.star"
        found[name] = {"error_deg": round(float(np.median(errors)), 2),
                       "within_5_deg": round(float((errors < 5).mean()), 3),
                       "shells": shells(framed, truth, mask, folder / f"of_{job}")}
    kept.write_text(json.dumps(found, indent=1))
    return json.loads(kept.read_text())  # the keys are then words, as they are the next time


def errors_deg(folder: Path, job: str) -> np.ndarray:
    """(n,) angles of a job's poses to the true ones of the domain, less one turn of all."""
    return against_truth.errors_deg(folder / job / "particles.star", folder / "truth" / "truth_moving.star")


def numbers(study: Study, found: dict, fulcrum: str) -> dict:
    """All that the page tells."""
    hinge = np.array((study.folder / "truth" / "hinge.txt").read_text().split(), float)
    map = mrc.read(study.folder / "3_nonuniform" / "map.mrc")
    off = np.array(fulcrum.split(","), float) - hinge
    return {
        "commands": study.commands, "fulcrum": fulcrum, "hinge": ",".join(f"{x:.1f}" for x in hinge),
        "fulcrum_off_A": round(float(np.linalg.norm(off)) * map.voxel_size_A, 1),
        "chosen": study.summaries["5_around_domain"]["chosen"],
        "resolution_A": {name: round(told["resolution_A"], 2) for name, told in study.summaries.items()
                         if told.get("resolution_A")},
        "resolution_05_A": {stage: round(study.summaries[f"fsc_{stage}"]["resolution_05_A"], 2) for stage in STAGES},
        "warnings": {name: told.get("warnings", []) for name, told in study.summaries.items()},
        "iterations": {name: [told_of(row) for row in iterations(study.folder / name)] for name in LOCAL},
        "error_deg": {name: round(float(np.median(errors_deg(study.folder, name))), 1) for name in WRONG},
        "measured": found,
    }  # fmt: skip


WRONG = ("wrong_mask", "wrong_extent")
LOCAL = ("10_local", "13_local_again", *WRONG)
TOLD = ("change_rotation_deg", "accuracy_rotation_deg", "since_input_rotation_deg", "since_input_shift_A",
        "at_rotation_extent", "at_shift_extent")  # fmt: skip


def iterations(folder: Path) -> list[dict]:
    return against_truth.Job(folder, None).iterations


def told_of(row: dict) -> dict[str, float]:
    return {name: round(row[name], 2) for name in TOLD}


def arguments() -> argparse.Namespace:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--data", type=Path)
    flags.add_argument("--checks", type=Path)
    flags.add_argument("--quick", action="store_true")
    flags.add_argument("--page", action="store_true")
    return flags.parse_args()


def main() -> None:
    chosen = arguments()
    chosen.out.mkdir(parents=True, exist_ok=True)
    given = [path.resolve() for path in (chosen.data, chosen.checks) if path is not None]
    os.chdir(chosen.out)
    study = Study(Path())
    rough(ribosome(study, *given) if given else simulated(study, chosen.quick))
    consensus(study)
    fulcrum = made_masks(study, *REGIONS[chosen.quick])
    refined_domain(study, fulcrum)
    compared(study)
    found = measured(study.folder)
    mistakes(study, fulcrum)
    told = numbers(study, found, fulcrum)
    (study.folder / "case_study.json").write_text(json.dumps(told, indent=1))
    for stage, values in found.items():
        print(stage, values)
    if chosen.page:
        case_study_page.write(study.folder, told)


if __name__ == "__main__":
    main()
