"""Non-uniform refinement: does a disordered part cost the ordered one less than in a homogeneous refinement?

    nonuniform.py --out DIR [--data DIR] [--noise DIR] [--box 96] [--particles 3000] [--ledger FILE]

1. A core of D2 symmetry in a belt of its own blobs for every particle, as detergent is: both refinements from the same
   start. FSC with the truth in a soft mask around the core, of map.mrc and of the mean of the unfiltered halves: how
   much further out it crosses 0.5. The second is what better poses and weights bring, the first the filter as well.
   By itself each part of it, too: marginalisation alone, the filter alone.
2. With --data (see real_data.py): EMPIAR-10204 must not get worse.
3. With --noise (the set ``noise`` of make_data.py): images without a particle must claim no more.
4. The local filter of maps of 256 voxels, all that an iteration does with it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.ndimage
from ledger import Job, Ledger, demanded, halfmap, parser

from halfmap import simulate
from halfmap.data import relion
from halfmap.fourier import transforms
from halfmap.geometry import symmetry
from halfmap.io import mrc
from halfmap.maps import filters, masks
from halfmap.physics import ctf
from halfmap.reconstruct import nonuniform
from halfmap.simulate import Simulation
from halfmap.types import Map
from halfmap.validate import fsc

VOXEL_A = 1.5
CORE = 0.50  # diameter of the core over the box
BELT = (0.22, 0.38, 0.12)  # inner and outer radius, half height, over the box
BLOBS, BLOB_A = 700, 2.5  # in a belt, and their standard deviation; drawn anew for every particle
BELT_MASS = 4.0  # of the belt over that of the core
SNR = 0.01
FURTHER, NO_WORSE, FILTER_S = 1.05, 1.01, 60.0
FILTERED_BOX = 256


def make(folder: Path, box: int, n: int) -> None:
    """particles.star, truth.star, map.mrc (the core), start.mrc (core and mean belt), core_mask.mrc in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(11)
    core = simulate.protein_like(box, VOXEL_A, symmetry.group("D2"), rng, diameter_A=CORE * box * VOXEL_A)
    drawn = simulate.simulation(core, n, rng, simulate.Settings(shift_sd_A=2.0))
    mrc.write_stack(folder / "particles.mrcs", _images(drawn, core, rng), VOXEL_A, mode=2)
    truth = replace(drawn.particles, files=(folder / "particles.mrcs",))
    relion.write(folder / "particles.star", replace(truth, poses=None, half=np.zeros_like(truth.half)))
    relion.write(folder / "truth.star", truth)
    mrc.write(folder / "map.mrc", core)
    belt = np.histogramdd(_belt(200 * BLOBS, box, rng)[:, ::-1], [np.arange(-box // 2, box // 2 + 1) - 0.5] * 3)[0]
    belt *= BELT_MASS * core.data.sum() / belt.sum()
    start = core.data + scipy.ndimage.gaussian_filter(belt, BLOB_A / VOXEL_A)
    mrc.write(folder / "start.mrc", Map(start.astype(np.float32), VOXEL_A))
    around = filters.lowpass(core, 12.0)
    mrc.write(folder / "core_mask.mrc", masks.dynamic(around, 12.0, 0.15, 3.0, 12.0))


def _belt(count: int, box: int, rng: np.random.Generator) -> np.ndarray:
    """Points (count, 3) x, y, z in voxels from the centre, even within a short thick tube about z."""
    inner, outer, height = (part * box for part in BELT)
    radius = np.sqrt(rng.uniform(inner**2, outer**2, count))
    angle = rng.uniform(0, 2 * np.pi, count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), rng.uniform(-height, height, count)], axis=1)


def _images(drawn: Simulation, core: Map, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Core and belt under the CTF, with coloured noise; batches (b, N, N)."""
    box, first = core.box, 0
    mass = BELT_MASS * float(core.data.sum()) / BLOBS
    sd = None
    for clean in drawn.clean():
        rows = np.arange(first, first + len(clean))
        first += len(clean)
        whole = clean + mass * _belts(drawn, rows, box, rng)
        sd = sd or float(np.sqrt(clean.var(axis=(1, 2)).mean() / SNR))
        yield whole / np.float32(sd) + next(simulate.noise(len(rows), box, rng))


def _belts(drawn: Simulation, rows: np.ndarray, box: int, rng: np.random.Generator) -> np.ndarray:
    """Projections of one belt of blobs of mass 1 for every row, under its CTF."""
    table, radius = drawn.particles, box // 2
    planes = ctf.half_plane(table.optics[0], table.defocus[rows], radius)
    points = []
    for row in rows:
        seen = _belt(BLOBS, box, rng) @ table.poses.rotations[row].T
        place = seen[:, :2] - table.poses.shifts_A[row] / VOXEL_A + box // 2
        image, _, _ = np.histogram2d(place[:, 1], place[:, 0], [np.arange(box + 1) - 0.5] * 2)
        points.append(scipy.ndimage.gaussian_filter(image, BLOB_A / VOXEL_A))
    half = transforms.half_plane(np.array(points, np.float32), radius) * planes
    return transforms.to_images(half, box)


def refined(kind: str, folder: Path, volume: str, group: str, out: Path, *more: object) -> Job:
    """One of the two refinements."""
    return Job(out, demanded(halfmap("refine", kind, "--particles", folder / "particles.star", "--volume",
                                     folder / volume, "--symmetry", group, "--out", out, "--overwrite", "--seed", 1,
                                     *more)))


def core_shell(map: Map, source: Path) -> float:
    """Shell where the FSC of a map with the core, in its mask, falls below 0.5."""
    return fsc.crossing(fsc.curve(map, mrc.read(source / "map.mrc"), mrc.read(source / "core_mask.mrc").data), 0.5)


def mean_half(folder: Path) -> Map:
    """The mean of the unfiltered half-maps."""
    halves = [mrc.read(folder / f"half{i}.mrc") for i in (1, 2)]
    return Map((halves[0].data + halves[1].data) / 2, halves[0].voxel_size_A)


def measure_belt(ledger: Ledger, chosen: argparse.Namespace) -> None:
    """Row 1."""
    source = chosen.out / f"belt_{chosen.box}_{chosen.particles}"
    if not (source / "core_mask.mrc").is_file():
        make(source, chosen.box, chosen.particles)
    ways = {"homogeneous": ("homogeneous",), "marginalization": ("homogeneous", "--marginalization"),
            "filter": ("nonuniform", "--no-marginalization"), "nonuniform": ("nonuniform",)}
    jobs = {name: refined(kind, source, "start.mrc", "D2", chosen.out / name, *more)
            for name, (kind, *more) in ways.items()}
    seen = {"map.mrc": lambda folder: mrc.read(folder / "map.mrc"), "mean of the halves": mean_half}
    for what, read in seen.items():
        shells = {name: core_shell(read(job.folder), source) for name, job in jobs.items()}
        gain = shells["nonuniform"] / shells["homogeneous"]
        ledger.row(f"disordered belt: FSC of {what} with truth in the core crosses 0.5, nonuniform / homogeneous",
                   round(gain, 3), f">= {FURTHER}", gain >= FURTHER,
                   crossings_A={n: round(chosen.box * VOXEL_A / s, 2) for n, s in shells.items()},
                   claimed_A={n: round(job.summary["resolution_A"], 2) for n, job in jobs.items()},
                   poses_per_image={n: round(job.summary["poses_per_image"], 2) for n, job in jobs.items()},
                   seconds={n: round(job.finished.seconds) for n, job in jobs.items()})


def measure_real(ledger: Ledger, data: Path, out: Path) -> None:
    """Row 2."""
    folder = data / "empiar-10204"
    both = [refined(kind, folder, "reference_100px.mrc", "D2", out / f"real_{kind}")
            for kind in ("homogeneous", "nonuniform")]
    old, new = (job.summary["resolution_A"] for job in both)
    ledger.row("EMPIAR-10204: resolution, nonuniform / homogeneous", round(new / old, 3), f"<= {NO_WORSE}",
               new <= NO_WORSE * old, resolution_A=[old, new],
               resolution_05_A=[job.summary["resolution_05_A"] for job in both],
               poses_per_image=both[1].summary["poses_per_image"], seconds=[job.finished.seconds for job in both])


def measure_noise(ledger: Ledger, source: Path, out: Path) -> None:
    """Row 3."""
    claims = [refined(kind, source, "map.mrc", "C1", out / f"noise_{kind}").summary["resolution_A"]
              for kind in ("homogeneous", "nonuniform")]
    ledger.row("pure noise, C1: resolution claimed, nonuniform / homogeneous", round(claims[1] / claims[0], 3),
               f">= {1 / NO_WORSE:.2f}", claims[1] >= claims[0] / NO_WORSE, claims_A=claims)


def measure_filter(ledger: Ledger) -> None:
    """Row 4."""
    rng = np.random.default_rng(1)
    box = FILTERED_BOX
    core = masks.sphere(box, 0.2 * box, 4.0) * filters.bfactor(
        Map(rng.standard_normal((box,) * 3, np.float32), VOXEL_A), 100.0).data
    halves = tuple(Map(core + 0.3 * rng.standard_normal((box,) * 3, np.float32), VOXEL_A) for _ in range(2))
    mask = masks.sphere(box, 0.35 * box, 8.0)
    curve = np.clip(fsc.corrected(fsc.Pair(*halves), mask)["corrected"].values, 0, 1)
    began, processor = time.perf_counter(), time.process_time()
    found = nonuniform.CrossValidated().fitted(halves, mask, curve)
    for half in halves:
        found.applied(half)
    seconds = time.perf_counter() - began
    ledger.row("local filter of 256 voxels: found, and both halves filtered, s", round(seconds, 1), f"<= {FILTER_S:g}",
               seconds <= FILTER_S, processor_s=round(time.process_time() - processor, 1), rungs=len(found.rungs))


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--data", type=Path)
    flags.add_argument("--noise", type=Path)
    flags.add_argument("--box", type=int, default=96)
    flags.add_argument("--particles", type=int, default=3000)
    chosen = flags.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(chosen.ledger)
    measure_filter(ledger)
    measure_belt(ledger, chosen)
    if chosen.data:
        measure_real(ledger, chosen.data, chosen.out)
    if chosen.noise:
        measure_noise(ledger, chosen.noise, chosen.out)
    ledger.exit()


if __name__ == "__main__":
    main()
