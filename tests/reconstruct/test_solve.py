"""From sums to maps, against objects in closed form."""

import numpy as np
import pytest
import scipy.fft

from halfmap.fourier import shells
from halfmap.geometry import rotations, symmetry
from halfmap.maps import resample
from halfmap.reconstruct import priors, solve
from halfmap.types import Map
from tests.reconstruct import made


@pytest.fixture
def rng():
    return np.random.default_rng(17)


@pytest.fixture(scope="module")
def sums():
    matrices, shifts = made.views(500, np.random.default_rng(18))
    return made.summed(made.images(made.object_(), matrices, shifts), matrices, shifts)


def filtered(sums, fsc_values) -> Map:
    return solve.to_map(solve.wiener(sums, fsc_values), sums, made.BOX, made.BOX)


def fsc(a: Map, b: Map) -> np.ndarray:
    return shells.correlation(scipy.fft.rfftn(a.data), scipy.fft.rfftn(b.data), a.box)


def test_projections_of_an_object_give_the_object_back(sums):
    found, truth = solve.unfiltered(sums, made.BOX, made.BOX), made.object_().map(made.BOX, made.VOXEL_A)
    assert found.voxel_size_A == made.VOXEL_A and found.data.dtype == np.float32
    assert fsc(found, truth)[1 : made.RADIUS].min() > 0.99
    error = shells.power(scipy.fft.rfftn(found.data - truth.data)) / shells.power(scipy.fft.rfftn(truth.data))
    # interpolation of density within a quarter of the box: 2 % typical, 5 % at most (tests/physics/test_projection.py);
    # no image has a DC term, and beyond the last shells points are missing
    assert np.sqrt(error[1 : made.RADIUS - 1]).max() < 0.04


def test_the_scale_is_that_of_the_object(sums):
    found, truth = solve.unfiltered(sums, made.BOX, made.BOX), made.object_().map(made.BOX, made.VOXEL_A)
    a, b = found.data - found.data.mean(), truth.data - truth.data.mean()
    assert np.vdot(a, b) / np.vdot(b, b) == pytest.approx(1, abs=0.02)


def test_views_of_the_asymmetric_unit_suffice_with_symmetry(rng):
    group = symmetry.group("D2")
    truth = made.object_("D2")
    some = symmetry.canonical(rotations.random(250, rng), group)
    images = made.images(truth, some, np.zeros((250, 2)))
    map = truth.map(made.BOX, made.VOXEL_A)
    with_group = solve.unfiltered(made.summed(images, some, np.zeros((250, 2)), group), made.BOX, made.BOX)
    without = solve.unfiltered(made.summed(images, some, np.zeros((250, 2))), made.BOX, made.BOX)
    assert fsc(with_group, map)[1 : made.RADIUS].min() > 0.99
    assert fsc(without, map)[1 : made.RADIUS].min() < fsc(with_group, map)[1 : made.RADIUS].min()
    for op_axes in ((0, 1), (0, 2), (1, 2)):  # the three twofold axes: two coordinates change their sign
        turned = np.roll(np.flip(with_group.data, op_axes), (1, 1), op_axes)
        inside = (slice(1, None),) * 3  # plane 0 of an even box has no mate
        np.testing.assert_allclose(turned[inside], with_group.data[inside], atol=1e-4 * map.data.max())


@pytest.mark.parametrize("name", ["C3", "T"])
def test_interpolated_symmetries_give_the_object_too(name, rng):
    group, truth = symmetry.group(name), made.object_(name)
    views = rotations.random(200, rng)
    images = made.images(truth, views, np.zeros((200, 2)))
    found = solve.unfiltered(made.summed(images, views, np.zeros((200, 2)), group), made.BOX, made.BOX)
    assert fsc(found, truth.map(made.BOX, made.VOXEL_A))[1 : made.RADIUS].min() > 0.99


def test_a_box_of_half_the_size_holds_every_other_voxel():
    matrices, shifts = made.views(100, np.random.default_rng(19))
    images = made.images(made.object_(), matrices, shifts, 5)
    sums = made.summed(images, matrices, shifts, radius=5)
    big, small = (solve.unfiltered(sums, box, made.BOX) for box in (made.BOX, made.BOX // 2))
    assert small.voxel_size_A == 2 * big.voxel_size_A
    # R = 2 x 5 + 1 is below the Nyquist frequency of both: the same finite Fourier sum at the same places
    np.testing.assert_allclose(small.data, big.data[::2, ::2, ::2], atol=5e-6 * big.data.max())


@pytest.mark.parametrize("box", [16, 20])
def test_a_smaller_box_is_the_fourier_crop_of_the_large_one(box):
    matrices, shifts = made.views(300, np.random.default_rng(19))
    radius = box // 2 - 2
    sums = made.summed(made.images(made.object_(), matrices, shifts, radius), matrices, shifts, radius=radius)
    cropped = resample.fourier_crop(solve.unfiltered(sums, made.BOX, made.BOX), box)
    small = solve.unfiltered(sums, box, made.BOX)
    assert small.voxel_size_A == pytest.approx(cropped.voxel_size_A)
    # the correction for interpolation, 1 / sinc^2, jumps at the edge of the box, where the ringing of the cut band
    # still is, and so leaks beyond the band: what the crop cuts off, the small box folds back
    assert np.linalg.norm(small.data - cropped.data) < 0.03 * np.linalg.norm(small.data)


def test_a_perfect_fsc_filters_nothing(sums):
    plain = solve.unfiltered(sums, made.BOX, made.BOX).data
    found = filtered(sums, np.ones(made.RADIUS + 1)).data
    assert np.linalg.norm(found - plain) < 0.03 * np.linalg.norm(plain)  # FSC counts as 0.999, weights are uneven


def test_shells_without_fsc_are_empty(sums):
    found, plain = filtered(sums, np.ones(6)), solve.unfiltered(sums, made.BOX, made.BOX)
    ratio = shells.power(scipy.fft.rfftn(found.data)) / shells.power(scipy.fft.rfftn(plain.data))
    assert ratio[1:5].min() > 0.9
    # LEAST = 0.001 of the amplitude remains; the rest leaks in real space from shell 5, as in the test above
    assert ratio[8:10].max() < 0.02


def test_the_filter_is_the_fsc_where_sampling_is_even(sums):
    fsc_values = np.full(made.RADIUS + 1, 0.5)
    plain, found = solve.unfiltered(sums, made.BOX, made.BOX), filtered(sums, fsc_values)
    ratio = np.sqrt(shells.power(scipy.fft.rfftn(found.data)) / shells.power(scipy.fft.rfftn(plain.data)))
    # 500 views: the weight of a point scatters by 1 / sqrt(500 / (2 x 2 x shell)) = 30 % at shell 11, which changes
    # the mean of W / (W + <W>) by a quarter of the square: 2 %
    np.testing.assert_allclose(ratio[3:10], 0.5, atol=0.04)


def test_more_views_leave_the_map_as_it_is_and_double_its_weight(sums):
    twice = sums + sums
    np.testing.assert_allclose(solve.mean_weight(twice), 2 * solve.mean_weight(sums), rtol=1e-6)
    fsc_values = np.linspace(1, 0.2, made.RADIUS + 1)
    found, plain = (filtered(s, fsc_values).data for s in (twice, sums))
    np.testing.assert_allclose(found, plain, atol=1e-5 * plain.max())  # the ridge follows the weight


def test_there_are_as_many_shells_as_images_reach(sums):
    assert solve.shells(sums) == made.RADIUS + 1
    assert len(solve.mean_weight(sums)) == len(priors.ridge(np.ones(made.RADIUS + 1), solve.mean_weight(sums)))


def test_a_core_replaces_the_middle_and_nothing_else(sums):
    quotient = solve.wiener(sums, np.ones(made.RADIUS + 1))
    centre = np.full((9, 9, 5), 7 + 1j, np.complex64)
    found = solve.with_core(quotient, centre, 3.5)
    r = quotient.shape[-1] - 1
    z, y, x = np.ogrid[-r : r + 1, -r : r + 1, 0 : r + 1]
    inside = z**2 + y**2 + x**2 < 3.5**2
    assert (found[inside] == 7 + 1j).all()
    np.testing.assert_array_equal(found[~inside], quotient[~inside])
