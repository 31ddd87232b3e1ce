"""Definition of the ascent.

The neighbours of a voxel are the 26 around it that lie in the box. A step goes to the highest of them, if that is
higher than the voxel itself; of equal values the one with the smaller index (z, y, x in order) counts as higher, so
that a path has no loops and one end.
"""

from __future__ import annotations

import itertools

import numpy as np


def _step(data, at):
    around = (np.add(at, move) for move in itertools.product((-1, 0, 1), repeat=3))
    inside = [tuple(map(int, p)) for p in around if all(0 <= i < n for i, n in zip(p, data.shape, strict=True))]
    return min(inside, key=lambda p: (-data[p], p))


def climb(data, starts):
    """Where the paths from ``starts`` (n, 3) end: (n, 3)."""
    ends = []
    for at in map(tuple, np.asarray(starts)):
        while (next_one := _step(data, at)) != at:
            at = next_one
        ends.append(at)
    return np.array(ends, dtype=np.int64).reshape(-1, 3)


def summits(data, threshold):
    """Flat index of the end of the path of every voxel above ``threshold``, -1 for all others; the shape of data."""
    found = np.full(data.shape, -1, dtype=np.int64)
    for at in zip(*np.nonzero(data > threshold), strict=True):
        found[at] = np.ravel_multi_index(tuple(climb(data, [at])[0]), data.shape)
    return found
