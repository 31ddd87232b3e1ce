"""What stays the same over all iterations: half-sets, the grid of the run, the stream of images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from halfmap import errors
from halfmap.data import halves
from halfmap.data.particles import Particles
from halfmap.data.stack import Stack
from halfmap.maps import filters, masks
from halfmap.refine.batches import Frame, Source
from halfmap.refine.recipe import Recipe
from halfmap.refine.state import Snapshot, State
from halfmap.types import Map

if TYPE_CHECKING:
    from halfmap.refine.stochastic import Course

BATCH_BYTES = 1e8  # images of one batch in all their forms; memory, not result, depends on it
LEAST_BATCH = 192  # images: fewer pass through the cache before a slab of the sums leaves it. Up to MOST_BATCH_BYTES
MOST_BATCH_BYTES = 4e8
BYTES_PER_PIXEL = 28  # of one image: as read, masked, two half planes, CTF and their temporaries
DIAMETER_MARGIN_A = 20.0  # around what stands out of the map, for what a low contour misses
STANDS_OUT = 0.1  # fraction of the maximum of the map low-passed to DIAMETER_MARGIN_A
LARGEST_CIRCLE = 0.95  # of the box length: the image mask needs room for its edge

Watch = Callable[..., None]


@dataclass
class Run:
    """A refinement under way: the recipe, the images, and what went wrong with single ones."""

    recipe: Recipe
    source: Source
    half: np.ndarray  # (n,) 1 or 2
    batch: int
    rng: np.random.Generator
    watch: Watch
    rejected: dict[int, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def frame(self) -> Frame:
        return self.source.frame

    def rows(self, half: int) -> np.ndarray:
        """Particles of half-set 1 or 2 that are still in use."""
        used = self.half == half
        used[list(self.rejected)] = False
        return np.flatnonzero(used)

    def warn(self, message: str) -> None:
        """Tell the user once."""
        if message not in self.warnings:
            self.warnings.append(message)
            self.watch("warning", message=message)

    def snapshot(self, state: State | Course) -> Snapshot:
        """What is needed to go on from ``state``."""
        return Snapshot(state, self.half, dict(self.rejected), tuple(self.warnings), self.rng.bit_generator.state,
                        dict(self.source.clock.seconds))

    def restored(self, snapshot: Snapshot) -> State | Course:
        """Take up where ``snapshot`` was taken; returns its state.

        Raises InputError for a snapshot of other particles.
        """
        if len(snapshot.half) != len(self.half):
            raise errors.InputError(f"the checkpoint is of {len(snapshot.half):,} particles, there are "
                                    f"{len(self.half):,}; give the table it was made with")
        self.half = snapshot.half
        self.rejected.clear()
        self.rejected.update(snapshot.rejected)
        self.warnings[:] = snapshot.warnings
        self.rng.bit_generator.state = snapshot.rng
        self.source.clock.seconds.update(snapshot.seconds)
        return snapshot.state

    def reject(self, rows: np.ndarray, reason: str) -> None:
        """Leave these particles out from now on."""
        self.rejected.update({int(row): reason for row in rows})


def prepare(recipe: Recipe, particles: Particles, reference: Map | None, rng: np.random.Generator, watch: Watch) -> Run:
    """Assign half-sets and open the stacks.

    Raises UsageError for a diameter larger than the box, InputError for optics groups the recipe cannot take.
    """
    recipe.lens.check(particles)
    recipe.sphere.check(particles.optics[group] for group in np.unique(particles.group))
    particles = halves.assign(particles, rng, recipe.force_resplit)
    frame = frame_of(recipe, particles, reference)
    rejected: dict[int, str] = {}
    source = Source(particles, Stack(particles), frame,
                    lambda rows, reason: rejected.update({int(row): reason for row in rows}), sphere=recipe.sphere,
                    surround=recipe.surround)
    largest = max(o.box * o.pixel_size_A / frame.voxel_size_A for o in particles.optics)
    size = recipe.minibatch_size or batch_size(BYTES_PER_PIXEL * largest**2)
    run = Run(recipe, source, np.asarray(particles.half), size, rng, watch, rejected)
    for message in halves.audit(particles):
        run.warn(message)
    return run


def batch_size(image_bytes: float) -> int:
    """Images in a batch."""
    return int(max(min(BATCH_BYTES / image_bytes, 2048), min(LEAST_BATCH, MOST_BATCH_BYTES / image_bytes), 1))


def frame_of(recipe: Recipe, particles: Particles, reference: Map | None) -> Frame:
    """The finest pixel among the optics groups and the largest box length set the grid of the maps."""
    pixel = min(o.pixel_size_A for o in particles.optics)
    length = max(o.box * o.pixel_size_A for o in particles.optics)
    box = 2 * round(length / pixel / 2)
    if recipe.box_size and recipe.box_size < box:
        pixel, box = pixel * box / recipe.box_size, recipe.box_size
    if recipe.diameter_A and recipe.diameter_A > length:
        raise errors.UsageError(
            f"--particle-diameter {recipe.diameter_A:g} A is larger than the particles' box of {length:.1f} A"
        )
    diameter = recipe.diameter_A or (length if reference is None else estimated_diameter_A(reference))
    return Frame(box, pixel, min(diameter, LARGEST_CIRCLE * length))


def estimated_diameter_A(reference: Map) -> float:
    """Diameter of the sphere about the box centre that holds what stands out of the low-passed map, with a margin."""
    smooth = filters.lowpass(reference, max(DIAMETER_MARGIN_A, 2 * reference.nyquist_A))
    region = masks.without_islands(smooth.data > STANDS_OUT * smooth.data.max())
    z, y, x = (index - reference.box // 2 for index in np.nonzero(region))
    radius = np.sqrt((x**2 + y**2 + z**2).max(initial=0)) * reference.voxel_size_A
    return float(2 * radius + DIAMETER_MARGIN_A)
