"""Values between voxels: the numba body against the definition, the kernel against its transform."""

import numpy as np
import pytest
import scipy.integrate

from halfmap.kernels.evaluate import evaluate, reference
from tests.kernels import made


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def test_body_agrees_with_the_definition(rng):
    grid = rng.standard_normal((14,) * 3)
    for matrix in (np.eye(3), made.poses(1, rng)[0], 1.7 * made.poses(1, rng)[0]):
        offset, limits = rng.normal(0, 2, 3) - matrix @ np.full(3, 4.5) + 7, np.array([-0.5, 13.5])
        found = evaluate(grid, matrix, offset, 9, limits)
        assert found.dtype == np.float32
        # 216 products of float32 of order 1, weights linear in a table of 2048 steps: 1e-6 each
        np.testing.assert_allclose(found, reference.evaluate(grid, matrix, offset, 9, limits), atol=1e-4)


def test_what_is_outside_the_limits_is_zero(rng):
    found = evaluate(np.ones((12,) * 3), np.eye(3), np.array([0.0, 0.0, 6.0]), 10, np.array([-0.5, 11.5]))
    assert found[:, :, :6].all() and not found[:, :, 6:].any()


@pytest.mark.parametrize("frequency", [0.0, 0.1, 1 / 3])
def test_the_transform_is_the_integral_of_the_kernel(frequency):
    expected = scipy.integrate.quad(
        lambda t: reference.phi(t) * np.cos(2 * np.pi * frequency * t), -reference.WIDTH / 2, reference.WIDTH / 2
    )[0]
    assert reference.transform(np.array([frequency]))[0] == pytest.approx(expected, rel=1e-6)


def test_arguments_stay_as_they_are(rng):
    grid = rng.standard_normal((8,) * 3).astype(np.float32)
    before = grid.copy()
    evaluate(grid, np.eye(3), np.zeros(3), 8, np.array([-0.5, 7.5]))
    np.testing.assert_array_equal(grid, before)
