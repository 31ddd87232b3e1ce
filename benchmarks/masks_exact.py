"""Dilation and soft edge of a mask at any radius: equal to their formula, and how long they take.

    masks_exact.py [--box 256] [--small 40] [--ledger FILE]

1. On ``--small`` voxels: the largest difference from the formula with the distance to the nearest of all voxels of the
   region, found by comparing all with all, for a needle, a plate and scattered voxels and radii from 0 to 60.
2. On ``--box`` voxels: seconds of dilation and soft edge around a flat ellipsoid and around scattered voxels, for radii
   from 0 to the box; a repeated dilation by one voxel would take as many steps as the radius has voxels.
3. Seconds to judge such a mask (edge, islands, border).
"""

from __future__ import annotations

import time

import numpy as np
from ledger import Ledger, parser

from halfmap.maps import mask_faults, mask_making
from halfmap.maps.mask_making import Steps

ROUNDING = 6e-8  # half a unit in the last place of a float32 near 1
MOST_SECONDS = 5.0
RADII = ((0.0, 12.0), (5.0, 17.0), (2.5, 0.0), (20.3, 30.1), (60.0, 60.0))


def needle(box: int) -> np.ndarray:
    region = np.zeros((box,) * 3, dtype=bool)
    region[box // 4, box // 3, 2 : box - 2] = True
    return region


def plate(box: int) -> np.ndarray:
    region = np.zeros((box,) * 3, dtype=bool)
    region[box // 2, box // 4 : box // 2, box // 5 : -box // 5] = True
    return region


def scattered(box: int) -> np.ndarray:
    return np.random.default_rng(1).random((box,) * 3) < 30 / box**3


def ellipsoid(box: int) -> np.ndarray:
    z, y, x = (axis - box // 2 for axis in np.ogrid[:box, :box, :box])
    return (2.0 * z / box) ** 2 * 16 + (2.0 * y / box) ** 2 * 6 + (2.0 * x / box) ** 2 * 3 < 1


def formula(region: np.ndarray, steps: Steps) -> np.ndarray:
    points = np.argwhere(region)
    grid = np.stack(np.indices(region.shape), axis=-1).reshape(-1, 3)
    d = np.sqrt([((points - voxel) ** 2).sum(axis=1).min() for voxel in grid]).reshape(region.shape)
    if steps.soft_px == 0:
        return (d <= steps.dilation_px).astype(float)
    return 0.5 + 0.5 * np.cos(np.pi * np.clip((d - steps.dilation_px) / steps.soft_px, 0, 1))


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--box", type=int, default=256)
    flags.add_argument("--small", type=int, default=40)
    chosen = flags.parse_args()
    ledger = Ledger(chosen.ledger)
    for radii in RADII:
        steps = Steps(*radii)
        regions = [shape(chosen.small) for shape in (needle, plate, scattered)]
        worst = max(np.abs(mask_making.made(region, steps) - formula(region, steps)).max() for region in regions)
        ledger.row(f"dilation {radii[0]:g}, soft edge {radii[1]:g}: largest difference from the formula",
                   f"{worst:.1e}", f"<= {ROUNDING:g}", worst <= ROUNDING)
    for shape in (ellipsoid, scattered):
        region = shape(chosen.box)
        for radii in (*RADII, (float(chosen.box), 12.0)):
            begun = time.perf_counter()
            mask = mask_making.made(region, Steps(*radii))
            seconds = time.perf_counter() - begun
            ledger.row(f"{shape.__name__}, {chosen.box} px, dilation {radii[0]:g}, soft edge {radii[1]:g}: seconds",
                       round(seconds, 2), f"<= {MOST_SECONDS:g}", seconds <= MOST_SECONDS)
    begun = time.perf_counter()
    mask_faults.measured(mask_making.made(ellipsoid(chosen.box), Steps(5.0, 17.0)))
    seconds = time.perf_counter() - begun
    ledger.row(f"ellipsoid, {chosen.box} px: seconds to make and judge its mask", round(seconds, 2),
               f"<= {MOST_SECONDS:g}", seconds <= MOST_SECONDS, filled=round(float(mask.mean()), 3))
    ledger.exit()


if __name__ == "__main__":
    main()
