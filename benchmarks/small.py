"""A small particle, 67 kDa, SNR 0.03: ab-initio refinement against refinements of a map that is known, coarsely.

    small.py --bench DIR --checks DIR --out DIR [--set small] [--only WAY ...] [--seed 1] [--again] [--ledger FILE]

A row for every way from 10,000 images of 96 px to a map:
* poses: no refinement, reconstruction from the true poses: what the images hold.
* near: local refinement about the true poses, 10 degrees and 3 A either way: what poses the images allow.
* low: homogeneous refinement from the true map at 30 A.
* fine: the same at 12 A.
* high: that with a high-pass: data coarser than 30 A do not align particles.
* nonuniform: non-uniform refinement from the true map at 30 A.
* abinitio: homogeneous refinement from the map of `abinitio`, at 12 A.
* abinitio-refine: two half-maps from nothing.
Each row: the resolution that is claimed; where the FSC with the truth falls below 0.5 in the sphere of truth.py; errors
of the poses after the best frame; processor time. The map is brought onto the truth by alignment, hand included, and
the poses go along; what was mirrored says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ledger import Job, Ledger, check, demanded, halfmap, parser

from halfmap.data import relion
from halfmap.geometry import symmetry
from halfmap.io import mrc
from halfmap.maps import turn
from halfmap.refine import meeting

DIAMETER_A = 105.0  # the particle's largest radius is 42 A
RADIUS = 0.36  # of the box: the sphere of truth.py, 52 A
RIGHT = 0.9  # part of the particles within 10 degrees of the truth, where a way has found the structure


@dataclass(frozen=True)
class Places:
    bench: Path
    checks: Path
    out: Path
    seed: int
    again: bool

    @property
    def particles(self) -> Path:
        return self.bench / "particles.star"

    @property
    def truth(self) -> Path:
        return self.bench / "map.mrc"

    def job(self, name: str, *words: object) -> Job:
        """One job of the command line, or the one that is there already."""
        folder = self.out / f"{self.bench.name}_{name}_{self.seed}"
        if self.again and (folder / "summary.json").is_file():
            return Job(folder, None)
        common = ("--out", folder, "--overwrite", "--seed", self.seed, "--particle-diameter", DIAMETER_A)
        return Job(folder, demanded(halfmap(*words, *common)))

    def refined(self, name: str, kind: str, volume: Path, lowpass_A: float, *more: object) -> Job:
        particles = () if "--particles" in more else ("--particles", self.particles)
        return self.job(name, "refine", kind, *particles, "--volume", volume, "--initial-lowpass", lowpass_A,
                        "--no-intermediate-plots", *more)


def of_abinitio(places: Places) -> list[Job]:
    grown = places.job("grown", "abinitio", places.particles, "--no-intermediate-plots")
    return [grown, places.refined("abinitio", "homogeneous", grown.folder / "map.mrc", 12)]


WAYS = {
    "poses": lambda p: [p.job("poses", "reconstruct", "--particles", p.bench / "truth.star")],
    "near": lambda p: [p.refined("near", "local", p.truth, 12, "--particles", p.bench / "truth.star",
                                 "--mask", "dynamic", "--rotation-search-extent", 10, "--shift-search-extent", 3)],
    "low": lambda p: [p.refined("low", "homogeneous", p.truth, 30)],
    "fine": lambda p: [p.refined("fine", "homogeneous", p.truth, 12)],
    "high": lambda p: [p.refined("high", "homogeneous", p.truth, 12, "--min-align-resolution", 30)],
    "nonuniform": lambda p: [p.refined("nonuniform", "nonuniform", p.truth, 30)],
    "abinitio": of_abinitio,
    "abinitio-refine": lambda p: [p.job("both", "abinitio-refine", p.particles, "--no-intermediate-plots")],
}


def judged(places: Places, job: Job) -> dict:
    """What truth.py says of the map and the poses, both brought into the frame of the truth."""
    found, truth = mrc.read(job.folder / "map.mrc"), mrc.read(places.truth)
    frame = meeting.onto(found, truth, symmetry.group("C1"))
    there, table = job.folder / "in_frame.mrc", job.folder / "in_frame.star"
    mrc.write(there, turn.placed(found, frame))
    particles = relion.read(job.folder / "particles.star")
    relion.write(table, replace(particles, poses=frame.poses(particles.poses)))
    curve = check(places.checks, "fsc", there, places.truth, "--radius", RADIUS)
    errors = check(places.checks, "poses", table, places.bench / "truth.star")
    return {"true_A": curve["resolution_05_A"], "mirrored": frame.mirrored, **errors, "fsc": curve["fsc"]}


def measure(ledger: Ledger, places: Places, way: str) -> None:
    jobs = WAYS[way](places)
    summary, told = jobs[-1].summary, judged(places, jobs[-1])
    cpu = sum(job.finished.cpu_seconds for job in jobs) if all(job.finished for job in jobs) else float("nan")
    value = (f"claims {summary['resolution_A']:.2f}, true {told['true_A']:.2f}; {told['rotation_median_deg']:.1f} deg, "
             f"{told['within_10_deg']:.0%} within 10, {told['shift_median_A']:.1f} A; {cpu:.0f} s")
    ledger.row(f"{places.bench.name}, {way}: resolution, A; median error of the poses; processor time", value,
               f"{RIGHT:.0%} within 10 deg", told["within_10_deg"] >= RIGHT, iterations=summary["iterations"], **told)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--bench", type=Path, required=True)
    options.add_argument("--checks", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--set", default="small")
    options.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS))
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--again", action="store_true", help="judge the jobs that are in --out already")
    chosen = options.parse_args()
    ledger = Ledger(chosen.ledger)
    chosen.out.mkdir(parents=True, exist_ok=True)
    places = Places(chosen.bench / chosen.set, chosen.checks, chosen.out, chosen.seed, chosen.again)
    for way in chosen.only:
        measure(ledger, places, way)
    ledger.exit()


if __name__ == "__main__":
    main()
