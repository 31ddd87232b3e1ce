"""At which value a map is best looked at. Owns levels of maps as they are; for masks of noisy ones: ``solvent``."""

from __future__ import annotations

import numpy as np

from halfmap.types import Map


def enclosing(map: Map, volume_A3: float) -> float:
    """The value that ``volume_A3`` of the map exceeds, to half a voxel; of more than there is its smallest value."""
    voxels = min(max(int(round(volume_A3 / map.voxel_size_A**3)), 1), map.data.size - 1)
    values = np.partition(map.data.ravel(), -voxels - 1)[-voxels - 1 :].astype(np.float64)
    return float((values[0] + values[1:].min()) / 2)
