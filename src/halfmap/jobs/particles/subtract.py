"""Runs `halfmap subtract`: images without a part of the map; a new stack and its table, the way back kept in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from halfmap import subtract
from halfmap.data import originals
from halfmap.data.particles import FIRST, SECOND, Particles
from halfmap.errors import InputError
from halfmap.extract import writing
from halfmap.jobs.particles import downsample, restacking
from halfmap.jobs.refinement import homogeneous
from halfmap.jobs.running import inputs, results
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.running.resources import require_disk
from halfmap.jobs.volume import volumes
from halfmap.maps import filters
from halfmap.params.subtract import Subtract
from halfmap.physics.projection import Projector
from halfmap.refine import scales, start
from halfmap.types import Map

REGRESSED = 400  # images of each optics group and half-set: the slope to 1 % at an SNR of 0.01 in a box of 64
UNLIKE = 0.2  # a slope further from 1 than that is worth a warning
WHOLE = 0  # the place of the one map when half-sets do not matter


@dataclass(frozen=True)
class Inputs:
    """Particles, and the densities by half-set: what is subtracted, and the whole of it."""

    particles: Particles
    scale: np.ndarray
    parts: dict[int, Map]
    wholes: dict[int, Map]

    @property
    def half(self) -> np.ndarray:
        """(n,) which density a particle belongs to."""
        return self.particles.half if FIRST in self.parts else np.full(len(self.particles), WHOLE, np.int8)

    def shown(self, rows: np.ndarray, slope: float = 1.0) -> subtract.Shown:
        """What these rows of one optics group show."""
        table = self.particles
        optics = table.optics[table.group[rows[0]]]
        return subtract.Shown(optics, table.defocus[rows], table.poses[rows], slope * self.scale[rows])


def run(params: Subtract, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Write the stack and its table; returns what the summary says."""
    given = read(params, watch)
    particles = given.particles
    require_disk(folder, restacking.disk_GB(particles, particles.optics, params.float16))
    slopes = greyscales(given, watch)
    used = slopes if params.reestimate_greyscale else dict.fromkeys(slopes, 1.0)
    projectors = {half: subtract.projector(part) for half, part in given.parts.items()}
    rejects = writing.Rejects()

    def without_part(rows: np.ndarray) -> Iterator[writing.Batch]:
        for batch, images in restacking.batches(particles, rows, rejects):
            yield batch, subtracted(given, projectors, batch, images, used)

    def stream(rows: np.ndarray) -> Iterator[writing.Batch]:
        found = restacking.in_order_of_rows(rows, particles.optics, without_part)
        return restacking.counted(found, len(particles), "subtract", watch)

    noted = originals.remembered(particles)
    new, kept = writing.write(folder, noted, particles.optics, 12 if params.float16 else 2, stream)
    results.write_particles(folder, new, {}, params)
    downsample.show(folder, particles, new, kept)
    _warn(slopes, params.reestimate_greyscale, watch)
    told = {particles.optics[group].name: slope for group, slope in slopes.items()}
    return restacking.finish(folder, particles, kept, rejects) | {"greyscale_slopes": told}


def check(params: Subtract, watch: Passing) -> dict:
    """Read everything, tell the disk."""
    particles = read(params, watch).particles
    needed = restacking.disk_GB(particles, particles.optics, params.float16)
    require_disk(params.out, needed)
    return {"n_particles": len(particles), "forecast": {"disk_GB": needed}}


def read(params: Subtract, watch: Watch | Passing) -> Inputs:
    """Particles and densities. Raises InputError with the faults of all files, and where they do not fit together."""
    particles, group = inputs.read_all(
        lambda: homogeneous.checked_particles(params, watch), lambda: volumes.read(params)
    )
    start.require_poses(particles)
    mask = group.volumes["mask"]
    inputs.check_mask(params.mask, mask, particles)
    maps = {WHOLE: group.map}
    if params.use_halfmaps:
        _require_halves(particles)
        maps = dict(zip((FIRST, SECOND), group.halves, strict=True))
    wholes = {half: _prepared(map, params.lowpass) for half, map in maps.items()}
    parts = {half: Map(map.data * mask.data, map.voxel_size_A) for half, map in wholes.items()}
    return Inputs(particles, scales.relative(particles.scale), parts, wholes)


def greyscales(given: Inputs, watch: Watch) -> dict[int, float]:
    """Grey values of the images over those of the map, of each optics group, by regression on the whole density."""
    projectors = {half: subtract.projector(whole) for half, whole in given.wholes.items()}
    sums: dict[int, subtract.Regression] = {}
    for group in np.unique(given.particles.group).tolist():
        total = subtract.Regression()
        for half in projectors:
            rows = np.flatnonzero((given.particles.group == group) & (given.half == half))
            total += _regressed(given, projectors, rows, half)
        sums[group] = total
    slopes = {group: total.slope for group, total in sums.items()}
    overall = sum(sums.values(), subtract.Regression()).slope
    for group, slope in slopes.items():
        if slope is None:
            watch("warning", message=f"optics group {given.particles.optics[group].name}: its images do not show the "
                  "map at all; are poses, contrast and map those of these particles?")
    return {group: slope or overall or 1.0 for group, slope in slopes.items()}


def _regressed(given: Inputs, projectors: dict[int, Projector], rows: np.ndarray, half: int) -> subtract.Regression:
    total = subtract.Regression()
    other = next((p for h, p in projectors.items() if h != half), projectors[half])
    sample = rows[np.linspace(0, len(rows) - 1, min(len(rows), REGRESSED)).astype(int)] if len(rows) else rows
    for batch, images in restacking.batches(given.particles, sample, writing.Rejects()):
        total += subtract.regression(images, given.shown(batch), projectors[half], other)
    return total


def subtracted(given: Inputs, projectors: dict[int, Projector], rows: np.ndarray, images: np.ndarray,
               slopes: dict[int, float]) -> np.ndarray:  # fmt: skip
    """Images (b, N, N) of rows of one optics group without what the part of their own half shows in them."""
    slope = slopes[int(given.particles.group[rows[0]])]
    out = np.empty_like(images, dtype=np.float32)
    for half, projector in projectors.items():
        mine = given.half[rows] == half
        if mine.any():
            out[mine] = images[mine] - subtract.images(projector, given.shown(rows[mine], slope))
    return out


def _prepared(map: Map, lowpass_A: float | None) -> Map:
    """The density with its solvent at 0, low-passed where asked for.

    Reconstructions have no mean: their solvent lies below 0 by the mean of the particle over the box, and a masked part
    would be too thin by that.
    """
    level = np.float32(map.data[_outside(map.box)].mean())
    levelled = Map(map.data - level, map.voxel_size_A)
    return levelled if lowpass_A is None else filters.lowpass(levelled, lowpass_A)


def _outside(box: int) -> np.ndarray:
    """Voxels beyond the inscribed sphere: solvent of every particle."""
    offset = np.arange(box) - box // 2
    return offset[:, None, None] ** 2 + offset[:, None] ** 2 + offset**2 > (0.95 * box / 2) ** 2


def _require_halves(particles: Particles) -> None:
    missing = int(np.count_nonzero((particles.half != FIRST) & (particles.half != SECOND)))
    if missing:
        raise InputError(f"particles: {missing:,} have no half-set, so there is no half-map of their own; give the "
                         "table of the refinement that made the half-maps, or --no-use-halfmaps")  # fmt: skip


def _warn(slopes: dict[int, float], applied: bool, watch: Watch) -> None:
    far = [slope for slope in slopes.values() if abs(slope - 1) > UNLIKE]
    if far:
        done = "the map was scaled by it" if applied else "nothing was done about it: drop --no-reestimate-greyscale"
        watch("warning", message=f"grey values of images over those of the map: {far[0]:.3g}, not 1; {done}")

