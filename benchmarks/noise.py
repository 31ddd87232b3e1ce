"""Images without any particle: a refinement of pure noise must claim nothing, and say so.

    noise.py --bench DIR --out DIR [--set noise] [--refinement homogeneous] [--symmetries D2 C1] [--seeds 1 2 3]
             [--ledger FILE]

The half-sets share data coarser than the GSFSC split resolution; a claim one shell finer than that is allowed, no more.
The starting map is a real one, so every image is aligned to it ("Einstein from noise", Henderson 2013, PNAS 110:18037).
A row for each symmetry: the finest claim of all seeds, and whether every run warned.
"""

from __future__ import annotations

from pathlib import Path

from ledger import Job, Ledger, parser, refine_as

from halfmap.io import mrc

SPLIT_A = 20.0
WARNING = "no evidence of a particle"


def warned(job: Job) -> list[str]:
    return [text for text in job.summary["warnings"] if WARNING in text]


def measure(ledger: Ledger, what: str, jobs: list[Job]) -> None:
    half = mrc.read(jobs[0].folder / "half1.mrc")
    length = half.box * half.voxel_size_A
    allowed = length / (length / SPLIT_A + 1)
    claims = [job.summary["resolution_A"] for job in jobs]
    ledger.row(f"pure noise, {what}: finest resolution claimed by {len(jobs)} runs, A", round(min(claims), 2),
               f">= {allowed:.2f}", min(claims) >= allowed, claims_A=[round(claim, 2) for claim in claims],
               unmasked_A=[round(job.summary["resolution_unmasked_A"], 2) for job in jobs])
    told = sum(bool(warned(job)) for job in jobs)
    ledger.row(f"pure noise, {what}: runs that warn", told, f"= {len(jobs)}", told == len(jobs),
               warnings=[job.summary["warnings"] for job in jobs])


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--bench", type=Path, required=True)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--set", default="noise")
    flags.add_argument("--refinement", choices=("homogeneous", "nonuniform"), default="homogeneous")
    flags.add_argument("--symmetries", nargs="+", default=["D2", "C1"])
    flags.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    chosen = flags.parse_args()
    ledger, source = Ledger(chosen.ledger), chosen.bench / chosen.set
    chosen.out.mkdir(parents=True, exist_ok=True)
    for symmetry in chosen.symmetries:
        measure(ledger, f"{chosen.refinement}, {symmetry}", [
            refine_as(chosen.refinement, source / "particles.star", source / "map.mrc", symmetry,
                      chosen.out / f"{chosen.refinement}_{symmetry}_{seed}", "--seed", seed,
                      "--gsfsc-split-resolution", SPLIT_A)
            for seed in chosen.seeds
        ])
    ledger.exit()


if __name__ == "__main__":
    main()
