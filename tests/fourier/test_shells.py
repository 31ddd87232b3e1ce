import numpy as np
import pytest
import scipy.fft

from halfmap.fourier import shells

BOXES = [8, 9, 32]


def _full_shells(box):
    k = np.fft.fftfreq(box, 1 / box)
    return np.rint(np.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + k**2)).astype(int)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.mark.parametrize("box", BOXES)
def test_shell_is_the_nearest_integer_radius(box):
    np.testing.assert_array_equal(shells.shell_of_rfft(box), _full_shells(box)[..., : box // 2 + 1])


@pytest.mark.parametrize("box", BOXES)
def test_sums_over_half_of_fourier_space_are_those_over_all_of_it(box, rng):
    data = rng.standard_normal((box,) * 3)
    full = np.bincount(_full_shells(box).ravel(), weights=(np.abs(np.fft.fftn(data)) ** 2).ravel())[: box // 2 + 1]
    half = shells.shell_sums(np.abs(np.fft.rfftn(data)) ** 2, shells.shell_of_rfft(box), box // 2 + 1)
    # rounding of the transform
    np.testing.assert_allclose(half, full, rtol=1e-10)


@pytest.mark.parametrize("box", BOXES)
def test_counts_are_those_of_the_whole_space(box):
    expected = np.bincount(_full_shells(box).ravel())[: box // 2 + 1]
    np.testing.assert_array_equal(shells.shell_counts(shells.shell_of_rfft(box), box // 2 + 1), expected)


def test_sums_follow_leading_axes_and_half_planes(rng):
    radius = 5
    ky, kx = np.arange(-radius, radius + 1), np.arange(radius + 1)
    index = np.rint(np.hypot(ky[:, None], kx)).astype(int)
    values = rng.standard_normal((3, 2, 2 * radius + 1, radius + 1))
    sums = shells.shell_sums(values, index, radius + 1)
    assert sums.shape == (3, 2, radius + 1)
    twice = np.where(kx == 0, 1, 2)
    assert sums[2, 1, 4] == pytest.approx((values[2, 1] * twice)[index == 4].sum(), abs=1e-12)


@pytest.mark.parametrize("box", BOXES)
def test_correlation_of_a_map_with_itself_is_one_and_with_its_negative_minus_one(box, rng):
    f = scipy.fft.rfftn(rng.standard_normal((box,) * 3).astype(np.float32))
    # sums are float64 and identical up to rounding
    np.testing.assert_allclose(shells.correlation(f, f, box), 1, atol=1e-12)
    np.testing.assert_allclose(shells.correlation(f, -3 * f, box), -1, atol=1e-6)


def test_correlation_does_not_depend_on_scale_or_order(rng):
    a, b = (scipy.fft.rfftn(rng.standard_normal((16,) * 3)) for _ in range(2))
    expected = shells.correlation(a, b, 16)
    np.testing.assert_allclose(shells.correlation(5 * b, 0.1 * a, 16), expected, atol=1e-12)


def test_correlation_of_independent_noise_is_nil_within_its_sampling_error(rng):
    box = 48
    a, b = (scipy.fft.rfftn(rng.standard_normal((box,) * 3)) for _ in range(2))
    # n real degrees of freedom: n coefficients of the whole space, in conjugate pairs of two real numbers
    counts = shells.shell_counts(shells.shell_of_rfft(box), box // 2 + 1)
    deviation = shells.correlation(a, b, box)[1:] * np.sqrt(counts[1:])
    assert np.abs(deviation).max() < 4
    # and the error is really that large: sd over 24 shells within 4 of its own sd 1/sqrt(48)
    assert abs(deviation.std() - 1) < 4 / np.sqrt(48)


def test_correlation_of_nothing_is_zero():
    nothing = np.zeros((8, 8, 5), dtype=np.complex64)
    np.testing.assert_array_equal(shells.correlation(nothing, nothing, 8), 0)


def test_power_of_white_noise_is_the_same_in_all_shells(rng):
    box = 32
    power = shells.power(scipy.fft.rfftn(rng.standard_normal((box,) * 3)))
    counts = shells.shell_counts(shells.shell_of_rfft(box), box // 2 + 1)
    # |F|^2 of n real degrees of freedom: relative sd sqrt(2/n)
    assert (np.abs(power / box**3 - 1) < 5 * np.sqrt(2 / counts)).all()


@pytest.mark.parametrize("box", BOXES)
def test_scaling_by_a_radial_function_is_scaling_by_it_everywhere(box, rng):
    f = scipy.fft.rfftn(rng.standard_normal((box,) * 3))
    k, kx = np.fft.fftfreq(box, 1 / box), np.arange(box // 2 + 1)
    radius = np.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + kx**2)
    before = f.copy()
    np.testing.assert_allclose(shells.scaled(f, np.exp(-shells.radii(box))), f * np.exp(-radius), rtol=1e-12)
    np.testing.assert_array_equal(f, before)


def test_correlation_of_very_small_maps_is_that_of_large_ones(rng):
    a, b = (scipy.fft.rfftn(rng.standard_normal((16,) * 3).astype(np.float32)) for _ in range(2))
    # 1e-25 squared is nothing in single precision
    tiny = shells.correlation(a * np.float32(1e-25), b, 16)
    np.testing.assert_allclose(tiny, shells.correlation(a, b, 16), atol=1e-6)


def test_what_is_not_a_number_does_not_pass_for_no_correlation(rng):
    f = scipy.fft.rfftn(rng.standard_normal((8,) * 3))
    broken = f.copy()
    broken[0, 0, 2] = np.nan
    assert np.isnan(shells.correlation(f, broken, 8)[2])


@pytest.mark.parametrize("box", BOXES)
def test_amplitude_and_planes_agree_with_the_index_of_the_whole(box, rng):
    f = scipy.fft.rfftn(rng.standard_normal((box,) * 3))
    index, n = shells.shell_of_rfft(box), box // 2 + 1
    expected = shells.shell_sums(np.abs(f), index, n) / shells.shell_counts(index, n)
    np.testing.assert_allclose(shells.amplitude(f), expected, rtol=1e-12)
    np.testing.assert_array_equal(shells.shell_of_plane(box, 3), index[3])


@pytest.mark.parametrize("box", [16, 17])
def test_real_sums_are_those_of_the_whole_transform(box):
    data = np.random.default_rng(1).standard_normal((box,) * 3)
    k = np.fft.fftfreq(box, 1 / box)
    shell = np.rint(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)).astype(int).ravel()
    expected = np.bincount(shell, weights=np.fft.fftn(data).real.ravel())[: box // 2 + 1]
    # sums of up to 1000 terms of size 60 in float64
    np.testing.assert_allclose(shells.real_sums(np.fft.rfftn(data)), expected, atol=1e-8)


@pytest.mark.parametrize("last, steps", [(4.0, 0), (4.0 * 1.2**3, 3), (4.0 * 1.2**3.01, 4), (4.01, 1)])
def test_a_ladder_takes_no_step_wider_than_its_ratio_and_none_too_many(last, steps):
    rungs = shells.ladder(4.0, last, 1.2)
    assert rungs[0] == 4 and rungs[-1] == pytest.approx(last) and len(rungs) == steps + 1
    ratios = rungs[1:] / rungs[:-1]
    assert (ratios < 1.2 * (1 + 1e-6)).all()
    np.testing.assert_allclose(ratios, ratios[:1].repeat(steps), rtol=1e-12)  # all steps alike
