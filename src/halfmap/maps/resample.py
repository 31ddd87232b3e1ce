"""Maps on other grids: another voxel size, another box.

Owns band-limited interpolation along the axes. Densities keep their value (a constant stays that constant) and the
centre voxel box // 2 stays the centre, where no other is named. No rotation.
"""

from __future__ import annotations

import numpy as np

from halfmap.errors import UsageError
from halfmap.types import Map, Region


def to_grid(map: Map, box: int, voxel_size_A: float, centre_A: np.ndarray | None = None) -> Map:
    """The map on a grid of ``box`` voxels of ``voxel_size_A``; exact for any ratio of voxel sizes.

    The map is taken as the trigonometric polynomial through its voxels; frequencies beyond the Nyquist frequency of
    the new grid are left out (a frequency just at it counts half). Voxels further than half the
    old box from its centre, along any axis, are 0. ``centre_A`` (3,) x, y, z from the old centre: the new one; what
    then lies in no old voxel is 0.
    Raises UsageError for a box or voxel size that is not positive.
    """
    if box < 1 or not voxel_size_A > 0:
        raise UsageError(f"resample: box {box} px, voxel size {voxel_size_A} A: give positive values")
    moved = None if centre_A is None or not np.any(centre_A) else np.asarray(centre_A, float) / map.voxel_size_A
    if np.isclose(voxel_size_A, map.voxel_size_A, rtol=1e-9, atol=0) and moved is None:
        return crop_pad(map, box)
    return Map(_along_axes(map.data, moved, box, voxel_size_A / map.voxel_size_A), float(voxel_size_A))


def from_region(region: Region, grid: Region) -> Map:
    """A region on the grid of another, each voxel where its origin puts it; 0 where the region does not reach.

    Edges of a region need not be equal; the grid's are. Raises UsageError where the two do not meet.
    """
    sides = np.array(region.data.shape[::-1])
    wanted = np.asarray(grid.origin_A) + grid.data.shape[-1] // 2 * grid.voxel_size_A
    own = np.asarray(region.origin_A) + sides // 2 * region.voxel_size_A
    moved = (wanted - own) / region.voxel_size_A
    box, ratio = grid.data.shape[-1], grid.voxel_size_A / region.voxel_size_A
    if np.any(np.abs(moved) > sides / 2 + box * ratio / 2):
        raise UsageError("the two maps do not overlap where their origins put them; leave out --use-origin")
    return Map(_along_axes(region.data, moved, box, ratio), grid.voxel_size_A)


def _along_axes(data: np.ndarray, moved_px: np.ndarray | None, box: int, ratio: float) -> np.ndarray:
    """(box, box, box): one matrix an axis; ``moved_px`` (3,) x, y, z from the old centre to the new, in old voxels."""
    data = data.astype(np.float32, copy=False)
    for moved, side in zip((None,) * 3 if moved_px is None else moved_px, data.shape[::-1], strict=True):
        # each product takes the last axis and puts the new one first: after three, all are done and in order
        data = np.tensordot(_interpolation(side, box, ratio, moved).astype(np.float32), data, axes=(1, 2))
    return data


def unit_interval(mask: Map) -> Map:
    """A mask whose edge rang when it was resampled, held between 0 and 1."""
    return Map(np.clip(mask.data, 0, 1), mask.voxel_size_A)


def fourier_crop(map: Map, box: int) -> Map:
    """The same extent in space on ``box`` voxels: Fourier space cropped, or padded with zeros for a larger box."""
    return to_grid(map, box, map.voxel_size_A * map.box / box)


def crop_pad(map: Map, box: int) -> Map:
    """The same voxel size in another box: cut off, or surrounded by zeros."""
    data = np.zeros((box,) * 3, dtype=np.float32)
    size = min(map.box, box)
    old, new = (slice(n // 2 - size // 2, n // 2 - size // 2 + size) for n in (map.box, box))
    data[new, new, new] = map.data[old, old, old]
    return Map(data, map.voxel_size_A)


def _interpolation(old: int, new: int, ratio: float, moved: float | None = None) -> np.ndarray:
    """Matrix (new, old) from values on the old grid to the new one, whose step is ``ratio`` old steps.

    D[j, n] = 1/N sum_k w_k cos(2 pi k (u_j - n) / N), u_j the place of new voxel j on the old grid, both counted from
    the centre of the old; the centre of the new lies at ``moved`` old steps. Where nothing is moved, the far face of an
    even box counts as inside: a map that fills its box fills it still.
    """
    place = (np.arange(new) - new // 2) * ratio + (moved or 0.0)
    limit = min(old / 2, old / (2 * ratio))
    k = np.arange(int(np.floor(limit + 1e-9)) + 1)
    weight = np.where(k == 0, 1.0, 2.0)
    weight[-1] = 1.0 if abs(k[-1] - limit) < 1e-9 else weight[-1]
    grid = np.arange(old) - old // 2
    # cos(a - b) = cos a cos b + sin a sin b: two small products instead of a cosine for every (j, n, k)
    out, into = (2 * np.pi / old * np.multiply.outer(u, k) for u in (place, grid))
    matrix = (np.cos(out) * weight) @ np.cos(into).T + (np.sin(out) * weight) @ np.sin(into).T
    low, high = (-old / 2, old / 2) if moved is None else (-(old // 2) - 0.5, (old - 1) // 2 + 0.5)
    inside = (place >= low - 1e-9) & (place <= high + 1e-9)
    return matrix / old * inside[:, None]
