"""Local refinement: a part that turns about a hinge, from the poses of the rest."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.data.particles import UNASSIGNED
from halfmap.errors import UsageError
from halfmap.maps import filters
from halfmap.refine import loop, schedules
from halfmap.refine.batches import Frame
from halfmap.refine.state import Keeper
from halfmap.types import Map
from tests.refine import hinged, made


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return hinged.experiment(tmp_path_factory.mktemp("hinged"))


@pytest.fixture(scope="module")
def usual(data):
    heard = made.Heard()
    return hinged.refined(data, heard=heard, rotation_search_extent=30.0), heard


def correlation(map, data) -> float:
    """With the true part, inside its mask."""
    inside = data.mask.data > 0.5
    return float(np.corrcoef(map.data[inside], data.moving.data[inside])[0, 1])


def test_the_poses_of_the_part_are_found_and_its_map_sharpens(usual, data):
    result, _ = usual
    before, after = (hinged.error_deg(found, data.truth) for found in (data.particles, result.particles))
    assert np.median(before) > 10  # 1.54 x 8 degrees
    # what the project promises, for an accuracy of about 4 degrees
    assert np.median(after) < min(1.5 * result.history[-1]["accuracy_rotation_deg"], 0.4 * np.median(before))
    assert correlation(result.map, data) > 0.9


def test_half_sets_stay_those_of_the_input(usual, data):
    found = usual[0].particles
    np.testing.assert_array_equal(found.half, data.particles.half[found.index])


def test_the_result_is_not_masked_but_the_reference_is(usual, data):
    result, outside = usual[0], data.mask.data == 0
    assert result.half1.data[outside].std() > 0.1 * result.half1.data[~outside].std()
    np.testing.assert_array_equal(result.mask_refine.data[outside], 0)


def test_poses_outside_the_extents_are_not_considered(data):
    result = hinged.refined(data, rotation_search_extent=6.0, shift_search_extent=1.5, max_iterations=2)
    turn, push = hinged.changes(result.particles, data.particles)
    assert turn.max() <= 6.0 + 1e-6 and push.max() <= 1.5 + 1e-6
    row = result.history[-1]
    assert row["at_rotation_extent"] == pytest.approx((turn > 5.999).mean(), abs=0.01)
    assert row["at_rotation_extent"] > 0.3
    assert row["at_shift_extent"] == pytest.approx((push > 1.499).mean(), abs=0.01)
    assert any("--rotation-search-extent 6 deg" in text for text in result.warnings)


def test_recentring_lets_poses_leave_the_extents_of_the_input(data):
    settings = {"rotation_search_extent": 6.0, "shift_search_extent": 1.5, "max_iterations": 4}
    turned = hinged.changes(hinged.refined(data, recenter_rotations=True, **settings).particles, data.particles)
    pushed = hinged.changes(hinged.refined(data, recenter_shifts=True, **settings).particles, data.particles)
    assert turned[0].max() > 8 and turned[1].max() <= 1.5 + 1e-6
    assert pushed[0].max() <= 6.0 + 1e-6 and pushed[1].max() > 1.5 + 1e-3


@pytest.mark.parametrize("name, changed", [("prior_rotation", 0), ("prior_shift", 1)])
def test_a_narrower_prior_keeps_poses_nearer_to_the_input(name, changed, data):
    moves = []
    for sd in (0.1, 5.0):
        result = hinged.refined(data, use_alignment_prior=True, max_iterations=1, **{name: sd})
        moves.append(np.median(hinged.changes(result.particles, data.particles)[changed]))
    assert moves[0] < 0.5 < moves[1]


def test_the_fulcrum_at_the_hinge_leaves_smaller_shifts_than_the_box_centre_and_the_same_map(usual, data):
    other = hinged.refined(data, fulcrum=hinged.at((-5.0, -30.0, 0.0)), rotation_search_extent=30.0)
    at_hinge = hinged.changes(usual[0].particles, data.particles)[1]
    away = hinged.changes(other.particles, data.particles, (-5.0, -30.0, 0.0))[1]
    assert np.median(at_hinge) < 0.5 * np.median(away)
    assert correlation(other.map, data) == pytest.approx(correlation(usual[0].map, data), abs=0.02)


def test_an_iteration_shows_the_fulcrum_the_extents_and_the_changes_since_the_input(usual):
    shown = usual[1].of("diagnostics")[-1]["made"]
    assert shown.facts["fulcrum_A"] == pytest.approx([75.0, 85.0, 80.0])
    assert shown.facts["rotation_extent"] == pytest.approx(30.0) and shown.facts["shift_extent"] == 10.0
    for kind, extent in (("rotation", 30.0), ("shift", 10.0)):
        edges = shown.arrays[f"{kind}_change_input_edges"]
        assert extent < edges[-1] < 1.1 * extent
        assert shown.arrays[f"{kind}_change_input"].sum() == shown.facts["particles"]


def test_slices_meet_at_the_fulcrum(data):
    heard = made.Heard()
    hinged.refined(data, heard=heard, max_iterations=1, fulcrum=hinged.at((20.0, 0.0, -10.0)))
    shown = heard.of("diagnostics")[0]["made"]
    voxel = shown.facts["voxel_size_A"]
    box = len(shown.arrays["mask_slices"][0])
    x, y, z = (round(box // 2 + at / voxel) for at in (20.0, 0.0, -10.0))
    along_x, along_y, along_z = shown.arrays["mask_slices"]
    assert along_x[z, y] == along_y[z, x] == along_z[y, x]
    np.testing.assert_array_equal(along_x[:, y], along_y[:, x])
    np.testing.assert_array_equal(along_x[z], along_z[:, x])


class Kept(Keeper):
    """The snapshot of the first iteration, and whether to begin with it."""

    def __init__(self, snapshot=None):
        self.snapshot = snapshot

    def newest(self):
        return self.snapshot

    def keep(self, snapshot):
        self.snapshot = self.snapshot or snapshot


def test_a_run_resumed_ends_as_if_it_had_never_stopped(data):
    recipe = hinged.local(data.whole, data.mask, recenter_rotations=True, max_iterations=3)
    first, results = Kept(), []
    for keeper in (first, first):
        rng = np.random.default_rng(1)
        results.append(loop.run(recipe, data.particles, data.whole, None, rng, made.Heard(), keeper))
    assert first.snapshot.state.iteration == 1
    for name in ("rotations", "shifts_A"):
        np.testing.assert_array_equal(*(getattr(result.particles.poses, name) for result in results))
    np.testing.assert_array_equal(results[0].half1.data, results[1].half1.data)


# ---- where it begins


def begun(data, particles=None, halves=None, **settings):
    recipe = hinged.local(data.whole, data.mask, halves, **settings)
    job = made.prepared(recipe, data.particles if particles is None else particles, data.whole)
    return job, *recipe.start.begin(job, data.whole)


def test_it_begins_at_the_poses_of_the_table_and_the_masked_low_passed_map(data):
    job, state, plan = begun(data, initial_lowpass=20.0)
    np.testing.assert_array_equal(state.poses.rotations, data.particles.poses.rotations)
    np.testing.assert_array_equal(state.references[0, 0], state.references[0, 1])
    reference = state.reference(0)
    assert abs(reference.data[0]).max() < 1e-6 * abs(reference.data).max()  # far from the part
    assert plan.band == job.frame.shell(20.0) and plan.searched.all() and state.seen.all()


def test_half_maps_are_where_each_half_begins_as_far_as_they_agree(data):
    rng = np.random.default_rng(2)
    noise = [filters.lowpass(Map(rng.normal(0, 0.003, data.whole.data.shape).astype(np.float32), made.VOXEL_A), 10.0)
             for _ in (0, 1)]  # fmt: skip
    halves = tuple(Map(data.whole.data + n.data, made.VOXEL_A) for n in noise)
    _, state, plan = begun(data, halves=halves, initialize_from_halfmaps=True, initial_lowpass=40.0)
    _, usual, first = begun(data, initial_lowpass=40.0)
    assert not np.array_equal(state.references[0, 0], state.references[0, 1])
    assert plan.band > first.band and plan.stages[0] == (first.band, schedules.FIRST_STEPS)


def test_maps_and_new_half_sets_do_not_go_together(data):
    with pytest.raises(UsageError, match="--force-resplit"):
        hinged.local(data.whole, data.mask, (data.whole,) * 2, initialize_from_halfmaps=True, force_resplit=True)


def test_new_half_sets_are_drawn_where_asked_for(data):
    job, _, _ = begun(data, hinged.without_halves(data.particles), force_resplit=True)
    assert not (job.half == UNASSIGNED).any()


def test_the_grey_scale_is_that_of_the_whole_map_not_of_the_part(data):
    scaled = replace(data, whole=Map(4 * data.whole.data, made.VOXEL_A))
    grey = [begun(one)[1].models[0].grey for one in (data, scaled)]
    assert grey[0] == pytest.approx(4 * grey[1], rel=1e-3)
    alone = begun(replace(data, mask=Map(np.ones_like(data.mask.data), made.VOXEL_A)))[1].models[0].grey
    assert grey[0] == pytest.approx(alone, rel=1e-6)
    assert begun(data, reestimate_greyscale=False)[1].models[0].grey == 1


# ---- fulcrum and extents


def neighbourhood(data, **settings):
    return hinged.local(data.whole, data.mask, **settings).search


def test_a_fulcrum_is_the_centre_of_the_mask_of_the_box_or_a_place_counted_from_the_corner(data):
    centre = neighbourhood(data, fulcrum="mask_center").fulcrum_A
    inside = np.argwhere(data.mask.data > 0.5)[:, ::-1].mean(0) - made.BOX // 2
    np.testing.assert_allclose(centre, inside * made.VOXEL_A, atol=made.VOXEL_A)
    assert neighbourhood(data, fulcrum="box_center").fulcrum_A == (0, 0, 0)
    for text in ("15,17,16", "15,17,16px", "(15, 17, 16) px", "75,85,80A", "75.0, 85, 80 A"):
        np.testing.assert_allclose(neighbourhood(data, fulcrum=text).fulcrum_A, hinged.HINGE_A)


@pytest.mark.parametrize("text", ["1,2", "left", "1,2,3mm", "nan,1,2"])
def test_a_fulcrum_that_is_no_place_is_refused(text, data):
    with pytest.raises(ValueError, match="mask_center, box_center, or x,y,z"):
        neighbourhood(data, fulcrum=text)


def test_a_fulcrum_outside_the_box_is_refused_and_the_units_are_told(data):
    with pytest.raises(UsageError, match="px, or in A"):
        neighbourhood(data, fulcrum="150,85,80")


def test_extents_are_those_given_else_20_deg_and_10_A_else_three_deviations_of_the_prior(data):
    def extents(**settings):
        found = neighbourhood(data, **settings)
        return np.rad2deg(found.extent_rad), found.extent_A

    assert extents() == pytest.approx((20, 10))
    assert extents(use_alignment_prior=True) == pytest.approx((45, 21))
    prior = {"use_alignment_prior": True, "prior_rotation": 3.0, "prior_shift": 2.0}
    assert extents(**prior) == pytest.approx((9, 6))
    assert extents(**prior, rotation_search_extent=5.0, shift_search_extent=8.0) == pytest.approx((5, 8))


# ---- the schedule

FRAME = Frame(64, 2.0, 90.0)


def schedule(**more):
    return schedules.FromPoses(16.0, None, 0, 20, research_A=16.0, **more)


def row(area, change, accuracy=1.0):
    return {"fsc_area": area, "share": 1.0, "refit": False, "change_rotation_deg": change,
            "accuracy_rotation_deg": accuracy}  # fmt: skip


def test_it_goes_on_while_poses_still_turn_though_the_fsc_has_settled():
    resting, turning = (made.state(iteration=3, history=tuple(row(5.0, c) for _ in range(3))) for c in (0.1, 3.0))
    assert schedule().next(resting, FRAME).final and not schedule().next(turning, FRAME).final
    assert schedule().next(replace(turning, iteration=20), FRAME).final


def test_doubtful_particles_are_searched_again_at_the_low_band():
    state = made.state(weights=np.array([[0.6, 0.4]] * 3 + [[1.0, 0.0]] * 3), shell=20.0)
    plan = schedule().next(state, FRAME)
    np.testing.assert_array_equal(plan.searched, [True] * 3 + [False] * 3)
    assert plan.search_radius == 8 and not schedule().next(replace(state, iteration=3), FRAME).searched.any()


def test_no_particle_is_posed_elsewhere_by_a_search_of_all_directions(data):
    job, state, plan = begun(data, rotation_search_extent=25.0)
    state, _, _ = loop.iterate(job, state, plan)
    turn, _ = hinged.changes(replace(data.particles, poses=state.poses), data.particles)
    assert turn.max() <= 25 + 1e-6
