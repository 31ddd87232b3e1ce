"""Symmetry axes of maps: laws, known turns undone, objects without symmetry told."""

from functools import lru_cache

import numpy as np
import pytest

from halfmap import simulate
from halfmap.align import axes
from halfmap.geometry import rotations, symmetry
from halfmap.maps import filters, masks, resample, turn
from halfmap.types import Map

BOX, VOXEL_A, DIAMETER_A = 36, 4.5, 100.0
GROUPS = ["C2", "C5", "D2", "D7", "T", "I3"]


@lru_cache
def molecule(group: str, seed: int = 1) -> Map:
    diameter = DIAMETER_A if group != "I3" else 125.0  # room for one helix per operator
    made = simulate.protein_like(BOX, VOXEL_A, symmetry.group(group), np.random.default_rng(seed), diameter)
    return filters.lowpass(made, 15.0)


def turned(map: Map, seed: int) -> Map:
    rng = np.random.default_rng(seed)
    return turn.turned(map, rotations.random(1, rng)[0], rng.uniform(-7, 7, 3))


@pytest.mark.parametrize("name", ["C2", "D7", "T", "I3"])
def test_a_turned_map_is_brought_back_onto_its_axes(name):
    group = symmetry.group(name)
    astray = turned(molecule(name), seed=len(group))
    found = axes.find(astray, group)
    assert found.off and found.before < 0.5
    # 1 but for the spline (2e-3 of the maximum) and trilinear interpolation in the comparison (a few 1e-3 of it)
    assert found.after > 0.98
    again = axes.find(found.onto(astray), group)
    assert again.before == pytest.approx(found.after, abs=0.02) and not again.off


@pytest.mark.parametrize("name", GROUPS)
def test_a_map_on_its_axes_is_left_there(name):
    found = axes.find(molecule(name), symmetry.group(name))
    assert not found.off and found.before > 0.98
    np.testing.assert_array_equal(found.rotation, np.eye(3))
    assert not found.centre_A.any()


@pytest.mark.parametrize("name", ["C2", "D2"])
def test_a_small_tilt_is_undone_by_a_small_turn_not_by_another_of_the_equally_good_ones(name):
    tilt = rotations.exp_so3(np.deg2rad([6.0, -3.0, 0.0]))
    found = axes.find(turn.turned(molecule(name), tilt, np.zeros(3)), symmetry.group(name))
    # sqrt(6^2 + 3^2) = 6.7; axes are found to a tenth of 15 A at a radius of 50 A or better: 1.7 degrees
    assert found.angle_deg == pytest.approx(6.7, abs=1.7) and found.after > 0.98


def test_a_cyclic_map_is_not_turned_about_its_axis_nor_moved_along_it():
    rotation = rotations.exp_so3(np.array([0, 0, 0.4]))
    moved = turn.turned(molecule("C3"), rotation, np.array([0.0, 0.0, 9.0]))
    found = axes.find(moved, symmetry.group("C3"))
    assert not found.off and found.before > 0.98


def test_a_shift_off_the_axis_is_found():
    moved = turn.turned(molecule("C3"), np.eye(3), np.array([6.0, -8.0, 0.0]))
    found = axes.find(moved, symmetry.group("C3"))
    # what was at (6, -8) came to the centre: the axis is at (-6, 8); known to a tenth of the resolution
    np.testing.assert_allclose(found.centre_A, [-6, 8, 0], atol=1.5)
    assert found.off and found.angle_deg < 2


@pytest.mark.parametrize("name", ["C2", "D2"])
def test_an_object_without_symmetry_is_told_from_one_with_it(name):
    found = axes.find(molecule("C1", seed=5), symmetry.group(name))
    assert not found.obeyed
    assert axes.find(molecule(name), symmetry.group(name)).obeyed


def test_half_a_symmetry_is_not_the_whole():
    assert not axes.find(molecule("C2"), symmetry.group("C4")).obeyed


def test_a_subgroup_is_found_in_a_map_of_higher_symmetry():
    found = axes.find(turned(molecule("D3"), 8), symmetry.group("C3"))
    assert found.after > 0.98


def test_noise_lowers_the_correlation_but_does_not_hide_the_axes():
    group, map = symmetry.group("D2"), turned(molecule("D2"), 3)
    noise = np.random.default_rng(1).standard_normal(map.data.shape).astype(np.float32)
    rough = filters.lowpass(Map(noise, VOXEL_A), 15.0).data
    noisy = Map(map.data + 0.3 * rough * map.data.std() / rough.std(), VOXEL_A)
    found, clean = axes.find(noisy, group), axes.find(map, group)
    assert 0.5 < found.after < clean.after
    # the axes found in the noisy map are those of the map without noise
    assert axes.find(found.onto(map), group).before > 0.9


def test_a_ball_obeys_every_group():
    found = axes.find(Map(masks.sphere(BOX, 10, 5), VOXEL_A), symmetry.group("I3"))
    assert found.obeyed and not found.off


def test_an_empty_map_is_left_alone():
    found = axes.find(Map(np.zeros((BOX,) * 3, np.float32), VOXEL_A), symmetry.group("D2"))
    assert not found.off


@pytest.mark.parametrize("box, voxel_A", [(20, 8.0), (37, 4.5)])
def test_any_sampling_of_the_map_will_do(box, voxel_A):
    astray = resample.to_grid(turned(molecule("D2"), 4), box, voxel_A)
    assert axes.find(astray, symmetry.group("D2")).after > 0.95


def test_the_centre_and_radius_of_a_ball_are_found():
    ball = Map(masks.sphere(BOX, 8, 0), VOXEL_A)
    moved = Map(np.roll(ball.data, (2, -3, 1), axis=(0, 1, 2)), VOXEL_A)
    centre, radius = axes.extent(moved)
    # rolled by z 2, y -3, x 1 voxels, exactly; the radius of a ball of voxels is uncertain by a third of a voxel
    np.testing.assert_allclose(centre, VOXEL_A * np.array([1, -3, 2]), atol=1e-5)
    assert radius == pytest.approx(8 * VOXEL_A, abs=VOXEL_A / 3)
