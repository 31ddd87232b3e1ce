"""Steepest ascent: the bodies agree with the definition, paths end at maxima."""

import numpy as np
import pytest

from halfmap.kernels.watershed import climb, reference, summits


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.mark.parametrize("shape", [(9, 8, 7), (1, 6, 10), (6, 6, 6)])
@pytest.mark.parametrize("threshold", [-9.0, 0.1, 9.0])
def test_every_voxel_leads_where_the_definition_says(rng, shape, threshold):
    data = rng.standard_normal(shape).astype(np.float32)
    np.testing.assert_array_equal(summits(data, threshold), reference.summits(data, threshold))


def test_equal_values_are_ordered_as_the_definition_says(rng):
    data = rng.integers(0, 3, (7, 8, 9)).astype(np.float32)
    np.testing.assert_array_equal(summits(data, 0.5), reference.summits(data, 0.5))


def test_a_climb_ends_where_the_path_of_its_voxel_does(rng):
    data = rng.standard_normal((8, 9, 10)).astype(np.float32)
    starts = np.argwhere(data > 1)
    np.testing.assert_array_equal(climb(data, starts), reference.climb(data, starts))
    ends = np.ravel_multi_index(tuple(climb(data, starts).T), data.shape)
    np.testing.assert_array_equal(ends, summits(data, -9)[tuple(starts.T)])


def test_the_end_of_a_path_is_higher_than_all_around_it(rng):
    data = rng.standard_normal((10, 10, 10)).astype(np.float32)
    padded = np.pad(data, 1, constant_values=-np.inf)
    for z, y, x in zip(*np.unravel_index(np.unique(summits(data, -9.0)), data.shape), strict=True):
        assert data[z, y, x] == padded[z : z + 3, y : y + 3, x : x + 3].max()


def test_a_flat_map_is_one_hill():
    assert np.unique(summits(np.ones((5, 6, 7), np.float32), 0)).tolist() == [0]


def test_arguments_stay_as_they_are(rng):
    data, starts = rng.standard_normal((6, 6, 6)).astype(np.float32), np.array([[1, 2, 3]])
    before = data.copy()
    summits(data, 0)
    climb(data, starts)
    np.testing.assert_array_equal(data, before)
    assert starts.tolist() == [[1, 2, 3]]


def test_no_start_has_no_end():
    assert climb(np.zeros((3, 3, 3), np.float32), np.empty((0, 3), int)).shape == (0, 3)
