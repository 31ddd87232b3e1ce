"""Where a map lies: ORIGIN and start indices, as ChimeraX reads them."""

import struct

import numpy as np
import pytest

from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.types import Map
from tests.io.test_mrc import as_written


def written(path, data, origin=(0.0, 0.0, 0.0), starts=(0, 0, 0), axes=(1, 2, 3)):
    raw = bytearray(as_written(data, 2, axes=axes))
    struct.pack_into("<3i", raw, 16, *starts)
    struct.pack_into("<3f", raw, 196, *origin)
    path.write_bytes(raw)
    return path


def test_origin_comes_before_start_indices(tmp_path):
    data = np.random.default_rng(1).standard_normal((3, 4, 5)).astype(np.float32)
    region = mrc.read_region(written(tmp_path / "a.mrc", data, (1.5, -3.0, 6.0), (7, 8, 9)))
    np.testing.assert_array_equal(region.data, data)
    assert region.origin_A == (1.5, -3.0, 6.0) and region.voxel_size_A == 1.5


@pytest.mark.parametrize("origin", [(0.0, 0.0, 0.0), (float("nan"), 0.0, 0.0)])
def test_without_origin_start_indices_count_in_voxels(origin, tmp_path):
    region = mrc.read_region(written(tmp_path / "a.mrc", np.zeros((3, 4, 5), np.float32), origin, (7, -8, 9)))
    assert region.origin_A == (10.5, -12.0, 13.5)


def test_start_indices_are_in_the_order_of_the_file(tmp_path):
    data = np.zeros((4, 4, 4), np.float32)
    region = mrc.read_region(written(tmp_path / "a.mrc", data, starts=(1, 2, 3), axes=(3, 1, 2)))
    # columns run along z, rows along x, sections along y
    assert region.origin_A == (3.0, 4.5, 1.5)


def test_what_we_write_lies_at_the_origin(tmp_path):
    mrc.write(tmp_path / "a.mrc", Map(np.zeros((4, 4, 4), np.float32), 2.0))
    assert mrc.read_header(tmp_path / "a.mrc").origin_A == (0, 0, 0)


def test_numbers_that_are_none_are_refused(tmp_path):
    data = np.full((2, 3, 4), np.nan, np.float32)
    with pytest.raises(InputError, match="24 voxels are NaN"):
        mrc.read_region(written(tmp_path / "a.mrc", data))
