"""A map as a shaded surface: arrays in, a picture out. Knows no files, no job and no plotting library.

An orthographic camera looks along the direction in which the density above the contour is flattest, the longest axis
upright. Rays step through the map until it exceeds the contour; the place between two steps is found by halving.
Light: one lamp from the upper left of the camera (Lambert), sky light, and shade in hollows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from halfmap.errors import InputError
from halfmap.geometry import rotations
from halfmap.maps import masks, resample
from halfmap.types import Map

BOX = 160  # voxels along an edge that a map of fewer is interpolated to: trilinear facets are then smaller than a pixel
DUST = 0.01  # of the largest piece of density, by volume
OVERSAMPLED = 2  # rays per pixel and axis
STEP = 0.8  # voxels between samples: thinner walls are missed
HALVINGS = 5
SPREAD = 2  # voxels: trilinear interpolation carries a voxel that far, sqrt(3)
MARGIN = 0.06  # of the picture, on each side
TILT_DEG = (-18.0, 24.0)  # about x and y of the camera: a flat object seen exactly from its flat side shows no depth
LAMP = np.array((-0.45, -0.6, -0.66))  # x right, y down, z away from the camera; towards the lamp
SKY, LAMBERT, GLOSS = 0.50, 0.68, 0.14
HOLLOW_PX = (4.0, 14.0)  # standard deviations, in pixels of the picture, of the neighbourhoods that cast shade
DEEPEST_SHADE = 0.6
FOG = 0.16  # how much paler the far end is
COLOUR = np.array((0.42, 0.62, 0.82))
WHITE = np.ones(3)


@dataclass(frozen=True)
class Seen:
    """What rays met: ``hit`` (h, w) bool, ``depth`` in voxels behind the nearest, ``normal`` (h, w, 3) of x, y, z."""

    hit: np.ndarray
    depth: np.ndarray
    normal: np.ndarray


def picture(map: Map, level: float, pixels: int) -> np.ndarray:
    """(pixels, pixels, 3) uint8: the surface of the map at ``level``, on white; pieces below DUST are left out.

    Raises InputError where nothing of the map lies above the level.
    """
    fine = resample.to_grid(map, BOX, map.voxel_size_A * map.box / BOX) if map.box < BOX else map
    if not (fine.data > level).any():
        raise InputError(f"contour level {level:.4g}: nothing of the map lies above it (its maximum is "
                         f"{map.data.max():.4g})")
    dust = (fine.data > level) & ~masks.without_islands(fine.data > level, DUST)
    seen = cast(np.where(dust, fine.data.min(), fine.data), level, pixels * OVERSAMPLED)
    colours = shaded(seen, OVERSAMPLED)
    blocks = colours.reshape(pixels, OVERSAMPLED, pixels, OVERSAMPLED, 3)
    return np.round(255 * blocks.mean(axis=(1, 3))).astype(np.uint8)


def camera(data: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(axes (3, 3) of x right, y down and z away as rows of z, y, x; centre (3,) z, y, x; half extents (3,)) in voxels.

    The principal axes of the region above the level, each pointing to where its third moment is negative, then tilted.
    """
    places = np.argwhere(data > level).astype(np.float64)
    places = places[:: max(1, len(places) // 200_000)]
    middle = places.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov((places - middle).T) if len(places) > 1 else np.eye(3))
    away, right, down = vectors.T  # shortest, middle, longest extent
    axes = np.array([right, down, away])
    along = (places - middle) @ axes.T
    axes *= np.where((along**3).sum(axis=0) > 0, -1.0, 1.0)[:, None]
    axes[2] *= np.sign(np.linalg.det(axes))
    axes = rotations.exp_so3(np.deg2rad((*TILT_DEG, 0.0))) @ axes
    along = (places - middle) @ axes.T
    low, high = along.min(axis=0), along.max(axis=0)
    return axes, middle + (low + high) / 2 @ axes, (high - low) / 2 + 1.5


def cast(data: np.ndarray, level: float, rays: int) -> Seen:
    """Send ``rays`` x ``rays`` parallel rays through the map."""
    axes, centre, half = camera(data, level)
    reach = max(half[0], half[1]) / (0.5 - MARGIN) / 2
    offset = ((np.arange(rays) + 0.5) / rays * 2 - 1) * reach
    down, right = (grid.ravel() for grid in np.meshgrid(offset, offset, indexing="ij"))
    starts = centre + right[:, None] * axes[0] + down[:, None] * axes[1]
    along = (np.argwhere(data > level) - centre) @ axes.T
    depth = _depths(data, level, starts, axes[2], *_reach(along, right, down))
    hit = np.isfinite(depth)
    normal = np.zeros((len(depth), 3))
    normal[hit] = _normals(data, starts[hit] + depth[hit, None] * axes[2], axes)
    depth = np.where(hit, depth - depth[hit].min() if hit.any() else 0.0, 0.0)
    shape = (rays, rays)
    return Seen(hit.reshape(shape), depth.reshape(shape), normal.reshape(*shape, 3))


def _reach(along: np.ndarray, right: np.ndarray, down: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(first, last) depth at which each ray may meet density; infinite and minus infinite where it meets none.

    ``along`` (n, 3): voxels above the level in x, y, z of the camera. Each reaches less than SPREAD voxels.
    """
    wide = int(np.ceil(max(np.abs(right).max(), np.abs(down).max(), np.abs(along[:, :2]).max()))) + 1
    cells = tuple((np.floor(along[:, axis]).astype(int) + wide) for axis in (1, 0))
    near, far = np.full((2 * wide + 1,) * 2, np.inf), np.full((2 * wide + 1,) * 2, -np.inf)
    np.minimum.at(near, cells, along[:, 2])
    np.maximum.at(far, cells, along[:, 2])
    near = ndimage.minimum_filter(near, 2 * SPREAD + 1) - SPREAD
    far = ndimage.maximum_filter(far, 2 * SPREAD + 1) + SPREAD
    at = tuple(np.floor(place).astype(int) + wide for place in (down, right))
    return near[at], far[at]


def _depths(data: np.ndarray, level: float, starts: np.ndarray, away: np.ndarray, first: np.ndarray,
            last: np.ndarray) -> np.ndarray:  # fmt: skip
    """(n,) distance along ``away`` at which each ray first exceeds the level; infinite where it never does."""
    depth = np.full(len(starts), np.inf)
    waiting = np.flatnonzero(np.isfinite(first))
    distance = first[waiting]
    while len(waiting):
        inside = _sampled(data, starts[waiting] + distance[:, None] * away) > level
        depth[waiting[inside]] = distance[inside]
        distance = distance + STEP
        going = ~inside & (distance <= last[waiting])
        waiting, distance = waiting[going], distance[going]
    met = np.flatnonzero(np.isfinite(depth))
    low, high = depth[met] - STEP, depth[met].copy()
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        inside = _sampled(data, starts[met] + middle[:, None] * away) > level
        high, low = np.where(inside, middle, high), np.where(inside, low, middle)
    depth[met] = high
    return depth


def _sampled(data: np.ndarray, places: np.ndarray) -> np.ndarray:
    return ndimage.map_coordinates(data, places.T, order=1, mode="constant", cval=data.min())


def _normals(data: np.ndarray, places: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """(n, 3) unit vectors out of the density, in x, y, z of the camera."""
    slope = np.stack([_sampled(data, places - axis) - _sampled(data, places + axis) for axis in axes], axis=-1)
    return slope / np.maximum(np.linalg.norm(slope, axis=-1, keepdims=True), 1e-30)


def shaded(seen: Seen, oversampled: int) -> np.ndarray:
    """(h, w, 3) colours, 0 to 1."""
    lamp = LAMP / np.linalg.norm(LAMP)
    bright = np.clip(seen.normal @ lamp, 0, 1)
    sky = 0.5 - 0.5 * seen.normal[..., 1]  # y points down
    halfway = lamp + np.array((0, 0, -1.0))
    gloss = np.clip(seen.normal @ (halfway / np.linalg.norm(halfway)), 0, 1) ** 24
    light = (SKY * (0.55 + 0.45 * sky) + LAMBERT * bright) * _open(seen, oversampled)
    colours = COLOUR * light[..., None] * 1.12 + GLOSS * gloss[..., None]
    far = FOG * seen.depth / max(float(seen.depth.max()), 1e-9)
    colours = colours + (WHITE - colours) * far[..., None]
    return np.where(seen.hit[..., None], np.clip(colours, 0, 1), WHITE)


def _open(seen: Seen, oversampled: int) -> np.ndarray:
    """How much of the sky each place sees, 0.4 to 1: less where it lies deeper than its neighbourhood."""
    shade = np.zeros(seen.hit.shape)
    for pixels in HOLLOW_PX:
        sigma = pixels * oversampled
        share = np.maximum(ndimage.gaussian_filter(seen.hit.astype(np.float64), sigma), 1e-6)
        around = ndimage.gaussian_filter(np.where(seen.hit, seen.depth, 0.0), sigma) / share
        shade += np.clip((seen.depth - around) / (0.5 * pixels), 0, 1)
    return 1 - DEEPEST_SHADE * np.clip(shade / len(HOLLOW_PX), 0, 1)
