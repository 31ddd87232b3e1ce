import numpy as np
import pytest

from halfmap.errors import InputError
from halfmap.fourier import shells
from halfmap.maps import filters, masks
from halfmap.types import Curve, Map
from halfmap.validate import fsc
from tests.validate import made


def _curve(values):
    return Curve("test", np.asarray(values, dtype=np.float64), 2 * (len(values) - 1), made.VOXEL_A)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def test_fsc_of_a_map_with_itself_is_one(rng):
    map = made.noise(rng)
    curve = fsc.curve(map, map, name="self")
    np.testing.assert_allclose(curve.values, 1, atol=1e-12)
    assert (curve.name, curve.box, curve.voxel_size_A, len(curve.values)) == ("self", 48, made.VOXEL_A, 25)


@pytest.mark.parametrize("seed", range(5))
def test_fsc_of_independent_noise_is_nil_within_four_standard_errors(seed):
    rng = np.random.default_rng(seed)
    values = fsc.curve(made.noise(rng), made.noise(rng)).values
    counts = shells.shell_counts(shells.shell_of_rfft(48), 25)
    assert np.all(np.abs(values[1:]) < 4 / np.sqrt(counts[1:]))


def test_fsc_follows_the_ratio_of_signal_and_noise(rng):
    # white signal of variance 1 and white noise of variance 1/3 in each half: FSC = 1 / (1 + 1/3) in every shell
    signal = made.noise(rng)
    halves = made.halves(rng, signal, np.sqrt(1 / 3))
    counts = shells.shell_counts(shells.shell_of_rfft(48), 25)
    # sd of a correlation rho: (1 - rho^2) / sqrt(n)
    bound = 5 * (1 - 0.75**2) / np.sqrt(counts)
    assert np.all(np.abs(fsc.curve(*halves).values - 0.75)[3:] < bound[3:])


def test_a_mask_of_ones_changes_nothing_and_any_other_is_applied_to_both(rng):
    a, b = made.noise(rng), made.noise(rng)
    ones = np.ones((48,) * 3, dtype=np.float32)
    np.testing.assert_array_equal(fsc.curve(a, b, ones).values, fsc.curve(a, b).values)
    mask = masks.sphere(48, 10, 4)
    by_hand = fsc.curve(Map(a.data * mask, made.VOXEL_A), Map(b.data * mask, made.VOXEL_A)).values
    np.testing.assert_array_equal(fsc.curve(a, b, mask).values, by_hand)


@pytest.mark.parametrize(
    "values,expected",
    [
        ([1, 1, 1, 1, 1], 4.0),
        ([1, 0.9, 0.5, 0.1, 0.0], 2 + (0.5 - 0.143) / 0.4),
        ([1, 0.9, 0.1, 0.9, 0.9], 1 + (0.9 - 0.143) / 0.8),
        ([-1, 0.9, 0.9, 0.0, 0.0], 2 + (0.9 - 0.143) / 0.9),
        ([1, 0.0, 0.9, 0.9, 0.9], 1 - 0.143),
        ([1, 0.9, np.nan, 0.9, 0.9], None),
    ],
    ids=["never", "between shells", "later rises", "shell 0 is ignored", "falls at once", "not a number"],
)
def test_crossing_is_the_first_fall_below_the_threshold(values, expected):
    shell = fsc.crossing(_curve(values))
    assert np.isnan(shell) or shell <= 2 if expected is None else shell == pytest.approx(expected)


def test_crossing_at_another_threshold_and_in_angstrom():
    curve = _curve([1, 1, 0.75, 0.25, 0])
    assert fsc.crossing(curve, 0.5) == pytest.approx(2.5)
    assert fsc.resolution_A(curve, 0.5) == pytest.approx(8 * made.VOXEL_A / 2.5)
    assert fsc.resolution_A(_curve([1, 1, 1])) == 2 * made.VOXEL_A


def _drawn(map, shell, rng):
    """The map with random phases from ``shell`` on: those of white noise, so Friedel mates stay mates."""
    transform = np.fft.rfftn(map.data.astype(np.float64))
    noise = np.fft.rfftn(rng.standard_normal(map.data.shape))
    random = np.where(shells.shell_of_rfft(map.box) >= shell, noise / np.abs(noise), 1)
    return Map(np.fft.irfftn(transform * random, s=map.data.shape, axes=(0, 1, 2)).astype(np.float32), map.voxel_size_A)


@pytest.mark.parametrize("box", [32, 33])
def test_the_expected_randomised_curve_is_the_mean_of_many_draws(box):
    rng = np.random.default_rng(4)
    halves = made.halves(rng, filters.bfactor(made.particle(box), 600.0), 0.5)
    mask = masks.sphere(box, 7, 3)
    pair = fsc.Pair(*halves)
    assert 3 < pair.start < box // 2 - 5
    curves = fsc.corrected(pair, mask)
    draws = np.array([
        fsc.curve(*(_drawn(half, pair.start, rng) for half in halves), mask).values for _ in range(40)
    ])  # fmt: skip
    error = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
    # four standard errors of the mean, 17 shells; 0.01 for the ratio of means not being the mean of ratios
    assert np.all(np.abs(curves["randomised"].values - draws.mean(axis=0))[1:] < (4 * error + 0.01)[1:])
    assert curves["randomised"].values[pair.start + 2] > 0.05  # the mask does correlate: there is something to expect


def test_the_same_maps_give_the_same_curves_with_nothing_drawn(rng):
    halves = made.halves(rng, made.particle(), 1.0)
    first, again = (fsc.masked_and_corrected(*halves, masks.sphere(64, 20, 4)) for _ in range(2))
    assert all(np.array_equal(first[name].values, again[name].values) for name in first)


def test_correction_follows_its_formula(rng):
    curves = fsc.masked_and_corrected(*made.halves(rng, made.particle(), 1.0), masks.sphere(64, 20, 4))
    assert list(curves) == ["no_mask", "masked", "randomised", "corrected"]
    t, n, true = (curves[name].values for name in ("masked", "randomised", "corrected"))
    start = np.flatnonzero(curves["no_mask"].values[1:] < 0.8)[0] + 1
    np.testing.assert_array_equal(true[: start + 2], t[: start + 2])
    t, n, true = t[start + 2 :], n[start + 2 :], true[start + 2 :]
    np.testing.assert_allclose(true, np.maximum((t - n) / (1 - n), -1), atol=1e-12)


def test_correction_without_anything_to_randomise_is_the_masked_curve():
    map = made.particle()
    curves = fsc.masked_and_corrected(map, map, masks.sphere(64, 20, 4))
    for name in ("randomised", "corrected"):
        np.testing.assert_array_equal(curves[name].values, curves["masked"].values)


def test_a_hard_mask_correlates_the_noise_and_the_correction_takes_that_back(rng):
    """Halves that agree to shell 14 only, seen through one voxel-sized checker of a mask."""
    low = filters.lowpass(made.particle(), 64 * made.VOXEL_A / 14, 1.0)
    halves = made.halves(rng, Map(20 * low.data, made.VOXEL_A), 0.3)
    z, y, x = np.indices((64,) * 3) // 3
    mask = (masks.sphere(64, 20, 0) * ((x + y + z) % 2)).astype(np.float32)
    curves = fsc.masked_and_corrected(*halves, mask)
    assert fsc.crossing(curves["masked"]) > 25
    # the two shells after the start of the randomisation, which are left uncorrected, are all it may gain
    assert fsc.crossing(curves["corrected"]) < fsc.crossing(curves["no_mask"]) + 3


def test_an_empty_mask_shows_nothing(rng):
    curves = fsc.masked_and_corrected(*made.halves(rng, made.particle(32), 1.0), np.zeros((32,) * 3, np.float32))
    assert all(not curves[name].values.any() for name in ("masked", "randomised"))


def test_without_solvent_a_sphere_tells_the_fsc_of_its_filled_part(rng):
    """White signal in a ball of radius 16, white noise everywhere: the sphere of 26 sees the noise of both."""
    ball = masks.sphere(64, 16, 0)
    # signal and noise of one variance in the ball: FSC 0.5 there, per half
    halves = made.halves(rng, Map(ball * made.noise(rng, 64).data, made.VOXEL_A), 1.0)
    sphere = masks.sphere(64, 26, 0)
    found = fsc.without_solvent(fsc.curve(*halves, sphere), sphere.sum() / ball.sum()).values
    counts = shells.shell_counts(shells.shell_of_rfft(64), 33) / 2 * sphere.mean()
    dilution = sphere.sum() / ball.sum()
    plain = 1 / (1 + dilution)
    # error of the FSC in the sphere, times the slope of the formula there: f / (1 + (f - 1) F)^2
    error = (1 - plain**2) / np.sqrt(counts) * dilution / (1 + (dilution - 1) * plain) ** 2
    assert np.all(np.abs(found - 0.5)[5:] < 4 * error[5:])


def test_without_solvent_changes_nothing_in_a_full_sphere_and_leaves_negative_values():
    curve = _curve([1, 0.8, 0.2, -0.3, 0])
    np.testing.assert_array_equal(fsc.without_solvent(curve, 1.0).values, curve.values)
    raised = fsc.without_solvent(curve, 4.0).values
    np.testing.assert_allclose(raised, [1, 3.2 / 3.4, 0.8 / 1.6, -0.3, 0])


def test_maps_that_do_not_fit_are_refused_with_every_reason(rng):
    a = made.noise(rng, 16)
    broken = a.data.copy()
    broken[1, 2, 3] = np.nan
    with pytest.raises(InputError) as error:
        fsc.curve(Map(broken, made.VOXEL_A), Map(np.zeros((18,) * 3, dtype=np.float32), 2.0), np.ones((8,) * 3))
    assert len(error.value.faults) == 4
    assert fsc.curve(a, Map(a.data, made.VOXEL_A * 1.0005)).values[3] == pytest.approx(1)


def test_rows_carry_the_shell_its_frequency_and_every_curve():
    rows = fsc.as_rows([Curve("no_mask", np.array([1, 0.5, 0]), 4, 2.0), Curve("tight", np.array([1, 0.9, 0]), 4, 2.0)])
    assert list(rows) == ["shell", "frequency_1_A", "resolution_A", "no_mask", "tight"]
    np.testing.assert_allclose(rows["frequency_1_A"], [0, 0.125, 0.25])
    np.testing.assert_allclose(rows["resolution_A"], [np.inf, 8, 4])
