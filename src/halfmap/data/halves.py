"""The two half-sets of a gold-standard refinement.

Owns how particles are split and what is suspicious about a split. A split, once made, is stored with the particles.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.sparse.csgraph

from halfmap.data import expansion
from halfmap.data.particles import FIRST, SECOND, UNASSIGNED, Particles
from halfmap.errors import InputError

_UNEQUAL = 0.05  # halves of 525 and 475 in 1,000: the weaker half limits the FSC


def assign(particles: Particles, rng: np.random.Generator, resplit: bool = False) -> Particles:
    """Particles with every ``half`` 1 or 2.

    A complete split of the input is kept unless ``resplit``. A new one is random and balanced within each optics
    group; rows that share one image (symmetry expansion, duplicates) go to the same half, since otherwise the halves
    would share noise. Raises: InputError if only some particles have a half, all of them the same one, or an image is
    in both: such halves agree by their noise, and their FSC is no resolution.
    """
    if not resplit and np.any(particles.half != UNASSIGNED):
        _refuse_incomplete(particles.half)
        _refuse_shared(particles)
        return particles
    return dataclasses.replace(particles, half=_random_split(particles, rng))


def with_own_optics(particles: Particles) -> Particles:
    """The table with every optics group twice, once for each half-set: what is estimated by group, noise and grey
    scale, is then estimated by half.
    """
    count = len(particles.optics)
    optics = tuple(dataclasses.replace(group, name=f"{group.name}, half {half}")
                   for half in (FIRST, SECOND) for group in particles.optics)
    group = particles.group + count * (particles.half == SECOND)
    columns = {name: np.concatenate([values, values]) for name, values in particles.optics_columns.items()}
    return dataclasses.replace(particles, optics=optics, group=group.astype(particles.group.dtype),
                               optics_columns=columns)


def with_optics_of(particles: Particles, source: Particles) -> Particles:
    """The way back, to the optics groups of the table it was made of."""
    group = particles.group % len(source.optics)
    return dataclasses.replace(particles, optics=source.optics, group=group.astype(source.group.dtype),
                               optics_columns=source.optics_columns)


def audit(particles: Particles) -> list[str]:
    """Warnings about a split as plain sentences; empty if nothing is suspicious."""
    first, second = (np.count_nonzero(particles.half == half) for half in (FIRST, SECOND))
    warnings = []
    # The difference of a fair split has a standard deviation of sqrt(n): tosses of a coin are no news.
    if abs(first - second) > max(_UNEQUAL * (first + second), 3 * np.sqrt(first + second)):
        warnings.append(f"The half-sets are unequal: {first:,} and {second:,} particles.")
    image, repeats = _images(particles)
    if np.any(repeats > 1):
        count = int(np.sum(repeats - 1))
        warnings.append(f"{count:,} rows repeat an image of another row.")
    family, rows = _families(particles)
    shared = _in_both(particles.half, family, len(rows))
    if shared:
        warnings.append(f"{shared:,} images are in both half-sets: the FSC will be too good. Split again.")
    return warnings


def _refuse_incomplete(half: np.ndarray) -> None:
    first, second, none = (np.count_nonzero(half == value) for value in (FIRST, SECOND, UNASSIGNED))
    if none:
        text = f"{none:,} of {len(half):,} particles have no half-set, {first:,} and {second:,} have one"
        raise InputError(f"half-sets: {text}; assign all or none, or ask for a new split")
    if not first or not second:
        raise InputError(f"half-sets: all {len(half):,} particles are in the same one; ask for a new split")


def _refuse_shared(particles: Particles) -> None:
    family, rows = _families(particles)
    shared = _in_both(particles.half, family, len(rows))
    if shared:
        raise InputError(f"half-sets: {shared:,} images are in both (the same particle twice, or symmetry copies of "
                         "one): the FSC would be too good; split again with --force-resplit, which keeps them together")


def _random_split(particles: Particles, rng: np.random.Generator) -> np.ndarray:
    """Shuffle the families, sort them stably by optics group, deal them out in turn."""
    family, rows = _families(particles)
    group = np.empty(len(rows), dtype=np.int64)
    group[family] = particles.group
    order = rng.permutation(len(rows))
    order = order[np.argsort(group[order], kind="stable")]
    half = np.empty(len(rows), dtype=np.int8)
    half[order[0::2]] = FIRST
    half[order[1::2]] = SECOND
    return half[family]


def _images(particles: Particles) -> tuple[np.ndarray, np.ndarray]:
    """(number of the image of each row, rows per image): the same image is the same file and index."""
    key = particles.file.astype(np.int64) * (int(particles.index.max(initial=0)) + 1) + particles.index
    _, image, repeats = np.unique(key, return_inverse=True, return_counts=True)
    return image, repeats


def _families(particles: Particles) -> tuple[np.ndarray, np.ndarray]:
    """(number of the family of each row, rows per family): rows that share an image or a parent."""
    image, repeats = _images(particles)
    parents = expansion.parents(particles)
    if parents is None:
        return image, repeats
    parent = np.unique(parents, return_inverse=True)[1] + len(repeats)
    nodes = int(parent.max(initial=0)) + 1
    links = scipy.sparse.coo_array((np.ones(len(image), np.int8), (image, parent)), shape=(nodes, nodes))
    member = scipy.sparse.csgraph.connected_components(links, directed=False)[1][image]
    _, family, rows = np.unique(member, return_inverse=True, return_counts=True)
    return family, rows


def _in_both(half: np.ndarray, family: np.ndarray, families: int) -> int:
    has_first = np.bincount(family, weights=half == FIRST, minlength=families) > 0
    has_second = np.bincount(family, weights=half == SECOND, minlength=families) > 0
    return int(np.count_nonzero(has_first & has_second))
