"""RELION makes our map from our particles.star: FSC of relion_reconstruct with the mean of our half-maps.

    relion_reads.py --bench DIR --out DIR [--set 6cvm_128:D2] [--refined DIR] [--ledger FILE]

``--refined``: the folder of a refinement of that set that is there already. relion_reconstruct --ctf weights images by
their CTF alone and masks none of them, we also by the noise of their optics group, and inside a circle; so the maps are
compared inside mask_fsc.mrc, as both are when they are judged. A second row takes RELION's half-maps (--subset 1, 2)
apart: their mean differs from one map of all images where the halves sample Fourier space unequally, and ours is such a
mean.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from ledger import Job, Ledger, demanded, parser, refine, run

from halfmap.io import mrc
from halfmap.types import Map
from halfmap.validate import fsc

AT_LEAST = 0.99
PROGRAM = "relion_reconstruct"


def reconstructed(folder: Path, symmetry: str, name: str, *more: object) -> Map:
    """Map by RELION of the job in ``folder``. Image names start from the current directory, where RELION looks too."""
    path = folder / name
    inputs = ("--i", folder / "particles.star", "--o", path, "--ctf", "--sym", symmetry)
    demanded(run(PROGRAM, *inputs, *more))
    return mrc.read(path)


def mean(a: Map, b: Map) -> Map:
    return Map((a.data + b.data) / 2, a.voxel_size_A)


def compare(ledger: Ledger, measure: str, job: Job, theirs: Map) -> None:
    """One row: the lowest FSC up to the resolution, with where it is, and the same without a mask."""
    ours = mean(*(mrc.read(job.folder / f"half{i}.mrc") for i in (1, 2)))
    theirs = Map(theirs.data, ours.voxel_size_A)  # RELION 3 rounds the voxel size in the header
    last = int(ours.box * ours.voxel_size_A / job.summary["resolution_A"])
    masked = fsc.curve(ours, theirs, mrc.read(job.folder / "mask_fsc.mrc").data).values[1 : last + 1]
    unmasked = fsc.curve(ours, theirs).values[1 : last + 1]
    worst = int(np.argmin(masked))
    ledger.row(measure, round(float(masked[worst]), 4), f"> {AT_LEAST}", masked[worst] > AT_LEAST, at_shell=worst + 1,
               last_shell=last, at_resolution=round(float(masked[-1]), 4), lowest_unmasked=round(unmasked.min(), 4))


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--bench", type=Path, required=True)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--set", default="6cvm_128:D2", metavar="NAME:SYMMETRY")
    flags.add_argument("--refined", type=Path, help="job folder of a refinement to take, instead of running one")
    chosen = flags.parse_args()
    ledger, (name, symmetry) = Ledger(chosen.ledger), chosen.set.split(":")
    if shutil.which(PROGRAM) is None:
        return ledger.skipped("FSC with relion_reconstruct", f"{PROGRAM} not found: install RELION")
    source = chosen.bench / name
    job = Job(chosen.refined, None) if chosen.refined else refine(
        source / "particles.star", source / "map.mrc", symmetry, chosen.out, "--seed", 1)
    everything = reconstructed(job.folder, symmetry, "relion.mrc")
    halves = [reconstructed(job.folder, symmetry, f"relion_half{i}.mrc", "--subset", i) for i in (1, 2)]
    compare(ledger, f"{name}: lowest FSC to the resolution, relion_reconstruct with our mean", job, everything)
    compare(ledger, f"{name}: the same with the mean of RELION's halves", job, mean(*halves))
    ledger.exit()


if __name__ == "__main__":
    main()
