"""What an iteration shows: laws of each array, and that all of it comes out of a real run."""

import fnmatch
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.fft

from halfmap.geometry import rotations, symmetry
from halfmap.physics import noise as noise_model
from halfmap.refine import diagnostics, loop
from halfmap.types import Map, Poses
from halfmap.validate import fsc_report
from tests.refine import made


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return made.experiment(tmp_path_factory.mktemp("diagnostics"))


@pytest.fixture(scope="module")
def run(data):
    """(what was shown, outcome) of a run of two iterations that was told half-sets and rough poses."""
    heard = made.Heard()
    # the input poses are the true ones turned by 3 degrees
    told = replace(data.told(), half=data.truth.half, poses=turned(data.truth.poses, 3.0))
    recipe = made.homogeneous(max_iterations=2)
    outcome = loop.run(recipe, told, data.map, None, np.random.default_rng(1), heard)
    return [event["made"] for event in heard.of("diagnostics")], outcome


def turned(poses, degrees):
    by = rotations.exp_so3(np.array([np.deg2rad(degrees), 0, 0]))
    return Poses(by @ poses.rotations, poses.shifts_A)


def test_every_iteration_shows_itself_once(run):
    shown, outcome = run
    assert [d.name for d in shown] == [f"iteration_{i + 1:03d}" for i in range(len(outcome.history))]
    assert [d.iteration for d in shown] == [row["iteration"] for row in outcome.history]


def test_histograms_add_up_to_the_particles(run, data):
    for shown in run[0]:
        counted = [name for name in shown.arrays if name == "directions" or name.endswith(("_last", "_input"))]
        assert {"directions", "rotation_change_input", "shift_change_input"} <= set(counted)
        assert all(shown.arrays[name].sum() == len(data.truth) for name in counted)
        assert shown.facts["images"] == sum(shown.facts["images_per_half"]) == len(data.truth)


def test_the_first_iteration_has_no_last_one_to_compare_with(run):
    assert "rotation_change_last" not in run[0][0].arrays and "rotation_change_last" in run[0][1].arrays


def test_the_change_since_the_input_is_how_far_the_input_was_off(run):
    # poses end within a degree of the truth, the input was 3 degrees off
    assert run[0][-1].arrays["rotation_change_input_median"] == pytest.approx(3, abs=1)


def test_all_curves_of_the_iteration_are_there_with_their_radii(run):
    shown = run[0][0]
    names = {"no_mask", "spherical", "masked", "randomised", "corrected"}
    assert {name.removeprefix("fsc_") for name in shown.arrays if name.startswith("fsc_")} == names
    assert set(shown.facts["radii"]) == names and shown.facts["band"] >= 1


def test_curves_through_the_standard_masks_are_those_of_a_report_and_come_only_where_they_cost_little(data):
    job = made.prepared(made.reconstruction(symmetry="D2"), data.truth)
    state, plan = job.recipe.start.begin(job, None)
    plan = replace(plan, final=False)
    _, result, _ = loop.iterate(job, state, plan)
    cheap = replace(plan, used=np.ones(diagnostics.CHEAP_IMAGES * plan.box, bool))
    curves, words = diagnostics.standard_curves(result, job.recipe, cheap)
    report = fsc_report.report(*result.halves, job.recipe.curves, order=4)
    assert list(curves) == list(words) == ["spherical", "loose", "tight"]
    for name in ("loose", "tight"):
        np.testing.assert_array_equal(curves[name].values, report.curves[name].values)
        assert words[name] == report.descriptions[name]
    for dear in (replace(cheap, used=cheap.used[1:]), replace(cheap, final=True)):
        assert list(diagnostics.standard_curves(result, job.recipe, dear)[0]) == ["spherical"]


def test_the_noise_before_an_iteration_is_that_after_the_one_before(run):
    first, second = run[0][:2]
    np.testing.assert_array_equal(second.arrays["noise_sd_before"], first.arrays["noise_sd"])


def test_the_result_carries_the_conical_fsc_of_its_own_mask(run):
    shown = run[1].diagnostics
    assert shown.name == "final" and shown.facts["mask"] == run[1].fsc.descriptions[run[1].fsc.judge]
    assert 0 <= shown.facts["cfar"] <= 1
    low, mean, high = (shown.arrays[f"cfsc_{part}"] for part in ("min", "mean", "max"))
    assert np.all(low <= mean + 1e-12) and np.all(mean <= high + 1e-12)


def test_even_views_give_an_even_precision(run):
    # 200 particles of random orientation, four mates each; every direction of 7 degrees meets 80 to 100 slices
    assert run[1].diagnostics.facts["precision_ratio"] < 3


def test_every_array_is_documented(run):
    page = (Path(__file__).parents[2] / "docs" / "JOB_FOLDER.md").read_text()
    told = re.findall(r"`([a-z_A*]+)`", page)
    arrays = {name for shown in (*run[0], run[1].diagnostics) for name in shown.arrays}
    arrays |= {*diagnostics.scales(np.ones(3))}
    assert [name for name in arrays if not any(fnmatch.fnmatch(name, pattern) for pattern in told)] == []
    assert {"scales_mean", "cfsc_area", "precision", "map_unit"} <= arrays


def test_diagnostics_do_not_change_the_result(data, monkeypatch):
    told = replace(data.told(), half=data.truth.half)

    def refined():
        recipe = made.homogeneous(max_iterations=1)
        return loop.run(recipe, told, data.map, None, np.random.default_rng(1), made.Heard())

    usual = refined()
    monkeypatch.setattr(diagnostics, "of_iteration", lambda *all: None)
    np.testing.assert_array_equal(refined().half1.data, usual.half1.data)


def test_a_pass_without_pose_refinement_has_no_changes(data):
    heard = made.Heard()
    loop.run(made.reconstruction(), data.truth, None, None, np.random.default_rng(1), heard)
    (event,) = heard.of("diagnostics")
    assert not any("_change_" in name for name in event["made"].arrays)


def test_slices_are_the_central_ones_of_each_axis(rng):
    data = rng.standard_normal((8, 8, 8)).astype(np.float32)
    found = diagnostics.slices("map", Map(data, 1.0))
    back = found["map_slices"].astype(float) * found["map_unit"]
    # float16 holds 11 bits: half a unit in the last place of values up to the largest
    for slice_, true in zip(back, (data[:, :, 4], data[:, 4, :], data[4]), strict=True):
        np.testing.assert_allclose(slice_, true, atol=found["map_unit"] * 2**-11)


def test_slices_are_cut_where_asked_for(rng):
    data = rng.normal(0, 1, (12, 12, 12)).astype(np.float32)
    found = diagnostics.slices("map", Map(data, 2.0), (4.0, -6.0, 2.0))
    back = found["map_slices"].astype(float) * found["map_unit"]
    np.testing.assert_allclose(back, [data[:, :, 8], data[:, 3, :], data[7]], atol=2e-3 * abs(data).max())


def test_fourier_slices_are_the_central_planes_of_the_transform(rng):
    halves = tuple(Map(rng.standard_normal((8, 8, 8)).astype(np.float32), 1.0) for _ in range(2))
    found = diagnostics.fourier_slices(halves)["fourier_slices"].astype(float)
    whole = np.log10(np.abs(scipy.fft.fftshift(scipy.fft.fftn(halves[0].data + halves[1].data))))
    planes = np.stack([whole[:, :, 4], whole[:, 4, :], whole[4]])
    # float16 at values down to -2: steps of 2^-9
    np.testing.assert_allclose(found, planes - planes.max(), atol=2e-3)


@pytest.mark.parametrize("edges", [None, np.linspace(0, 3, 61)])
def test_a_histogram_loses_no_value(rng, edges):
    values = 5 * rng.standard_exponential(1000) - (0 if edges is None else 1)
    counts, used = diagnostics.histogram(values, edges)
    assert counts.sum() == 1000 and len(used) == len(counts) + 1


def test_the_axis_of_a_histogram_is_round_and_holds_nearly_all(rng):
    values = np.append(rng.uniform(0, 0.9, 999), 170.0)
    counts, edges = diagnostics.histogram(values)
    assert (edges[0], edges[-1]) == (0, 1) and counts[-1] == 1


def test_no_values_make_an_empty_histogram():
    counts, edges = diagnostics.histogram(np.zeros(0))
    assert counts.sum() == 0 and np.all(np.diff(edges) > 0)


def test_scales_are_counted_and_averaged(rng):
    scale = rng.normal(1, 0.2, 500)
    found = diagnostics.scales(scale)
    assert found["scales"].sum() == 500 and found["scales_mean"] == pytest.approx(scale.mean())


def test_directions_lie_in_one_asymmetric_unit(rng):
    poses = rotations.random(2000, rng)
    group = symmetry.group("D2")
    counts = diagnostics.directions(poses, group)["directions"]
    mates = diagnostics.directions(poses @ group[1], group)["directions"]
    np.testing.assert_array_equal(counts, mates)
    # a quarter of the sphere; bins on its border are counted too
    assert counts.sum() == 2000 and (counts > 0).mean() < 0.35


def test_groups_of_fewer_shells_leave_the_rest_of_their_noise_open():
    models = (noise_model.GroupModel(np.ones(9)), noise_model.GroupModel(np.full(5, 2.0)))
    found = diagnostics.noise(made.state(models=models), made.state(models=models))["noise_sd"]
    assert found.shape == (2, 9) and np.isnan(found[1, 5:]).all() and (found[1, :5] == 2).all()
