"""Shell sums of images against their projections."""

import numpy as np
import pytest

from halfmap.kernels.normal_equations import normal_equations
from halfmap.kernels.project import project
from halfmap.kernels.project.reference import in_band
from halfmap.kernels.residual import reference, shell_sums
from tests.kernels import made


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def problem(radius, padding, beyond, rng):
    half = made.half_space(padding * radius + 2, rng)
    poses = made.poses(5, rng)
    k = radius + beyond
    images = made.complex_normal((len(poses), 2 * k + 1, k + 1), rng)
    ctf = rng.uniform(-1, 1, images.shape).astype(np.float32)
    return half, images, ctf, poses, rng.uniform(-0.1, 0.1, (len(poses), 2)), radius, padding


def test_sums_over_all_shells_are_those_of_the_likelihood(rng):
    half, images, ctf, poses, phases, radius, padding = problem(6, 2, 0, rng)
    sums = shell_sums(half, images, ctf, poses, phases, radius, padding).sum((0, 2))
    cross, power, _, _ = normal_equations(half, images, ctf, np.arange(len(poses)), poses, phases, radius, padding)
    assert sums[1] == pytest.approx(cross.sum(), abs=1e-5 * power.sum())  # float32
    assert sums[2] == pytest.approx(power.sum(), rel=1e-5)
    assert sums[3] == len(poses) * in_band(radius, radius).sum()


def test_images_that_are_their_projections_have_three_equal_powers(rng):
    half, _, ctf, poses, phases, radius, padding = problem(6, 1, 0, rng)
    ones, still = np.ones_like(ctf), np.zeros_like(phases)
    sums = shell_sums(half, project(half, poses, radius, padding), ones, poses, still, radius, padding).sum(0)
    np.testing.assert_allclose(sums[1], sums[0], rtol=1e-6)
    np.testing.assert_allclose(sums[2], sums[0], rtol=1e-6)


@pytest.mark.parametrize("radius", [1, 6, 7])
@pytest.mark.parametrize("padding", [1, 2])
@pytest.mark.parametrize("beyond", [0, 2])
def test_body_agrees_with_the_definition(radius, padding, beyond, rng):
    arguments = problem(radius, padding, beyond, rng)
    found, expected = shell_sums(*arguments), reference.shell_sums(*arguments)
    assert found.dtype == np.float64
    # float32 products of order 1, added in float64
    np.testing.assert_allclose(found, expected, atol=2e-6 * expected.max())
