"""Real particles: symmetry expansion, then local refinement of one half of the complex (EMPIAR-10204, D2).

    half_complex.py --data DIR --out DIR [--ledger FILE]

Homogeneous refinement in D2, every particle at its four mates, and a local refinement in C1 with the prior for parts
that are nearly aligned. The mask is that of the particle up to a soft plane through the centre, across that twofold
axis near whose plane there is least density. Rows:
1. Every copy has the half-set of its parent.
2. Resolution in that mask after, against before: corrected FSC of the half-maps at 0.143.
3. The mean of that corrected FSC from 12.6 to 7.3 A.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ledger import Job, Ledger, demanded, halfmap, parser, refine

from halfmap.data import relion
from halfmap.io import mrc
from halfmap.maps import masks
from halfmap.types import Map
from halfmap.validate import fsc

EDGE_A = 36.0  # width of the soft plane: five resolutions
PRIOR = ("--use-alignment-prior", "--prior-rotation", 3, "--prior-shift", 2)
WORSE, FROM_A, TO_A = 1.01, 12.6, 7.3  # as real_data.py
MEAN_WORSE = 0.01  # of the mean FSC: 0.01 is what a run with another seed differs by


def half_of(map: Map, whole: Map) -> Map:
    """The mask on one side of a plane."""
    x = (np.arange(map.box) - map.box // 2) * map.voxel_size_A
    across = [np.abs(map.data).sum(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    axis = int(np.argmin([density[abs(x) < EDGE_A / 2].sum() / density.sum() for density in across]))
    step = 0.5 + 0.5 * np.sin(np.pi * np.clip(x / EDGE_A, -0.5, 0.5))
    shape = [map.box if a == axis else 1 for a in range(3)]
    return Map((whole.data * step.reshape(shape)).astype(np.float32), whole.voxel_size_A)


def of_halves(folder: Path, mask: Map) -> tuple[float, float]:
    """Resolution in A and mean from FROM_A to TO_A of the corrected curve of a job's half-maps in a mask."""
    halves = [mrc.read(folder / f"half{i}.mrc") for i in (1, 2)]
    curve = fsc.masked_and_corrected(*halves, mask.data)["corrected"]
    length = curve.resolution_A(1)
    band = slice(round(length / FROM_A), round(length / TO_A) + 1)
    return fsc.resolution_A(curve), float(np.mean(curve.values[band]))


def kept_halves(before: Path, after: Path) -> float:
    """Part of the particles of ``after`` that are in the half-set that their image has in ``before``."""
    known, found = relion.read(before), relion.read(after)
    half = {(known.files[f], i): h for f, i, h in zip(known.file, known.index, known.half, strict=True)}
    images = zip(found.file, found.index, found.half, strict=True)
    return float(np.mean([half[found.files[f], i] == h for f, i, h in images]))


def run(data: Path, out: Path) -> tuple[Job, Job, Map]:
    """Refinement before, local refinement after, the mask."""
    folder, mask_file = data / "empiar-10204", out / "half.mrc"
    before = refine(folder / "particles.star", folder / "reference_100px.mrc", "D2", out / "whole", "--seed", 1)
    demanded(halfmap("symmetry-expand", "--particles", before.folder, "--symmetry", "D2", "--out", out / "expanded",
                     "--overwrite"))
    map = mrc.read(before.folder / "map.mrc")
    mask = half_of(map, masks.dynamic(map, 12.0, 0.2, 3.0, 20.0))
    mrc.write(mask_file, mask)
    words = ("refine", "local", "--particles", out / "expanded", "--volume", before.folder, "--mask", mask_file)
    done = demanded(halfmap(*words, *PRIOR, "--seed", 1, "--out", out / "half", "--overwrite"))
    return before, Job(out / "half", done), mask


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--data", type=Path, required=True)
    flags.add_argument("--out", type=Path, required=True)
    chosen = flags.parse_args()
    ledger = Ledger(chosen.ledger)
    chosen.out.mkdir(parents=True, exist_ok=True)
    before, after, mask = run(chosen.data, chosen.out)
    kept = kept_halves(before.folder / "particles.star", after.folder / "particles.star")
    ledger.row("EMPIAR-10204, D2 expanded, half of the complex: copies in the half-set of their parent", kept, "= 1",
               kept == 1, particles=after.summary["n_particles"], iterations=after.summary["iterations"],
               warnings=after.summary["warnings"])
    (was_A, was), (is_A, now) = (of_halves(job.folder, mask) for job in (before, after))
    ledger.row("EMPIAR-10204, half of the complex: resolution in its mask, A, after / before",
               f"{is_A:.2f} / {was_A:.2f}", "no worse", is_A <= WORSE * was_A)
    ledger.row(f"EMPIAR-10204, half of the complex: mean corrected FSC {FROM_A} to {TO_A} A, after / before",
               f"{now:.3f} / {was:.3f}", "no worse", now >= was - MEAN_WORSE)
    ledger.exit()


if __name__ == "__main__":
    main()
