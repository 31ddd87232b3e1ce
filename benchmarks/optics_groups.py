"""Two optics groups of different pixel size and box against one group of as many images.

    optics_groups.py --bench DIR --checks DIR --out DIR [--ledger FILE]

The sets "6cvm_128" and "two_groups" of make_data.py hold as many images of the same molecule with as much noise per
frequency; half of the second have larger pixels in another box. Compared is the shell where the FSC of the map with
the truth falls below 0.5, on the grid of the truth, as far as both groups have data (1.8 A pixels end at 3.6 A).
"""

from __future__ import annotations

from pathlib import Path

from ledger import Ledger, check, parser, refine

from halfmap.io import mrc
from halfmap.maps import resample

MOST_SHELLS = 1.0


def main() -> None:
    flags = parser(__doc__)
    for name in ("bench", "checks", "out"):
        flags.add_argument(f"--{name}", type=Path, required=True)
    chosen = flags.parse_args()
    ledger, truth = Ledger(chosen.ledger), chosen.bench / "6cvm_128" / "map.mrc"
    shells, resolutions = {}, {}
    for name in ("6cvm_128", "two_groups"):
        job = refine(chosen.bench / name / "particles.star", truth, "D2", chosen.out / name, "--seed", 1)
        wanted, found = mrc.read(truth), mrc.read(job.folder / "map.mrc")  # the longer box sets that of the map
        mrc.write(job.folder / "cropped.mrc", resample.crop_pad(found, wanted.box))
        length_A = wanted.box * wanted.voxel_size_A
        shells[name] = length_A / check(chosen.checks, "fsc", job.folder / "cropped.mrc", truth)["resolution_05_A"]
        resolutions[name] = round(job.summary["resolution_A"], 3)
    lost = shells["6cvm_128"] - shells["two_groups"]
    ledger.row("two optics groups (1.5 A, 128 px and 1.8 A, 108 px) against one: shells of the FSC with truth at 0.5",
               round(lost, 2), f"within {MOST_SHELLS:g}", abs(lost) <= MOST_SHELLS, shells=shells,
               resolutions_A=resolutions)
    ledger.exit()


if __name__ == "__main__":
    main()
