"""Maps on other grids: another voxel size, another box.

Owns band-limited interpolation along the axes. Densities keep their value (a constant stays that constant) and the
centre voxel box // 2 stays the centre. No rotation, no shift.
"""

from __future__ import annotations

import numpy as np

from halfmap.errors import UsageError
from halfmap.types import Map


def to_grid(map: Map, box: int, voxel_size_A: float) -> Map:
    """The map on a grid of ``box`` voxels of ``voxel_size_A``; exact for any ratio of voxel sizes.

    The map is taken as the trigonometric polynomial through its voxels; frequencies beyond the Nyquist frequency of
    the new grid are left out (a frequency just at it counts half). Voxels further than half the
    old box from its centre, along any axis, are 0.
    Raises UsageError for a box or voxel size that is not positive.
    """
    if box < 1 or not voxel_size_A > 0:
        raise UsageError(f"resample: box {box} px, voxel size {voxel_size_A} A: give positive values")
    if np.isclose(voxel_size_A, map.voxel_size_A, rtol=1e-9, atol=0):
        return crop_pad(map, box)
    matrix = _interpolation(map.box, box, voxel_size_A / map.voxel_size_A).astype(np.float32)
    data = map.data.astype(np.float32, copy=False)
    for _ in range(3):
        # each product takes the last axis and puts the new one first: after three, all are done and in order
        data = np.tensordot(matrix, data, axes=(1, 2))
    return Map(data, float(voxel_size_A))


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


def _interpolation(old: int, new: int, ratio: float) -> np.ndarray:
    """Matrix (new, old) from values on the old grid to the new one, whose step is ``ratio`` old steps.

    D[j, n] = 1/N sum_k w_k cos(2 pi k (u_j - n) / N), u_j the place of new voxel j on the old grid, both counted from
    the centres.
    """
    place = (np.arange(new) - new // 2) * ratio
    limit = min(old / 2, old / (2 * ratio))
    k = np.arange(int(np.floor(limit + 1e-9)) + 1)
    weight = np.where(k == 0, 1.0, 2.0)
    weight[-1] = 1.0 if abs(k[-1] - limit) < 1e-9 else weight[-1]
    grid = np.arange(old) - old // 2
    # cos(a - b) = cos a cos b + sin a sin b: two small products instead of a cosine for every (j, n, k)
    out, into = (2 * np.pi / old * np.multiply.outer(u, k) for u in (place, grid))
    matrix = (np.cos(out) * weight) @ np.cos(into).T + (np.sin(out) * weight) @ np.sin(into).T
    inside = np.abs(place) <= old / 2 + 1e-9
    return matrix / old * inside[:, None]
