import numpy as np
import pytest

from halfmap.maps import mask_faults, masks
from halfmap.types import Map

BOX, VOXEL_A = 64, 2.0


def ball(radius=10.0, edge=20.0, box=BOX):
    return masks.sphere(box, radius, edge)


def faults(data, resolution_A=8.0):
    """A resolution of 8 A asks for 20 voxels."""
    return mask_faults.faults(Map(data.astype(np.float32), VOXEL_A), resolution_A)


def test_a_good_mask_has_no_faults():
    assert faults(ball()) == []


@pytest.mark.parametrize("edge, most", [(3.0, 0.25), (6.0, 0.06), (10.0, 0.03), (20.0, 0.02)])
def test_the_width_of_a_cosine_edge_is_measured(edge, most):
    # central differences see sin(u)/u of the slope, u = pi/w: 17 % too little at 3 voxels, 1.6 % at 10
    assert mask_faults.edge_width(ball(edge=edge)) == pytest.approx(edge, rel=most)


def test_the_width_does_not_depend_on_the_shape():
    region = np.zeros((BOX,) * 3, dtype=bool)
    region[28:36, 30:34, 20:44] = True
    assert mask_faults.edge_width(masks.soft(region, 3.0, 15.0)) == pytest.approx(12.0, rel=0.03)


def test_a_binary_mask_has_no_width_and_is_told_what_to_have():
    binary = ball(edge=0.0)
    assert mask_faults.edge_width(binary) is None
    assert mask_faults.hard_share(binary) == 1
    (told,) = faults(binary)
    assert "is binary" in told and "20 voxels or more, 5 times a resolution of 8 A" in told


def test_a_hard_side_of_a_soft_mask_is_found():
    cut = ball()
    cut[:, :, 32:] = 0
    (told,) = faults(cut)
    assert "hard edge on" in told
    # a disc of radius 20 to the half ball of radius 20; faces of voxels count a sphere 1.5 times
    assert mask_faults.hard_share(cut) == pytest.approx(1 / (1 + 2 * 1.5), rel=0.1)


def test_an_edge_is_narrow_for_a_coarse_map_and_wide_enough_for_a_fine_one():
    mask = ball(edge=12.0)
    assert faults(mask, resolution_A=4.0) == []  # wants 10 voxels
    (told,) = faults(mask, resolution_A=8.0)
    assert "only 12." in told and "20 voxels" in told


def test_without_a_resolution_the_nyquist_limit_counts():
    assert faults(ball(edge=10.0), None) == []
    (told,) = faults(ball(edge=6.0), None)
    assert "10 voxels or more, 5 times the best resolution these voxels allow" in told


@pytest.mark.parametrize("data", [ball() * 2, ball() - 0.5, ball() * 0.5], ids=["above", "below", "never 1"])
def test_values_that_are_not_those_of_a_mask_are_told(data):
    assert any("those of a mask from 0 to 1" in told for told in faults(data))


def test_islands_are_counted():
    region = np.zeros((BOX,) * 3, dtype=bool)
    region[20:40, 20:40, 20:40] = True
    for x in (5, 58):
        region[6, 6, x] = True
    mask = masks.soft(region, 0.0, 3.0)
    assert mask_faults.islands(mask) == 2
    assert any(told.startswith("2 islands of less than 1%") for told in faults(mask))


def test_a_mask_at_the_border_is_told():
    region = np.zeros((BOX,) * 3, dtype=bool)
    region[30:34, 30:34, 8:20] = True
    (told,) = faults(masks.soft(region, 2.0, 22.0))
    # 8 voxels from the border, 2 of them dilation: cos of 6/20
    assert f"({0.5 + 0.5 * np.cos(np.pi * 0.3):.2f} there)" in told


def test_a_mask_that_fills_the_box_is_told_and_not_blamed_for_the_border():
    (told,) = faults(np.ones((BOX,) * 3))
    assert "fills 100% of the box" in told


def test_the_profile_is_that_of_the_edge():
    profile = mask_faults.profile(ball(radius=6.0, edge=20.0), 24.0)
    expected = 0.5 + 0.5 * np.cos(np.pi * np.clip(profile.distance_px / 20, 0, 1))
    # voxels are binned by whole distances and the ball has a surface of voxels: 1 voxel of the steepest slope, pi / 40
    np.testing.assert_allclose(profile.mean, expected, atol=np.pi / 40)
    assert np.all(profile.low <= profile.mean + 1e-6) and np.all(profile.mean <= profile.high + 1e-6)
    assert profile.distance_px[-1] == 24 and profile.mean[-1] == 0


def test_the_profile_of_a_large_box_is_sampled_in_its_own_voxels():
    profile = mask_faults.profile(ball(radius=40.0, edge=40.0, box=192), 60.0)
    assert np.diff(profile.distance_px).max() == 2
    middle = np.interp(0.5, profile.mean[::-1], profile.distance_px[::-1])
    assert middle == pytest.approx(20, abs=2)
