"""The inner loops of the global search."""

import numpy as np
import pytest

from halfmap.geometry import rotations, symmetry
from halfmap.kernels.polar import (
    best_over_shifts,
    lay_rings,
    pick,
    reference,
    sample_images,
    sample_slices,
    soften,
    weigh,
)
from halfmap.kernels.project import project
from tests.kernels import made


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def picked(best, which, matrices, group, angle_rad, count):
    """Poses, shifts and scores of one image, as many as were found."""
    poses, shift, score = np.zeros((count, 3, 3)), np.zeros(count, np.int64), np.full(count, -np.inf)
    pick(best, which, matrices, group, 1 + 2 * np.cos(angle_rad), poses, shift, score)
    found = np.isfinite(score)
    return poses[found], shift[found], score[found]


def scores(directions, angles, rng):
    best = rng.standard_normal((directions, angles)).astype(np.float32)
    return best, rng.integers(0, 9, best.shape).astype(np.int16), rotations.random(directions, rng)


def test_on_the_axes_rings_are_pixels_of_the_slice(rng):
    half, poses = made.half_space(7, rng), made.poses(2, rng)
    rings = sample_slices(half, poses, 6, 8, 1)
    slices = project(half, poses, 6, 1)
    np.testing.assert_allclose(rings[:, :, 0], slices[:, 6, 1:], atol=1e-5)  # theta = 0: (k, 0)
    np.testing.assert_allclose(rings[:, :, 2], slices[:, 7:, 0], atol=1e-5)  # theta = 90 degrees: (0, k)


@pytest.mark.parametrize("radius", [1, 6, 7])
@pytest.mark.parametrize("padding", [1, 2])
@pytest.mark.parametrize("angles", [4, 10, 36])
def test_sampling_of_slices_agrees_with_the_definition(radius, padding, angles, rng):
    half, poses = made.half_space(padding * radius + 1, rng), made.poses(4, rng)
    found = sample_slices(half, poses, radius, angles, padding)
    # three float32 interpolations of numbers up to 5
    np.testing.assert_allclose(found, reference.sample_slices(half, poses, radius, angles, padding), atol=4e-6)


@pytest.mark.parametrize("radius", [1, 6, 7])
@pytest.mark.parametrize("padding", [1, 2])
@pytest.mark.parametrize("angles", [4, 10, 36])
def test_sampling_of_images_agrees_with_the_definition(radius, padding, angles, rng):
    q = padding * radius + 1
    planes = made.half_space(q, rng)[q - 1 : q + 2]
    planes[..., 0] += planes[:, ::-1, 0].conj()  # each a real image
    found = sample_images(planes, radius, angles, padding)
    np.testing.assert_allclose(found, reference.sample_images(planes, radius, angles, padding), atol=4e-6)


def quarter_turn(angles, shifts, directions, rng):
    """Parts of correlations of random spectra, and these correlations themselves by a transform, (n, shifts, v)."""
    spectrum = made.complex_normal((angles // 2 + 1, shifts, directions), rng)
    spectrum[[0, -1]] = spectrum[[0, -1]].real
    parts = []
    for part in (spectrum.real, 1j * spectrum.imag):
        for parity in (0, 1):
            some = np.zeros(spectrum.shape, complex)
            some[parity::2] = part[parity::2]
            parts.append(np.fft.irfft(some, angles, axis=0)[: angles // 4 + 1])
    return np.array(parts, np.float32), np.fft.irfft(spectrum, angles, axis=0)


@pytest.mark.parametrize("angles", [4, 10, 36])
def test_a_quarter_turn_in_parts_makes_the_correlations_of_all_angles(angles, rng):
    parts, whole = quarter_turn(angles, 3, 5, rng)
    np.testing.assert_allclose(reference.correlations(parts, angles), whole, atol=1e-6)  # parts are float32


@pytest.mark.parametrize("shifts", [1, 13])
@pytest.mark.parametrize("angles", [4, 10, 36])
def test_best_shift_agrees_with_the_definition(angles, shifts, rng):
    parts, _ = quarter_turn(angles, shifts, 21, rng)
    penalty = rng.standard_normal(21).astype(np.float32)
    best, which = np.empty((21, angles), np.float32), np.empty((21, angles), np.int16)
    best_over_shifts(parts, penalty, best, which)
    expected = reference.best_over_shifts(parts, angles, penalty)
    np.testing.assert_allclose(best, expected[0], atol=2e-6)  # five float32 numbers of up to 4 added up
    np.testing.assert_array_equal(which, expected[1])


@pytest.mark.parametrize("name", ["C1", "C3", "D2", "T"])
def test_picked_poses_are_distinct_modulo_symmetry_and_best_first(name, rng):
    group = symmetry.group(name)
    poses, _, score = picked(*scores(40, 20, rng), group, 0.5, 12)
    assert len(score) == 12
    assert (np.diff(score) <= 0).all()
    for i in range(len(poses)):
        others = np.delete(poses, i, axis=0)
        assert symmetry.distance(np.broadcast_to(poses[i], others.shape), others, group).min() > 0.5 - 1e-7


@pytest.mark.parametrize("name", ["C1", "D2"])
def test_picking_agrees_with_the_definition(name, rng):
    group = symmetry.group(name)
    best, which, matrices = scores(30, 16, rng)  # about 160 peaks: all are examined
    poses, shift, score = picked(best, which, matrices, group, 0.6, 10)
    places = reference.pick(best, matrices, group, 1 + 2 * np.cos(0.6), 10)
    v, j = np.array(places).T
    np.testing.assert_array_equal(score, best[v, j])
    np.testing.assert_array_equal(shift, which[v, j])
    turned = rotations.euler_to_matrix(0, 0, 360 * j / 16) @ matrices[v]
    np.testing.assert_allclose(poses, turned, atol=1e-12)


def test_the_in_plane_angle_of_a_pose_is_that_of_its_peak(rng):
    best = np.zeros((1, 12), np.float32)
    best[0, 4] = 1
    poses, _, _ = picked(best, np.zeros((1, 12), np.int16), np.eye(3)[None], np.eye(3)[None], 0.1, 3)
    np.testing.assert_allclose(poses, rotations.euler_to_matrix(0, 0, 120.0)[None], atol=1e-12)


def test_of_many_peaks_the_best_are_found_too(rng):
    best, which, matrices = scores(2000, 12, rng)  # some 8,000 peaks: only the highest are examined
    _, _, score = picked(best, which, matrices, np.eye(3)[None], 0.02, 8)
    places = reference.pick(best, matrices, np.eye(3)[None], 1 + 2 * np.cos(0.02), 8)
    np.testing.assert_array_equal(score, [best[place] for place in places])


def test_where_nothing_stands_out_no_pose_is_picked():
    flat = np.zeros((5, 8), np.float32)
    poses, _, score = picked(flat, np.zeros((5, 8), np.int16), np.tile(np.eye(3), (5, 1, 1)), np.eye(3)[None], 0.1, 4)
    assert len(score) == 0


@pytest.mark.parametrize("sharpness", [1.0, 0.3])
@pytest.mark.parametrize("shape", [(4, 1, 3), (12, 5, 40)])
def test_probabilities_of_all_poses_agree_with_the_definition(shape, sharpness, rng):
    correlation = (6 * rng.standard_normal(shape)).astype(np.float32)
    penalty = rng.uniform(0, 4, shape[1:]).astype(np.float32)
    share, evidence, effective = reference.soften(correlation, penalty, sharpness)
    found = correlation.copy()
    np.testing.assert_allclose(weigh(found, penalty, sharpness), (evidence, effective), rtol=1e-3)
    np.testing.assert_array_equal(found, correlation)
    told = soften(found, penalty, sharpness)
    # poses below e^-16 of the best are cut: of 2,400, less than 3e-4 of the probability; most of it far less
    np.testing.assert_allclose(found, share, atol=3e-4)
    np.testing.assert_allclose(told, (evidence, effective), rtol=1e-3)
    assert abs(found.sum(dtype=float) - 1) < 1e-5


@pytest.mark.parametrize("padding", [1, 2])
def test_laying_rings_in_agrees_with_the_definition(padding, rng):
    radius, angles, r = 5, 12, padding * 5 + 2
    poses = made.poses(3, rng)
    rings, shares = made.complex_normal((len(poses), radius, angles // 2), rng), rng.uniform(0.5, 1, (len(poses), 5))
    numerator, weight = np.zeros((2 * r + 1, 2 * r + 1, r + 1), complex), np.zeros((2 * r + 1, 2 * r + 1, r + 1))
    lay_rings(numerator, weight, rings, shares, poses, angles, padding)
    for found, wanted in zip((numerator, weight), reference.lay_rings(rings, shares, poses, angles, padding, r),
                             strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)  # interpolation weights are float32


def test_laying_rings_in_is_the_adjoint_of_sampling_them(rng):
    radius, angles, padding, r = 5, 12, 2, 12
    half, poses = made.half_space(r, rng), made.poses(3, rng)
    rings = made.complex_normal((len(poses), radius, angles // 2), rng)
    numerator, weight = np.zeros(half.shape, complex), np.zeros(half.shape)
    lay_rings(numerator, weight, rings, np.ones((len(poses), radius)), poses, angles, padding)
    numerator[..., 0] += numerator[::-1, ::-1, 0].conj()  # the plane x = 0 stands for itself and its mates
    numerator[..., 0] /= 2
    there = np.vdot(sample_slices(half, poses, radius, angles, padding), rings).real
    assert np.vdot(half, numerator).real == pytest.approx(there, rel=1e-5)
