"""Passes over a half space."""

import numpy as np
import pytest

from halfmap.geometry import symmetry
from halfmap.kernels.grid import divide, reference, shell_means, symmetrised
from halfmap.kernels.project.reference import full_space
from tests.kernels import made


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def sums(r, rng):
    """Numerator and weight, Hermitian on the plane x = 0."""
    weight = rng.uniform(0.5, 2, (2 * r + 1, 2 * r + 1, r + 1)).astype(np.float32)
    weight[..., 0] += weight[::-1, ::-1, 0]
    return made.half_space(r, rng), weight


def turned(values, op):
    """values(R k) for an operator that maps the grid onto itself, by permuting and flipping axes."""
    cube = full_space(values)
    r = values.shape[-1] - 1
    k = np.stack(np.meshgrid(*[np.arange(-r, r + 1)] * 3, indexing="ij")[::-1], axis=-1)  # x, y, z
    x, y, z = np.moveaxis(np.rint(k @ op.T).astype(int) + r, -1, 0)
    return cube[z, y, x][..., r:]


def within(r, radius):
    kz, ky, kx = np.mgrid[-r : r + 1, -r : r + 1, 0 : r + 1]
    return kz**2 + ky**2 + kx**2 <= radius**2


def test_mean_of_a_constant_is_that_constant():
    np.testing.assert_allclose(shell_means(np.full((19, 19, 10), 3, np.float32), 5, 2), 3)


@pytest.mark.parametrize("padding, r, shells", [(1, 8, 9), (1, 7, 9), (2, 13, 7), (2, 13, 4)])
def test_shell_means_agree_with_the_definition(padding, r, shells, rng):
    _, weight = sums(r, rng)
    expected = reference.shell_means(weight, shells, padding)
    np.testing.assert_allclose(shell_means(weight, shells, padding), expected, rtol=1e-6)  # of float32 values


def test_division_without_ridge_or_floor_is_division(rng):
    numerator, weight = sums(9, rng)
    quotient = divide(numerator, weight, np.zeros(9), np.zeros(9), 1)
    inside = within(9, 8.499)
    np.testing.assert_allclose(quotient[inside], (numerator / weight)[inside], rtol=2e-6)
    assert not quotient[~inside].any()


def test_where_there_is_no_weight_there_is_no_map(rng):
    numerator, weight = sums(9, rng)
    nothing = divide(numerator, np.zeros_like(weight), np.zeros(9), np.zeros(9), 1)
    assert not nothing.any()


@pytest.mark.parametrize("padding, r", [(1, 8), (2, 13)])
def test_division_agrees_with_the_definition(padding, r, rng):
    numerator, weight = sums(r, rng)
    last = (r - 1) // padding
    ridge, floor = rng.uniform(0, 2, last + 1), rng.uniform(0, 3, last + 1)
    found = divide(numerator, weight, ridge, floor, padding)
    assert found.dtype == np.complex64
    np.testing.assert_allclose(found, reference.divide(numerator, weight, ridge, floor, padding), atol=3e-6)


@pytest.mark.parametrize("name", ["C2", "C4", "D2", "D4", "O"])
def test_operators_that_map_the_grid_onto_itself_are_exact(name, rng):
    numerator, weight = sums(9, rng)
    group = symmetry.group(name)
    found = symmetrised(numerator, weight, group)
    inside = within(9, 8)
    for mine, values in zip(found, (numerator, weight), strict=True):
        expected = sum(turned(values, op) for op in group)
        # no interpolation: rounding of at most 24 additions of float32 numbers up to 6
        np.testing.assert_allclose(mine[inside], expected[inside], atol=3e-5)
        assert not mine[~inside].any()


@pytest.mark.parametrize("name", ["C1", "D2", "C3", "D3", "T"])
def test_body_agrees_with_the_definition(name, rng):
    numerator, weight = sums(9, rng)
    group = symmetry.group(name)
    found = symmetrised(numerator, weight, group)
    for mine, values in zip(found, (numerator, weight), strict=True):
        # corners of weight 1e-5 or less are left out: up to 7 of them per operator, of values up to 6
        tolerance = 7 * 6e-5 + 2e-5
        np.testing.assert_allclose(mine, reference.symmetrised(values, group, 8), atol=tolerance)


@pytest.mark.parametrize("name", ["D2", "O"])
def test_the_result_has_the_symmetry(name, rng):
    group = symmetry.group(name)
    inside = within(9, 8)
    for values in symmetrised(*sums(9, rng), group):
        for op in group:
            np.testing.assert_allclose(turned(values, op)[inside], values[inside], atol=3e-5)  # as above


def test_arguments_stay_as_they_are(rng):
    numerator, weight = sums(9, rng)
    before = numerator.copy(), weight.copy()
    symmetrised(numerator, weight, symmetry.group("D2"))
    divide(numerator, weight, np.ones(9), np.ones(9), 1)
    np.testing.assert_array_equal(numerator, before[0])
    np.testing.assert_array_equal(weight, before[1])
