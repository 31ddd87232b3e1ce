"""Maps turned, moved and mirrored at random, under noise, and brought back onto their reference.

    align_maps.py [--map MAP.mrc --symmetry D2] [--box 64] [--cases 50] [--snr 1] [--ledger FILE]

Without --map the object is a simulated molecule without symmetry, another one in each case. Map and reference carry
independent white noise of the variance of the map over the SNR, in the whole box. Each second map is mirrored, and the
hand is always tested. Errors are those of the nearest symmetry mate. The time is that of one core, processor seconds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from ledger import Ledger, parser

from halfmap import device, simulate
from halfmap.align import maps
from halfmap.geometry import frames, rotations, symmetry
from halfmap.geometry.frames import Frame
from halfmap.io import mrc
from halfmap.maps import resample, turn
from halfmap.types import Map

MOST_DEG, MOST_PX, MOST_S = 0.5, 0.2, 5.0
VOXEL_A, FARTHEST_PX = 3.0, 6.0


def truth(chosen: argparse.Namespace, group: np.ndarray, rng: np.random.Generator) -> Map:
    if chosen.map is None:
        return simulate.protein_like(chosen.box, VOXEL_A, group, rng)
    given = mrc.read(chosen.map)
    return resample.fourier_crop(given, chosen.box)


def noisy(map: Map, snr: float, rng: np.random.Generator) -> Map:
    noise = rng.standard_normal(map.data.shape) * map.data.std() / np.sqrt(snr)
    return Map((map.data + noise).astype(np.float32), map.voxel_size_A)


def case(chosen: argparse.Namespace, group: np.ndarray, number: int) -> dict:
    """Errors and time of one alignment."""
    rng = np.random.default_rng(number)
    map = truth(chosen, group, rng)
    moved_A = rng.uniform(-FARTHEST_PX, FARTHEST_PX, 3) * map.voxel_size_A
    astray = Frame(rotations.random(1, rng)[0], moved_A)
    astray = astray.after(frames.mirror()) if number % 2 else astray
    reference, moved = noisy(map, chosen.snr, rng), noisy(turn.placed(map, astray), chosen.snr, rng)
    begun = time.process_time()
    found = maps.find(moved, reference, test_hand=True)
    seconds = time.process_time() - begun
    rest = found.frame.after(astray)
    right = not rest.mirrored
    angle = symmetry.distance(rest.rotation[None], np.eye(3)[None], group)[0] if right else np.pi
    px = float(np.linalg.norm(rest.centre_A)) / map.voxel_size_A
    return {"deg": float(np.rad2deg(angle)), "px": px, "right": right, "seconds": seconds,
            "told_deg": found.rotation_sd_deg, "told_px": found.shift_sd_A / map.voxel_size_A}  # fmt: skip


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--map", type=Path)
    flags.add_argument("--symmetry", default="C1")
    flags.add_argument("--box", type=int, default=64)
    flags.add_argument("--cases", type=int, default=50)
    flags.add_argument("--snr", type=float, default=1.0)
    chosen = flags.parse_args()
    device.set_threads(1)
    ledger, group = Ledger(chosen.ledger), symmetry.group(chosen.symmetry)
    case(chosen, group, 0)  # compiles
    done = [case(chosen, group, number) for number in range(chosen.cases)]
    name = f"{chosen.symmetry}, {chosen.box} px, SNR {chosen.snr:g}: {chosen.cases} alignments"
    worst = {key: max(one[key] for one in done) for key in ("deg", "px", "seconds")}
    keys = ("deg", "px", "told_deg", "told_px")
    rms = {key: float(np.sqrt(np.mean([one[key] ** 2 for one in done]))) for key in keys}
    hands = sum(one["right"] for one in done)
    ledger.row(f"{name}: right hand", hands, f"= {len(done)}", hands == len(done))
    ledger.row(f"{name}: largest rotation error, deg", round(worst["deg"], 3), f"< {MOST_DEG}", worst["deg"] < MOST_DEG,
               rms=round(rms["deg"], 4), foretold=round(rms["told_deg"], 4))  # fmt: skip
    ledger.row(f"{name}: largest shift error, px", round(worst["px"], 3), f"< {MOST_PX}", worst["px"] < MOST_PX,
               rms=round(rms["px"], 4), foretold=round(rms["told_px"], 4))  # fmt: skip
    ledger.row(f"{name}: longest time on one core, both hands, s", round(worst["seconds"], 2), f"< {MOST_S:g}",
               worst["seconds"] < MOST_S)  # fmt: skip
    ledger.exit()


if __name__ == "__main__":
    main()
