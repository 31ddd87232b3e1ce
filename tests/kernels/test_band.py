"""Passes over the part of a transform that a coarser grid shares with a finer one."""

import numpy as np
import pytest
import scipy.fft

from halfmap.kernels.band import added, band, reference

GRIDS = [((12, 10, 8), (16, 12, 18)), ((12, 12, 12), (12, 12, 12)), ((8, 12, 6), (8, 12, 10)), ((9, 7, 5), (15, 7, 9))]


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def transform(shape, rng):
    return scipy.fft.rfftn(rng.standard_normal(shape, np.float32))


def units(shape):
    return [(20 / n) ** 2 for n in shape]  # shells of a box of 20


@pytest.mark.parametrize("columns", [3, None])
@pytest.mark.parametrize("points, shape", GRIDS)
def test_a_band_agrees_with_the_definition(points, shape, columns, rng):
    columns = columns or points[2] // 2 + 1
    table = rng.standard_normal(330).astype(np.float32)
    fine = transform(shape, rng)
    found = band(fine, points, shape, units(shape), table, columns)
    expected = reference.band(fine, points, shape, units(shape), table, columns)
    assert found.shape == expected.shape and found.dtype == np.complex64
    # float32 values of order 50; k^2 to 300, known to 3e-5 of a step of the table
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-2)


@pytest.mark.parametrize("points, shape", GRIDS)
def test_adding_agrees_with_the_definition(points, shape, rng):
    whole, part = transform(shape, rng), transform(points, rng)
    expected = reference.added(whole, shape, part, points, 1.7)
    added(whole, shape, part, points, 1.7)
    np.testing.assert_allclose(whole, expected, rtol=1e-6, atol=2e-5)  # float32 values of order 50


@pytest.mark.parametrize("points, shape", GRIDS)
def test_what_was_added_to_nothing_comes_back(points, shape, rng):
    """But for Nyquist frequencies, which the finer grid has no mate of."""
    part = band(transform(points, rng), points, points, units(points), np.ones(330, np.float32), points[2] // 2 + 1)
    whole = np.zeros((*shape[:2], shape[2] // 2 + 1), np.complex64)
    added(whole, shape, part, points, 1.0)
    back = band(whole, points, shape, units(shape), np.ones(330, np.float32), points[2] // 2 + 1)
    again = np.zeros_like(whole)
    added(again, shape, back, points, 1.0)
    np.testing.assert_array_equal(again, whole)
    same = back != 0
    np.testing.assert_array_equal(back[same], part[same])
    assert same.mean() > 0.5
