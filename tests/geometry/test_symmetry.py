import numpy as np
import pytest

from halfmap.errors import UsageError
from halfmap.geometry import rotations, symmetry

ORDERS = {"C1": 1, "C2": 2, "C7": 7, "C13": 13, "D1": 2, "D2": 4, "D7": 14, "T": 12, "O": 24}
ORDERS |= dict.fromkeys(["I", "I1", "I2", "I3", "I4"], 60)


@pytest.fixture(params=list(ORDERS))
def named(request):
    return request.param, symmetry.group(request.param)


def _contains(ops, matrix):
    return np.abs(ops - matrix).max(axis=(1, 2)).min() < 1e-12


def test_order_is_that_of_the_group_and_the_identity_is_first(named):
    name, ops = named
    assert ops.shape == (ORDERS[name], 3, 3) and ops.dtype == np.float64
    np.testing.assert_array_equal(ops[0], np.eye(3))


def test_operators_are_proper_rotations_and_all_different(named):
    _, ops = named
    np.testing.assert_allclose(ops @ np.swapaxes(ops, 1, 2), np.broadcast_to(np.eye(3), ops.shape), atol=1e-13)
    np.testing.assert_allclose(np.linalg.det(ops), 1, atol=1e-13)
    distances = np.abs(ops[:, None] - ops[None]).max(axis=(2, 3))
    assert (distances < 1e-6).sum() == len(ops)


def test_products_and_inverses_stay_in_the_group(named):
    _, ops = named
    assert all(_contains(ops, a.T) for a in ops)
    assert all(_contains(ops, a @ b) for a in ops[:8] for b in ops)


# axes as RELION prints them, relion_autorefine.md section 6 (four digits: 5e-5 each)
AXES = {
    "C5": [((0, 0, 1), 5)],
    "D3": [((0, 0, 1), 3), ((1, 0, 0), 2)],
    "T": [((0, 0, 1), 3), ((0, 0.8165, 0.5774), 2)],
    "O": [((0, 0, 1), 4), ((1, 1, 1), 3)],
    "I": [((0, 0, 1), 2), ((0.5257, 0, 0.8507), 5), ((0, 0.3568, 0.9342), 3)],
    "I1": [((1, 0, 0), 2), ((0.8507, 0, -0.5257), 5), ((0.9342, 0.3568, 0), 3)],
    "I3": [((0, 0, 1), 5), ((-0.5257, 0, 0.8507), 2), ((-0.4911, 0.3568, 0.7947), 3)],
    "I4": [((0.5257, 0, 0.8507), 2), ((0.8944, 0, 0.4472), 5), ((0.4911, 0.3568, 0.7947), 3), ((0, 0, 1), 5)],
}


@pytest.mark.parametrize("name", AXES)
def test_axes_lie_where_relion_has_them(name):
    ops = symmetry.group(name)
    for axis, fold in AXES[name]:
        unit = np.array(axis) / np.linalg.norm(axis)
        turn = rotations.exp_so3(unit * 2 * np.pi / fold)
        assert np.abs(ops - turn).max(axis=(1, 2)).min() < 3e-4


def test_names_ignore_case_and_the_order_of_operators_never_changes():
    np.testing.assert_array_equal(symmetry.group("d7"), symmetry.group(" D7 "))
    np.testing.assert_array_equal(symmetry.group("i"), symmetry.group("I2"))


@pytest.mark.parametrize("name", ["", "C", "C0", "D0", "C100", "E", "C2v", "I5", "Th", "C1e3", "2"])
def test_unknown_names_are_refused_with_what_exists(name):
    with pytest.raises(UsageError, match=r"C1\.\.C99.*I4"):
        symmetry.group(name)


def test_closure_of_a_given_axis_is_its_cyclic_group():
    turn = rotations.exp_so3(np.array([0.6, 0, 0.8]) * 2 * np.pi / 5)
    assert len(symmetry.closure(turn[None])) == 5


def test_distance_between_equivalent_poses_is_zero(named):
    _, ops = named
    rng = np.random.default_rng(2)
    poses = rotations.random(200, rng)
    mates = poses @ ops[rng.integers(len(ops), size=200)]
    # angle_between resolves 1e-16 x a few products
    assert symmetry.distance(poses, mates, ops).max() < 1e-13


def test_distance_is_the_smallest_over_the_group(named):
    _, ops = named
    rng = np.random.default_rng(3)
    a, b = rotations.random(100, rng), rotations.random(100, rng)
    every = np.stack([rotations.angle_between(a @ op, b) for op in ops])
    np.testing.assert_allclose(symmetry.distance(a, b, ops), every.min(axis=0), atol=1e-12)


def test_canonical_pose_is_the_same_for_all_mates(named):
    _, ops = named
    poses = rotations.random(100, np.random.default_rng(4))
    representative = symmetry.canonical(poses, ops)
    assert symmetry.distance(poses, representative, ops).max() < 1e-13
    for op in ops:
        np.testing.assert_allclose(symmetry.canonical(poses @ op, ops), representative, atol=1e-12)


def test_canonical_pose_is_unique_even_for_views_along_an_axis():
    ops = symmetry.group("D4")
    poses = rotations.euler_to_matrix(0.0, np.array([0.0, 180.0, 90.0]), 20.0)
    representative = symmetry.canonical(poses, ops)
    for op in ops:
        np.testing.assert_allclose(symmetry.canonical(poses @ op, ops), representative, atol=1e-12)


NORMALISERS = {"D2": 24, "D3": 12, "D7": 28, "T": 24, "O": 24, "I": 60, "I3": 60}


@pytest.mark.parametrize("name, order", NORMALISERS.items())
def test_the_normaliser_maps_the_group_onto_itself_and_holds_all_that_do(name, order):
    ops = symmetry.group(name)
    found = symmetry.normaliser(ops)
    assert len(found) == order and all(_contains(found, op) for op in ops)
    np.testing.assert_array_equal(found[0], np.eye(3))
    # rounding grows to some 1e-12 over the products
    for turn in found:
        images = turn @ ops @ turn.T
        assert np.abs(images[:, None] - ops).max(axis=(2, 3)).min(axis=1).max() < 1e-9


def test_generators_make_the_whole_group(named):
    _, ops = named
    found = symmetry.generators(ops)
    assert len(symmetry.closure(found)) == len(ops) and len(found) <= 3


def test_groups_with_one_axis_are_told(named):
    name, ops = named
    assert symmetry.about_one_axis(ops) == (name[0] == "C" and name != "C1" or name == "D1")


def test_axes_and_angles_make_the_operators(named):
    _, ops = named
    unit, angles = symmetry.axes(ops[1:])
    np.testing.assert_allclose(rotations.exp_so3(angles[:, None] * unit), ops[1:], atol=1e-12)
