"""1,000 against 8,000 particles of 6CVM, box 128: time per particle of a settled iteration, and peak memory.

    scaling.py --bench DIR --out DIR [--set 6cvm_8000] [--tables first_1000.star particles.star] [--ledger FILE]

Both align to the same resolution (--max-align-resolution), or more particles would mean more shells each. The last
iteration counts. Two ratios of time per particle: of the stages that touch images, which must be linear; and of whole
iterations, solving included. Solving costs the same for any number of particles, so the second ratio may fall below 1
- an iteration then grows less than its particles - and only an excess counts against it.
"""

from __future__ import annotations

from pathlib import Path

from ledger import Job, Ledger, parser, refine, stage_seconds

LINEAR, FLAT = 0.15, 0.10
IMAGE_STAGES = ("reading", "fft", "ctf", "poses", "insert")


def per_particle_ms(job: Job) -> tuple[float, float]:
    """(stages that touch images, whole iteration) of the last iteration."""
    last, n = job.iterations[-1], job.summary["n_particles"]
    return 1e3 * stage_seconds(last, *IMAGE_STAGES) / n, 1e3 * last["seconds"] / n


def described(job: Job) -> dict:
    last = job.iterations[-1]
    stages = {key.removeprefix("seconds_"): round(v, 2) for key, v in last.items() if key.startswith("seconds_")}
    return {"particles": job.summary["n_particles"], "iterations": len(job.iterations), "band_A": last["band_A"],
            "searched": last["searched"], "seconds": round(last["seconds"], 2), "stages": stages}


def compare(ledger: Ledger, small: Job, large: Job) -> None:
    sizes = f"{small.summary['n_particles']:,} -> {large.summary['n_particles']:,} particles"
    images, whole = (b / a for a, b in zip(per_particle_ms(small), per_particle_ms(large), strict=True))
    ledger.row(f"{sizes}: time per particle, image stages of the last iteration, ratio", round(images, 3),
               f"1 +- {LINEAR}", abs(images - 1) <= LINEAR, small=described(small), large=described(large))
    ledger.row(f"{sizes}: time per particle, whole last iteration, ratio", round(whole, 3), f"<= {1 + LINEAR}",
               whole <= 1 + LINEAR)
    memory = [job.finished.peak_memory_GB for job in (small, large)]
    ratio = memory[1] / memory[0]
    ledger.row(f"{sizes}: peak memory, ratio", round(ratio, 3), f"<= {1 + FLAT}", ratio <= 1 + FLAT,
               peak_memory_GB=[round(value, 3) for value in memory])


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--bench", type=Path, required=True)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--set", default="6cvm_8000")
    flags.add_argument("--tables", nargs=2, default=["first_1000.star", "particles.star"], metavar="STAR",
                       help="two particle tables of the set, the smaller first")
    flags.add_argument("--symmetry", default="D2")
    flags.add_argument("--max-align-resolution", type=float, default=5.0, help="A, coarser than what both tables reach")
    chosen = flags.parse_args()
    ledger, source = Ledger(chosen.ledger), chosen.bench / chosen.set
    chosen.out.mkdir(parents=True, exist_ok=True)
    small, large = (
        refine(source / table, source / "map.mrc", chosen.symmetry, chosen.out / Path(table).stem, "--seed", 1,
               "--max-align-resolution", chosen.max_align_resolution)
        for table in chosen.tables
    )
    compare(ledger, small, large)
    ledger.exit()


if __name__ == "__main__":
    main()
