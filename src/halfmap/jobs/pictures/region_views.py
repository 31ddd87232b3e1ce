"""What pictures of regions are drawn from: slices, projections and surfaces of labels, as arrays.

Owns the choice of cuts. All pictures show the same cube of the box, which holds every region. Rows of an image are the
first of the axes z, y, x left, columns the second: along z they are y and x.
"""

from __future__ import annotations

import numpy as np

from halfmap.maps.segment import Segmentation

MARGIN = 0.04  # of the box, around the regions
CUTS = (0.25, 0.5, 0.75)  # of the extent of the regions along an axis
AXES = {"x": 2, "y": 1, "z": 0}  # name -> axis of the array


def arrays(found: Segmentation, mask: np.ndarray | None) -> dict[str, np.ndarray]:
    """Everything the gallery needs; docs/JOB_FOLDER.md names it."""
    corner, side = _cube(found.labels > 0)
    inside = tuple(slice(start, start + side) for start in corner)
    labels, data = found.labels[inside], found.map.data[inside]
    made = {"corner": np.array(corner), **_slices(labels, data, corner, mask)}
    for name, axis in AXES.items():
        made |= _projection(labels, data, name, axis)
        made |= _surfaces(labels, name, axis)
    return made


def _cube(filled: np.ndarray) -> tuple[tuple[int, ...], int]:
    """Corner (z, y, x) and side of the smallest cube around all true voxels, with a margin, inside the box."""
    box = filled.shape[0]
    ends = []
    for axis in range(3):
        seen = np.flatnonzero(filled.any(axis=tuple({0, 1, 2} - {axis})))
        ends.append((seen[0], seen[-1] + 1))
    side = min(box, max(int(b - a) for a, b in ends) + 2 * int(np.ceil(MARGIN * box)))
    return tuple(int(np.clip((a + b - side) // 2, 0, box - side)) for a, b in ends), side


def _slices(labels, data, corner, mask) -> dict[str, np.ndarray]:
    """(3 axes x, y, z, 3 cuts, side, side) of density, labels and mask; ``slice_planes``: voxels from the corner."""
    filled = labels > 0
    planes = np.empty((3, len(CUTS)), int)
    cut = {"slice_density": [], "slice_labels": [], "slice_mask": []}
    for row, axis in enumerate(AXES.values()):
        seen = np.flatnonzero(filled.any(axis=tuple({0, 1, 2} - {axis})))
        planes[row] = np.rint(seen[0] + np.array(CUTS) * (seen[-1] - seen[0]))
        cut["slice_density"].append(np.moveaxis(data, axis, 0)[planes[row]].astype(np.float32))
        cut["slice_labels"].append(np.moveaxis(labels, axis, 0)[planes[row]])
        if mask is not None:
            inside = mask[tuple(slice(start, start + labels.shape[0]) for start in corner)]
            cut["slice_mask"].append(np.moveaxis(inside, axis, 0)[planes[row]].astype(np.float16))
        planes[row] += corner[axis]
    return {"slice_planes": planes, **{name: np.stack(found) for name, found in cut.items() if found}}


def _projection(labels, data, name, axis) -> dict[str, np.ndarray]:
    """The highest density along an axis within regions, and the region it belongs to."""
    inside = np.where(labels > 0, data, -np.inf)
    place = np.expand_dims(inside.argmax(axis), axis)
    highest = np.take_along_axis(inside, place, axis).squeeze(axis)
    owner = np.take_along_axis(labels, place, axis).squeeze(axis)
    highest = np.where(owner > 0, highest, 0).astype(np.float32)
    return {f"projection_{name}": highest, f"projection_{name}_labels": owner}


def _surfaces(labels, name, axis) -> dict[str, np.ndarray]:
    """What is met first from either side: the region, and how deep in the cube (voxels, the side where nothing is)."""
    made = {}
    along = np.moveaxis(labels, axis, 0)
    for sign, seen in (("minus", along), ("plus", along[::-1])):
        filled = seen > 0
        depth = np.where(filled.any(0), filled.argmax(0), len(seen)).astype(np.int16)
        owner = np.take_along_axis(seen, np.minimum(depth, len(seen) - 1)[None].astype(int), 0)[0]
        made[f"surface_{sign}_{name}_labels"], made[f"surface_{sign}_{name}"] = owner, depth
    return made
