"""Soft masks: 1 inside, a raised cosine to 0 outside.

Owns the shapes and the choice of region from a map. Distances are Euclidean between voxel centres, exact. Masks are
float32; the centre is voxel box // 2.
"""

from __future__ import annotations

import numpy as np
import scipy.ndimage

from halfmap.errors import InputError, UsageError
from halfmap.maps import filters
from halfmap.types import Map

SMALLEST_ISLAND = 0.01  # of the largest component: a 4 kDa fragment beside a 400 kDa particle is kept, a noise peak not
LARGEST_REGION = 0.5  # of the box: a particle with solvent around it fills less, a threshold in the noise fills more


def sphere(box: int, radius_px: float, edge_px: float) -> np.ndarray:
    """Soft ball: 1 up to ``radius_px`` from the centre, 0 from ``radius_px + edge_px``. (box, box, box) float32."""
    return _ball(box, 3, radius_px, edge_px)


def circle(box: int, radius_px: float, edge_px: float) -> np.ndarray:
    """Soft disc, as ``sphere``: (box, box) float32."""
    return _ball(box, 2, radius_px, edge_px)


def soft(binary: np.ndarray, near_px: float, far_px: float) -> np.ndarray:
    """Mask of a region: 1 up to ``near_px`` from it, 0.5 + 0.5 cos(pi (d - near) / (far - near)) to 0 at ``far_px``.

    ``binary``: (z, y, x) bool; d is the distance to the nearest voxel of the region, 0 in it. Returns float32 of the
    same shape; all zero for an empty region. Raises UsageError unless 0 <= near <= far.
    """
    if not 0 <= near_px <= far_px:
        raise UsageError(f"mask distances near {near_px}, far {far_px} (voxels): give 0 <= near <= far")
    mask = np.zeros(binary.shape, dtype=np.float32)
    if not binary.any():
        return mask
    reach = _bounding_box(binary, int(np.ceil(far_px)))
    nearest = scipy.ndimage.distance_transform_edt(~binary[reach], return_distances=False, return_indices=True)
    # squared distances are integers: one table, and everything from far_px on in its last entry, which is 0
    last = int(np.ceil(far_px**2)) + 1
    table = filters.falling_cosine(np.sqrt(np.arange(last + 1)), near_px, far_px).astype(np.float32)
    y, x = np.ogrid[: nearest.shape[2], : nearest.shape[3]]
    for z, (to_z, to_y, to_x) in enumerate(nearest.swapaxes(0, 1)):
        square = (to_z - z) ** 2 + (to_y - y) ** 2 + (to_x - x) ** 2
        mask[reach][z] = table[np.minimum(square, last)]
    return mask


def dynamic(map: Map, resolution_A: float, threshold: float = 0.2, near_A: float = 6.0, far_A: float = 14.0) -> Map:
    """Soft mask around what exceeds ``threshold`` x maximum in the map low-passed to ``resolution_A``.

    1 up to ``near_A`` from that region, 0 from ``far_A``. Separate islands (26-connected) are kept where they hold at
    least SMALLEST_ISLAND of the largest one's voxels; all others, and nothing else, are dropped.
    Raises InputError where no particle stands out: maximum not positive or not finite, or a region larger than
    LARGEST_REGION of the box. Source: CryoSPARC's dynamic masks (0.2 / 6 A / 14 A).
    """
    smooth = filters.lowpass(map, resolution_A).data
    peak = float(smooth.max())
    if not (np.isfinite(peak) and peak > 0):
        raise InputError(f"mask: the map low-passed to {resolution_A:.3g} A has a maximum of {peak:.3g}; it holds no "
                         "density above zero: check its contrast (particle white) and that it is finite")
    region = without_islands(smooth > threshold * peak)
    filled = float(region.mean())
    if filled > LARGEST_REGION:
        raise InputError(f"mask: {100 * filled:.0f} % of the box exceeds {threshold:.3g} of the maximum at "
                         f"{resolution_A:.3g} A; give a higher threshold, a larger box or a mask of your own")
    data = soft(region, near_A / map.voxel_size_A, far_A / map.voxel_size_A)
    return Map(data, map.voxel_size_A)


def without_islands(binary: np.ndarray, smallest: float = SMALLEST_ISLAND) -> np.ndarray:
    """The region (z, y, x) bool without components below ``smallest`` x the size of its largest; 26-connected."""
    if not binary.any():
        return binary.copy()
    reach = _bounding_box(binary, 0)
    labels, count = scipy.ndimage.label(binary[reach], structure=np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    kept = np.zeros_like(binary)
    kept[reach] = (sizes >= smallest * sizes.max())[labels] & (labels > 0)
    return kept


def _ball(box: int, rank: int, radius_px: float, edge_px: float) -> np.ndarray:
    """Squared distances to the centre are integers: a table of them replaces a root and a cosine per voxel."""
    square = (np.arange(box) - box // 2) ** 2
    table = filters.falling_cosine(np.sqrt(np.arange(rank * (box // 2) ** 2 + 1)), radius_px, radius_px + edge_px)
    index = square
    for _ in range(rank - 1):
        index = index[..., None] + square
    return table.astype(np.float32)[index]


def _bounding_box(binary: np.ndarray, margin: int) -> tuple[slice, ...]:
    """Slices around all true voxels, ``margin`` wider on every side, clipped to the array."""
    slices = []
    for axis in range(binary.ndim):
        others = tuple(other for other in range(binary.ndim) if other != axis)
        filled = np.flatnonzero(binary.any(axis=others))
        slices.append(slice(max(0, filled[0] - margin), filled[-1] + margin + 1))
    return tuple(slices)
