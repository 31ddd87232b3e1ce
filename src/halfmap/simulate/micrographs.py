"""Simulated particles as they lie in micrographs: dark on a bright, uneven field, all of one micrograph in one focus.

Owns the layout and the file names: micrographs/, micrographs.star with the CTF, coordinates.star with what a picker
would give, truth.star with poses, half-sets and coordinates. Boxes of the size of the map do not overlap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from halfmap.data import relion, relion_micrographs
from halfmap.errors import UsageError
from halfmap.io import mrc
from halfmap.simulate.images import Simulation, noise_field
from halfmap.simulate.writing import TRUTH, done_to_images

FOLDER, TABLE, COORDINATES = "micrographs", "micrographs.star", "coordinates.star"
SLACK = 8  # a place is free to move by, and the edge left empty is, the box over this
FIELD, SLOPE = 10.0, 1.0  # brightness, and how much it differs from side to side, in deviations of the noise


@dataclass(frozen=True)
class Layout:
    """Where the particles are: ``micrograph`` (n,) of each, rising; ``centres`` (n, 2) pixels of their boxes, x y."""

    size: int  # pixels of a side
    micrograph: np.ndarray
    centres: np.ndarray


def smallest(n: int, micrographs: int, box: int) -> int:
    """Pixels of a side that ``n`` particles in so many micrographs need."""
    across = int(np.ceil(np.sqrt(-(-n // micrographs))))
    return across * (box + box // SLACK) + 2 * (box // SLACK)


def layout(n: int, micrographs: int, box: int, size: int | None, rng: np.random.Generator) -> Layout:
    """Places on a grid of cells, each moved at random within its cell. ``size`` None = as small as can be.

    Raises UsageError where the micrographs are too small or too many.
    """
    least = smallest(n, micrographs, box)
    if micrographs > n:
        raise UsageError(f"--micrographs {micrographs}: there are {n} particles; give fewer")
    if size is not None and size < least:
        raise UsageError(f"--micrograph-size {size}: {-(-n // micrographs)} boxes of {box} pixels need {least}")
    size = size or least
    which = np.sort(np.arange(n) % micrographs)
    edge, cell = box // SLACK, box + box // SLACK
    across = (size - 2 * edge) // cell
    centres = np.empty((n, 2), np.int64)
    for micrograph in range(micrographs):
        rows = np.flatnonzero(which == micrograph)
        cells = rng.permutation(across**2)[: len(rows)]
        corner = np.stack([cells % across, cells // across], axis=-1) * cell + edge
        centres[rows] = corner + box // 2 + rng.integers(0, box // SLACK + 1, (len(rows), 2))
    return Layout(size, which, centres)


def in_one_focus(simulation: Simulation, where: Layout) -> Simulation:
    """The simulation with one CTF and optics group for all particles of a micrograph."""
    first = np.searchsorted(where.micrograph, where.micrograph)
    table = simulation.particles
    return replace(simulation, particles=replace(table, defocus=table.defocus[first], group=table.group[first]))


def write(folder: Path, simulation: Simulation, where: Layout, mode: int = 2) -> tuple[Path, ...]:
    """Make all micrographs and write everything to ``folder``, which must exist; returns the micrographs.

    ``simulation`` is in one focus, as by ``in_one_focus``.
    """
    count = int(where.micrograph[-1]) + 1
    files = tuple(folder / FOLDER / f"mic_{number + 1:04d}.mrc" for number in range(count))
    (folder / FOLDER).mkdir(exist_ok=True)
    for path, image in zip(files, _developed(simulation, where), strict=True):
        mrc.write_stack(path, image[None], simulation.map.voxel_size_A, mode)
    index = np.zeros(len(where.micrograph), np.int64)
    table = replace(simulation.particles, files=files, file=where.micrograph.astype(np.int32), index=index)
    first = np.searchsorted(where.micrograph, np.arange(count))
    relion_micrographs.write_micrographs(folder / TABLE, table[first])
    relion_micrographs.write_picks(folder / COORDINATES, files, table.file, where.centres)
    columns = relion_micrographs.in_micrographs(table, where.centres) | done_to_images(simulation)
    relion.write(folder / TRUTH, replace(table, columns=columns))
    return files


def _developed(simulation: Simulation, where: Layout) -> Iterator[np.ndarray]:
    """Micrographs (S, S) float32, one after the other."""
    pictures = ((image, sd) for batch, sd in simulation.exposed() for image in batch)
    box = simulation.map.box
    slope = SLOPE * ((np.arange(where.size) / where.size)[:, None] - 0.5).astype(np.float32)
    for micrograph in range(int(where.micrograph[-1]) + 1):
        rows = np.flatnonzero(where.micrograph == micrograph)
        grain = np.random.default_rng(simulation.seeds[rows[0]])
        field = FIELD + slope + noise_field(where.size, simulation.settings.noise_rise, grain)
        for x, y in where.centres[rows] - box // 2:
            picture, sd = next(pictures)
            field[y : y + box, x : x + box] -= picture / np.float32(sd)
        yield field.astype(np.float32)
