"""Homogeneous refinement from an ab-initio map of the real particles, against the same from the given reference.

    abinitio_handoff.py --data DIR --out DIR [--seeds 1 2 3] [--symmetries D2 C1] [--again] [--ledger FILE]

``--data`` holds empiar-10204/. Ab-initio in D2, and in C1; `refine homogeneous` in D2 from either map (it finds the
axes itself) and from reference_100px.mrc. A refinement is brought onto the first one from the reference by alignment
of their maps, hand included, and by D2's freedom of naming axes; its poses go along. Rows for each symmetry:
1. resolution of every seed against that from the reference.
2. part of the particles posed within 10 degrees and 5 A of that refinement, and the same between refinements from the
   reference with other seeds: nothing can do better than that. Particles count as well determined where the best
   pose has a probability of 0.99 or more in both.
3. the same of the well determined ones.
4. the same of the likeliest LIKELIEST of all, by what the refinement from the reference says: the rest of the raw
   picks shows no particle.
5. as 2, but against the refinement from the reference with the same seed, which has the same half-sets: nothing but
   the starting map is another.
``--again`` does not repeat jobs that are in --out already.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ledger import Job, Ledger, demanded, halfmap, parser, refine

from halfmap.data import relion
from halfmap.geometry import symmetry
from halfmap.io import mrc
from halfmap.maps import masks, turn
from halfmap.refine import meeting
from halfmap.types import Map, Poses
from halfmap.validate import fsc

WITHIN = 1.02  # of the resolution from the reference: a shell at most
SAME = 0.95
TOLERANCE_DEG, TOLERANCE_A = 10.0, 5.0
SURE = 0.99
LIKELIEST = 0.7
DIAMETER_A = 200.0


@dataclass(frozen=True)
class Posed:
    """What a refinement says of every particle, in the order of its names, and its map."""

    map: Map
    poses: Poses
    probability: np.ndarray
    likelihood: np.ndarray
    names: tuple[str, ...]
    resolution_A: float


def posed(job: Job) -> Posed:
    table = relion.read(job.folder / "particles.star")
    names = np.array([table.image_name(row) for row in range(len(table))])
    order = np.argsort(names)
    told = [np.array(table.columns[name], float)[order]
            for name in ("rlnMaxValueProbDistribution", "rlnLogLikeliContribution")]
    return Posed(mrc.read(job.folder / "map.mrc"), table.poses[order], *told, tuple(names[order]),
                 job.summary["resolution_A"])


@dataclass(frozen=True)
class Same:
    """Part of the particles with one pose: of all, of the well determined, of the likeliest."""

    parts: tuple[float, float, float]
    sure: float  # part of the particles that is well determined
    mirrored: bool


def same(found: Posed, wanted: Posed) -> Same:
    group = symmetry.group("D2")
    frame = meeting.onto(found.map, wanted.map, group)
    mine, theirs = (np.isin(a.names, b.names) for a, b in ((found, wanted), (wanted, found)))
    there = frame.poses(found.poses[mine])
    angle = np.rad2deg(symmetry.distance(there.rotations, wanted.poses[theirs].rotations, group))
    shift = np.linalg.norm(there.shifts_A - wanted.poses[theirs].shifts_A, axis=1)
    near = (angle < TOLERANCE_DEG) & (shift < TOLERANCE_A)
    sure = (found.probability[mine] >= SURE) & (wanted.probability[theirs] >= SURE)
    likely = wanted.likelihood[theirs] >= np.quantile(wanted.likelihood, 1 - LIKELIEST)
    parts = tuple(float(near[rows].mean()) for rows in (slice(None), sure, likely))
    return Same(parts, float(sure.mean()), frame.mirrored)


def agreement(found: Posed, wanted: Posed) -> float:
    """Area under the FSC of the two maps in a sphere, shells, after alignment."""
    a = turn.placed(found.map, meeting.onto(found.map, wanted.map, symmetry.group("D2")))
    sphere = masks.sphere(a.box, DIAMETER_A / 2 / a.voxel_size_A, 3)
    curve = fsc.Pair(a, wanted.map, 4).masked(sphere, "spherical")
    return float(np.mean(curve.values[1:-1]))


def jobs(data: Path, out: Path, kind: str, seeds: list[int], again: bool) -> Iterator[Job]:
    """Refinements in D2: from the reference, or from an ab-initio map of symmetry ``kind``."""
    particles, reference = data / "empiar-10204" / "particles.star", data / "empiar-10204" / "reference_100px.mrc"
    for seed in seeds:
        folder = out / f"refined_{kind}_{seed}"
        if again and (folder / "summary.json").is_file():
            yield Job(folder, None)
            continue
        volume = reference if kind == "given" else _grown(particles, out / f"grown_{kind}_{seed}", kind, seed, again)
        yield refine(particles, volume, "D2", folder, "--seed", seed, "--no-intermediate-plots")


def _grown(particles: Path, folder: Path, kind: str, seed: int, again: bool) -> Path:
    if again and (folder / "summary.json").is_file():
        return folder / "map.mrc"
    words = ("abinitio", particles, "--out", folder, "--overwrite", "--seed", seed, "--symmetry", kind,
             "--particle-diameter", DIAMETER_A, "--no-intermediate-plots")
    demanded(halfmap(*words))
    return folder / "map.mrc"


def shown(values: list[float], digits: int = 3) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)


def compared(ledger: Ledger, kind: str, found: list[Posed], given: list[Posed]) -> None:
    """Rows of one symmetry."""
    wanted = given[0]
    ceiling = [same(other, wanted) for other in given[1:]]
    told = [same(one, wanted) for one in found]
    limit = WITHIN * wanted.resolution_A
    resolutions = [one.resolution_A for one in found]
    title = f"EMPIAR-10204, refined in D2 from ab-initio in {kind}"
    ledger.row(f"{title}: resolution, A", shown(resolutions, 2), f"<= {limit:.2f} ({wanted.resolution_A:.2f} from the "
               "reference)", max(resolutions) <= limit, mirrored=[one.mirrored for one in told],
               fsc_with_given=shown([agreement(one, wanted) for one in found]),
               fsc_among_given=shown([agreement(one, wanted) for one in given[1:]]))
    kinds = ("all particles", f"the {told[0].sure:.0%} that are well determined", f"the likeliest {LIKELIEST:.0%}")
    for place, name in enumerate(kinds):
        values = [one.parts[place] for one in told]
        among = shown([one.parts[place] for one in ceiling])
        ledger.row(f"{title}: same poses, {name} (from the reference with other seeds: {among})", shown(values),
                   f">= {SAME}", min(values) >= SAME)
    alike = [same(*pair).parts[0] for pair in zip(found, given, strict=True)]
    ledger.row(f"{title}: same poses, all particles, as from the reference with the same half-sets", shown(alike),
               f">= {SAME}", min(alike) >= SAME)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    options.add_argument("--symmetries", nargs="+", default=["D2", "C1"])
    options.add_argument("--again", action="store_true", help="do not repeat the jobs of --out")
    chosen = options.parse_args()
    ledger = Ledger(chosen.ledger)
    chosen.out.mkdir(parents=True, exist_ok=True)
    given = [posed(job) for job in jobs(chosen.data, chosen.out, "given", chosen.seeds, chosen.again)]
    for kind in chosen.symmetries:
        found = [posed(job) for job in jobs(chosen.data, chosen.out, kind, chosen.seeds, chosen.again)]
        compared(ledger, kind, found, given)
    ledger.exit()


if __name__ == "__main__":
    main()
