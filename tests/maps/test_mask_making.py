import numpy as np
import pytest
import scipy.ndimage

from halfmap.errors import InputError
from halfmap.maps import mask_making, masks
from halfmap.maps.mask_making import Steps

BOX = 28


def bar():
    """A long thin bar, off centre, and a plate."""
    region = np.zeros((BOX, BOX, BOX), dtype=bool)
    region[9, 8:20, 13] = True
    region[14:16, 9:12, 8:17] = True
    return region


def needle():
    region = np.zeros((BOX, BOX, BOX), dtype=bool)
    region[3, 4, 2:26] = True
    return region


def scattered():
    return np.random.default_rng(3).random((BOX, BOX, BOX)) < 3e-4


def distances(region):
    """Exact Euclidean distance of every voxel to the region, by comparing all with all, float64."""
    points = np.argwhere(region)
    grid = np.stack(np.indices(region.shape), axis=-1).reshape(-1, 3)
    square = np.array([((points - voxel) ** 2).sum(axis=1).min() for voxel in grid])
    return np.sqrt(square.reshape(region.shape))


SHAPES = (bar, needle, scattered)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dilation, soft", [(0, 0), (0, 12), (1, 1), (2.5, 7.3), (11.7, 20.2), (60, 30)])
def test_dilation_and_edge_are_the_formula_of_the_exact_distance(shape, dilation, soft):
    region = shape()
    d = distances(region)
    part = np.clip((d - dilation) / soft, 0, 1) if soft else (d > dilation).astype(float)
    expected = 0.5 + 0.5 * np.cos(np.pi * part)
    # half a unit in the last place of a float32 near 1
    np.testing.assert_allclose(mask_making.made(region, Steps(dilation, soft)), expected, rtol=0, atol=6e-8)


def test_a_dilated_point_is_a_ball_of_that_radius():
    point = np.zeros((21, 21, 21), dtype=bool)
    point[10, 10, 10] = True
    ball = masks.sphere(21, 7.0, 0.0)
    np.testing.assert_array_equal(mask_making.made(point, Steps(7.0, 0.0)), ball)


def test_a_threshold_takes_what_is_above_it():
    data = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    assert mask_making.above(data, 20).sum() == 6


@pytest.mark.parametrize("threshold", [26, 30.5])
def test_a_threshold_that_nothing_exceeds_is_refused_with_the_maximum(threshold):
    data = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    with pytest.raises(InputError, match=f"threshold of {threshold}: the maximum of the map is 26; give a lower"):
        mask_making.above(data, threshold)


def hollow():
    """A shell of a ball, a cup open to one side, and a shell cut by the border of the box."""
    r = np.sqrt(((np.indices((40,) * 3) - 12) ** 2).sum(axis=0))
    region = (r > 6) & (r < 9)
    region[22:34, 22:34, 22:34] = True
    region[24:32, 24:32, 24:34] = False
    region[0:6, 30:38, 30:38] = True
    region[0:4, 32:36, 32:36] = False
    return region


def test_holes_are_filled_and_openings_are_not():
    region = hollow()
    filled = mask_making.without_holes(region)
    r = np.sqrt(((np.indices(region.shape) - 12) ** 2).sum(axis=0))
    np.testing.assert_array_equal(filled ^ region, r <= 6)
    np.testing.assert_array_equal(filled, scipy.ndimage.binary_fill_holes(region))


def test_a_cavity_closed_along_diagonals_only_is_closed():
    region = np.zeros((7, 7, 7), dtype=bool)
    for axis in range(3):
        for side in (2, 4):
            region[tuple(side if a == axis else 3 for a in range(3))] = True
    assert mask_making.without_holes(region)[3, 3, 3]


def test_filling_holes_twice_is_filling_them_once_and_full_or_empty_stay():
    filled = mask_making.without_holes(hollow())
    np.testing.assert_array_equal(mask_making.without_holes(filled), filled)
    for value in (False, True):
        region = np.full((5, 5, 5), value)
        np.testing.assert_array_equal(mask_making.without_holes(region), region)


def test_islands_are_dropped_before_holes_are_filled_and_both_before_dilation():
    region = hollow()
    region[37, 2, 2] = True
    steps = Steps(2.0, 4.0, fill_holes=True, smallest_island=0.05)
    alone = masks.without_islands(region, 0.05)
    expected = masks.soft(mask_making.without_holes(alone), 2.0, 6.0)
    np.testing.assert_array_equal(mask_making.made(region, steps), expected)
    assert mask_making.made(region, steps)[37, 2, 2] == 0
    assert mask_making.made(region, Steps(2.0, 4.0))[37, 2, 2] == 1


@pytest.fixture
def soft_pair():
    a, b = bar(), needle()
    return [mask_making.made(region, Steps(2.0, 6.0)) for region in (a, b)], mask_making.made(a | b, Steps(2.0, 6.0))


def test_the_union_of_soft_masks_is_the_soft_mask_of_the_union(soft_pair):
    pair, together = soft_pair
    np.testing.assert_array_equal(mask_making.union(pair), together)


def test_set_operations_obey_their_laws(soft_pair):
    (a, b), _ = soft_pair
    none, all = np.zeros_like(a), np.ones_like(a)
    not_ = lambda mask: mask_making.complement([mask])  # noqa: E731
    for operation in (mask_making.union, mask_making.intersection):
        np.testing.assert_array_equal(operation([a, a]), a)
        np.testing.assert_array_equal(operation([a, b]), operation([b, a]))
    np.testing.assert_array_equal(not_(mask_making.union([a, b])), mask_making.intersection([not_(a), not_(b)]))
    np.testing.assert_array_equal(mask_making.union([a, none]), a)
    np.testing.assert_array_equal(mask_making.intersection([a, all]), a)
    np.testing.assert_array_equal(mask_making.difference([a, none]), a)
    np.testing.assert_array_equal(mask_making.difference([a, all]), none)
    # 1 - (1 - a) loses the last place of small values
    np.testing.assert_allclose(not_(not_(a)), a, atol=6e-8)


def test_a_difference_and_what_it_leaves_out_add_up(soft_pair):
    (a, b), _ = soft_pair
    np.testing.assert_allclose(mask_making.difference([a, b]) + a * b, a, atol=2e-7)
    both = mask_making.difference([np.ones_like(a), a, b])
    np.testing.assert_allclose(both, (1 - a) * (1 - b), atol=2e-7)


def test_the_centre_of_mass_counts_from_the_corner_in_x_y_z():
    data = np.zeros((20, 20, 20), dtype=np.float32)
    data[2, 5, 11] = 3.0
    assert mask_making.centre_of_mass(data) == (11, 5, 2)
    data[2, 5, 15] = 1.0
    data[0, 0, 0] = -100.0  # what is below 0 has no mass
    assert mask_making.centre_of_mass(data) == (12, 5, 2)


def test_without_mass_there_is_no_centre():
    with pytest.raises(InputError, match="contrast"):
        mask_making.centre_of_mass(-np.ones((4, 4, 4), dtype=np.float32))
