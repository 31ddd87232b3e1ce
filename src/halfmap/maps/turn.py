"""Maps turned and moved: resampling by cubic B-splines.

Meant for maps without detail beyond about half their Nyquist frequency, as low-passed references are: there a spline
is true to 1e-3, while near the Nyquist frequency it loses amplitude.
"""

from __future__ import annotations

import numpy as np
import scipy.ndimage

from halfmap.types import Map

SPLINE = 3  # order


def turned(map: Map, rotation: np.ndarray, centre_A: np.ndarray) -> Map:
    """The map V'(r) = V(R r + c), r counted from the box centre: c comes to the centre, R e_z on the z axis.

    ``rotation`` R (3, 3), ``centre_A`` c (3,), both x, y, z. What lies outside the box of ``map`` is 0.
    """
    middle = np.full(3, map.box // 2)
    matrix = np.asarray(rotation, float)[::-1, ::-1]  # indices are z, y, x
    offset = middle + np.asarray(centre_A, float)[::-1] / map.voxel_size_A - matrix @ middle
    data = scipy.ndimage.affine_transform(map.data.astype(np.float32, copy=False), matrix, offset, order=SPLINE)
    return Map(data, map.voxel_size_A)
