"""Runs `halfmap downsample`: crop or pad, Fourier crop, move to the centre; a new stack and its table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from halfmap.data import relion_micrographs
from halfmap.data.particles import Particles
from halfmap.data.stack import Stack
from halfmap.errors import InputError
from halfmap.extract import boxes, writing
from halfmap.jobs.particles import restacking
from halfmap.jobs.refinement import homogeneous
from halfmap.jobs.running import results
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.running.resources import require_disk
from halfmap.params.stacks import Downsample
from halfmap.refine import start
from halfmap.types import Optics, Poses


@dataclass(frozen=True)
class Change:
    """Images are moved by ``steps`` (n, 2) pixels, cut to ``crop`` (groups,), and get the box of ``optics``."""

    steps: np.ndarray
    crop: tuple[int, ...]
    optics: tuple[Optics, ...]

    def images(self, group: int, rows: np.ndarray, images: np.ndarray) -> np.ndarray:
        """New images (b, N', N') of those of one optics group."""
        if self.crop[group] != images.shape[-1] or self.steps[rows].any():
            images = boxes.moved(images, self.steps[rows], self.crop[group])
        return boxes.fourier_cropped(images, self.optics[group].box)


def run(params: Downsample, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Write the stack and its table; returns what the summary says."""
    particles = homogeneous.checked_particles(params, watch)
    change, moved = planned(params, particles)
    require_disk(folder, restacking.disk_GB(particles, change.optics, params.float16))
    rejects = writing.Rejects()

    def smaller(rows: np.ndarray) -> Iterator[writing.Batch]:
        for batch, images in restacking.batches(particles, rows, rejects):
            yield batch, change.images(particles.group[batch[0]], batch, images)

    def stream(rows: np.ndarray) -> Iterator[writing.Batch]:
        found = restacking.in_order_of_rows(rows, change.optics, smaller)
        return restacking.counted(found, len(particles), "downsample", watch)

    new, kept = writing.write(folder, moved, change.optics, 12 if params.float16 else 2, stream)
    results.write_particles(folder, new, {}, params)
    show(folder, particles, new, kept)
    return restacking.finish(folder, particles, kept, rejects) | restacking.boxes_of(change.optics)


def check(params: Downsample, watch: Passing) -> dict:
    """Read the table, tell box, pixel size and disk."""
    particles = homogeneous.checked_particles(params, watch)
    optics = planned(params, particles)[0].optics
    needed = restacking.disk_GB(particles, optics, params.float16)
    require_disk(params.out, needed)
    found = {"n_particles": len(particles), "resolved": restacking.boxes_of(optics)}
    return found | {"forecast": {"disk_GB": needed}}


def show(folder: Path, before: Particles, after: Particles, kept: np.ndarray) -> None:
    """Some images before and after."""
    rows = np.flatnonzero(after.group == after.group[0])[: restacking.SHOWN]
    restacking.montage(folder, before=Stack(before).images(kept[rows]).astype(np.float32),
                       after=Stack(after).images(rows).astype(np.float32))  # fmt: skip


def planned(params: Downsample, particles: Particles) -> tuple[Change, Particles]:
    """What will be done, and the particles where they will be then.

    Raises InputError for boxes larger than there is, and for particles without shifts to be moved by.
    """
    crop = tuple(params.crop or entry.box for entry in particles.optics)
    optics = tuple(map(lambda entry, box: _resized(params, entry, box), particles.optics, crop))
    larger = [f"optics group {entry.name}: --box-size {entry.box} is larger than the {box} pixels there are; an image "
              "gains nothing by it" for entry, box in zip(optics, crop, strict=True) if entry.box > box]  # fmt: skip
    if larger:
        raise InputError(larger)
    if not params.recenter:
        return Change(np.zeros((len(particles), 2), np.int64), crop, optics), particles
    start.require_poses(particles)
    steps, moved = recentred(particles)
    return Change(steps, crop, optics), moved


def recentred(particles: Particles) -> tuple[np.ndarray, Particles]:
    """(whole pixels (n, 2) that images move by, the particles with the rest of their shifts and new coordinates)."""
    pixel = np.array([entry.pixel_size_A for entry in particles.optics])[particles.group][:, None]
    steps = np.rint(particles.poses.shifts_A / pixel).astype(np.int64)
    poses = Poses(particles.poses.rotations, particles.poses.shifts_A - steps * pixel)
    return steps, replace(particles, poses=poses, columns=relion_micrographs.recentred(particles, steps * pixel))


def _resized(params: Downsample, entry: Optics, crop: int) -> Optics:
    """The optics group with the box and pixel size that its images will have; the pixel size is the exact quotient."""
    box = params.box_size or crop
    if params.pixel_size_A is not None:
        box = min(crop, max(2, 2 * round(crop * entry.pixel_size_A / params.pixel_size_A / 2)))
    return replace(entry, box=box, pixel_size_A=crop * entry.pixel_size_A / box)
