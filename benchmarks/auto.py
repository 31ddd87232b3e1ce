"""`halfmap refine auto`, RELION's 3D auto-refine in its observable behaviour.

    auto.py --data DIR --bench DIR --checks DIR --out DIR [--only real accuracy noise junk continue] [--ledger FILE]

real: EMPIAR-10204 with the settings that RELION 5 was given (D2, 30 A, finer sampling faster), twice, the second one
measured; judged by relion_postprocess as in real_data.py.
accuracy: median rotation error after truth.py's best global frame over accuracy_rotation_deg, the median of predicted
root-mean-square angles (for equal normal errors 0.89 of it), of simulated sets from 60 A.
noise: finest claim of 2,000 or 3,000 images without any particle, from 60 and 30 A, and whether the reason is told.
junk: of 3,000 simulated images 300 are replaced by noise and 300 shifted out of their box; against the same without
these 600. Area under the ROC curve of the weights.
continue: from iteration 3 of a refinement, unchanged and with another mask.
"""

from __future__ import annotations

import filecmp
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from ledger import Job, Ledger, check, demanded, halfmap, parser
from real_data import AT_A, FROM_A, MEAN_AT_LEAST, TO_A, postprocessed
from scipy.stats import rankdata

from halfmap.data import relion
from halfmap.io import mrc
from halfmap.maps import masks
from halfmap.types import Map

SECONDS = 17.0
ACCURATE = 0.3
SETS = ("6cvm_128:D2", "hinge:C1")
NOISE = ("noise", "noise_2", "noise_48", "noise_70s")
SPLIT_A = 40.0
WHY = "no better than chance"
AREA, SHELLS = 0.9, 1.0
RESULTS = ("half1.mrc", "half2.mrc", "map.mrc", "particles.star")
NOISE_LOW, NOISE_FALL = 3.0, 0.06  # of the independent simulator's noise: power 1 + 3 exp(-s / 0.06), s in 1/px


def auto(particles: Path, volume: Path, symmetry: str, out: Path, *more: object) -> Job:
    inputs = ("--particles", particles, "--volume", volume, "--symmetry", symmetry)
    return Job(out, demanded(halfmap("refine", "auto", *inputs, "--seed", 1, "--out", out, "--overwrite", *more)))


def real(ledger: Ledger, data: Path, out: Path) -> None:
    folder = data / "empiar-10204"
    for _ in range(2):  # the first fills the cache of compiled kernels
        job = auto(folder / "particles.star", folder / "reference_100px.mrc", "D2", out / "real", "--initial-lowpass",
                   30, "--particle-diameter", 200, "--finer-sampling-faster")
    seconds = round(job.finished.seconds, 1)
    ledger.row("refine auto, EMPIAR-10204: start to report, warm, s", seconds, f"<= {SECONDS:g}", seconds <= SECONDS,
               load_average=os.getloadavg()[0], iterations=job.summary["iterations"])
    resolution, corrected = postprocessed(job.folder)
    band = (resolution < 1.01 * FROM_A) & (resolution > TO_A / 1.01)
    mean = float(corrected[band].mean())
    ledger.row(f"refine auto, EMPIAR-10204: mean corrected FSC {FROM_A} to {TO_A} A, relion_postprocess",
               round(mean, 3), f">= {MEAN_AT_LEAST}", mean >= MEAN_AT_LEAST,
               at_7_55_A=round(float(corrected[np.argmin(abs(resolution - AT_A))]), 3))


def accuracy(ledger: Ledger, bench: Path, checks: Path, out: Path) -> None:
    for name, symmetry in (pair.split(":") for pair in SETS):
        source = bench / name
        job = auto(source / "particles.star", source / "map.mrc", symmetry, out / name, "--finer-sampling-faster")
        errors = check(checks, "poses", job.folder / "particles.star", source / "truth.star", "--symmetry", symmetry)
        ratio = errors["rotation_median_deg"] / job.summary["accuracy_rotation_deg"]
        ledger.row(f"refine auto, {name}: median rotation error / estimated accuracy", round(ratio, 3),
                   f"1 +- {ACCURATE:g}", abs(ratio - 1) <= ACCURATE, **errors,
                   estimated_deg=job.summary["accuracy_rotation_deg"], estimated_A=job.summary["accuracy_shift_A"])


def noise(ledger: Ledger, bench: Path, out: Path) -> None:
    for name in NOISE:
        if (bench / name).is_dir():
            noise_of(ledger, bench / name, out)
        else:
            ledger.skipped(f"refine auto, {name}", "make_data.py has not made it here")


def noise_of(ledger: Ledger, source: Path, out: Path) -> None:
    half = mrc.read(source / "map.mrc")
    length = half.box * half.voxel_size_A
    allowed = length / (length / SPLIT_A + 1)
    for symmetry in ("D2", "C1"):
        jobs = [auto(source / "particles.star", source / "map.mrc", symmetry, out / f"{source.name}_{symmetry}_{start}",
                     "--initial-lowpass", start, "--finer-sampling-faster") for start in (60, 30)]
        claims = [round(min(row["resolution_A"] for row in job.iterations), 2) for job in jobs]
        told = all(any(WHY in text for text in job.summary["warnings"]) for job in jobs)
        ledger.row(f"refine auto, pure {source.name}, {symmetry}: finest claim of any iteration, from 60 and 30 A, A; "
                   "told why", f"{min(claims)}; {told}", f">= {allowed:.1f}, told", min(claims) >= allowed and told,
                   claims=claims)


def spoiled(source: Path, out: Path) -> np.ndarray:
    """A copy of a set with junk in it, and clean.star, the rest; returns which are junk."""
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(4)
    told = relion.read(source / "particles.star")
    n, box = len(told), told.optics[0].box
    images = mrc.read_images(source / "particles.mrcs", np.arange(n)).astype(np.float32)
    bad = rng.permutation(n)[: n // 5]
    for place, row in enumerate(bad):
        images[row] = _pushed_out(images[row], _noise(box, rng), rng) if place % 2 else _noise(box, rng)
    mrc.write_stack(out / "particles.mrcs", images, told.optics[0].pixel_size_A)
    here = replace(told, files=(out / "particles.mrcs",))
    junk = np.isin(np.arange(n), bad)
    relion.write(out / "particles.star", here)
    relion.write(out / "clean.star", here[np.flatnonzero(~junk)])
    return junk


def _noise(box: int, rng: np.random.Generator) -> np.ndarray:
    s = np.hypot(np.fft.rfftfreq(box), np.fft.fftfreq(box)[:, None])
    colour = np.sqrt(1 + NOISE_LOW * np.exp(-s / NOISE_FALL))
    made = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((box, box))) * colour, s=(box, box))
    return ((made - made.mean()) / made.std()).astype(np.float32)


def _pushed_out(image: np.ndarray, around: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image moved by 0.6 to 0.8 of its box, noise where it has left."""
    box, turn = len(image), rng.uniform(0, 2 * np.pi)
    dy, dx = (int(rng.uniform(0.6, 0.8) * box * part) for part in (np.sin(turn), np.cos(turn)))
    to, out_of = ([slice(max(d * sign, 0), box + min(d * sign, 0)) for d in (dy, dx)] for sign in (1, -1))
    around[tuple(to)] = image[tuple(out_of)]
    return around


def junk(ledger: Ledger, bench: Path, out: Path) -> None:
    source, folder = bench / "6cvm_128", out / "junk"
    bad = spoiled(source, folder)
    both = [auto(folder / table, source / "map.mrc", "D2", out / f"junk_{table[:-5]}", "--initial-lowpass", 30,
                 "--finer-sampling-faster") for table in ("particles.star", "clean.star")]
    shells = [_shell(job) for job in both]
    found = relion.read_table(both[0].folder / "particles.star")
    weights = found.columns["halfmapParticleProbability"].astype(float)
    good = ~bad[found.index]
    ranks, n, m = rankdata(weights), int(good.sum()), int((~good).sum())
    area = float((ranks[good].sum() - n * (n + 1) / 2) / (n * m))
    ledger.row("refine auto, 20 % junk: area under the ROC curve of the weights", round(area, 4), f"> {AREA}",
               area > AREA, mean_weight_good=float(weights[good].mean()), mean_weight_junk=float(weights[~good].mean()))
    lost = shells[1] - shells[0]
    ledger.row("refine auto, 20 % junk: shells lost against the clean set", round(lost, 2), f"<= {SHELLS:g}",
               lost <= SHELLS, areas=[job.iterations[-1]["fsc_area"] for job in both])


def _shell(job: Job) -> float:
    half = mrc.read(job.folder / "half1.mrc")
    return half.box * half.voxel_size_A / job.summary["resolution_A"]


def going_on(ledger: Ledger, data: Path, out: Path) -> None:
    folder = data / "empiar-10204"
    inputs = folder / "particles.star", folder / "reference_100px.mrc"
    whole = auto(*inputs, "D2", out / "whole", "--initial-lowpass", 40)
    mask, half = out / "mask.mrc", mrc.read(whole.folder / "half1.mrc")
    mrc.write(mask, Map(masks.sphere(half.box, 0.42 * half.box, 5.0), half.voxel_size_A))
    flags = ("refine", "auto", "--continue-from", whole.folder, "--continue-iteration", 3, "--overwrite", "--out")
    again = Job(out / "again", demanded(halfmap(*flags, out / "again")))
    same = all(filecmp.cmp(whole.folder / name, again.folder / name, shallow=False) for name in RESULTS)
    ledger.row("refine auto, from iteration 3 unchanged: results", "identical" if same else "differ", "identical", same)
    masked = Job(out / "masked", demanded(halfmap(*flags, out / "masked", "--mask", mask)))
    used = all("given mask" in row["mask"] and row["iteration"] > 3 for row in masked.iterations)
    ledger.row("refine auto, from iteration 3 with another mask: resolution, A",
               round(masked.summary["resolution_A"], 2), "runs, recorded", used,
               earlier_A=whole.summary["resolution_A"])


def main() -> None:
    flags = parser(__doc__)
    for name in ("--data", "--bench", "--checks", "--out"):
        flags.add_argument(name, type=Path, required=True)
    rows = ("real", "accuracy", "noise", "junk", "continue")
    flags.add_argument("--only", nargs="+", choices=rows, default=rows)
    chosen = flags.parse_args()
    ledger, out = Ledger(chosen.ledger), chosen.out
    out.mkdir(parents=True, exist_ok=True)
    tasks = {
        "real": lambda: real(ledger, chosen.data, out),
        "accuracy": lambda: accuracy(ledger, chosen.bench, chosen.checks, out),
        "noise": lambda: noise(ledger, chosen.bench, out),
        "junk": lambda: junk(ledger, chosen.bench, out),
        "continue": lambda: going_on(ledger, chosen.data, out),
    }
    for name in chosen.only:
        tasks[name]()
    ledger.exit()


if __name__ == "__main__":
    main()
