"""Local resolution of halves whose two sides end at known resolutions, and of noise.

    local_resolution.py [--box 96] [--voxel 2] [--seeds 3] [--ledger FILE]

A ball with the spectrum of a protein is low-passed to 6 A at x > 0 and to 12 A at x < 0, and white noise is added, a
tenth, a third or all of its standard deviation. The medians are those of voxels more than 8 from the border. The width
of the bands was chosen on this object. Two others are only measured: a ball of 96 A inside a shell 29 A thick, either
of them the fine part. At 12 A the window is 84 A wide, so the coarse parts are hardly wider than it, or thinner.
"""

from __future__ import annotations

import time

import numpy as np
from ledger import Ledger, parser

from halfmap.maps import filters, masks
from halfmap.types import Map
from halfmap.validate import local_resolution
from halfmap.validate.local_resolution import Settings

FINE_A, COARSE_A = 6.0, 12.0
WITHIN = 0.1
AWAY = 8  # voxels from the border
NOISES = (0.1, 0.3, 1.0)


def sides(box: int) -> np.ndarray:
    """1 at x > 0, 0 at x < 0, (box, box, box)."""
    side = (0.5 + 0.5 * np.tanh((np.arange(box) - box // 2) / 2)).astype(np.float32)
    return np.broadcast_to(side, (box,) * 3)


def core(box: int) -> np.ndarray:
    """1 in a ball in the middle."""
    return masks.sphere(box, 0.25 * box, 4)


def halves(side: np.ndarray, voxel_A: float, noise_sd: float, rng: np.random.Generator) -> tuple[list[Map], np.ndarray]:
    """Both halves, fine where ``side`` is 1 and coarse where it is 0, and the mask of the ball."""
    box = len(side)

    def white() -> np.ndarray:
        return rng.standard_normal((box,) * 3).astype(np.float32)

    texture = filters.bfactor(Map(white(), voxel_A), 150.0).data
    ball = masks.sphere(box, 0.4 * box, 3)
    body = Map(ball * (1 + 3 * texture / texture.std()), voxel_A)
    fine, coarse = (filters.lowpass(body, resolution, 1.0).data for resolution in (FINE_A, COARSE_A))
    truth = side * fine + (1 - side) * coarse
    return [Map(truth + np.float32(noise_sd * truth.std()) * white(), voxel_A) for _ in range(2)], ball


def measure(ledger: Ledger, name: str, side: np.ndarray, away: tuple[np.ndarray, np.ndarray], voxel_A: float,
            noise_sd: float, seeds: int) -> None:
    """Medians of ``seeds`` objects; ``away``: where the fine and the coarse one are judged."""
    found, begun = {FINE_A: [], COARSE_A: []}, time.process_time()
    for seed in range(seeds):
        pair, ball = halves(side, voxel_A, noise_sd, np.random.default_rng(seed))
        local = local_resolution.local_resolution(*pair, ball, Settings())
        for truth, there in zip((FINE_A, COARSE_A), away, strict=True):
            found[truth].append(float(np.median(local.map.data[local.inside & there])))
    seconds = (time.process_time() - begun) / seeds
    for truth, values in found.items():
        worst = max(values, key=lambda value, truth=truth: abs(value / truth - 1))
        ledger.row(f"local resolution, {name}: {truth:g} A beside {18 - truth:g} A, noise {noise_sd:g} sd: worst "
                   f"median of {seeds}, A", round(worst, 2), f"+- {WITHIN:.0%}", abs(worst / truth - 1) <= WITHIN,
                   medians_A=[round(value, 2) for value in values], processor_seconds=round(seconds, 1))


def measure_noise(ledger: Ledger, box: int, voxel_A: float, threshold: float, seeds: int) -> None:
    parts = []
    for seed in range(seeds):
        rng = np.random.default_rng(100 + seed)
        pair = [Map(rng.standard_normal((box,) * 3).astype(np.float32), voxel_A) for _ in range(2)]
        found = local_resolution.local_resolution(*pair, masks.sphere(box, 0.35 * box, 4), Settings(threshold))
        parts.append(found.unresolved)
    ledger.row(f"local resolution of noise, threshold {threshold:g}: least part of the mask without a claim",
               round(min(parts), 4), ">= 0.999", min(parts) >= 0.999)


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--box", type=int, default=96)
    flags.add_argument("--voxel", type=float, default=2.0)
    flags.add_argument("--seeds", type=int, default=3)
    chosen = flags.parse_args()
    ledger, box = Ledger(chosen.ledger), chosen.box
    x, middle = np.broadcast_to(np.arange(box) - box // 2, (box,) * 3), core(box)
    objects = {
        "two sides": (sides(box), (x > AWAY, x < -AWAY)),
        "fine core": (middle, (middle == 1, middle == 0)),
        "coarse core": (1 - middle, (middle == 0, middle == 1)),
    }
    for name, (side, away) in objects.items():
        for noise_sd in NOISES:
            measure(ledger, name, side, away, chosen.voxel, noise_sd, chosen.seeds)
    for threshold in (0.5, 0.143):
        measure_noise(ledger, chosen.box, chosen.voxel, threshold, chosen.seeds)
    ledger.exit()


if __name__ == "__main__":
    main()
