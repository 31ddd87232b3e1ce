"""Settings in whole refinements of a few small images: what a user would notice of them."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.align import polar
from halfmap.maps import resample
from halfmap.refine import loop, outcome
from tests.refine import made

N, SPREAD = 300, 0.3
HUSHED = [11, 60, 203]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """300 images whose contrast spreads by 30 %."""
    return made.experiment(tmp_path_factory.mktemp("settings"), N, scale_sd=SPREAD)


@pytest.fixture(scope="module")
def told(data):
    """No poses, but the half-sets of the truth: runs then differ by their settings alone."""
    return replace(data.told(), half=data.truth.half)


def refined(particles, data, **settings):
    heard = made.Heard()
    result = loop.run(made.homogeneous(**settings), particles, data.map, None, np.random.default_rng(1), heard)
    return result, heard


def begun(particles, reference, **settings):
    job = made.prepared(made.homogeneous(**settings), particles, reference)
    return job, *job.recipe.start.begin(job, reference)


def median_error(result, data):
    return np.median(made.error_deg(result.particles, data.truth))


@pytest.fixture(scope="module")
def usual(told, data):
    return refined(told, data)[0]


@pytest.fixture(scope="module")
def scaled(told, data):
    return refined(told, data, per_particle_scale=True)[0]


# ---- grey scales


def test_fitted_scales_are_those_of_the_images(scaled, data):
    found, true = scaled.particles.scale, data.contrast[scaled.particles.index]
    assert np.median(found) == pytest.approx(1, abs=0.05)
    assert np.corrcoef(found, true)[0, 1] > 0.9  # what the project promises


def test_a_fit_of_scales_makes_poses_no_worse(scaled, usual, data):
    assert median_error(scaled, data) < 1.05 * median_error(usual, data)


def test_without_a_fit_all_particles_are_alike(usual):
    np.testing.assert_array_equal(usual.particles.scale, 1)


def test_silent_particles_are_left_out_of_the_result_and_listed(data):
    job = made.prepared(made.reconstruction(), data.truth)
    state, plan = job.recipe.start.begin(job, None)
    hushed = replace(state, silent=np.isin(np.arange(N), HUSHED))
    result = outcome.outcome(job, *loop.iterate(job, hushed, plan))
    assert dict(result.rejected) == dict.fromkeys(HUSHED, outcome.SILENT)
    np.testing.assert_array_equal(result.particles.index, np.delete(np.arange(N), HUSHED))


def test_scales_are_not_fitted_before_their_iteration(told, data):
    job, state, plan = begun(told, data.map, per_particle_scale=True, scale_start_iteration=1)
    state, _, _ = loop.iterate(job, state, plan)
    np.testing.assert_array_equal(state.scale, 1)
    state, _, _ = loop.iterate(job, state, loop.next_plan(job, state))
    assert state.scale.std() > SPREAD / 2


@pytest.mark.parametrize("fit", [False, True])
def test_scales_of_the_table_are_where_a_refinement_begins_if_not_reset(told, data, fit):
    table = replace(told, scale=7 * data.contrast)
    for reset, first in ((False, data.contrast / np.median(data.contrast)), (True, np.ones(N))):
        settings = {"per_particle_scale": fit, "scale_reset": reset, "reestimate_greyscale": False}
        np.testing.assert_allclose(begun(table, data.map, **settings)[1].scale, first)


# ---- early subsets


@pytest.fixture(scope="module")
def subsets(told, data):
    return refined(told, data, subset_size=100, subset_growth=1.3)[0]


def test_early_iterations_use_a_part_and_the_last_all(subsets, usual):
    counts = [row["particles"] for row in subsets.history]
    # 100 and 130 of 300; 169 are more than half. The sequence of golden sections errs by a few
    np.testing.assert_allclose(counts[:2], [100, 130], atol=5)
    assert set(counts[2:]) == {N} and subsets.history[-1]["share"] == 1
    assert {row["particles"] for row in usual.history} == {N}


def test_every_particle_has_been_searched_at_the_end(subsets):
    assert len(subsets.particles) == N
    assert np.isfinite(subsets.extra["log_likelihood"]).all()
    assert subsets.history[0]["searched"] + subsets.history[1]["searched"] >= 125  # each as it joins


def test_subsets_end_where_a_full_run_ends(subsets, usual, data):
    # the same images at the same band: what differs is which way the poses came. 1.3 is what the project promises
    assert median_error(subsets, data) < 1.3 * usual.history[-1]["accuracy_rotation_deg"]
    assert median_error(subsets, data) == pytest.approx(median_error(usual, data), rel=0.1)
    shells = [made.BOX * made.VOXEL_A / run.history[-1]["resolution_A"] for run in (subsets, usual)]
    assert abs(shells[0] - shells[1]) < 1
    inside = usual.mask_refine.data > 0.5
    assert np.corrcoef(subsets.map.data[inside], usual.map.data[inside])[0, 1] > 0.99


def test_a_refinement_stopped_among_its_subsets_still_uses_all_in_the_end(told, data):
    result, heard = refined(told, data, subset_size=100, subset_growth=1.1, max_iterations=1)
    assert [row["particles"] for row in result.history][1:] == [N]
    assert np.isfinite(result.extra["log_likelihood"]).all()
    assert median_error(result, data) < 1.3 * result.history[-1]["accuracy_rotation_deg"]


# ---- the search


@pytest.mark.parametrize("range_A", [9.0, 21.0])
def test_shifts_are_searched_as_far_as_asked_for(told, data, range_A):
    job, state, plan = begun(told, data.map, offset_range_A=range_A, reestimate_greyscale=False)
    grid = loop.matcher_of(job, loop.resampled(state, plan.box), plan, 0).search.grid
    step_A = job.frame.resolution_A(plan.band) / 2
    assert range_A - step_A / np.sqrt(2) <= np.linalg.norm(grid.shifts_A, axis=1).max() <= range_A * (1 + 1e-9)
    assert len(grid.shifts_A) == len(polar.fewest_shifts(range_A, step_A))


def test_the_usual_range_of_shifts_grows_with_the_particle(told):
    frames = [made.prepared(made.homogeneous(particle_diameter_A=d), told).frame for d in (60.0, 150.0)]
    ranges = [made.homogeneous().offset_range(replace(frame, diameter_A=k * frame.diameter_A))
              for frame, k in zip(frames, (1, 2), strict=True)]  # fmt: skip
    assert ranges == [15.0, 50.0]


@pytest.mark.parametrize("count", [1, 3])
def test_so_many_poses_of_the_search_are_kept(told, data, count):
    job, state, plan = begun(told, data.map, candidates=count, reestimate_greyscale=False)
    state, _, _ = loop.iterate(job, state, plan)
    kept = np.isfinite(state.candidates.log_likelihood).sum(1)
    assert kept.min() >= 1 and kept.max() <= count
    assert count == 1 or kept.max() > 1


# ---- the starting map and the box


def test_a_starting_map_of_another_box_and_voxel_is_the_same_map(told, data):
    coarse = resample.fourier_crop(data.map, 24)
    first, second = (begun(told, reference, reestimate_greyscale=False)[1].reference(0) for reference in
                     (data.map, coarse))  # fmt: skip
    assert (first.box, first.voxel_size_A) == (second.box, second.voxel_size_A)
    # 24 voxels reach to 13 A, the starting map to 30 A
    np.testing.assert_allclose(second.data, first.data, atol=0.02 * first.data.max())


def test_a_smaller_box_makes_smaller_maps_of_the_same_particle(told, data, usual):
    small, _ = refined(told, data, box_size=24, max_iterations=3)
    assert {m.box for m in (small.half1, small.half2, small.map, small.mask_refine)} == {24}
    assert small.map.voxel_size_A * 24 == pytest.approx(usual.map.voxel_size_A * made.BOX)
    same = resample.fourier_crop(usual.map, 24)
    assert np.corrcoef(small.map.data.ravel(), same.data.ravel())[0, 1] > 0.95


def turned(volume):
    """Half a turn about z."""
    return np.roll(volume[:, ::-1, ::-1], 1, axis=(1, 2))


def reconstructed(data, **settings):
    rng = np.random.default_rng(1)
    return loop.run(made.reconstruction(**settings), data.truth, None, None, rng, made.Heard())


def test_maps_have_the_symmetry_asked_for_and_no_other(data):
    alike = {}
    for name in ("C1", "C2", "D2"):
        half = reconstructed(data, symmetry=name).half1.data
        alike[name] = np.corrcoef(half[1:, 1:, 1:].ravel(), turned(half)[1:, 1:, 1:].ravel())[0, 1]
    # sums over the group are interpolated on the doubly sampled grid: symmetric to a per cent
    assert alike["C2"] > 0.99 and alike["D2"] > 0.99
    assert alike["C1"] < 0.95  # noise


def test_the_size_of_batches_changes_no_map_of_known_poses(data):
    one, two = (reconstructed(data, minibatch_size=size) for size in (None, 33))
    np.testing.assert_allclose(two.half1.data, one.half1.data, atol=1e-5 * one.half1.data.max())


@pytest.mark.parametrize("kind", ["white", "coloured"])
def test_every_noise_model_leads_to_the_poses(told, data, kind):
    result, _ = refined(told, data, noise_model=kind, max_iterations=3)
    assert median_error(result, data) < 1.3 * result.history[-1]["accuracy_rotation_deg"]
    flat = [curve.values[1:].std() < 1e-9 * curve.values[1] for curve in result.noise]
    assert all(flat) == (kind == "white")
