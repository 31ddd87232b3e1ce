import numpy as np
import pytest

from halfmap.errors import UsageError
from halfmap.maps import resample
from halfmap.types import Map, Region


def _gaussian(box, voxel_A, sigma_A=5.0, at_A=(3.0, -4.0, 2.0)):
    """Three different offsets, so that no two axes can be confused."""
    z, y, x = ((np.arange(box) - box // 2) * voxel_A - offset for offset in at_A)
    square = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2
    return Map(np.exp(-square / (2 * sigma_A**2)).astype(np.float32), voxel_A)


# Nyquist 1/4 A: the transform exp(-2 pi^2 25 k^2) of the Gaussian is 4e-14 there; the box of 64 A or more cuts it
# at 28 A, exp(-15) = 2e-7. What is left is float32: 1e-6.
@pytest.mark.parametrize("box,voxel_A", [(40, 2.0), (41, 2.0)])
@pytest.mark.parametrize("new_box,new_voxel_A", [(32, 2.5), (33, 2.5), (64, 1.37), (30, 2.0), (60, 1.0), (21, 2.9)])
def test_a_gaussian_on_another_grid_is_the_gaussian_of_that_grid(box, voxel_A, new_box, new_voxel_A):
    resampled = resample.to_grid(_gaussian(box, voxel_A), new_box, new_voxel_A)
    expected = _gaussian(new_box, new_voxel_A).data.copy()
    reach = np.abs((np.arange(new_box) - new_box // 2) * new_voxel_A) > (box // 2) * voxel_A
    for axis in range(3):
        np.moveaxis(expected, axis, 0)[reach] = 0
    np.testing.assert_allclose(resampled.data, expected, atol=3e-6)
    assert resampled.voxel_size_A == new_voxel_A and resampled.data.dtype == np.float32


@pytest.mark.parametrize("box", [16, 17])
def test_the_same_grid_is_the_same_map(box):
    map = Map(np.random.default_rng(1).standard_normal((box,) * 3).astype(np.float32), 1.5)
    np.testing.assert_array_equal(resample.to_grid(map, box, 1.5).data, map.data)
    np.testing.assert_allclose(resample._interpolation(box, box, 1.0), np.eye(box), atol=1e-13)


@pytest.mark.parametrize("new_box,new_voxel_A", [(16, 2.0), (12, 1.3), (30, 0.9), (13, 2.1)])
def test_a_constant_stays_that_constant_inside_its_box(new_box, new_voxel_A):
    map = Map(np.full((20,) * 3, 3.5, dtype=np.float32), 1.5)
    data = resample.to_grid(map, new_box, new_voxel_A).data
    place = (np.arange(new_box) - new_box // 2) * new_voxel_A / 1.5
    inside = np.abs(place) <= 10
    np.testing.assert_allclose(data[np.ix_(inside, inside, inside)], 3.5, rtol=1e-5)
    assert np.all(data[~inside] == 0) and np.all(data[:, ~inside] == 0) and np.all(data[:, :, ~inside] == 0)


@pytest.mark.parametrize("old,new", [(16, 24), (17, 24), (16, 25), (24, 31)])
def test_padding_fourier_space_and_cropping_it_again_returns_the_map(old, new):
    rng = np.random.default_rng(2)
    map = Map(rng.standard_normal((old,) * 3).astype(np.float32), 2.0)
    if old % 2 == 0:
        # the Nyquist term of an even box has one sign only and cannot be told apart on the way back
        spectrum = np.fft.fftn(map.data)
        spectrum[old // 2], spectrum[:, old // 2], spectrum[:, :, old // 2] = 0, 0, 0
        map = Map(np.fft.ifftn(spectrum).real.astype(np.float32), 2.0)
    finer = resample.fourier_crop(map, new)
    assert finer.voxel_size_A == pytest.approx(2.0 * old / new)
    # float32 products over up to 31 terms, six times
    np.testing.assert_allclose(resample.fourier_crop(finer, old).data, map.data, atol=2e-5)


def test_fourier_crop_is_what_the_transform_says():
    map = Map(np.random.default_rng(3).standard_normal((24,) * 3).astype(np.float32), 1.0)
    cropped = resample.fourier_crop(map, 15)
    centred = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(map.data)))[5:20, 5:20, 5:20]
    expected = np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(centred))).real * (15 / 24) ** 3
    np.testing.assert_allclose(cropped.data, expected, atol=1e-5)


def test_frequencies_beyond_the_new_nyquist_do_not_come_back_as_others():
    wave = np.cos(2 * np.pi * 14 * np.arange(32) / 32)
    map = Map(np.broadcast_to(wave, (32, 32, 32)).astype(np.float32), 1.0)
    assert np.abs(resample.to_grid(map, 16, 1.9).data).max() < 1e-5


@pytest.mark.parametrize("old,new", [(8, 13), (9, 14), (8, 14), (9, 13), (8, 8)])
def test_padding_keeps_the_centre_and_cropping_takes_it_away_again(old, new):
    map = Map(np.random.default_rng(4).standard_normal((old,) * 3).astype(np.float32), 1.0)
    padded = resample.crop_pad(map, new)
    assert padded.data[(new // 2,) * 3] == map.data[(old // 2,) * 3]
    assert padded.data.astype(np.float64).sum() == pytest.approx(map.data.astype(np.float64).sum())
    np.testing.assert_array_equal(resample.crop_pad(padded, old).data, map.data)


@pytest.mark.parametrize("box,voxel_A", [(0, 1.0), (8, 0.0), (8, -1.0), (8, float("nan"))])
def test_impossible_grids_are_refused(box, voxel_A):
    with pytest.raises(UsageError, match="positive"):
        resample.to_grid(Map(np.zeros((8,) * 3, dtype=np.float32), 1.0), box, voxel_A)


def test_a_new_centre_is_where_the_map_had_it():
    moved = resample.to_grid(_gaussian(40, 2.0), 36, 1.7, np.array([2.0, -3.0, 1.5]))
    expected = _gaussian(36, 1.7, at_A=(3.0 - 1.5, -4.0 + 3.0, 2.0 - 2.0))  # z, y, x
    np.testing.assert_allclose(moved.data, expected.data, atol=3e-6)


def test_a_cut_out_goes_back_where_its_origin_says():
    whole = np.random.default_rng(6).standard_normal((16,) * 3).astype(np.float32)
    cut = Region(whole[3:9, 2:13, 5:12], 1.5, (100 + 5 * 1.5, 2 * 1.5, 3 * 1.5))
    found = resample.from_region(cut, Region(whole, 1.5, (100.0, 0.0, 0.0)))
    expected = np.zeros_like(whole)
    expected[3:9, 2:13, 5:12] = cut.data
    np.testing.assert_allclose(found.data, expected, atol=1e-5)


def test_maps_that_do_not_meet_are_refused():
    data = np.zeros((8,) * 3, np.float32)
    with pytest.raises(UsageError, match="do not overlap"):
        resample.from_region(Region(data, 1.0, (100.0, 0.0, 0.0)), Region(data, 1.0, (0.0, 0.0, 0.0)))


def test_a_resampled_mask_is_held_between_0_and_1():
    mask = np.zeros((20,) * 3, np.float32)
    mask[6:14, 6:14, 6:14] = 1
    rung = resample.to_grid(Map(mask, 2.0), 30, 1.3)
    assert rung.data.min() < 0 and rung.data.max() > 1
    held = resample.unit_interval(rung)
    assert held.data.min() == 0 and held.data.max() == 1
