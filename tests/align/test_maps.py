"""Maps brought onto a reference: turn, shift and hand, with noise, masks and other grids."""

import numpy as np
import pytest

from halfmap import simulate
from halfmap.align import maps
from halfmap.errors import InputError
from halfmap.geometry import frames, rotations, symmetry
from halfmap.geometry.frames import Frame
from halfmap.maps import masks, resample, turn
from halfmap.types import Map

BOX, VOXEL_A = 40, 4.0
C1 = symmetry.group("C1")


@pytest.fixture(scope="module")
def molecule():
    return simulate.protein_like(BOX, VOXEL_A, C1, np.random.default_rng(1))


def noisy(map, snr, seed):
    noise = np.random.default_rng(seed).standard_normal(map.data.shape) * map.data.std() / np.sqrt(snr)
    return Map((map.data + noise).astype(np.float32), map.voxel_size_A)


def astray(seed, mirrored=False):
    rng = np.random.default_rng(seed)
    frame = Frame(rotations.random(1, rng)[0], rng.uniform(-4, 4, 3) * VOXEL_A)
    return frame.after(frames.mirror()) if mirrored else frame


def rest(found, frame):
    """(angle, deg; distance, voxels) that the alignment leaves of ``frame``."""
    left = found.frame.after(frame)
    assert not left.mirrored
    return left.angle_deg, float(np.linalg.norm(left.centre_A)) / VOXEL_A


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_map_under_noise_is_brought_back_whatever_its_hand(molecule, mirrored):
    frame = astray(2, mirrored)
    moved = noisy(turn.placed(molecule, frame), 1, 3)
    found = maps.find(moved, noisy(molecule, 1, 4), test_hand=True)
    assert found.frame.mirrored == mirrored
    angle, distance = rest(found, frame)
    assert angle < 0.5 and distance < 0.2
    # foretold errors are standard deviations: three of them, and as much as interpolation may add
    assert angle < 3 * found.rotation_sd_deg + 0.1 and distance < 3 * found.shift_sd_A / VOXEL_A + 0.02
    told = found.information
    assert max(told.values()) > 3 * min(told.values())


def test_the_hand_is_not_looked_for_unless_asked(molecule):
    found = maps.find(turn.placed(molecule, astray(2, mirrored=True)), molecule)
    assert not found.frame.mirrored and set(found.information) == {"as given"}


def test_maps_on_other_grids_are_compared_at_their_true_size(molecule):
    frame = astray(5)
    moved = resample.to_grid(turn.placed(molecule, frame), 50, 3.3)
    angle, distance = rest(maps.find(noisy(moved, 2, 6), molecule), frame)
    assert angle < 0.5 and distance < 0.2


def test_a_mask_says_which_part_is_to_agree(molecule):
    """A second object, brighter, lies elsewhere in the two maps: within the mask it counts for nothing."""
    frame = astray(7)
    ball = np.roll(masks.sphere(BOX, 3, 2), 14, axis=2) * molecule.data.max()
    mask = Map(masks.sphere(BOX, 11, 4), VOXEL_A)
    disturbed = Map(turn.placed(molecule, frame).data + ball, VOXEL_A)
    angle, distance = rest(maps.find(disturbed, molecule, mask), frame)
    assert angle < 2 and distance < 0.5


def test_a_symmetric_map_comes_onto_one_of_its_mates():
    group = symmetry.group("D2")
    molecule = simulate.protein_like(BOX, VOXEL_A, group, np.random.default_rng(8))
    frame = astray(9)
    left = maps.find(turn.placed(molecule, frame), molecule).frame.after(frame)
    assert np.rad2deg(symmetry.distance(left.rotation[None], np.eye(3)[None], group)[0]) < 0.5


def test_a_map_without_detail_is_refused(molecule):
    flat = Map(np.ones((BOX,) * 3, np.float32), VOXEL_A)
    with pytest.raises(InputError, match="the map is the same everywhere"):
        maps.find(flat, molecule)
    with pytest.raises(InputError, match="the reference is the same everywhere"):
        maps.find(molecule, flat)


def test_half_a_ball_and_its_mates_are_the_ball():
    points = maps.half_ball(4)
    everything = {tuple(p) for p in points} | {tuple(-p) for p in points}
    assert len(everything) == 2 * len(points)
    axis = range(-4, 5)
    assert everything == {(x, y, z) for x in axis for y in axis for z in axis if 0 < x * x + y * y + z * z <= 20}


def test_orientations_leave_no_gap():
    tried = maps.orientations(1)
    wanted = rotations.random(200, np.random.default_rng(3))
    # steps of 30 degrees: nothing is further than about 0.7 of one from its neighbour
    assert max(rotations.angle_between(tried, one[None]).min() for one in wanted) < np.deg2rad(25)


def test_slopes_are_those_of_turned_and_moved_coefficients(molecule):
    """Against central differences of the map turned exactly."""
    here = maps.Coefficients.of(molecule, 8)
    step = 2e-3
    for axis in range(3):
        w = np.zeros(3)
        w[axis] = step
        there, back = (maps.Coefficients.of(turn.turned(molecule, so, np.zeros(3)), 8).values
                       for so in (rotations.exp_so3(w), rotations.exp_so3(-w)))  # fmt: skip
        away = (there - back) / (2 * step) - here.slopes[axis]
        # the first shells, whose whitening is steep, spread the map over the box, whose edge then counts
        kept = here.shell > 2
        assert np.linalg.norm(away[kept]) < 0.05 * np.linalg.norm(here.slopes[axis][kept])


def test_next_to_where_a_map_is_nothing_is_searched(molecule):
    slightly = Frame(rotations.exp_so3(np.array([0.04, -0.03, 0.05])), np.array([2.0, -1.0, 1.5]))
    found = maps.nearby(turn.placed(molecule, slightly), molecule)
    angle, distance = rest(found, slightly)
    assert angle < 0.3 and distance < 0.1
    half_turn = Frame(rotations.exp_so3(np.array([0, 0, np.pi])), np.zeros(3))
    assert maps.nearby(turn.placed(molecule, half_turn), molecule).frame.angle_deg < 40


def test_places_of_a_symmetric_particle_tell_as_much_as_each_other_within_the_noise_foretold():
    particle = simulate.protein_like(BOX, VOXEL_A, symmetry.group("D2"), np.random.default_rng(2))
    still = noisy(particle, 0.3, 100)
    gains = []
    for seed in range(12):
        other = noisy(particle, 0.3, seed)
        turned = turn.turned(other, symmetry.group("D2")[1], np.zeros(3))
        here, there = (maps.nearby(one, still) for one in (other, turned))
        gains.append((there.information["as given"] - here.information["as given"]) / here.information_sd)
    # twelve differences of variance 1: 95 % of such standard deviations are within 0.6 and 1.4; interpolation adds some
    assert 0.4 < np.std(gains) < 1.8 and abs(np.mean(gains)) < 1.0
