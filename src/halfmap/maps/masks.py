"""Soft masks: 1 inside, a raised cosine to 0 outside.

Owns the shapes and the choice of region from a map. Distances are Euclidean between voxel centres, exact. Masks are
float32; the centre is voxel box // 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.ndimage

from halfmap.errors import InputError, UsageError
from halfmap.maps import filters
from halfmap.types import Map

SMALLEST_ISLAND = 0.01  # of the largest component: a 4 kDa fragment beside a 400 kDa particle is kept, a noise peak not
LARGEST_REGION = 0.5  # of the box: a particle with solvent around it fills less, a threshold in the noise fills more

Strength = Callable[[np.ndarray], np.ndarray]  # what of a density is compared with the threshold


@dataclass(frozen=True)
class Made:
    """A mask, (z, y, x) float32, and what it is, in words for a legend: "0.50 max at 12 A, 1 to 6 A, 0 from 12 A"."""

    data: np.ndarray
    words: str
    gave_way: bool = False  # it is a sphere in place of the mask wanted: nothing stood out of the map


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
    _check_distances(near_px, far_px)
    return faded(squared_distances(binary, far_px), near_px, far_px)


def squared_distances(binary: np.ndarray, reach_px: float) -> np.ndarray:
    """Squared distance of every voxel to the region, (z, y, x) int32; what lies beyond ``reach_px`` counts as there.

    One field serves every soft mask that ends within its reach: see ``faded``.
    """
    beyond = int(np.ceil(reach_px**2)) + 1  # squared distances are integers; this one is past the reach
    square = np.full(binary.shape, beyond, dtype=np.int32)
    if not binary.any():
        return square
    reach = _bounding_box(binary, int(np.ceil(reach_px)))
    nearest = scipy.ndimage.distance_transform_edt(~binary[reach], return_distances=False, return_indices=True)
    y, x = np.ogrid[: nearest.shape[2], : nearest.shape[3]]
    for z, (to_z, to_y, to_x) in enumerate(nearest.swapaxes(0, 1)):
        square[reach][z] = np.minimum((to_z - z) ** 2 + (to_y - y) ** 2 + (to_x - x) ** 2, beyond)
    return square


def faded(square: np.ndarray, near_px: float, far_px: float) -> np.ndarray:
    """The soft mask of a region from its ``squared_distances``, whose reach is at least ``far_px``. float32."""
    _check_distances(near_px, far_px)
    # everything from far_px on in the table's last entry, which is 0
    last = int(np.ceil(far_px**2)) + 1
    table = filters.falling_cosine(np.sqrt(np.arange(last + 1)), near_px, far_px).astype(np.float32)
    mask = np.empty(square.shape, dtype=np.float32)
    for z, plane in enumerate(square):
        mask[z] = table[np.minimum(plane, last)]
    return mask


def _check_distances(near_px: float, far_px: float) -> None:
    if not 0 <= near_px <= far_px:
        raise UsageError(f"mask distances near {near_px}, far {far_px} (voxels): give 0 <= near <= far")


def positive(data: np.ndarray) -> np.ndarray:
    """The strength of density where the molecule is white: the density itself."""
    return data


def absolute(data: np.ndarray) -> np.ndarray:
    """The strength of density where strongly negative density belongs to the molecule, too."""
    return np.abs(data)


def dynamic(map: Map, resolution_A: float, threshold: float = 0.2, near_A: float = 6.0, far_A: float = 14.0,
            strength: Strength = positive) -> Map:
    """Soft mask around the ``region`` of a map: 1 up to ``near_A`` from it, 0 from ``far_A``.

    Raises InputError where no particle stands out. Source: CryoSPARC's dynamic masks (0.2 / 6 A / 14 A).
    """
    found = region(map, resolution_A, threshold, strength)
    return Map(soft(found, near_A / map.voxel_size_A, far_A / map.voxel_size_A), map.voxel_size_A)


def region(map: Map, resolution_A: float, threshold: float, strength: Strength = positive) -> np.ndarray:
    """Where the map low-passed to ``resolution_A`` exceeds ``threshold`` x its maximum: (z, y, x) bool.

    Separate islands (26-connected) are kept where they hold at least SMALLEST_ISLAND of the largest one's voxels; all
    others, and nothing else, are dropped.
    Raises InputError where no particle stands out: maximum not positive or not finite, or a region larger than
    LARGEST_REGION of the box.
    """
    smooth = strength(filters.lowpass(map, resolution_A).data)
    peak = float(smooth.max())
    if not (np.isfinite(peak) and peak > 0):
        raise InputError(f"mask: the map low-passed to {resolution_A:.3g} A has a maximum of {peak:.3g}; it holds no "
                         "density above zero: check its contrast (particle white) and that it is finite")
    found = without_islands(smooth > threshold * peak)
    filled = float(found.mean())
    if filled > LARGEST_REGION:
        raise InputError(f"mask: {100 * filled:.0f} % of the box exceeds {threshold:.3g} of the maximum at "
                         f"{resolution_A:.3g} A; give a higher threshold, a larger box or a mask of your own")
    return found


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


def centre(mask: Map) -> np.ndarray:
    """(3,) centre of mass x, y, z, A from the box centre. Raises InputError for an empty mask."""
    return _moments(mask)[0]


def radius_of_gyration(mask: Map) -> float:
    """Root mean square distance of the mask from its centre of mass, A."""
    return float(np.sqrt(_moments(mask)[1].sum()))


def _moments(mask: Map) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances along x, y, z."""
    data = np.maximum(mask.data, 0)
    total = data.sum(dtype=float)
    if not total > 0:
        raise InputError("mask: it is zero everywhere")
    axis = (np.arange(mask.box) - mask.box // 2) * mask.voxel_size_A
    profiles = np.stack([data.sum((0, 1), float), data.sum((0, 2), float), data.sum((1, 2), float)]) / total
    mean = profiles @ axis
    return mean, (profiles * (axis - mean[:, None]) ** 2).sum(1)


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
