"""The mask of a domain from a map, without another program: `halfmap mask segment` on a map whose bodies are known.

    mask_chain.py --data DIR --out DIR [--box 300] [--draws 20] [--ledger FILE]

Maps of the data folder: maps/slac_multibody (90 px of 4.10 A) with the seven body masks its depositors refined it by,
and maps/hinge, a body and a hinged domain that were simulated apart and are added here.
1. The chain of cryoSPARC's local refinement tutorial: Gaussian of 2 px, regions, those of one body chosen, threshold
   0.05, dilated by 5 px, soft edge of 17 px. Mask within 0 and 1, on the grid of the map; its edge against
   0.5 + 0.5 cos(pi d / 17) at exact distances (nearest neighbour in a tree, not the distance transform of the mask);
   mask_base.mrc binarised at 0.05 against the regions chosen.
2. Processor seconds of the chain, reading and writing included, at 90 px and resampled to ``--box``; beside it the
   seconds of the command on the wall, with pictures and report.
3. Do regions keep to bodies? A voxel above the threshold belongs to the body whose mask (or smoothed density, of the
   hinge) is highest there, if the mask exceeds 0.5. *Purity*: voxels that lie in the main body of their region, over
   all in bodies. *Dice* of a body: with the union of the regions that lie mostly in it. Both against partitions of the
   same voxels into as many cells about random seeds (``--draws``), which are compact, too, but know no density. With
   the default steps, and, printed only, with fewer: the smaller the cells, the better any partition does.
"""

from __future__ import annotations

import gzip
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ledger import Ledger, demanded, halfmap, parser
from scipy.spatial import cKDTree

from halfmap.io import mrc
from halfmap.maps import masks, resample, segment
from halfmap.types import Map

SDEV, THRESHOLD, DILATION, EDGE = 2.0, 0.05, 5.0, 17.0  # of the tutorial; px, map units, px, px
BODIES = 7
CHOSEN_BODY = 1  # the largest but the core
STEPS = (1, 2, 3, 4)
EDGE_ERROR, SECONDS = 0.01, {90: 5.0, 300: 60.0}


def unpacked(packed: Path, folder: Path) -> Map:
    """The map of a gzipped file."""
    path = folder / packed.stem
    with gzip.open(packed) as source, open(path, "wb") as target:
        shutil.copyfileobj(source, target)
    return mrc.read(path)


def owners(bodies: list[np.ndarray], labels: np.ndarray, least: float) -> np.ndarray:
    """Body of each voxel above the threshold, in their order; -1 where none exceeds ``least``."""
    values = np.stack([body[labels > 0] for body in bodies])
    return np.where(values.max(axis=0) > least, values.argmax(axis=0), -1)


def shared(cells: np.ndarray, owner: np.ndarray, bodies: int) -> np.ndarray:
    """(cells, bodies + 1) voxels; cells count from 0, the last column is no body."""
    table = np.zeros((cells.max() + 1, bodies + 1), int)
    np.add.at(table, (cells, owner), 1)
    return table


def purity(table: np.ndarray) -> float:
    """Voxels in the main body of their cell, over all voxels in bodies."""
    return float(table[:, :-1].max(axis=1).sum() / table[:, :-1].sum())


def dice(table: np.ndarray) -> np.ndarray:
    """(bodies,) of each body with the union of the cells that lie mostly in it."""
    mostly = table.argmax(axis=1)
    found = np.zeros(table.shape[1] - 1)
    for body in range(len(found)):
        union = table[mostly == body]
        found[body] = 2 * union[:, body].sum() / (union.sum() + table[:, body].sum())
    return found


def random_cells(voxels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Cell of each voxel: the nearest of ``count`` of them drawn at random."""
    return cKDTree(voxels[rng.choice(len(voxels), count, replace=False)]).query(voxels)[1]


@dataclass(frozen=True)
class Compared:
    """Regions of one segmentation, and random cells as many."""

    regions: int
    purity: float
    dice: np.ndarray  # (bodies,)
    random_purity: np.ndarray  # (draws,)
    random_dice: np.ndarray  # (draws, bodies)


def compared(smooth: Map, bodies: list[np.ndarray], least: float, steps: int, draws: int) -> Compared:
    rng = np.random.default_rng(1)
    found = segment.segment(smooth, None, steps)
    inside, count = found.labels > 0, len(found.numbers)
    owner, voxels = owners(bodies, found.labels, least), np.argwhere(inside)
    table = shared(found.labels[inside] - 1, owner, len(bodies))
    cells = [shared(random_cells(voxels, count, rng), owner, len(bodies)) for _ in range(draws)]
    return Compared(count, purity(table), dice(table), np.array([purity(cell) for cell in cells]),
                    np.stack([dice(cell) for cell in cells]))  # fmt: skip


def body_rows(ledger: Ledger, name: str, smooth: Map, bodies: list[np.ndarray], least: float, body: int,
              draws: int) -> None:
    """Part 3 for one map; ``body`` is the one whose Dice is a row."""
    *fewer, default = [compared(smooth, bodies, least, steps, draws) for steps in STEPS]
    mean = float(default.random_purity.mean())
    finer = [{"regions": c.regions, "purity": round(c.purity, 3), "dice": c.dice.round(2).tolist(),
              "random_purity": round(float(c.random_purity.mean()), 3),
              "random_dice": c.random_dice.mean(axis=0).round(2).tolist()} for c in fewer]  # fmt: skip
    what = f"{name}, {default.regions} regions"
    ledger.row(f"{what}: purity in bodies", round(default.purity, 3), f"> {mean:.3f}, mean of {draws} random",
               default.purity > mean, random_best=round(float(default.random_purity.max()), 3), with_fewer_steps=finer)
    best = float(default.random_dice[:, body].max())
    of_random = default.random_dice.mean(axis=0).round(2).tolist()
    ledger.row(f"{what}: Dice of body {body} of {len(bodies)}", round(float(default.dice[body]), 3),
               f"> {best:.3f}, best of {draws} random", default.dice[body] > best,
               of_each=default.dice.round(2).tolist(), random_mean=of_random)


def hinge(folder: Path) -> tuple[Map, list[np.ndarray]]:
    """The hinge map, smoothed, and the smoothed densities of its two parts."""
    parts = [mrc.read(folder / f"{name}.mrc") for name in ("body", "moving")]
    whole = Map(parts[0].data + parts[1].data, parts[0].voxel_size_A)
    return segment.smoothed(whole, SDEV), [segment.smoothed(part, SDEV).data for part in parts]


def of_body(map: Map, body: Map) -> list[int]:
    """Regions of the map that lie mostly in a body, as the command below makes them."""
    found = segment.segment(segment.smoothed(map, SDEV), THRESHOLD)
    return [n for n in found.numbers if (body.data[found.labels == n] > 0.5).mean() > 0.5]


def command(volume: Path, numbers: list[int], out: Path):
    """The chain as a user runs it."""
    settings = {"gaussian-sdev": SDEV, "threshold": THRESHOLD, "dilation": DILATION, "soft-edge": EDGE,
                "choose": ",".join(map(str, numbers))}  # fmt: skip
    flags = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return demanded(halfmap("mask", "segment", "--volume", volume, "--out", out, "--overwrite", *flags))


def mask_rows(ledger: Ledger, volume: Path, numbers: list[int], out: Path) -> None:
    """Part 1."""
    command(volume, numbers, out)
    map, mask, base, labels = (mrc.read(path) for path in (
        volume, out / "mask.mrc", out / "mask_base.mrc", out / "regions.mrc"))
    low, high = float(mask.data.min()), float(mask.data.max())
    ledger.row("mask: lowest and highest value", [low, high], "0 and 1", (low, high) == (0.0, 1.0))
    same = mask.box == map.box and abs(mask.voxel_size_A - map.voxel_size_A) < 1e-6
    ledger.row("mask: on the grid of the map", same, "True", same)
    chosen = np.isin(labels.data, numbers)
    differ = int(((base.data > THRESHOLD) != chosen).sum())
    ledger.row("mask_base.mrc above 0.05: voxels that differ from the regions chosen", differ, "= 0", differ == 0)
    everywhere = np.argwhere(np.ones_like(chosen))
    distance = cKDTree(np.argwhere(chosen)).query(everywhere)[0].reshape(chosen.shape)
    wanted = 0.5 + 0.5 * np.cos(np.pi * np.clip((distance - DILATION) / EDGE, 0, 1))
    error = float(np.abs(mask.data - wanted).max())
    ledger.row("mask: largest difference from 0.5 + 0.5 cos(pi d / 17)", f"{error:.1e}", f"<= {EDGE_ERROR}",
               error <= EDGE_ERROR, regions=numbers, filled=round(float(chosen.mean()), 4))


def seconds_row(ledger: Ledger, volume: Path, numbers: list[int], out: Path) -> None:
    """Part 2, for one map; the second of two rounds, kernels compiled."""
    for _ in range(2):
        began = time.process_time()
        map = mrc.read(volume)
        found = segment.segment(segment.smoothed(map, SDEV), THRESHOLD)
        mrc.write(out / "regions_alone.mrc", Map(found.labels.astype(np.float32), map.voxel_size_A))
        base = segment.base(found, numbers)
        mrc.write(out / "mask_alone.mrc", Map(masks.soft(base.data > THRESHOLD, DILATION, DILATION + EDGE),
                                              map.voxel_size_A))  # fmt: skip
        spent = time.process_time() - began
    whole = command(volume, numbers, out)
    limit = SECONDS[min(SECONDS, key=lambda box: abs(box - map.box))]
    ledger.row(f"{map.box} px: processor seconds of the chain", round(spent, 2), f"< {limit:g}", spent < limit,
               command_wall_s=round(whole.seconds, 1), regions=len(found.numbers),
               peak_memory_GB=json.loads((out / "summary.json").read_text())["peak_memory_GB"])


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--data", type=Path, required=True)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--box", type=int, default=300)
    flags.add_argument("--draws", type=int, default=20)
    given = flags.parse_args()
    ledger, source = Ledger(given.ledger), given.data / "maps" / "slac_multibody"
    given.out.mkdir(parents=True, exist_ok=True)
    volume = source / "relion_locres_filtered.mrc"
    map = mrc.read(volume)
    bodies = [unpacked(source / f"body_mask_{body}.mrc.gz", given.out) for body in range(BODIES)]
    numbers = of_body(map, bodies[CHOSEN_BODY])
    mask_rows(ledger, volume, numbers, given.out / "job")
    seconds_row(ledger, volume, numbers, given.out / "job")
    large = given.out / "large.mrc"
    mrc.write(large, resample.fourier_crop(map, given.box))
    seconds_row(ledger, large, [1, 2, 3], given.out / "job")
    body_rows(ledger, "slac_multibody", segment.smoothed(map, SDEV), [body.data for body in bodies], 0.5, CHOSEN_BODY,
              given.draws)
    body_rows(ledger, "hinge", *hinge(given.data / "maps" / "hinge"), 0.0, 1, given.draws)
    ledger.exit()


if __name__ == "__main__":
    main()
