"""What is done to particles around a refinement: symmetry expansion, subtraction, extraction, conversion of tables.

    particles_workbench.py --bench DIR --checks DIR --data DIR --out DIR [--only NAME ...] [--ledger FILE]

* expansion: set 6cvm_128, half-maps of its D2-expanded truth in C1 against those of the truth in D2;
* subtraction: the hinged ribosome of the data folder, its hinge rigid, images by the independent simulator: the moving
  part is taken away from particles with true poses. Power inside its mask before and after; images plus what was taken
  against the originals; the table after the way back;
* extraction: 6CVM in a box of 360 at 0.885 A, simulated into micrographs, extracted to 256 pixels, float16, re-centred,
  against particles simulated directly at 256 pixels, with as much noise per frequency; true poses in both;
* round trips: every table of the data folder, STAR to .cs to STAR and .cs to STAR to .cs: columns, angles, images.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
from ledger import Ledger, demanded, halfmap, parser, run

from halfmap import subtract
from halfmap.data import cryosparc, image_names, relion
from halfmap.data.particles import Particles
from halfmap.data.stack import Stack
from halfmap.geometry import rotations
from halfmap.io import cs, mrc, star
from halfmap.maps import filters, masks
from halfmap.types import Map
from halfmap.validate import fsc as curves

EXPANDED_FSC, LEFT, ROUNDING, SHELLS_LOST, ANGLE_DEG = 0.999, 0.05, 1e-5, 1, 1e-4
BIG, SMALL, FINE_A = 360, 256, 0.885  # boxes and pixel size of the tutorial this row repeats
N, SNR = 1000, 0.05
MICROGRAPHS = 250  # few of one focus each would leave gaps in Fourier space that single particles do not have
SMOOTHED = 9  # shells: the noise of a single one moves the crossing by a shell or more


def expansion(ledger: Ledger, chosen: Namespace) -> None:
    truth, out = chosen.bench / "6cvm_128" / "truth.star", chosen.out / "expansion"
    job = ("--particles", truth, "--symmetry", "D2", "--out", out / "table", "--overwrite")
    demanded(halfmap("symmetry-expand", *job))
    reconstruct(truth, "D2", out / "d2")
    reconstruct(out / "table" / "particles.star", "C1", out / "c1")
    lowest = min(fsc(out / "d2" / name, out / "c1" / name)[1:].min() for name in ("half1.mrc", "half2.mrc"))
    ledger.row("expansion: lowest FSC of half-maps, expanded in C1 with D2", round(float(lowest), 5),
               f"> {EXPANDED_FSC}", lowest > EXPANDED_FSC)


def subtraction(ledger: Ledger, chosen: Namespace) -> None:
    out, hinge = chosen.out / "subtraction", chosen.data / "maps" / "hinge"
    if not (out / "images" / "truth.star").is_file():
        parts = ("--map", hinge / "body.mrc", "--moving", hinge / "moving.mrc", "--hinge", 0, 0, 0, "--hinge_sigma", 0)
        simulator = chosen.checks / "simulate.py"
        demanded(run(sys.executable, simulator, *parts, "--out", out / "images", "-n", 3000, "--snr", 0.1, "--seed", 4))
    truth = out / "images" / "truth.star"
    reconstruct(truth, "C1", out / "before")
    mask = mask_of(mrc.read(hinge / "moving.mrc"))
    mrc.write(out / "mask.mrc", mask)
    job = ("--particles", truth, "--volume", out / "before", "--mask", out / "mask.mrc")
    demanded(halfmap("subtract", *job, "--out", out / "job", "--overwrite"))
    reconstruct(out / "job" / "particles.star", "C1", out / "after")
    before, after = (mrc.read(out / name / "map.mrc").data for name in ("before", "after"))
    inside, kept = mask.data >= 1, mask.data == 0
    left = power(after, inside) / power(before, inside)
    slope = dict(slopes(out / "job"))
    same = float(np.corrcoef(before[kept], after[kept])[0, 1])
    ledger.row("subtraction: power left inside the mask", round(left, 4), f"< {LEFT}", left < LEFT,
               greyscale_slopes=slope, correlation_outside=round(same, 4),
               power_outside=round(power(after, kept) / power(before, kept), 4))
    error = way_back(truth, out, slope)
    # own half-maps take the noise of the same particles away, too: what is left of the density itself
    true = mrc.read(hinge / "moving.mrc").data[inside]
    share = float((true @ after[inside]) / (true @ before[inside])) ** 2
    ledger.row("subtraction: power left of the density alone, by regression on the true part", round(share, 5),
               f"< {LEFT}", share < LEFT)
    ledger.row("subtraction: images plus what was taken, largest error over their deviation", f"{error:.1e}",
               f"< {ROUNDING}", error < ROUNDING)
    demanded(halfmap("revert", "--particles", out / "job" / "particles.star", "--original-poses", "--out", out / "back",
                     "--overwrite"))
    demanded(halfmap("import", "particles", "--particles", truth, "--out", out / "plain", "--overwrite"))
    tables = [(out / name / "particles.star").read_text() for name in ("back", "plain")]
    ledger.row("subtraction: the table after revert", tables[0] == tables[1], "the original's", tables[0] == tables[1])


def way_back(truth: Path, out: Path, slope: dict[str, float]) -> float:
    """Largest error of subtracted images plus projections, over the deviation of the images, of 200 particles."""
    original, new = relion.read(truth), relion.read(out / "job" / "particles.star")
    rows = np.arange(0, len(new), max(1, len(new) // 200))
    mask = mrc.read(out / "mask.mrc").data
    worst = 0.0
    for half in (1, 2):
        whole = mrc.read(out / "before" / f"half{half}.mrc")
        offset = np.arange(whole.box) - whole.box // 2
        far = offset[:, None, None] ** 2 + offset[:, None] ** 2 + offset**2 > (0.95 * whole.box / 2) ** 2
        part = Map((whole.data - np.float32(whole.data[far].mean())) * mask, whole.voxel_size_A)
        projector = subtract.projector(part)
        for row in rows[new.half[rows] == half]:
            one, optics = np.array([row]), new.optics[new.group[row]]
            shown = subtract.Shown(optics, new.defocus[one], new.poses[one], np.full(1, slope[optics.name]))
            raw = Stack(original).images(one)[0]
            again = Stack(new).images(one)[0] + subtract.images(projector, shown)[0]
            worst = max(worst, float(np.abs(again - raw).max() / raw.std()))
    return worst


def extraction(ledger: Ledger, chosen: Namespace) -> None:
    out, model = chosen.out / "extraction", chosen.data / "models" / "6cvm.pdb.gz"
    out.mkdir(parents=True, exist_ok=True)
    exact = BIG * FINE_A / SMALL
    for name, box, voxel in (("fine", BIG, FINE_A), ("coarse", SMALL, exact)):
        if not (out / f"{name}.mrc").is_file():
            demanded(run(sys.executable, chosen.checks / "model_to_map.py", model, out / f"{name}.mrc", voxel, box))
    common = ("-n", N, "--noise-rise", 0, "--seed", 5, "--overwrite")
    demanded(halfmap("simulate", "--map", out / "fine.mrc", "--snr", SNR, "--micrographs", MICROGRAPHS, "--float16",
                     *common, "--out", out / "micrographs"))
    # the same noise per frequency: fewer pixels, fewer frequencies
    demanded(halfmap("simulate", "--map", out / "coarse.mrc", "--snr", SNR * (BIG / SMALL) ** 2, *common,
                     "--out", out / "direct"))
    how = ("--box-size", BIG, "--rescale", SMALL, "--float16", "--recenter")
    demanded(halfmap("extract", "--particles", out / "micrographs" / "truth.star", "--micrographs",
                     out / "micrographs" / "micrographs.star", *how, "--out", out / "extracted", "--overwrite"))
    table = relion.read(out / "extracted" / "particles.star")
    ledger.row("extraction: pixel size in the table, A", table.optics[0].pixel_size_A, f"{exact}",
               table.optics[0].pixel_size_A == exact)
    half_pixel = FINE_A / 2
    largest = float(np.abs(table.poses.shifts_A).max())
    ledger.row("extraction: largest shift left by re-centring, A", round(largest, 4), f"<= {half_pixel}",
               largest <= half_pixel + 1e-9)
    shells_ = [reconstructed_shell(out / source, out / name)
               for source, name in (("extracted/particles.star", "map_extracted"), ("direct/truth.star", "map_direct"))]
    ledger.row("extraction: shells lost against particles simulated directly", round(float(shells_[1] - shells_[0]), 2),
               f"<= {SHELLS_LOST}", abs(shells_[1] - shells_[0]) <= SHELLS_LOST,
               resolution_A=[round(float(SMALL * exact / shell), 3) for shell in shells_])


def reconstructed_shell(particles: Path, out: Path) -> float:
    """Where the corrected FSC of a reconstruction with the poses of the table, smoothed, crosses 0.143, in shells."""
    reconstruct(particles, "D2", out)
    corrected = np.array(json.loads((out / "fsc.json").read_text())["corrected"], float)
    smooth = np.convolve(corrected, np.full(SMOOTHED, 1 / SMOOTHED), "same")
    after = SMOOTHED + int(np.argmax(smooth[SMOOTHED:] < curves.THRESHOLD))
    return after - 1 + (smooth[after - 1] - curves.THRESHOLD) / (smooth[after - 1] - smooth[after])


def round_trips(ledger: Ledger, chosen: Namespace) -> None:
    found = sorted((chosen.data / "metadata").glob("*.star")) + sorted((chosen.data / "metadata").glob("*.cs"))
    if not found:
        ledger.skipped("round trips", f"no tables in {chosen.data / 'metadata'}")
    chosen.out.mkdir(parents=True, exist_ok=True)
    for path in found:
        first, other = ("star", "cs") if path.suffix == ".star" else ("cs", "star")
        kinds = {"star": relion, "cs": cryosparc}
        before = kinds[first].read_table(path)
        kinds[other].write(chosen.out / f"there.{other}", before)
        there = kinds[other].read_table(chosen.out / f"there.{other}")
        kinds[first].write(chosen.out / f"back.{first}", there)
        back = kinds[first].read_table(chosen.out / f"back.{first}")
        lost = sorted(columns(path) - columns(chosen.out / f"back.{first}"))
        angle = largest_angle(before, there, back)
        same = all(images(table) == images(before) for table in (there, back))
        holds = not moved(lost) and angle < ANGLE_DEG and same
        ledger.row(f"round trip of {path.name}: columns lost, largest angle (deg), same images",
                   f"{len(moved(lost))}, {angle:.1e}, {same}", f"0, < {ANGLE_DEG}, True", holds, replaced=lost)


def columns(path: Path) -> set[str]:
    if path.suffix == ".cs":
        return set(cs.read(path).dtype.names)
    return {tag for block in star.read(path).values() for tag in block.columns}


def moved(lost: list[str]) -> list[str]:
    """Columns that are lost: not those of RELION 3.0 that 3.1 has in the optics table or in A."""
    replaced = {*relion._MOVED_TO_OPTICS, *relion.ORIGIN_PX}
    return [tag for tag in lost if tag not in replaced]


def largest_angle(before: Particles, *others: Particles) -> float:
    if before.poses is None:
        return 0.0
    return max(float(np.rad2deg(rotations.angle_between(before.poses.rotations, table.poses.rotations)).max())
               for table in others)


def images(table: Particles) -> list[tuple[str, int]]:
    names = [image_names.written(file) for file in table.files]
    return [(names[file], index) for file, index in zip(table.file.tolist(), table.index.tolist(), strict=True)]


def reconstruct(particles: Path, symmetry: str, out: Path) -> dict:
    job = ("--particles", particles, "--symmetry", symmetry, "--seed", 1)
    demanded(halfmap("reconstruct", *job, "--out", out, "--overwrite"))
    return summary(out)


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def slopes(folder: Path) -> dict[str, float]:
    return summary(folder)["greyscale_slopes"]


def fsc(a: Path, b: Path) -> np.ndarray:
    return curves.curve(mrc.read(a), mrc.read(b)).values


def power(data: np.ndarray, where: np.ndarray) -> float:
    return float(np.square(data[where], dtype=np.float64).sum())


def mask_of(part: Map) -> Map:
    """Soft mask of a part: its density above 5 % of the maximum at 10 A, 7 A further, an edge of 21 A."""
    smooth = filters.lowpass(part, 10.0)
    binary = smooth.data > 0.05 * smooth.data.max()
    return Map(masks.soft(binary, 7.0 / part.voxel_size_A, 28.0 / part.voxel_size_A), part.voxel_size_A)


ROWS = {"expansion": expansion, "subtraction": subtraction, "extraction": extraction, "round_trips": round_trips}


def main() -> None:
    flags = parser(__doc__)
    for name in ("bench", "checks", "data", "out"):
        flags.add_argument(f"--{name}", type=Path, required=True)
    flags.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS))
    chosen = flags.parse_args()
    ledger = Ledger(chosen.ledger)
    for name in chosen.only:
        ROWS[name](ledger, chosen)
    ledger.exit()


if __name__ == "__main__":
    main()
