from functools import partial

import numpy as np
import pytest

from halfmap.errors import InputError
from halfmap.maps import filters, local_filter
from halfmap.types import Map


def low(map, resolution_A):
    return filters.coarser(map, resolution_A, partial(filters.butterworth, order=local_filter.ORDER))

BOX, VOXEL_A = 32, 2.0


@pytest.fixture
def white():
    return Map(np.random.default_rng(2).standard_normal((BOX,) * 3).astype(np.float32), VOXEL_A)


def resolution(values):
    return Map(np.broadcast_to(np.asarray(values, np.float32), (BOX,) * 3).copy(), VOXEL_A)


def test_one_resolution_everywhere_is_a_butterworth_filter(white):
    found = local_filter.local_filter(white, resolution(8.0))
    np.testing.assert_allclose(found.data, low(white, 8.0).data, atol=1e-6)


def test_every_half_of_a_map_gets_its_own_filter(white):
    found = local_filter.local_filter(white, resolution(np.where(np.arange(BOX) < BOX // 2, 6.0, 15.0)))
    for part, each in ((np.s_[..., : BOX // 2], 6.0), (np.s_[..., BOX // 2 :], 15.0)):
        wanted = low(white, each).data
        np.testing.assert_allclose(found.data[part], wanted[part], atol=1e-5)


def test_between_rungs_the_mix_is_close_to_the_filter(white):
    values = np.linspace(6.0, 15.0, BOX)
    found = local_filter.local_filter(white, resolution(values))
    for place in (8, 20):
        wanted = low(white, values[place]).data[..., place]
        assert np.linalg.norm(found.data[..., place] - wanted) < 0.05 * np.linalg.norm(wanted)


def test_where_there_is_no_resolution_the_coarsest_is_taken(white):
    found = local_filter.local_filter(white, resolution(np.where(np.arange(BOX) < 8, 0.0, 9.0)))
    np.testing.assert_allclose(found.data, low(white, 9.0).data, atol=1e-6)


def test_sharpening_stops_at_its_limit(white):
    sharp, limited = (local_filter.local_filter(white, resolution(4.5), -100.0, limit) for limit in (0.0, 10.0))
    np.testing.assert_allclose(
        sharp.data, filters.bfactor(low(white, 4.5), -100.0).data, rtol=1e-3, atol=1e-3)
    assert limited.data.std() < 0.5 * sharp.data.std()


@pytest.mark.parametrize("values", [0.0, -1.0, np.nan])
def test_what_is_no_resolution_is_refused(white, values):
    with pytest.raises(InputError, match="local resolution"):
        local_filter.local_filter(white, resolution(values))
