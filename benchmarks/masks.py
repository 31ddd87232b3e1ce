"""Masks of the FSC against truth: is anything claimed of noise, is a tight mask found out, does RELION agree?

    masks.py --bench DIR --out DIR [--sets 6cvm_128:D2] [--pairs 20] [--box 96] [--ledger FILE]

1. White noise, ``--pairs`` of half-maps, through every mask offered (fixed and scaled distances, as made and searched)
   and through a given ball: corrected values of 0.143 or more beyond the randomisation shell, where chance (four
   standard deviations of an FSC of so many independent values) cannot explain them; and the finest shell claimed.
For each set (see make_data.py), half-maps reconstructed from the true poses:
2. The same with noise only beyond half the resolution's shell: both halves low-passed there, white noise added.
3. Claimed shell through masks much too tight, hard and drawn around the strongest 0.2 to 10 % of the voxels of the
   half-maps themselves, against that of the program's own mask; and whether each is warned of.
4. FSC with the true map predicted from the corrected curve, C = sqrt(2 F / (1 + F)), against the real one in the mask
   in force: the shell where it falls below 0.5 (F = 0.143), predicted - real.
5. relion_postprocess with the same mask: largest difference of the corrected curve up to the resolution, resolution,
   B-factor fitted over the same range (--autob_highres: our resolution).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from ledger import Ledger, demanded, halfmap, parser, run

from halfmap.io import mrc, star
from halfmap.maps import filters, masks
from halfmap.maps.masks import Made
from halfmap.types import Curve, Map
from halfmap.validate import fsc, fsc_masks, fsc_report, guinier

OFFERED = {
    f"{spread} {part}": fsc_report.Settings(spreads, parts)
    for spread, spreads in (("fixed", fsc_masks.Fixed()), ("scaled", fsc_masks.Scaled()))
    for part, parts in (("as made", fsc_masks.AsMade()), ("searched", fsc_masks.Tightened()))
}
CHANCE = 4.0  # standard deviations
TIGHT_PARTS = (0.002, 0.01, 0.03, 0.1)  # of the voxels
LOST_SHELLS, RELION_FSC, RELION_B = 1.0, 0.02, 0.05


def white(box: int, rng: np.random.Generator, voxel_size_A: float = 1.5) -> Map:
    return Map(rng.standard_normal((box,) * 3).astype(np.float32), voxel_size_A)


def surprises(report: fsc_report.Report, nothing_from: float) -> int:
    """Shells beyond the randomisation, and from ``nothing_from`` on, at the threshold and not there by chance."""
    if report.randomised_from is None:
        return 0
    mask = list(report.masks.values())[-1].data
    values = report.curves["corrected"].values
    shell = np.arange(max(report.randomised_from + fsc.RANDOMISED_SKIP, int(np.ceil(nothing_from))), len(values))
    chance = np.array([CHANCE / np.sqrt(fsc_masks.modes(mask, s)) for s in shell])
    return int((values[shell] >= np.maximum(fsc.THRESHOLD, chance)).sum())


def noise_rows(ledger: Ledger, name: str, pairs: list[tuple[Map, Map]], shell: float) -> None:
    """Row 1 or 2: every mask offered, and a given ball. The halves share what lies up to ``shell``, 0 for nothing.

    A filter half a shell wide, the shells left uncorrected, and one for the error of a crossing may be claimed beyond
    it; of nothing, 3 shells of the masked volume by chance.
    """
    allowed = shell + 0.5 + fsc.RANDOMISED_SKIP + 1
    box = pairs[0][0].box
    ball = Made(masks.sphere(box, 0.2 * box, 0.08 * box), "ball")
    ways = {**{way: (settings, None) for way, settings in OFFERED.items()},
            "given ball": (OFFERED["fixed as made"], ball)}
    for way, (settings, given) in ways.items():
        reports = [fsc_report.report(*pair, settings, given) for pair in pairs]
        claims = [fsc.crossing(report.curves["corrected"]) for report in reports]
        kept = min(fsc_masks.modes(list(r.masks.values())[-1].data, 1) / (2 * np.pi) for r in reports)
        limit = allowed if shell else 3 * kept ** (-1 / 3)
        found = sum(surprises(report, allowed if shell else 0) for report in reports)
        ledger.row(f"{name}, {way}: shells with corrected FSC >= 0.143 not by chance, {len(pairs)} pairs", found, "= 0",
                   found == 0)
        ledger.row(f"{name}, {way}: finest shell claimed", round(max(claims), 2), f"<= {limit:.2f}",
                   max(claims) <= limit)


def cut(pair: tuple[Map, Map], rng: np.random.Generator) -> tuple[tuple[Map, Map], float]:
    """Half-maps low-passed at half the resolution's shell, white noise added; and that shell."""
    length = pair[0].box * pair[0].voxel_size_A
    shell = fsc.crossing(fsc.Pair(*pair).unmasked) / 2
    low = [filters.lowpass(half, length / shell, 1.0) for half in pair]
    sd = 0.3 * float(np.std(pair[0].data))
    noisy = (Map(half.data + sd * white(half.box, rng).data, half.voxel_size_A) for half in low)
    return tuple(noisy), shell


def tight_rows(ledger: Ledger, name: str, pair: tuple[Map, Map]) -> None:
    """Row 3."""
    mean = (pair[0].data + pair[1].data) / 2
    good = fsc.crossing(fsc_report.report(*pair, fsc_report.Settings()).curves["corrected"])
    for part in TIGHT_PARTS:
        scraps = Made((mean > np.quantile(mean, 1 - part)).astype(np.float32), "scraps")
        report = fsc_report.report(*pair, fsc_report.Settings(), scraps)
        claim = fsc.crossing(report.curves["corrected"])
        own = report.curves.get("corrected_given", report.curves["corrected"])
        ledger.row(f"{name}: hard mask of {100 * part:g} % of the voxels, shells claimed beyond a good one",
                   round(claim - good, 2), f"<= {LOST_SHELLS:g}, warned", claim <= good + LOST_SHELLS
                   and bool(report.warnings), its_own_claim=round(fsc.crossing(own), 2), good=round(good, 2),
                   warnings=report.warnings)


def truth_row(ledger: Ledger, name: str, pair: tuple[Map, Map], truth: Map) -> None:
    """Row 4, for every mask offered."""
    mean = Map((pair[0].data + pair[1].data) / 2, pair[0].voxel_size_A)
    for way, settings in OFFERED.items():
        report = fsc_report.report(*pair, settings)
        mask = list(report.masks.values())[-1].data
        corrected = np.clip(report.curves["corrected"].values, 0, 1)
        predicted = Curve("predicted", np.sqrt(2 * corrected / (1 + corrected)), mean.box, mean.voxel_size_A)
        real = fsc.curve(mean, truth, mask)
        more = fsc.crossing(predicted, 0.5) - fsc.crossing(real, 0.5)
        ledger.row(f"{name}, {way}: shells claimed beyond the truth", round(more, 2), f"<= {LOST_SHELLS:g}",
                   more <= LOST_SHELLS, real=round(fsc.crossing(real, 0.5), 2),
                   words=report.descriptions["corrected"],
                   crossings={k: round(fsc.crossing(c), 2) for k, c in report.curves.items()})


def relion_rows(ledger: Ledger, name: str, folder: Path) -> None:
    """Row 5."""
    if shutil.which("relion_postprocess") is None:
        ledger.skipped(f"{name}: relion_postprocess", "relion_postprocess not found: install RELION")
        return
    pair = [mrc.read(folder / f"half{i}.mrc") for i in (1, 2)]
    mask = next(path for path in (folder / f"{n}.mrc" for n in ("mask_fsc_auto", "mask_fsc")) if path.is_file())
    corrected = fsc.masked_and_corrected(*pair, mrc.read(mask).data)["corrected"]
    resolution = fsc.resolution_A(corrected)
    table = folder / "relion_masks.star"
    table.unlink(missing_ok=True)
    done = run("relion_postprocess", "--i", "half1.mrc", "--i2", "half2.mrc", "--mask", mask.name, "--o", table.stem,
               "--angpix", pair[0].voxel_size_A, "--auto_bfac", "--autob_lowres", 10, "--autob_highres",
               0.9999 * resolution, folder=folder)
    if not table.exists():  # without ghostscript it fails afterwards, at its PDF file
        demanded(done)
    theirs = np.asarray(star.read(table)["fsc"].columns["rlnFourierShellCorrelationCorrected"], float)
    last = int(fsc.crossing(corrected))
    last = min(last, len(theirs) - 1)
    difference = float(np.max(np.abs(corrected.values[1 : last + 1] - theirs[1 : last + 1])))
    ledger.row(f"{name}: corrected FSC, largest difference from RELION", round(difference, 4), f"<= {RELION_FSC}",
               difference <= RELION_FSC, last_shell=last, mask=mask.name)
    their_A, their_B = (float(table.read_text().split(key)[1].split()[0]) for key in (
        "_rlnFinalResolution", "_rlnBfactorUsedForSharpening"))
    length = pair[0].box * pair[0].voxel_size_A
    shells = abs(length / resolution - length / their_A)
    ledger.row(f"{name}: resolution, shells from RELION", round(shells, 2), "<= 1", shells <= 1,
               ours_A=round(resolution, 3), theirs_A=their_A)
    mean = Map((pair[0].data + pair[1].data) / 2, pair[0].voxel_size_A)
    own = guinier.fit(mean, 10.0, resolution, corrected)
    part = None if own is None else abs(own.bfactor_A2 / their_B - 1)
    ledger.row(f"{name}: B-factor, relative difference from RELION", None if part is None else round(part, 4),
               f"<= {RELION_B}", part is not None and part <= RELION_B, theirs_A2=their_B,
               ours_A2=None if own is None else round(own.bfactor_A2, 2))


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--bench", type=Path, required=True)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--sets", nargs="*", default=["6cvm_128:D2"], metavar="NAME:SYMMETRY")
    flags.add_argument("--pairs", type=int, default=20)
    flags.add_argument("--box", type=int, default=96)
    chosen = flags.parse_args()
    ledger, rng = Ledger(chosen.ledger), np.random.default_rng(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    pairs = [(white(chosen.box, rng), white(chosen.box, rng)) for _ in range(chosen.pairs)]
    noise_rows(ledger, "white noise", pairs, 0)
    for name, symmetry in (pair.split(":") for pair in chosen.sets):
        source, folder = chosen.bench / name, chosen.out / name
        demanded(halfmap("reconstruct", "--particles", source / "truth.star", "--symmetry", symmetry, "--seed", 1,
                         "--out", folder, "--overwrite"))
        pair = tuple(mrc.read(folder / f"half{i}.mrc") for i in (1, 2))
        noisy, shell = cut(pair, rng)
        noise_rows(ledger, f"{name} cut at shell {shell:.0f}", [noisy], shell)
        tight_rows(ledger, name, pair)
        truth_row(ledger, name, pair, mrc.read(source / "map.mrc"))
        relion_rows(ledger, name, folder)
    ledger.exit()


if __name__ == "__main__":
    main()
