import numpy as np
import pytest

from halfmap.errors import InputError, UsageError
from halfmap.maps import masks
from halfmap.types import Map


def _distances(box, rank=3):
    r2 = sum(np.meshgrid(*[(np.arange(box) - box // 2) ** 2] * rank, indexing="ij"))
    return np.sqrt(r2)


def _blob(box=48, radius=10, voxel_A=2.0, at=None):
    z, y, x = np.indices((box,) * 3)
    cz, cy, cx = at or (box // 2,) * 3
    r2 = (z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2
    return Map((r2 <= radius**2).astype(np.float32), voxel_A)


@pytest.mark.parametrize("box", [20, 21])
@pytest.mark.parametrize("shape,rank", [(masks.sphere, 3), (masks.circle, 2)])
def test_balls_follow_the_cosine_formula(box, shape, rank):
    radius, edge = 5.5, 3.0
    d = _distances(box, rank)
    falling = 0.5 + 0.5 * np.cos(np.pi * (d - radius) / edge)
    expected = np.where(d <= radius, 1, np.where(d >= radius + edge, 0, falling))
    mask = shape(box, radius, edge)
    assert mask.dtype == np.float32
    np.testing.assert_allclose(mask, expected, atol=1e-6)


def test_a_ball_without_edge_is_hard_and_its_volume_right():
    mask = masks.sphere(64, 25.0, 0.0)
    assert set(np.unique(mask)) == {0, 1}
    # lattice points in a ball: the error is of the order of the radius^1.5 (125), 0.2 % of the volume
    assert mask.sum() == pytest.approx(4 / 3 * np.pi * 25**3, rel=0.004)


def test_soft_masks_follow_the_cosine_of_the_exact_distance():
    rng = np.random.default_rng(1)
    binary = np.zeros((24, 20, 22), dtype=bool)
    points = np.stack([rng.integers(4, n - 4, 6) for n in binary.shape], axis=1)
    binary[tuple(points.T)] = True
    grid = np.stack(np.indices(binary.shape), axis=-1)
    d = np.sqrt(((grid[..., None, :] - points) ** 2).sum(axis=-1)).min(axis=-1)
    near, far = 1.5, 6.0
    expected = np.where(d <= near, 1, np.where(d >= far, 0, 0.5 + 0.5 * np.cos(np.pi * (d - near) / (far - near))))
    np.testing.assert_allclose(masks.soft(binary, near, far), expected, atol=1e-6)


def test_soft_masks_fall_with_distance_and_hold_the_region():
    binary = _blob().data > 0
    mask = masks.soft(binary, 2.0, 8.0)
    assert np.all(mask[binary] == 1)
    d = np.maximum(_distances(48) - 10, 0)
    order = np.argsort(d.ravel())
    # the ball is made of voxels: its surface is up to one diagonal, 1.73, away from the sphere's
    rolling = np.maximum.accumulate(mask.ravel()[order][::-1])[::-1]
    allowed = 0.5 + 0.5 * np.cos(np.pi * np.clip((d.ravel()[order] - 1.74 - 2) / 6, 0, 1))
    assert np.all(rolling <= allowed + 1e-6)


def test_a_larger_region_or_distance_never_makes_a_smaller_mask():
    small, large = _blob(radius=6).data > 0, _blob(radius=9).data > 0
    assert np.all(masks.soft(small, 2, 7) <= masks.soft(large, 2, 7) + 1e-6)
    assert np.all(masks.soft(small, 2, 7) <= masks.soft(small, 3, 9) + 1e-6)


def test_soft_without_distances_is_the_region_itself_and_of_nothing_nothing():
    binary = _blob().data > 0
    np.testing.assert_array_equal(masks.soft(binary, 0, 0), binary)
    assert masks.soft(np.zeros((8, 8, 8), dtype=bool), 2, 4).max() == 0


def test_a_region_at_the_edge_of_the_box_is_not_wrapped():
    binary = np.zeros((16, 16, 16), dtype=bool)
    binary[0, 0, 0] = True
    mask = masks.soft(binary, 2, 5)
    assert mask[0, 0, 2] == 1 and mask[0, 0, -1] == 0


@pytest.mark.parametrize("near,far", [(-1, 3), (4, 3), (float("nan"), 3)])
def test_distances_out_of_order_are_refused(near, far):
    with pytest.raises(UsageError, match="near"):
        masks.soft(np.ones((4, 4, 4), dtype=bool), near, far)


def test_a_dynamic_mask_holds_the_particle_and_little_else():
    blob = _blob(box=64, radius=12)
    mask = masks.dynamic(blob, 8.0, 0.5, near_A=6.0, far_A=12.0)
    # low-passed by 8 A, the half-height contour of a ball of 24 A stays within a voxel of its surface
    d = _distances(64)
    assert np.all(mask.data[d <= 13] == 1)
    assert np.all(mask.data[d >= 12 + 6 + 1.5] == 0)
    assert mask.voxel_size_A == 2.0


def test_a_dynamic_mask_drops_specks_but_keeps_a_second_domain():
    main, domain = _blob(64, 12, at=(24, 24, 24)), _blob(64, 4, at=(48, 48, 48))
    speck = np.zeros((64,) * 3, dtype=np.float32)
    speck[8, 52, 52] = 30
    noisy = Map(main.data + domain.data + speck, 2.0)
    mask = masks.dynamic(noisy, 8.0, 0.3, near_A=2.0, far_A=4.0).data
    # 4^3 / 12^3 = 3.7 % of the largest, a speck is 0.3 %
    assert mask[48, 48, 48] == 1 and mask[24, 24, 24] == 1 and mask[8, 52, 52] == 0


def test_islands_are_counted_by_voxels_and_diagonal_neighbours_belong_together():
    binary = np.zeros((30, 30, 30), dtype=bool)
    binary[2:12, 2:12, 2:12] = True
    binary[20, 20, 20:29] = True
    binary[25, 25, 5:15] = True
    binary[12, 12, 12] = True
    kept = masks.without_islands(binary, 0.01)
    # 1001 voxels: 9 are too few, 10 too (0.99 %), the diagonal neighbour stays
    assert kept.sum() == 1001 and kept[12, 12, 12]
    assert masks.without_islands(binary, 0.0099).sum() == 1011


@pytest.mark.parametrize("data", [np.zeros((16,) * 3), -np.ones((16,) * 3), np.full((16,) * 3, np.nan)])
def test_a_map_without_density_is_refused(data):
    with pytest.raises(InputError, match="above zero"):
        masks.dynamic(Map(data.astype(np.float32), 2.0), 10.0)


def test_a_threshold_that_takes_most_of_the_box_is_refused():
    with pytest.raises(InputError, match="higher threshold"):
        masks.dynamic(Map(np.ones((16,) * 3, dtype=np.float32), 2.0), 10.0)


@pytest.mark.parametrize("seed", range(3))
def test_noise_gives_a_mask_or_a_refusal_but_never_an_empty_one(seed):
    noise = Map(np.random.default_rng(seed).standard_normal((32,) * 3).astype(np.float32), 4.0)
    mask = masks.dynamic(noise, 20.0, 0.5).data
    assert mask.max() == 1 and 0 < mask.mean() < 1


def test_one_field_of_distances_makes_every_soft_mask_within_its_reach():
    region = _blob().data > 0
    square = masks.squared_distances(region, 9.0)
    for near, far in ((0.0, 4.0), (2.0, 9.0), (3.5, 3.5)):
        np.testing.assert_array_equal(masks.faded(square, near, far), masks.soft(region, near, far))


def test_absolute_density_finds_what_is_negative():
    blob = _blob()
    inverted = Map(-blob.data, blob.voxel_size_A)
    expected = masks.region(blob, 12.0, 0.3)
    np.testing.assert_array_equal(masks.region(inverted, 12.0, 0.3, masks.absolute), expected)
    with pytest.raises(InputError):
        masks.region(Map(-1 - blob.data, blob.voxel_size_A), 12.0, 0.3)


def test_a_mask_has_its_centre_and_radius_of_gyration_in_angstrom():
    ball = _blob(box=48, radius=8, voxel_A=2.0, at=(20, 30, 27))
    np.testing.assert_allclose(masks.centre(ball), [6.0, 12.0, -8.0], atol=1e-6)
    # a ball of radius r has sqrt(3/5) r; its voxels fill it to within half of one
    assert masks.radius_of_gyration(ball) == pytest.approx(np.sqrt(0.6) * 16, rel=0.03)
    with pytest.raises(InputError, match="zero everywhere"):
        masks.centre(Map(np.zeros((8, 8, 8), np.float32), 1.0))
