from functools import partial

import numpy as np
import pytest

from halfmap.errors import UsageError
from halfmap.fourier import shells
from halfmap.maps import filters
from halfmap.types import Map

VOXEL_A = 2.0


@pytest.fixture
def noise():
    return Map(np.random.default_rng(1).standard_normal((32,) * 3).astype(np.float32), VOXEL_A)


def _ratio(filtered, original):
    """Amplitude gained, per shell."""
    powers = (shells.power(np.fft.rfftn(map.data.astype(np.float64))) for map in (filtered, original))
    after, before = powers
    return np.sqrt(after / before)


def _gaussian(box, voxel_A, sigma_A):
    r = (np.arange(box) - box // 2) * voxel_A
    square = r[:, None, None] ** 2 + r[:, None] ** 2 + r**2
    return Map(np.exp(-square / (2 * sigma_A**2)).astype(np.float32), voxel_A)


def test_a_curve_of_ones_changes_nothing(noise):
    same = filters.apply_curve(noise, np.ones(17))
    # float32 transforms there and back of values up to 5
    np.testing.assert_allclose(same.data, noise.data, atol=1e-5)
    assert same.data.dtype == np.float32 and same.voxel_size_A == VOXEL_A


def test_a_curve_linear_in_the_shell_is_followed_exactly():
    wave = np.cos(2 * np.pi * np.arange(32) * 5 / 32)
    map = Map(np.broadcast_to(wave, (32, 32, 32)).astype(np.float32), VOXEL_A)
    factors = np.linspace(1, 0, 17)
    np.testing.assert_allclose(filters.apply_curve(map, factors).data, factors[5] * map.data, atol=1e-6)


@pytest.mark.parametrize("box", [31, 32])
def test_odd_and_even_boxes_keep_their_shape(box):
    map = Map(np.zeros((box,) * 3, dtype=np.float32), VOXEL_A)
    assert filters.lowpass(map, 10.0).data.shape == (box,) * 3


def test_lowpass_keeps_coarse_shells_and_takes_fine_ones_away(noise):
    # 64 A / 8 A = shell 8, edge from 7 to 9
    gain = _ratio(filters.lowpass(noise, 8.0), noise)
    np.testing.assert_allclose(gain[:7], 1, atol=1e-5)
    assert np.all(gain[10:] < 1e-6)
    # coefficients of shell 8 lie between 7.5 and 8.5, factors 0.85 to 0.15, root mean square near one half
    assert 0.4 < gain[8] < 0.6


def test_lowpass_is_one_half_at_its_resolution():
    wave = np.cos(2 * np.pi * np.arange(32) * 8 / 32)
    map = Map(np.broadcast_to(wave, (32, 32, 32)).astype(np.float32), VOXEL_A)
    np.testing.assert_allclose(filters.lowpass(map, 8.0).data, 0.5 * map.data, atol=1e-6)


def test_lowpass_beyond_nyquist_changes_nothing(noise):
    np.testing.assert_allclose(filters.lowpass(noise, 3.0).data, noise.data, atol=1e-5)


@pytest.mark.parametrize("resolution_A", [0.0, -3.0, float("nan")])
def test_lowpass_refuses_a_resolution_that_is_not_positive(noise, resolution_A):
    with pytest.raises(UsageError, match="low-pass"):
        filters.lowpass(noise, resolution_A)


def test_bfactor_turns_a_gaussian_into_a_wider_one():
    # the transform of a Gaussian of sigma is exp(-2 pi^2 sigma^2 k^2): B adds B / (8 pi^2) to sigma^2
    bfactor_A2, sigma_A = 200.0, 4.0
    wider = np.sqrt(sigma_A**2 + bfactor_A2 / (8 * np.pi**2))
    filtered = filters.bfactor(_gaussian(48, VOXEL_A, sigma_A), bfactor_A2)
    expected = (sigma_A / wider) ** 3 * _gaussian(48, VOXEL_A, wider).data
    # at Nyquist, 0.25 / A, the Gaussian has fallen to exp(-19.7) = 3e-9; the rest is float32
    np.testing.assert_allclose(filtered.data, expected, atol=2e-6)


def test_a_bfactor_and_its_negative_undo_each_other(noise):
    # sharpening by 50 A^2 amplifies rounding by exp(50 / 4 / 16) = 2.2 at Nyquist
    back = filters.bfactor(filters.bfactor(noise, 50.0), -50.0)
    np.testing.assert_allclose(back.data, noise.data, atol=2e-5)


def test_corners_of_fourier_space_are_treated_as_the_nyquist_shell(noise):
    sharp = np.abs(np.fft.rfftn(filters.bfactor(noise, -100.0).data.astype(np.float64)))
    flat = np.abs(np.fft.rfftn(noise.data.astype(np.float64)))
    corner = shells.shell_of_rfft(32) > 16
    # exp(100 / 4 x 0.25^2); float32 noise of the transform, about 1e-4 of a typical coefficient of 180
    np.testing.assert_allclose(sharp[corner], np.exp(100 / 4 * 0.25**2) * flat[corner], rtol=1e-3, atol=1e-2)


def test_the_falling_cosine_is_one_half_in_the_middle_and_a_step_without_width():
    np.testing.assert_allclose(filters.falling_cosine(np.array([0, 2, 3, 4, 9.0]), 2, 4), [1, 1, 0.5, 0, 0], atol=1e-15)
    np.testing.assert_array_equal(filters.falling_cosine(np.array([1, 2, 2.1]), 2, 2), [1, 1, 0])


def test_filters_leave_their_argument_alone(noise):
    before = noise.data.copy()
    filters.bfactor(filters.lowpass(noise, 8.0), 10.0)
    np.testing.assert_array_equal(noise.data, before)


def _wave(shell, box=32):
    """One Fourier component, at ``shell``."""
    wave = np.cos(2 * np.pi * np.arange(box) * shell / box)
    return Map(np.broadcast_to(wave, (box,) * 3).astype(np.float32), VOXEL_A)


CLOSED_FORMS = {
    "butterworth": (filters.butterworth, lambda x: 1 / np.sqrt(1 + x**16)),
    "fourth order": (partial(filters.butterworth, order=4), lambda x: 1 / np.sqrt(1 + x**8)),
    "rectangular": (filters.rectangular, lambda x: float(x <= 1)),
    "gaussian": (filters.gaussian_rolloff, lambda x: 2 ** (-(x**2) / 2)),
    # two shells wide about shell 8: from 7/8 to 9/8
    "cosine": (filters.raised_cosine, lambda x: 0.5 + 0.5 * np.cos(np.pi * np.clip((8 * x - 7) / 2, 0, 1))),
}


@pytest.mark.parametrize("shell", [0, 3, 7, 8, 9, 12])
@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_low_and_high_pass_are_their_closed_forms_and_share_the_power(name, shell):
    rolloff, form = CLOSED_FORMS[name]
    wave = _wave(shell)
    low = form(shell / 8)
    np.testing.assert_allclose(filters.coarser(wave, 8.0, rolloff).data, low * wave.data, atol=1e-6)
    high = np.sqrt(1 - low**2)
    # where 1 - low^2 is all rounding, 2e-16, its root is 1.5e-8
    np.testing.assert_allclose(filters.finer(wave, 8.0, rolloff).data, high * wave.data, atol=1e-6)


def test_a_butterworth_high_pass_is_the_usual_one():
    x = np.array([0.5, 0.9, 1.0, 1.1, 2.0])
    low = filters.butterworth(8 * x, 8.0)
    np.testing.assert_allclose(np.sqrt(1 - low**2), 1 / np.sqrt(1 + x**-16.0), rtol=1e-9)


def test_a_butterworth_of_any_order_ends_in_0_without_complaint():
    with np.errstate(all="raise", over="raise"):
        assert filters.butterworth(np.array([0.0, 1e6]), 1.0, 100).tolist() == [1, 0]


def test_a_gaussian_filter_is_a_convolution_with_a_gaussian_of_that_width():
    # sigmas add in squares: 2.5 voxels of 2 A and 2 voxels are 3.2 voxels
    blurred = filters.gaussian(_gaussian(48, VOXEL_A, 2.5 * VOXEL_A), 2.0)
    wider = np.sqrt(2.5**2 + 2.0**2)
    expected = (2.5 / wider) ** 3 * _gaussian(48, VOXEL_A, wider * VOXEL_A).data
    np.testing.assert_allclose(blurred.data, expected, atol=2e-6)


def test_a_gaussian_filter_follows_its_formula_into_the_corners():
    corner = np.indices((16,) * 3).sum(axis=0) % 2 * -2.0 + 1  # (-1)^(x + y + z): k = 8 along every axis
    factor = np.exp(-2 * np.pi**2 * 0.2**2 * 3 * 0.5**2)
    filtered = filters.gaussian(Map(corner.astype(np.float32), VOXEL_A), 0.2)
    np.testing.assert_allclose(filtered.data, factor * corner, atol=1e-6)


@pytest.mark.parametrize("ask", [
    lambda map: filters.coarser(map, -1.0, filters.rectangular), lambda map: filters.gaussian(map, 0.0),
    lambda map: filters.finer(map, float("nan"), filters.rectangular),
])  # fmt: skip
def test_lengths_that_are_not_positive_are_refused(noise, ask):
    with pytest.raises(UsageError, match="positive"):
        ask(noise)
