"""Sums for aberrations and defocus: their laws, and the numba bodies against the definitions."""

import numpy as np
import pytest

from halfmap.geometry import rotations
from halfmap.kernels import aberrations, defocus
from halfmap.kernels.aberrations import reference
from halfmap.kernels.defocus import reference as ring_reference
from halfmap.kernels.project.reference import in_band, project
from tests.kernels import made


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def problem(radius, padding, beyond, rng, n=5):
    """(half, images, ctf, quadrature, matrices, phases)."""
    half = made.half_space(padding * radius + 2, rng)
    k = radius + beyond
    images = made.complex_normal((n, 2 * k + 1, k + 1), rng)
    chi, size = rng.uniform(-4, 4, images.shape), rng.uniform(0.2, 1, images.shape)
    planes = ((size * f(chi)).astype(np.float32) for f in (np.sin, np.cos))
    return half, images, *planes, rotations.random(n, rng), rng.uniform(-0.1, 0.1, (n, 2))


def rings_of(radius):
    """Rings of |k|^2 / 3, the innermost pixels left out."""
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    ring = (kx**2 + ky**2) // 3 - 1
    return ring, int(ring.max()) + 1


def model(arguments, radius, padding, phase):
    """Slices under the CTF whose phase chi has ``phase`` added, at the images' places."""
    half, _, ctf, quadrature, matrices, phases = arguments
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    moved = np.exp(2j * np.pi * (kx * phases[:, 0, None, None] + ky * phases[:, 1, None, None]))
    return project(half, matrices, radius, padding) * moved * (ctf * np.cos(phase) + quadrature * np.sin(phase))


def log_likelihood(images, m, radius):
    x = images * in_band(radius, radius)
    return (abs(x) ** 2 - abs(x - m) ** 2).sum(0)


def test_planes_tell_the_log_likelihood_of_any_phase(rng):
    radius = 6
    arguments = problem(radius, 2, 0, rng)
    cross, power = reference.phase_sums(*arguments, radius, 2)
    phi, delta = rng.uniform(-3, 3, (2, 2 * radius + 1, radius + 1))
    s, c = np.sin(delta), np.cos(delta)
    told = 2 * (np.exp(-1j * phi) * (cross[0] * c + cross[1] * s)).real
    told -= power[0] * c * c + 2 * power[1] * c * s + power[2] * s * s
    expected = log_likelihood(arguments[1], model(arguments, radius, 2, delta) * np.exp(1j * phi), radius)
    np.testing.assert_allclose(told, expected, atol=1e-5)  # planes are float32


def test_rings_tell_the_log_likelihood_of_any_phase_per_ring(rng):
    radius = 6
    arguments, (ring, rings) = problem(radius, 2, 0, rng), rings_of(radius)
    sums = ring_reference.ring_sums(*arguments, ring, rings, 2)
    turn = rng.uniform(-3, 3, rings)
    told = 2 * (sums[:, 0] * np.cos(turn) + sums[:, 1] * np.sin(turn))
    told -= (sums[:, 2] - sums[:, 3] * np.cos(2 * turn) + sums[:, 4] * np.sin(2 * turn)) / 2
    m = model(arguments, radius, 2, turn[np.maximum(ring, 0)])
    each = [log_likelihood(arguments[1][i : i + 1], m[i : i + 1], radius)[ring >= 0].sum() for i in range(5)]
    np.testing.assert_allclose(told.sum(1), each, atol=1e-4)


def test_a_small_distortion_of_noise_free_images_solves_the_normal_equations(rng):
    """Images at (1 + D) k of an object smooth on the grid: least squares give D back."""
    radius, padding = 6, 4
    small = np.zeros((2 * padding * radius + 13,) * 3)
    half = made.half_space(padding * radius + 8, rng)
    kz, ky, kx = np.mgrid[tuple(slice(-(s // 2), s // 2 + 1) for s in small.shape)]
    offset = np.array([0.05, -0.03, 0.04]) / padding  # of a point object: its transform turns by a quarter at the rim
    half = np.exp(2j * np.pi * (kx * offset[0] + ky * offset[1] + kz * offset[2]))[..., small.shape[2] // 2 :]
    half = half.astype(np.complex64)
    matrices, true = rotations.random(40, rng), np.array([[0.01, -0.006], [0.004, -0.012]])
    bent = matrices.copy()
    bent[:, :2] = (np.eye(2) + true).T @ matrices[:, :2]
    images = project(half, bent, radius, padding)
    ctf = np.ones(images.shape, np.float32)
    sums = aberrations.distortion_sums(half, images.astype(np.complex64), ctf, matrices, np.zeros((40, 2)), radius,
                                       padding).sum(0)
    x, y, z = (sums[i : i + 3] for i in (4, 7, 10))
    pick = lambda t: np.array([[t[0], t[1]], [t[1], t[2]]])  # noqa: E731
    normal = np.block([[pick(x), pick(y)], [pick(y), pick(z)]])
    # linearisation: phases of at most 2 pi 0.07 x 6 x 0.015 = 0.04 rad, y = sin; interpolation 0.5 %
    np.testing.assert_allclose(np.linalg.solve(normal, sums[:4]), true.ravel(), rtol=0.02, atol=1e-4)


@pytest.mark.parametrize("radius", [2, 4, 7])
@pytest.mark.parametrize("padding", [1, 2])
@pytest.mark.parametrize("beyond", [0, 3])  # images may hold more shells than are used
def test_bodies_agree_with_their_definitions(radius, padding, beyond, rng):
    arguments, (ring, rings) = problem(radius, padding, beyond, rng), rings_of(radius)
    half, images, ctf, _, matrices, phases = arguments
    pairs = [
        *zip(aberrations.phase_sums(*arguments, radius, padding), reference.phase_sums(*arguments, radius, padding),
             strict=True),
        (aberrations.distortion_sums(half, images, ctf, matrices, phases, radius, padding),
         reference.distortion_sums(half, images, ctf, matrices, phases, radius, padding)),
        (defocus.ring_sums(*arguments, ring, rings, padding), ring_reference.ring_sums(*arguments, ring, rings,
                                                                                       padding)),
    ]  # fmt: skip
    for mine, definition in pairs:
        assert mine.dtype in (np.float64, np.complex128)
        # each term is made of float32 products, 6e-8 each, with interpolation and its differences some 20 of them
        np.testing.assert_allclose(mine, definition, atol=5e-6 * abs(definition).max())


def test_batches_add_up(rng):
    half, *rest = problem(5, 2, 0, rng, n=9)
    whole = aberrations.phase_sums(half, *rest, 5, 2)
    parts = [aberrations.phase_sums(half, *(part[rows] for part in rest), 5, 2)
             for rows in (slice(0, 4), slice(4, 9))]  # fmt: skip
    for all_of, first, second in zip(whole, *parts, strict=True):
        np.testing.assert_allclose(first + second, all_of, rtol=1e-12, atol=1e-9)  # float64 rounding alone
