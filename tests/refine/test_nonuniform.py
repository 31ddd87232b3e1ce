"""Non-uniform refinement and marginalisation as a user meets them: whole refinements of small images."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.reconstruct.nonuniform import Uniform
from halfmap.refine import loop, maximisation
from tests.refine import made

N = 200


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return made.experiment(tmp_path_factory.mktemp("nonuniform"), N, snr=0.2)


def refined(recipe, data):
    heard = made.Heard()
    told = replace(data.told(), half=data.truth.half)
    return loop.run(recipe, told, data.map, None, np.random.default_rng(1), heard), heard


@pytest.fixture(scope="module")
def runs(data):
    """By name: (outcome, what was shown)."""
    recipes = {"homogeneous": made.homogeneous(), "nonuniform": made.nonuniform(),
               "marginalised": made.homogeneous(marginalization=True)}  # fmt: skip
    return {name: refined(recipe, data) for name, recipe in recipes.items()}


def test_an_ordered_molecule_is_refined_as_well_as_by_one_filter(runs, data):
    errors = {name: np.median(made.error_deg(run[0].particles, data.truth)) for name, run in runs.items()}
    # 200 particles: the median of their errors is known to 9 per cent, that of a difference of poses better
    assert errors["nonuniform"] < 1.15 * errors["homogeneous"]


def test_the_map_is_filtered_place_by_place_and_the_half_maps_are_not(runs):
    one, local = (runs[name][0] for name in ("homogeneous", "nonuniform"))
    assert one.local_filter is None
    assert local.local_filter.data.shape == local.map.data.shape
    nyquist = 2 * local.map.voxel_size_A
    assert local.local_filter.data.min() > 0.999 * nyquist
    finest = local.half1.data - local.half2.data  # noise alone: not filtered anywhere
    assert 0.5 < finest.std() / (one.half1.data - one.half2.data).std() < 2


def test_an_iteration_shows_its_local_filter(runs):
    for name, (_, heard) in runs.items():
        arrays = heard.of("diagnostics")[-1]["made"].arrays
        assert ("local_filter_slices" in arrays) == (name == "nonuniform")
        if name == "nonuniform":
            assert arrays["local_filter_counts"].sum() == pytest.approx(1)


def test_a_marginalised_refinement_lays_uncertain_particles_in_at_several_poses(runs):
    numbers = {name: [row["poses_per_image"] for row in run[0].history] for name, run in runs.items()}
    assert set(numbers["homogeneous"]) == {1.0}
    assert max(numbers["marginalised"]) > 1.2 and min(numbers["marginalised"]) >= 1


def test_the_table_tells_the_number_of_poses_of_each_particle(runs):
    column = runs["marginalised"][0].extra["effective_poses"]
    assert column.shape == (N,) and (column >= 1 - 1e-6).all() and np.ptp(column) > 0
    assert "effective_poses" not in runs["homogeneous"][0].extra
    assert runs["marginalised"][1].of("diagnostics")[-1]["made"].arrays["poses_per_image"].sum() == N


def test_marginalisation_gives_way_to_symmetry_relaxation():
    kinds = {name: type(made.homogeneous(symmetry="C4", relax_symmetry=name, marginalization=True).layer).__name__
             for name in ("none", "maximization", "marginalization")}  # fmt: skip
    assert kinds == {"none": "AtPosterior", "maximization": "AtBest", "marginalization": "AtModes"}


def test_references_are_what_the_local_filter_makes_of_the_usual_ones(data):
    job = made.prepared(made.nonuniform(), data.truth, data.map)
    state, plan = job.recipe.start.begin(job, data.map)
    _, result, sums = loop.iterate(job, state, plan)
    local, box, frame = result.filter, result.mask.box, job.frame
    prior = job.recipe.prior
    plain = prior.filtered(sums, Uniform(local.values), box, frame)
    for made_, usual in zip(prior.filtered(sums, local, box, frame), plain, strict=True):
        np.testing.assert_array_equal(made_.data, local.applied(usual).data)
    positive = maximisation.NonNegative(prior.split_A, prior.places).filtered(sums, local, box, frame)
    assert positive[0].data.min() == 0


def test_noise_is_claimed_no_finer_than_by_one_filter(data, tmp_path):
    empty = made.stacked(tmp_path / "noise.mrcs", made.white(N, 1.0), data.told())
    claims = {}
    for name, recipe in {"homogeneous": made.homogeneous(), "nonuniform": made.nonuniform()}.items():
        found = loop.run(recipe, empty, data.map, None, np.random.default_rng(1), made.Heard())
        claims[name] = found.history[-1]["resolution_A"]
    # the halves share data to 20 A, shell 8 of 160 A; one more is what chance adds
    assert claims["nonuniform"] >= min(0.99 * claims["homogeneous"], made.BOX * made.VOXEL_A / 9)
