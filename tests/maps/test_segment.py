"""Regions of maps: what they cover, how they are grouped, numbered, ungrouped and chosen."""

import numpy as np
import pytest

from halfmap.errors import InputError, UsageError
from halfmap.maps import segment
from halfmap.types import Map

BOX, VOXEL_A, SIGMA = 48, 2.0, 3.0
CENTRES = ((14, 16, 15), (33, 30, 31))  # z, y, x of two blobs 26 voxels apart
HEIGHTS = (1.0, 0.8)


def blob(centre, height=1.0, sigma=SIGMA, box=BOX):
    z, y, x = np.mgrid[:box, :box, :box]
    square = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2
    return height * np.exp(-square / (2 * sigma**2))


def map_of(data):
    return Map(data.astype(np.float32), VOXEL_A)


@pytest.fixture(scope="module")
def two():
    return map_of(sum(blob(c, h) for c, h in zip(CENTRES, HEIGHTS, strict=True)))


@pytest.fixture(scope="module")
def lumpy():
    """A random map with many maxima, no symmetry and no two values alike."""
    noise = np.random.default_rng(5).standard_normal((32,) * 3)
    lumps = segment.smoothed(map_of(noise), 1.5).data
    return map_of((1 + 7 * lumps) * blob((16, 16, 16), 0.4, 6.0, 32))


@pytest.fixture(scope="module")
def found(lumpy):
    return segment.segment(lumpy, 0.05, steps=2)


def test_two_blobs_are_two_regions_with_their_centres_and_volumes(two):
    found = segment.segment(two, 0.1)
    assert found.numbers == [1, 2]
    for number, centre, height in zip((1, 2), CENTRES, HEIGHTS, strict=True):
        part = found.region(number)
        np.testing.assert_allclose(part.centre_px, centre[::-1], atol=0.05)  # the other blob's tail is below 1e-8
        assert part.peak_px == centre[::-1] and part.max_density == pytest.approx(height, abs=1e-6)
        radius_A = SIGMA * VOXEL_A * np.sqrt(2 * np.log(height / 0.1))
        # a voxel of a ball of 6 px belongs to it or not: some 2 % of its volume
        assert part.volume_A3 == pytest.approx(4 / 3 * np.pi * radius_A**3, rel=0.03)
        assert part.volume_A3 == part.voxels * VOXEL_A**3
        assert 0.1 < part.mean_density < height


def test_labels_cover_exactly_the_voxels_above_the_threshold(lumpy, found):
    np.testing.assert_array_equal(found.labels > 0, lumpy.data > 0.05)
    assert found.labels.dtype == np.int32
    counts = np.bincount(found.labels.ravel())
    assert [found.region(number).voxels for number in found.numbers] == counts[1:].tolist()


def test_regions_are_numbered_by_their_volume(found):
    volumes = [found.region(number).volume_A3 for number in found.numbers]
    assert found.numbers == list(range(1, len(volumes) + 1)) and volumes == sorted(volumes, reverse=True)
    assert len(volumes) > 3


def test_smoothing_never_makes_more_regions_and_never_parts_what_it_joined(lumpy):
    levels = segment.segment(lumpy, 0.05, steps=8, step_px=0.5).levels
    counts = [level.count for level in levels]
    assert counts == sorted(counts, reverse=True) and counts[0] > 2 * counts[-1]
    for finer, coarser in zip(levels, levels[1:], strict=False):
        joined = {(a, b) for a, b in zip(finer.group.tolist(), coarser.group.tolist(), strict=True)}
        assert len(joined) == finer.count  # each group of the finer level is in one of the coarser


def test_without_steps_regions_are_the_watershed(lumpy):
    found = segment.segment(lumpy, 0.05, steps=0)
    assert [level.count for level in found.levels] == [len(found.basins.peaks)] == [len(found.numbers)]


def test_the_last_smoothing_is_so_many_steps_wide(lumpy):
    levels = segment.segment(lumpy, 0.05, steps=3, step_px=0.7).levels
    np.testing.assert_allclose([level.sdev_px for level in levels], [0, 0.7, 1.4, 2.1])


@pytest.mark.parametrize("turn", [
    lambda a: a.transpose(2, 0, 1), lambda a: a.transpose(0, 2, 1), lambda a: a[::-1], lambda a: a[:, ::-1, ::-1],
    lambda a: a[:, :, ::-1].transpose(1, 2, 0),
])  # fmt: skip
def test_a_turned_map_has_the_turned_regions(lumpy, found, turn):
    turned = segment.segment(map_of(turn(lumpy.data).copy()), 0.05, steps=2)
    np.testing.assert_array_equal(turned.labels, turn(found.labels))


def test_a_scaled_map_has_the_same_regions(lumpy, found):
    scaled = segment.segment(Map(lumpy.data * np.float32(1024), VOXEL_A), 0.05 * 1024, steps=2)
    np.testing.assert_array_equal(scaled.labels, found.labels)


@pytest.mark.parametrize("wanted", [1, 2, 3, 5, 9])
def test_regions_are_grouped_down_to_the_wanted_number(lumpy, wanted):
    found = segment.segment(lumpy, 0.05, wanted=wanted)
    counts = [level.count for level in found.levels]
    assert counts[-1] == len(found.numbers) == wanted
    assert all(count > wanted for count in counts[:-1]) and counts == sorted(counts, reverse=True)


def test_more_regions_than_the_watershed_has_are_not_made(two):
    assert segment.segment(two, 0.1, wanted=7).numbers == [1, 2]


def test_regions_that_cannot_meet_stay(two):
    """26 voxels apart, two Gaussians of sdev 3 stay two maxima up to a smoothing of 12 px; 6 is the widest."""
    assert segment.segment(two, 0.1, wanted=1).numbers == [1, 2]


def test_ungrouping_gives_back_what_was_grouped_and_leaves_all_else(found):
    number = next(n for n in found.numbers if len(found.subregions(n)) > 1)
    split = segment.ungroup(found, number)
    parts = split.ungrouped[number]
    assert min(parts) == max(found.numbers) + 1 and number not in split.numbers
    np.testing.assert_array_equal(np.isin(split.labels, parts), found.labels == number)
    others = ~np.isin(split.labels, parts)
    np.testing.assert_array_equal(split.labels[others], found.labels[others])
    sizes = [split.region(part).voxels for part in parts]
    assert sizes == sorted(sizes, reverse=True) and sum(sizes) == found.region(number).voxels
    assert sizes == [found.part(members).voxels for members in found.subregions(number)]


def test_ungrouping_on_and_on_ends_at_the_watershed(found):
    numbers = set()
    while True:
        more = [number for number in found.numbers if len(found.subregions(number)) > 1]
        if not more:
            break
        assert not numbers & set(found.ungrouped[more[0]] if more[0] in found.ungrouped else ())
        numbers |= {more[0]}
        found = segment.ungroup(found, more[0])
    assert len(found.numbers) == len(found.basins.peaks)


def test_a_single_maximum_cannot_be_ungrouped(two):
    with pytest.raises(UsageError, match="region 2 has one density maximum only"):
        segment.ungroup(segment.segment(two, 0.1), 2)


def test_the_parts_of_an_ungrouped_region_are_named_where_it_is_asked_for(found):
    number = next(n for n in found.numbers if len(found.subregions(n)) > 1)
    split = segment.ungroup(found, number)
    with pytest.raises(UsageError, match=f"region {number} was ungrouped; its parts are {split.ungrouped[number][0]}"):
        segment.chosen(split, [number])


def test_neighbours_touch_by_the_area_between_them():
    z, y, x = np.mgrid[:32, :32, :32]
    block = (abs(z - 15.5) < 8) & (abs(y - 15.5) < 8) & (x >= 8) & (x < 24)
    near = [np.sqrt((z - 15) ** 2 + (y - 15) ** 2 + (x - peak) ** 2) for peak in (10, 21)]
    found = segment.segment(map_of(np.where(block, 40 - np.minimum(*near), 0)), 1.0, steps=0)
    assert found.numbers == [1, 2]
    area = 16 * 16 * VOXEL_A**2
    assert found.neighbours() == {1: {2: area}, 2: {1: area}}
    assert segment.border(found, [1]) == segment.border(found, [2]) == (15.5, 15.5, 15.5)


def test_regions_apart_have_no_neighbours(two):
    found = segment.segment(two, 0.1)
    assert found.neighbours() == {1: {}, 2: {}} and segment.border(found, [1]) is None


def test_contacts_of_regions_are_those_of_their_labels(found):
    labels = found.labels
    expected = {}
    for axis in range(3):
        a, b = np.moveaxis(labels, axis, 0)[:-1], np.moveaxis(labels, axis, 0)[1:]
        for one, other in zip(a[(a != b) & (a * b > 0)], b[(a != b) & (a * b > 0)], strict=True):
            expected[(int(one), int(other))] = expected.get((int(one), int(other)), 0) + VOXEL_A**2
    for one, touching in found.neighbours().items():
        for other, area in touching.items():
            assert area == pytest.approx(expected.get((one, other), 0) + expected.get((other, one), 0))


def test_a_gaussian_has_the_width_asked_for_and_keeps_the_sum():
    point = np.zeros((32,) * 3)
    point[16, 16, 16] = 1
    smooth = segment.smoothed(map_of(point), 2.0).data.astype(float)
    assert smooth.sum() == pytest.approx(1, abs=1e-5)
    along = smooth.sum(axis=(0, 1))
    assert np.sqrt((along * (np.arange(32) - 16) ** 2).sum()) == pytest.approx(2.0, rel=1e-3)
    assert segment.smoothed(map_of(point), 0).data is not None
    np.testing.assert_array_equal(segment.smoothed(map_of(point), 0).data, point)


def test_without_noise_the_threshold_is_a_tenth_of_the_maximum(two):
    assert segment.automatic_threshold(two) == pytest.approx(0.1, rel=1e-5)


def test_noise_lifts_the_threshold_to_five_of_its_standard_deviations(two):
    noise = 0.05 * np.random.default_rng(1).standard_normal((BOX,) * 3)
    # the 3 % of the box that the blobs fill widen the median deviation by 3 % / 2 of what a normal density gives: 4 %
    assert segment.automatic_threshold(map_of(two.data + noise)) == pytest.approx(0.25, rel=0.05)


def test_a_point_chooses_the_region_around_it(two):
    found = segment.segment(two, 0.1)
    assert segment.at(found, CENTRES[1][::-1]) == 2
    assert segment.at(found, (14.6, 16.4, 14.4)) == 1
    assert segment.chosen(found, [], [CENTRES[0][::-1]]) == [1]
    assert segment.chosen(found, [2], [CENTRES[0][::-1]]) == [1, 2]


def test_a_point_in_no_region_names_the_nearest(two):
    found = segment.segment(two, 0.1)
    with pytest.raises(UsageError, match="in no region: .* the nearest is region 1, 9.1 px away at 9,15,16"):
        segment.at(found, (0, 14, 16))
    with pytest.raises(UsageError, match="outside the box"):
        segment.at(found, (0, 48, 16))


def test_exclusions_alone_choose_all_others(found):
    assert segment.chosen(found, [], excluded=[2, 3]) == [n for n in found.numbers if n not in (2, 3)]
    assert segment.chosen(found, [1, 2, 3], excluded=[2]) == [1, 3]


def test_a_choice_of_nothing_is_refused(two):
    with pytest.raises(UsageError, match="no region is left"):
        segment.chosen(segment.segment(two, 0.1), [1], excluded=[1])


def test_a_region_that_does_not_exist_is_named_with_those_that_do(two):
    found = segment.segment(two, 0.1)
    for numbers, excluded in (([3, 1], []), ([1], [3])):
        with pytest.raises(UsageError, match="no region 3: regions are 1-2"):
            segment.chosen(found, numbers, excluded=excluded)
    with pytest.raises(UsageError, match="no region 9"):
        segment.ungroup(found, 9)


def test_a_threshold_above_the_maximum_names_the_maximum(two):
    with pytest.raises(InputError, match="maximum of the map.* is 1; give"):
        segment.segment(two, 1.5)
    with pytest.raises(InputError, match="nothing is above"):
        segment.segment(map_of(np.zeros((16,) * 3)))


def test_the_base_is_the_map_in_the_chosen_regions_and_nothing_elsewhere(lumpy, found):
    base = segment.base(found, [1, 3])
    inside = np.isin(found.labels, [1, 3])
    np.testing.assert_array_equal(segment.within(found, [1, 3]), inside)
    np.testing.assert_array_equal(base.data, np.where(inside, lumpy.data, 0))
    assert base.voxel_size_A == VOXEL_A and base.data.dtype == np.float32


def test_arguments_stay_as_they_are(lumpy):
    before = lumpy.data.copy()
    found = segment.segment(lumpy, 0.05, steps=2)
    numbers = found.number.copy()
    segment.base(segment.ungroup(found, next(n for n in found.numbers if len(found.subregions(n)) > 1)), [2])
    np.testing.assert_array_equal(lumpy.data, before)
    np.testing.assert_array_equal(found.number, numbers)
