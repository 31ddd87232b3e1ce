"""Cuboids of a box: where they lie, and that bands of what they hold are those of the whole."""

import numpy as np
import pytest
import scipy.fft

from halfmap.fourier import transforms
from halfmap.maps import cuboids
from halfmap.maps.cuboids import Cuboid

BOX = 48


@pytest.fixture
def map():
    """Noise in a ball, nothing elsewhere."""
    z, y, x = np.indices((BOX,) * 3) - BOX // 2
    inside = (z**2 + y**2 + x**2 < 36) & (np.arange(BOX) < 26)
    return np.random.default_rng(2).standard_normal((BOX,) * 3, np.float32) * inside


def smooth(radii):
    return np.exp(-((radii / 7) ** 2))


def small():
    """A cuboid with the ball of ``map`` in it, some 9 voxels from its faces."""
    return Cuboid.around((slice(18, 31), slice(18, 31), slice(18, 26)), BOX, 9 / BOX, BOX)


def test_a_cuboid_holds_its_block_and_the_margin_about_it():
    cuboid = Cuboid.around((slice(4, 7), slice(5, 6), slice(2, 9)), 16, 0.1, BOX)
    for each, block in zip(cuboid.slices, (slice(4, 7), slice(5, 6), slice(2, 9)), strict=True):
        assert each.start <= (block.start / 16 - 0.1) * BOX and each.stop - 1 >= ((block.stop - 1) / 16 + 0.1) * BOX
        assert 0 <= each.start and each.stop <= BOX
    assert all(n == transforms.good_box(n) for n in cuboid.shape)


def test_an_axis_that_the_margin_leaves_is_taken_whole():
    cuboid = Cuboid.around((slice(1, 4), slice(6, 8), slice(14, 16)), 16, 0.1, BOX)
    assert cuboid.shape[0] == BOX and cuboid.shape[1] < BOX and cuboid.shape[2] == BOX
    assert Cuboid.around((slice(6, 8),) * 3, 16, np.inf, BOX) == Cuboid.whole(BOX)


def test_a_block_holds_all_places_and_no_more():
    places = np.zeros((9, 9, 9), bool)
    places[2, 3, 4] = places[5, 3, 8] = True
    assert cuboids.block(places) == (slice(2, 6), slice(3, 4), slice(4, 9))


def test_a_cuboid_gives_way_only_to_a_much_smaller_one():
    whole = Cuboid.whole(BOX)
    assert whole.narrowed((slice(1, 47),) * 3, BOX, 0.0) is whole
    assert whole.narrowed((slice(10, 20),) * 3, BOX, 0.0) == Cuboid.around((slice(10, 20),) * 3, BOX, 0.0, BOX)


def test_a_filtered_cuboid_is_that_part_of_the_filtered_map(map):
    k = np.fft.fftfreq(BOX, 1 / BOX)
    radii = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + np.arange(BOX // 2 + 1) ** 2)
    expected = scipy.fft.irfftn(scipy.fft.rfftn(map.astype(float)) * smooth(radii), s=map.shape)
    for cuboid in (Cuboid.whole(BOX), small()):
        spectrum = cuboid.transform(map)
        found = cuboid.to_space(cuboid.filtered(spectrum, cuboid.shape, cuboid.table(smooth, cuboid.shape)),
                                cuboid.shape)
        # a Gaussian of 1.5 voxels is 1e-8 at 9 voxels; the gain's curvature in k^2 is 4e-4: linear within 5e-5
        np.testing.assert_allclose(found, expected[cuboid.slices], atol=1e-4 * np.abs(expected).max())


def test_a_coarser_grid_has_the_same_values_where_it_has_points(map):
    cuboid = small()
    points = tuple(n // 2 for n in cuboid.shape)

    def narrow(radii):
        return np.where(radii < 10, smooth(radii), 0)

    spectrum = cuboid.transform(map)
    fine, coarse = (cuboid.to_space(cuboid.filtered(spectrum, each, cuboid.table(narrow, each)), each)
                    for each in (cuboid.shape, points))
    np.testing.assert_allclose(coarse, fine[::2, ::2, ::2], atol=1e-5 * np.abs(fine).max())
    for place, n, first in zip(cuboid.places(points), cuboid.shape, cuboid.corner, strict=True):
        np.testing.assert_allclose(place * BOX, first + np.arange(0, n, 2))


def test_what_is_added_on_a_coarser_grid_is_interpolated_between_its_points(map):
    cuboid = small()
    points = cuboid.coarser(10)
    spectrum = cuboid.transform(map)

    def narrow(radii):
        return np.where(radii < 10, smooth(radii), 0)

    fine, coarse = (cuboid.to_space(cuboid.filtered(spectrum, each, cuboid.table(narrow, each)), each)
                    for each in (cuboid.shape, points))
    total = cuboid.nothing()
    cuboid.add(total, coarse)
    cuboid.add(total, coarse)
    np.testing.assert_allclose(cuboid.to_space(total, cuboid.shape), 2 * fine, atol=1e-5 * np.abs(fine).max())
