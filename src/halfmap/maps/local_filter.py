"""A low-pass that differs from place to place: every voxel at its own resolution.

Owns the blending. The map is low-passed at a ladder of resolutions and every voxel takes a mix of the two nearest, so
that the filter is that of ``filters.butterworth`` where the resolution is the same everywhere.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from halfmap.errors import InputError
from halfmap.fourier import shells
from halfmap.maps import filters
from halfmap.types import Map

ORDER = 8  # as the low-pass of a sharpened map
RUNG = 1.12  # between neighbouring resolutions: at the middle of two rungs the mix differs from the filter by 2 %


def local_filter(map: Map, resolution_A: Map, bfactor_A2: float = 0.0, sharpened_to_A: float = 0.0) -> Map:
    """The map, each voxel low-passed to its resolution in A (z, y, x); voxels of 0 take the coarsest resolution.

    ``bfactor_A2``: sharpened first, negative sharpens, no further than to ``sharpened_to_A`` (0: to Nyquist).
    Raises InputError where no voxel has a resolution, or one is negative or not finite.
    """
    wanted = resolution_A.data
    if not np.isfinite(wanted).all() or wanted.min() < 0 or not wanted.any():
        raise InputError("local resolution: values must be Angstrom inside the mask and 0 outside; give locres.mrc of "
                         "halfmap local-resolution")
    frequency = 1 / np.where(wanted > 0, wanted, wanted.max())
    rungs = shells.ladder(float(frequency.min()), float(frequency.max()), RUNG)
    place = np.interp(np.log(frequency), np.log(rungs), np.arange(len(rungs)))
    result = np.zeros_like(map.data, dtype=np.float32)
    sharp = filters.bfactor_factor(map, bfactor_A2, sharpened_to_A)
    for number, rung in enumerate(rungs):
        share = np.clip(1 - np.abs(place - number), 0, 1).astype(np.float32)
        low = partial(filters.butterworth, shell=filters.shell_of(map, 1 / rung), order=ORDER)
        result += share * filters.radial(map, filters.product([low, sharp])).data
    return Map(result, map.voxel_size_A)
