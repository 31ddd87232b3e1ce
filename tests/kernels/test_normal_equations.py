"""Likelihood, gradient and curvature of a pose: their laws, and the numba body against the definition."""

import numpy as np
import pytest

from halfmap.geometry import rotations
from halfmap.kernels.normal_equations import normal_equations, reference
from halfmap.kernels.project.reference import in_band, project
from tests.kernels import made


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def problem(radius, padding, beyond, rng, poses=None):
    """Arguments of the kernel: three images, a pose list that visits them out of order."""
    half = made.half_space(padding * radius + 2, rng)
    poses = rotations.random(8, rng) if poses is None else poses
    k = radius + beyond
    images = made.complex_normal((3, 2 * k + 1, k + 1), rng)
    ctf = rng.uniform(-1, 1, images.shape).astype(np.float32)
    which = rng.integers(0, 3, len(poses))
    phases = rng.uniform(-0.1, 0.1, (len(poses), 2))
    return half, images, ctf, which, poses, phases, radius, padding


def log_likelihood(arguments, poses, phases):
    half, images, ctf, which, _, _, radius, padding = arguments
    cross, power, _, _ = reference.normal_equations(half, images, ctf, which, poses, phases, radius, padding)
    return 2 * cross - power


def test_log_likelihood_is_how_much_nearer_the_model_is_than_nothing(rng):
    half, images, ctf, which, poses, phases, radius, padding = arguments = problem(6, 2, 0, rng)
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    moved = np.exp(2j * np.pi * (kx * phases[:, 0, None, None] + ky * phases[:, 1, None, None]))
    model = ctf[which] * project(half, poses, radius, padding) * moved
    data = images[which].astype(complex) * in_band(radius, radius)
    expected = (abs(data) ** 2 - abs(data - model) ** 2).sum((1, 2))
    np.testing.assert_allclose(log_likelihood(arguments, poses, phases), expected, rtol=1e-10)


@pytest.mark.parametrize("parameter", range(5))
def test_gradient_is_half_the_slope_of_the_log_likelihood(parameter, rng):
    arguments = problem(6, 2, 0, rng)
    poses, phases = arguments[4], arguments[5]
    step = 1e-7  # differences of values of order 1000 in float64: rounding 1e-6; few points change their grid cell
    moves = np.eye(5)[parameter] * step
    ends = []
    for sign in (1, -1):
        turned = rotations.exp_so3(sign * moves[:3]) @ poses
        ends.append(log_likelihood(arguments, turned, phases + sign * moves[3:]))
    slope = (ends[0] - ends[1]) / (2 * step)
    gradient = reference.normal_equations(*arguments)[2]
    np.testing.assert_allclose(2 * gradient[:, parameter], slope, atol=1e-4 * abs(gradient).max())


def test_curvature_is_symmetric_and_not_negative(rng):
    curvature = normal_equations(*problem(6, 2, 0, rng))[3]
    np.testing.assert_array_equal(curvature, curvature.transpose(0, 2, 1))
    # eigenvalues of a Gram matrix; float32 rounding of its entries
    assert np.linalg.eigvalsh(curvature).min() > -1e-5 * abs(curvature).max()


def test_at_its_own_projection_the_gradient_vanishes_and_the_data_are_the_model(rng):
    half, images, ctf, _, poses, phases, radius, padding = problem(6, 2, 0, rng)
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    ctf = np.broadcast_to(ctf[:1], (len(poses), *ctf.shape[1:])).copy()
    moved = np.exp(2j * np.pi * (kx * phases[:, 0, None, None] + ky * phases[:, 1, None, None]))
    own = (ctf * project(half, poses, radius, padding) * moved).astype(np.complex64)
    which = np.arange(len(poses))
    cross, power, gradient, curvature = normal_equations(half, own, ctf, which, poses, phases, radius, padding)
    np.testing.assert_allclose(cross, power, rtol=1e-5)  # float32 sums
    # a gradient of rounding errors moves the pose by far less than a thousandth of a grid step
    step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
    assert abs(step).max() < 1e-5


@pytest.mark.parametrize("radius", [1, 4, 7])
@pytest.mark.parametrize("padding", [1, 2])
@pytest.mark.parametrize("beyond", [0, 3])  # images may hold more shells than are used
def test_body_agrees_with_the_definition(radius, padding, beyond, rng):
    arguments = problem(radius, padding, beyond, rng)
    found, expected = normal_equations(*arguments), reference.normal_equations(*arguments)
    for mine, definition in zip(found, expected, strict=True):
        assert mine.dtype == np.float64
        # rows are summed in float32: up to 2 K + 1 terms, 6e-8 each, of either sign
        np.testing.assert_allclose(mine, definition, atol=3e-6 * abs(definition).max())


@pytest.mark.parametrize("padding", [1, 2])
def test_body_agrees_for_rows_along_the_axes(padding, rng):
    # points lie on grid nodes, where the derivative of the interpolation has two sides: values only
    arguments = problem(7, padding, 0, rng, made.poses(0, rng))
    found, expected = normal_equations(*arguments), reference.normal_equations(*arguments)
    for mine, definition in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_allclose(mine, definition, atol=3e-6 * abs(expected[1]).max())


def test_body_agrees_without_rotation_in_every_sum(rng):
    # on nodes, but no pixel is replaced by its mate: both take the same side
    arguments = problem(7, 2, 0, rng, np.eye(3)[None])
    for mine, definition in zip(normal_equations(*arguments), reference.normal_equations(*arguments), strict=True):
        np.testing.assert_allclose(mine, definition, atol=3e-6 * abs(definition).max())
