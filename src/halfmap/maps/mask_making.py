"""From a density to a mask, and from masks to a mask.

Owns the order of the steps: threshold, drop islands, fill holes, dilate, soft edge; and set operations on soft masks.
Distances are exact Euclidean ones from voxel centres of the region, in voxels: dilation and edge are one formula of one
distance, never a repeated step, and equally good and fast at any radius.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import scipy.ndimage

from halfmap.errors import InputError
from halfmap.maps import masks
from halfmap.types import Map

Combination = Callable[[Sequence[np.ndarray]], np.ndarray]  # masks of one shape, at least one -> a mask


@dataclass(frozen=True)
class Steps:
    """How a region becomes a mask. Lengths in voxels."""

    dilation_px: float = 0.0  # 1 up to this distance from the region
    soft_px: float = 12.0  # raised cosine from there to 0 over this distance; 0 = a hard edge
    fill_holes: bool = False
    smallest_island: float = 0.0  # of the largest connected part: smaller ones are dropped


def made(region: np.ndarray, steps: Steps) -> np.ndarray:
    """The mask (z, y, x) float32 of a region (z, y, x) bool.

    With d the distance to the region: 1 where d <= dilation, 0.5 + 0.5 cos(pi (d - dilation) / soft) up to
    d = dilation + soft, 0 beyond. d is that of the region before dilation, so a dilated ball stays a ball and does not
    follow its voxels. Order of the steps: CryoSPARC's Volume Tools.
    """
    kept = masks.without_islands(region, steps.smallest_island) if steps.smallest_island > 0 else region
    filled = without_holes(kept) if steps.fill_holes else kept
    return masks.soft(filled, steps.dilation_px, steps.dilation_px + steps.soft_px)


def above(data: np.ndarray, threshold: float) -> np.ndarray:
    """Where the density exceeds ``threshold``: bool. Raises InputError, with the maximum, where it does nowhere."""
    region = data > threshold
    if not region.any():
        raise InputError(f"no voxel exceeds the threshold of {threshold:.6g}: the maximum of the map is "
                         f"{float(data.max()):.6g}; give a lower threshold")
    return region


def without_holes(region: np.ndarray) -> np.ndarray:
    """The region and every cavity in it that no path through faces of voxels joins to the border of the box: bool."""
    outside, count = scipy.ndimage.label(~region)
    reached = np.zeros(count + 1, dtype=bool)
    for axis in range(region.ndim):
        for end in (0, -1):
            reached[np.take(outside, end, axis=axis)] = True
    reached[0] = False  # the region itself
    return ~reached[outside]


def union(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The largest value. Of soft masks with one width of edge it is the soft mask of the union of their regions."""
    return reduce(np.maximum, parts)


def intersection(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The smallest value: a mask with itself is itself; a product would narrow an edge that both share."""
    return reduce(np.minimum, parts)


def difference(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The first without the others: a (1 - b) (1 - c) ..; with a b it adds up to a, so that nothing counts twice."""
    first, *others = parts
    return reduce(lambda left, other: left * (1 - other), others, first)


def complement(parts: Sequence[np.ndarray]) -> np.ndarray:
    """1 - a, of the only mask given."""
    (mask,) = parts
    return 1 - mask


def centre_of_mass(data: np.ndarray) -> tuple[float, float, float]:
    """x, y, z in voxels from the corner of the box (the first voxel is at 0), of values above 0.

    Raises InputError where there are none.
    """
    if not (data > 0).any():
        raise InputError("no value is above 0: there is no centre of mass; check the contrast (particle white)")
    x, y, z = masks.centre(Map(data, 1.0)) + data.shape[0] // 2
    return float(x), float(y), float(z)
