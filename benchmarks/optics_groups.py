"""Two optics groups of different pixel size and box against one group of as many images.

    optics_groups.py --bench DIR --checks DIR --out DIR [--ledger FILE]

The sets "one_group" and "two_groups" of make_data.py hold as many images of the same molecule with as much noise per
frequency; half of the second have larger pixels in another box. Compared is the shell where the FSC of the map with
the truth falls below 0.5, on the grid of the truth, as far as both groups have data (1.8 A pixels end at 3.6 A).
"""

from __future__ import annotations

from pathlib import Path

from ledger import Ledger, check, parser, refine
from simulated import crossing

MOST_SHELLS = 1.0


def main() -> None:
    flags = parser(__doc__)
    for name in ("bench", "checks", "out"):
        flags.add_argument(f"--{name}", type=Path, required=True)
    chosen = flags.parse_args()
    ledger, truth = Ledger(chosen.ledger), chosen.bench / "one_group" / "map.mrc"
    shells, resolutions = {}, {}
    for name in ("one_group", "two_groups"):
        job = refine(chosen.bench / name / "particles.star", truth, "D2", chosen.out / name, "--seed", 1)
        shells[name] = crossing(check(chosen.checks, "fsc", job.folder / "map.mrc", truth)["fsc"], 0.5)
        resolutions[name] = round(job.summary["resolution_A"], 3)
    lost = shells["one_group"] - shells["two_groups"]
    ledger.row("two optics groups (1.5 A, 144 px and 1.8 A, 120 px) against one: shells of the FSC with truth at 0.5",
               round(lost, 2), f"within {MOST_SHELLS:g}", abs(lost) <= MOST_SHELLS, shells=shells,
               resolutions_A=resolutions)
    ledger.exit()


if __name__ == "__main__":
    main()
