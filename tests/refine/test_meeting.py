"""Two halves that share nothing: what passes between them, and what cannot."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from halfmap import simulate
from halfmap.data import halves
from halfmap.geometry import frames, symmetry
from halfmap.geometry import rotations as so3
from halfmap.geometry.frames import Frame
from halfmap.maps import filters, turn
from halfmap.params.abinitio_refine import AbinitioRefine
from halfmap.reconstruct import placing, solve
from halfmap.refine import loop, maximisation, meeting, noises, recipes, schedules, update
from halfmap.types import Map
from tests.refine import made

N, START_A = 200, 30.0
SLIGHTLY = so3.exp_so3(np.array([0.02, -0.03, 0.04]))
GROUPS = ("C1", "C3", "C4", "D2", "D3", "T", "O", "I")


def recipe(one: Map, other: Map, **settings):
    paths = {name: Path("not-read") for name in ("out", "particles")}
    params = AbinitioRefine(**paths, **{"symmetry": "D2", "particle_diameter_A": 140.0, **settings})
    return recipes.from_each(recipes.refined_halves(params), (one, other), START_A, 1)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return made.experiment(tmp_path_factory.mktemp("halves"), N)


@pytest.fixture(scope="module")
def table(sample):
    return halves.with_own_optics(replace(sample.told(), half=sample.truth.half))


@pytest.fixture(scope="module")
def start(sample):
    return filters.lowpass(sample.map, START_A)


def begun(table, one, other, **settings):
    job = made.prepared(recipe(one, other, **settings), table)
    return job, *job.recipe.start.begin(job, None)


def iterated(table, one, other):
    """(run, sums of both halves before they meet, state after the first iteration)."""
    job, state, plan = begun(table, one, other)
    sums = []
    met = job.recipe.meeting.met

    class Told(meeting.Aligned):
        def met(self, both, *rest):
            sums.extend(both)
            return met(both, *rest)

    job.recipe = replace(job.recipe, meeting=Told())
    return job, sums, loop.iterate(job, state, plan)[0]


@pytest.fixture(scope="module")
def first(table, start):
    return iterated(table, start, start)


# ---- nothing is shared


def test_half_1_knows_nothing_of_the_images_of_half_2(first, sample, table, start, tmp_path):
    mixed = sample.images.copy()
    mixed[table.half == 2] = made.white(int((table.half == 2).sum()), 3.0)
    other = replace(made.stacked(tmp_path / "mixed.mrcs", mixed, sample.told()), **{
        name: getattr(table, name) for name in ("half", "group", "optics", "optics_columns")})
    job, before, state = iterated(other, start, Map(-start.data, start.voxel_size_A))
    own, rows = first[1][0], np.flatnonzero(table.half == 1)
    np.testing.assert_array_equal(before[0].numerator, own.numerator)
    np.testing.assert_array_equal(before[0].weight, own.weight)
    np.testing.assert_array_equal(state.candidates.rotations[rows], first[2].candidates.rotations[rows])
    np.testing.assert_array_equal(state.models[0].noise_sd, first[2].models[0].noise_sd)
    assert state.models[0].grey == first[2].models[0].grey
    assert not np.array_equal(before[1].numerator, first[1][1].numerator)


def test_no_low_resolution_is_shared(table, start):
    job = made.prepared(recipe(start, start), table)
    assert job.recipe.prior.shared_below(job.frame) == 0
    assert made.homogeneous(gsfsc_split_resolution=20.0).prior.shared_below(job.frame) > 1


def test_each_half_has_a_mask_of_its_own(first, start, table):
    job, sums, _ = first
    part = replace(job.recipe, mask=replace(job.recipe.mask.mask, start_A=99.0))
    found = maximisation.maximise(tuple(sums), part, 20.0, made.BOX, job.frame)
    empty = replace(found, halves=(found.halves[0], Map(np.roll(found.halves[1].data, 8, 0), made.VOXEL_A)))
    one, other = (meeting.Aligned().masks(each, part, job.frame) for each in (found, empty))
    np.testing.assert_array_equal(one[0], other[0])
    assert np.abs(one[1] - other[1]).max() > 0.5
    shared = meeting.AsTheyAre().masks(found, part, job.frame)
    assert shared[0] is shared[1] is found.mask.data


def test_noise_and_grey_scale_are_learned_by_each_half_alone():
    rng = np.random.default_rng(1)
    model = made.state().models[0]
    shells = {g: np.abs(rng.normal(5, 1, (4, 33))) + [[9.0], [0], [0], [40]] for g in range(4)}
    part = noises.OfEachHalf(noises.Symmetric(), 2)
    here = part.updated((model,) * 4, shells)
    there = part.updated((model,) * 4, {**shells, 2: 3 * shells[2]})
    for g in (0, 1):
        np.testing.assert_array_equal(here[g].noise_sd, there[g].noise_sd)
        assert here[g].grey == there[g].grey
    assert not np.array_equal(here[2].noise_sd, there[2].noise_sd)


def test_each_half_begins_at_its_own_map(table, start):
    other = turn.placed(start, frames.mirror())
    _, state, _ = begun(table, start, other)
    one, two = (state.reference(half) for half in (0, 1))
    np.testing.assert_allclose(two.data, turn.placed(one, frames.mirror()).data, atol=1e-4 * one.data.max())
    assert np.corrcoef(one.data.ravel(), two.data.ravel())[0, 1] < 0.98 and not state.seen.any()


# ---- how they come onto each other


@pytest.mark.parametrize("name", GROUPS)
def test_a_frame_next_to_one_that_keeps_the_axes_becomes_that_one(name):
    group = symmetry.group(name)
    for mirrored in (False, True):
        if name[0] == "C":
            right = Frame(so3.exp_so3(np.array([0, 0, 0.7])), np.array([0, 0, 4.0]))
        else:
            right = Frame(symmetry.normaliser(group)[-1], np.zeros(3))
        right = Frame(-right.rotation, right.centre_A) if mirrored else right  # the inversion obeys every group
        off = Frame(right.rotation @ SLIGHTLY, right.centre_A + [0.3, -0.2, 0.0])
        found = meeting.keeping_axes(off, group)
        mates = np.einsum("ij,gjk,lk->gil", found.rotation, group, found.rotation)
        if len(group) == 1:
            assert found is off
            continue
        assert found.mirrored == mirrored
        assert np.abs(mates[:, None] - group[None]).max((2, 3)).min(1).max() < 1e-9
        apart = so3.angle_between(group @ found.rotation, right.rotation[None])
        assert apart.min() < 0.06
        np.testing.assert_allclose(found.centre_A, right.centre_A, atol=0.02)


@pytest.mark.parametrize("frame", [frames.mirror(), Frame(symmetry.normaliser(made.GROUP)[5], np.zeros(3))],
                         ids=["mirrored", "along other axes"])
def test_half_2_is_brought_onto_half_1_and_half_1_stays(first, frame):
    job, sums, _ = first
    away = placing.placed(sums[1], frame)
    (still, back), found = meeting.Aligned().met((sums[0], away), made.BOX, 8, job.recipe, job.frame)
    assert still is sums[0] and found.mirrored == frame.mirrored
    one, two = (solve.unfiltered(half, made.BOX, made.BOX).data.ravel() for half in (sums[1], back))
    assert np.corrcoef(one, two)[0, 1] > 0.99  # but for the shell that turning cuts off


def test_halves_that_lie_on_each_other_are_left_alone(first):
    job, sums, _ = first
    both = tuple(sums)
    found, frame = meeting.Aligned().met(both, made.BOX, 8, job.recipe, job.frame)
    assert found is both and frame is None
    assert meeting.AsTheyAre().met(both, made.BOX, 8, job.recipe, job.frame) == (both, None)


def test_half_2_does_not_leap_between_places_that_are_alike_but_for_noise(start):
    rng = np.random.default_rng(4)
    one, two = (Map((start.data + rng.normal(0, 1.5 * start.data.std(), start.data.shape)).astype(np.float32),
                    start.voxel_size_A) for _ in range(2))  # fmt: skip
    half_turn = Frame(made.GROUP[1], np.zeros(3))
    best = [meeting.onto(placed, one, symmetry.group("C1")) for placed in (two, turn.placed(two, half_turn))]
    leaps = [frame.angle_deg > 90 for frame in best]
    assert sum(leaps) >= 1  # of the four places of a D2 particle one is the best by chance: from another it is a leap
    for placed in (two, turn.placed(two, half_turn)):
        assert meeting.held(placed, one, symmetry.group("C1")).angle_deg < 15
    other = turn.placed(two, Frame(so3.exp_so3(np.array([0.9, 0.4, -0.7])), np.zeros(3)))
    back = meeting.held(other, one, symmetry.group("C1"))  # no place of the particle: here it is to leap
    apart = symmetry.distance(back.rotation.T[None], so3.exp_so3(np.array([0.9, 0.4, -0.7]))[None], made.GROUP)
    assert np.rad2deg(apart[0]) < 15


def test_poses_of_half_2_go_with_its_map(first):
    job, _, state = first
    frame = Frame(so3.exp_so3(np.array([0.1, 0.4, -0.2])), np.array([3.0, -2.0, 1.0])).after(frames.mirror())
    moved = update.brought_along(job, state, frame)
    one, two = (np.flatnonzero(job.half == half) for half in (1, 2))
    np.testing.assert_array_equal(moved.candidates.rotations[one], state.candidates.rotations[one])
    wanted = frame.poses(state.poses[two])
    np.testing.assert_allclose(moved.poses.rotations[two], wanted.rotations, atol=1e-12)
    np.testing.assert_allclose(moved.poses.shifts_A[two], wanted.shifts_A, atol=1e-12)
    assert moved.history[-1]["halves_mirrored"] and moved.history[-1]["halves_turned_deg"] > 20
    assert update.brought_along(job, state, None) is state


def test_halves_of_opposite_hand_and_other_axes_refine_to_one_map(table, sample, start):
    away = turn.placed(start, Frame(symmetry.normaliser(made.GROUP)[5], np.zeros(3)).after(frames.mirror()))
    heard = made.Heard()
    found = loop.run(recipe(start, away), table, None, None, np.random.default_rng(1), heard)
    assert any("mirrored" in note["text"] for note in heard.of("note"))
    # of both halves the poses are right in one frame, that of half 1
    error = made.error_deg(halves.with_optics_of(found.particles, sample.truth), sample.truth)
    # 10 A at the edge, 70 A from the centre, are 8 degrees; other axes are 90, another hand any angle
    assert all(np.median(error[found.particles.half == half]) < 4.0 for half in (1, 2))
    assert found.history[-1]["resolution_A"] < 12.5


def test_without_axes_halves_that_lie_askew_are_turned_and_moved_onto_each_other(table, sample, start):
    away = turn.placed(start, Frame(so3.exp_so3(np.array([0.05, -0.2, 0.1])), np.array([6.0, -4.0, 5.0])))
    heard = made.Heard()
    found = loop.run(recipe(start, away, symmetry="C1", max_iterations=3), table, None, None, np.random.default_rng(1),
                     heard)
    first_note = heard.of("note")[0]["text"]
    assert "half 2 was turned by 1" in first_note and "mirrored" not in first_note
    # 0.23 rad are 13 degrees and 16 A at the edge: halves that far apart would agree no further than to some 50 A;
    # a hundred images a half without their symmetry reach about 15 A
    assert len(heard.of("note")) <= 2 and found.history[-1]["resolution_A"] < 18.0
    for name in ("half1", "half2"):
        low = [filters.lowpass(one, 15.0).data.ravel() for one in (getattr(found, name), sample.map)]
        assert np.corrcoef(*low)[0, 1] > 0.9
    poses = found.particles.poses.rotations
    error = np.rad2deg(symmetry.distance(poses, sample.truth.poses.rotations[found.particles.index], made.GROUP))
    assert all(np.median(error[found.particles.half == half]) < 5.0 for half in (1, 2))


def test_a_sketch_is_searched_again_at_the_same_band(first, table, start):
    job, _, state = first
    undecided = replace(state, weights=np.full_like(state.weights, 1 / state.weights.shape[1]))
    assert isinstance(job.recipe.schedule, schedules.FromSketch)
    assert loop.next_plan(job, undecided).searched.all()
    once = schedules.Marching(**vars(job.recipe.schedule))
    assert not once.next(undecided, job.frame).searched.any()


def test_how_far_two_maps_are_of_one_structure_whatever_their_frame_and_hand(start, table):
    frame = made.prepared(recipe(start, start), table).frame
    there = turn.placed(start, Frame(-SLIGHTLY, np.array([4.0, -3.0, 2.0])))
    other = simulate.protein_like(made.BOX, made.VOXEL_A, symmetry.group("C1"), np.random.default_rng(9))
    assert meeting.agreed_A(start, there, frame) < START_A
    assert meeting.agreed_A(start, filters.lowpass(other, START_A), frame) > meeting.ALIKE * START_A
