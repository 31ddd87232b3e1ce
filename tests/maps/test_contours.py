"""Contour levels of maps."""

import numpy as np
import pytest

from halfmap.maps import contours
from halfmap.types import Map


def ramp(box=12):
    rng = np.random.default_rng(1)
    return Map(rng.permutation(box**3).reshape((box,) * 3).astype(np.float32), 2.0)


@pytest.mark.parametrize("voxels", [1, 10, 700])
def test_the_level_encloses_the_volume_asked_for(voxels):
    map = ramp()
    assert (map.data > contours.enclosing(map, voxels * 8.0)).sum() == voxels


def test_more_volume_than_the_map_has_is_all_but_its_smallest_value():
    map = ramp()
    assert (map.data > contours.enclosing(map, 1e9)).sum() == map.data.size - 1
