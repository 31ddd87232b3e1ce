"""The local filter: what it is where places agree, where they do not, and where there is nothing; and its pieces."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.fft

from halfmap import device
from halfmap.fourier import shells
from halfmap.maps import cuboids, filters, masks
from halfmap.maps.cuboids import Cuboid
from halfmap.reconstruct import nonuniform
from halfmap.reconstruct.nonuniform import Butterworth, CrossValidated, Gaussian, LocalFilter, Rectangular
from halfmap.types import Map
from halfmap.validate import fsc

BOX, VOXEL_A = 48, 3.0
LENGTH_A = BOX * VOXEL_A
SHAPES = [Butterworth(), Butterworth(2), Rectangular(), Gaussian()]


def noise(seed, scale=1.0):
    return scale * np.random.default_rng(seed).standard_normal((BOX,) * 3, np.float32)


def places():
    """(ball in the middle, shell around it), bool."""
    z, y, x = np.indices((BOX,) * 3) - BOX // 2
    r = np.sqrt(z**2 + y**2 + x**2)
    return r < 8, (r > 14) & (r < 20)


@pytest.fixture(scope="module")
def halves():
    """A ball of fine texture both halves share; a shell that they share to 20 A and not beyond; a little noise."""
    ball, shell = places()
    coarse = filters.lowpass(Map(noise(1), VOXEL_A), 20.0).data
    fine = noise(2) * ball + 4 * coarse * shell
    return tuple(Map((fine + noise(seed, 0.3) + noise(seed + 5, 1.0) * shell).astype(np.float32), VOXEL_A)
                 for seed in (3, 4))  # fmt: skip


@pytest.fixture(scope="module")
def mask():
    return masks.sphere(BOX, 20, 3)


@pytest.fixture(scope="module")
def curve(halves, mask):
    return np.clip(fsc.corrected(fsc.Pair(*halves), mask)["corrected"].values, 0, 1)


@pytest.fixture(scope="module")
def found(halves, mask, curve):
    return CrossValidated().fitted(halves, mask, curve)


def constant(level, shape=Butterworth()):  # noqa: B008 - frozen
    rungs = nonuniform.ladder(BOX, LENGTH_A)
    return LocalFilter(shape, rungs, np.full((24,) * 3, level, np.uint8), np.ones(BOX // 2 + 1))


def test_the_ladder_is_geometric_from_the_coarsest_to_nyquist():
    rungs = nonuniform.ladder(256, 320.0)
    assert rungs[0] == 320 / nonuniform.COARSEST_A and rungs[-1] == 128
    ratios = rungs[1:] / rungs[:-1]
    assert np.ptp(ratios) < 1e-9 and 1 < ratios[0] <= nonuniform.RATIO


def test_a_map_that_ends_before_the_coarsest_rung_has_one_rung():
    assert len(nonuniform.ladder(32, 32 * 12.0)) == 1


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_where_every_place_goes_all_the_way_the_map_stays_as_it_is(shape, halves):
    rungs = nonuniform.ladder(BOX, LENGTH_A)
    whole = constant(len(rungs) - 1, shape).applied(halves[0])
    # bands add up to the map; float32 transforms of values of order 5
    np.testing.assert_allclose(whole.data, halves[0].data, atol=3e-5)


@pytest.mark.parametrize("level", [0, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_where_every_place_stops_at_one_rung_it_is_a_low_pass_of_the_map(shape, level, halves):
    filter = constant(level, shape)
    cutoff = filter.rungs[level]
    k = shells.radii(BOX)
    gain = np.where(k < shape.ends * cutoff, shape.gain(k, cutoff), 0)
    expected = scipy.fft.irfftn(shells.scaled(scipy.fft.rfftn(halves[0].data), gain), s=(BOX,) * 3)
    np.testing.assert_allclose(filter.applied(halves[0]).data, expected, atol=3e-5)
    np.testing.assert_allclose(filter.resolution(BOX, LENGTH_A).data, LENGTH_A / cutoff, rtol=1e-5)


def test_every_low_pass_is_at_0_71_at_its_cut_off_or_a_step_there():
    for shape in (Butterworth(), Butterworth(2), Gaussian()):
        assert shape.gain(np.array([10.0]), 10.0)[0] == pytest.approx(np.sqrt(0.5))
        assert shape.gain(np.array([0.0]), 10.0)[0] == 1
    np.testing.assert_array_equal(Rectangular().gain(np.array([9.0, 10, 10.1]), 10.0), [1, 1, 0])


def test_a_higher_order_is_steeper():
    below, above = (Butterworth(8).gain(np.array([k]), 10.0) - Butterworth(2).gain(np.array([k]), 10.0)
                    for k in (7.0, 14.0))  # fmt: skip
    assert below > 0 > above


def test_each_place_is_filtered_to_what_the_halves_agree_on_there(found):
    ball, shell = places()
    resolution = found.resolution(BOX, LENGTH_A).data
    assert np.median(resolution[ball]) < 7.0  # Nyquist is 6 A
    # agreement ends at 20 A; the window of the first rung beyond it is 50 A wide, and sees the ball
    assert np.median(resolution[shell]) > 10.0


def test_the_filter_predicts_the_other_half_better_than_one_filter_for_all(halves, found, curve):
    inside = np.logical_or(*places())

    def error(filter):
        made = [filter.applied(filters.apply_curve(half, filter.values)).data for half in halves]
        return sum(((made[i] - halves[1 - i].data)[inside].astype(float) ** 2).mean() for i in (0, 1))

    local, uniform = error(found), error(nonuniform.Uniform(curve))
    nothing = sum((half.data[inside].astype(float) ** 2).mean() for half in halves)
    assert local < uniform < nothing


def test_the_fsc_of_places_that_go_on_is_higher_than_that_of_the_whole(found, curve):
    fine = slice(int(1.3 * found.rungs[0]), BOX // 2)
    assert (found.values[fine] > curve[fine]).all()
    np.testing.assert_array_equal(found.values[: int(found.rungs[0]) + 1], curve[: int(found.rungs[0]) + 1])


def test_noise_has_no_gain_beyond_the_first_rung(mask):
    pair = Map(noise(1), VOXEL_A), Map(noise(2), VOXEL_A)
    filter = CrossValidated().fitted(pair, mask, np.zeros(BOX // 2 + 1))
    # 30 components and more tell each: standard deviation at most 0.18, most far less
    assert filter.values.max() < 0.3 and filter.values[int(filter.rungs[0]) + 4 :].mean() < 0.1


def test_the_halves_are_treated_alike(halves, mask, curve, found):
    swapped = CrossValidated().fitted(halves[::-1], mask, curve)
    np.testing.assert_array_equal(swapped.level, found.level)
    np.testing.assert_array_equal(swapped.values, found.values)


def test_louder_maps_have_the_same_filter(halves, mask, curve, found):
    louder = tuple(Map(4 * half.data, VOXEL_A) for half in halves)
    np.testing.assert_array_equal(CrossValidated().fitted(louder, mask, curve).level, found.level)


def test_a_wider_window_makes_a_smoother_filter(halves, mask, curve):
    def roughness(factor):
        level = np.log(CrossValidated(Butterworth(), factor).fitted(halves, mask, curve).resolution(BOX, LENGTH_A).data)
        return sum(np.abs(np.diff(level, axis=axis)).mean() for axis in range(3))

    assert roughness(6.0) < roughness(1.5)


def test_nothing_is_changed_in_place(halves, mask, curve):
    before = [half.data.copy() for half in halves]
    CrossValidated().fitted(halves, mask, curve).applied(halves[0])
    for half, data in zip(halves, before, strict=True):
        np.testing.assert_array_equal(half.data, data)


def test_windowed_products_are_what_they_are_defined_to_be():
    """Against float64: the band by its gain, the products on the full grid, the window by its transform."""
    a, b = noise(1), noise(2)
    rungs = nonuniform.ladder(BOX, LENGTH_A)
    number, factor, small = 2, 3.0, 36
    sigma = factor / (nonuniform.FWHM * rungs[number])
    whole, place = Cuboid.whole(BOX), (slice(3, 15), slice(0, small), slice(0, small))
    window = nonuniform.Window(sigma, small, place)
    cross, power = nonuniform.products(whole, [whole.transform(m) for m in (a, b)], rungs, number, window)
    spectra = [scipy.fft.rfftn(m.astype(float)) for m in (a, b)]
    k = shells.radii(BOX)
    gain = nonuniform._step(k, rungs, number) - nonuniform._step(k, rungs, number - 1)
    b1, b2 = (scipy.fft.irfftn(shells.scaled(s, gain), s=(BOX,) * 3) for s in spectra)
    window = np.exp(-2 * (np.pi * sigma * k) ** 2)
    for made, product in ((cross, b1 * b2), (power, (b1**2 + b2**2) / 2)):
        expected = scipy.fft.irfftn(shells.scaled(scipy.fft.rfftn(product), window), s=(BOX,) * 3)
        # every fourth point of the one grid is every third of the other; what the small boxes leave out is 1e-3
        np.testing.assert_allclose(made[::3, ::3, ::3], expected[4:20:4, ::4, ::4], atol=2e-3 * expected.std() + 1e-7)


@pytest.fixture(scope="module")
def lonely():
    """A small ball of texture, in two halves with noise of their own, alone in a box of 96 voxels; its mask."""
    box = 96
    z, y, x = np.indices((box,) * 3) - box // 2
    ball = (z**2 + y**2 + x**2) < 81
    rng = np.random.default_rng(4)
    texture = rng.standard_normal((box,) * 3, np.float32) * ball
    return (tuple(Map(texture + 0.3 * rng.standard_normal((box,) * 3, np.float32), VOXEL_A) for _ in range(2)),
            masks.sphere(box, 11, 4))


def in_the_whole(monkeypatch):
    """Nothing is cut out any more."""
    monkeypatch.setattr(cuboids, "WORTH", 0.0)


def test_cutting_out_where_places_go_on_does_not_change_how_far_they_go(lonely, monkeypatch):
    halves, mask = lonely
    curve = np.ones(halves[0].box // 2 + 1)
    cut = CrossValidated().fitted(halves, mask, curve)
    assert min(len(cut._parts(96)), cut.level.max()) > 1  # there was something to cut
    in_the_whole(monkeypatch)
    whole = CrossValidated().fitted(halves, mask, curve)
    # within the tails of windows, beyond four standard deviations: 6e-5 on an axis
    np.testing.assert_allclose(cut.values, whole.values, atol=1e-4)
    assert (cut.level != whole.level).mean() < 2e-3  # places on the brink of a rung


@pytest.mark.parametrize("shape", [*SHAPES, Butterworth(20)], ids=str)
def test_cutting_out_where_bands_count_does_not_change_the_map(shape, lonely, monkeypatch):
    halves, mask = lonely
    filter = replace(CrossValidated().fitted(halves, mask, np.ones(halves[0].box // 2 + 1)), shape=shape)
    cut = filter.applied(halves[0]).data
    in_the_whole(monkeypatch)
    whole = filter.applied(halves[0]).data
    assert np.sqrt(((cut - whole)[mask > 0.5] ** 2).mean()) < 2e-3 * whole[mask > 0.5].std()  # what steep filters ring


def test_the_number_of_threads_changes_nothing(lonely, monkeypatch):
    halves, mask = lonely
    made = []
    for number in (1, 3):
        monkeypatch.setattr(device, "threads", lambda number=number: number)
        filter = CrossValidated().fitted(halves, mask, np.ones(49))
        made.append((filter.level, filter.values, filter.applied(halves[0]).data))
    for one, other in zip(*made, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_filter_judged_anew_takes_the_coarse_shells_from_the_whole(found, curve):
    other = found.judged(np.full(len(curve), 0.5))
    first = int(found.rungs[0])
    assert (other.values[: first + 1] == 0.5).all()
    np.testing.assert_array_equal(other.values[first + 1 :], found.values[first + 1 :])


def test_one_filter_for_all_does_nothing_but_name_its_fsc(halves, curve):
    uniform = nonuniform.Everywhere().fitted(halves, None, curve)
    assert uniform.applied(halves[0]) is halves[0]
    assert uniform.values is curve and uniform.resolution(BOX, LENGTH_A) is None
