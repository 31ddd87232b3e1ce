"""candidates.npz and the expected errors of single particles: what is written is what is known."""

import json

import numpy as np
import pytest

from halfmap.align import posterior
from halfmap.data import relion
from halfmap.geometry import rotations, symmetry
from halfmap.io import star
from halfmap.jobs.running import candidates, events, results
from halfmap.params.homogeneous import Homogeneous
from halfmap.params.reconstruct import Reconstruct
from halfmap.refine import loop
from halfmap.refine import outcome as outcomes
from halfmap.refine.state import Posterior
from halfmap.types import Candidates
from tests.refine import made

N = 150


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Images so noisy that some particles stay undecided."""
    return made.experiment(tmp_path_factory.mktemp("candidates"), N, snr=0.1)


@pytest.fixture(scope="module")
def outcome(data):
    rng = np.random.default_rng(1)
    return loop.run(made.homogeneous(max_iterations=2), data.told(), data.map, None, rng, made.Heard())


@pytest.fixture(scope="module")
def folder(outcome, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("written")
    written(out, outcome, data, write_candidates=True)
    return out


def written(out, outcome, data, job=Homogeneous, **settings):
    given = {"volume": "v"} if job is Homogeneous else {}
    params = job(out=out, particles="p", symmetry="D2", **given, **settings)
    return results.write(outcome, data.told(), params, out, events.Watch(out))


@pytest.fixture(scope="module")
def arrays(folder):
    with np.load(folder / candidates.FILE) as loaded:
        return dict(loaded)


def test_every_array_is_described_and_has_a_row_a_particle(arrays, outcome):
    assert set(json.loads(str(arrays["about"]))) == {*arrays, "rows"} - {"about"}
    n, c = arrays["probability"].shape
    assert n == len(outcome.particles) and c >= 2  # some have a second pose
    shapes = {name: values.shape for name, values in arrays.items() if name != "about"}
    assert shapes == {"euler_deg": (n, c, 3), "shifts_A": (n, c, 2), "probability": (n, c), "log_likelihood": (n, c),
                      "covariance": (n, 5, 5)}  # fmt: skip


def test_probabilities_are_such_and_fall_from_the_first_on(arrays):
    p = arrays["probability"]
    assert (p >= 0).all() and (np.diff(p, axis=1) <= 0).all()
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)  # all that are known are there; single precision


def test_what_is_absent_is_nan_with_probability_nil(arrays):
    absent = np.isnan(arrays["log_likelihood"])
    assert absent.any() and not absent[:, 0].any() and not absent.all(0).any()
    assert not arrays["probability"][absent].any()
    for name in ("euler_deg", "shifts_A"):
        np.testing.assert_array_equal(np.isnan(arrays[name]), np.repeat(absent[..., None], arrays[name].shape[-1], -1))


def test_the_first_pose_is_that_of_the_table(arrays, folder):
    table = relion.read_table(folder / "particles.star")
    first = rotations.euler_to_matrix(*arrays["euler_deg"][:, 0].astype(float).T)
    # 360 degrees in single precision are known to 3e-5 degrees
    assert np.rad2deg(rotations.angle_between(first, table.poses.rotations)).max() < 2e-4
    np.testing.assert_allclose(arrays["shifts_A"][:, 0], table.poses.shifts_A, atol=1e-5)


def test_all_poses_of_a_particle_are_different_ones_of_one_asymmetric_unit(arrays):
    rows = np.flatnonzero(~np.isnan(arrays["log_likelihood"][:, 1]))
    first, second = (rotations.euler_to_matrix(*arrays["euler_deg"][rows, i].astype(float).T) for i in (0, 1))
    assert symmetry.distance(first, second, made.GROUP).min() > posterior.SAME_RAD * 0.99
    apart = np.abs(symmetry.canonical(second, made.GROUP) - second).max(axis=(1, 2))
    assert np.mean(apart < 1e-5) > 0.97  # but for views on the very border of the unit, in single precision


def test_covariance_and_information_are_inverse(arrays, outcome):
    product = arrays["covariance"].astype(float) @ outcome.posterior.information
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(5), product.shape), atol=1e-3)
    assert (np.linalg.eigvalsh(arrays["covariance"].astype(float)) > 0).all()


def test_expected_errors_are_the_roots_of_the_variances_in_the_units_of_the_table(arrays, folder):
    columns = star.read(folder / "particles.star")["particles"].columns
    variance = np.einsum("nii->ni", arrays["covariance"].astype(float))
    rotation, shift = np.sqrt(variance[:, :3].sum(1)), np.sqrt(variance[:, 3:].sum(1))
    np.testing.assert_allclose(columns["halfmapRotationSd"].astype(float), np.rad2deg(rotation), rtol=1e-4)
    np.testing.assert_allclose(columns["halfmapShiftSdAngst"].astype(float), shift, rtol=1e-4)


def test_poses_err_as_much_as_their_covariance_says(arrays, outcome, data):
    sure = arrays["probability"][:, 0] > 0.99
    truth = data.truth.poses[outcome.particles.index]
    mate = symmetry.nearest(truth.rotations, outcome.particles.poses.rotations, made.GROUP)
    turn = rotations.log_so3(mate @ np.swapaxes(outcome.particles.poses.rotations, -1, -2))
    error = np.concatenate([turn, truth.shifts_A - outcome.particles.poses.shifts_A], axis=1)
    pull = np.einsum("ni,nij,nj->n", error, np.linalg.inv(arrays["covariance"].astype(float)), error)
    # chi squared of 5: median 4.35. A map that is itself of a few noisy images adds to it: 1.3 in sd, 1.7 in squares
    assert 0.7 < np.median(pull[sure]) / 4.35 < 1.7


def test_candidates_are_written_only_on_request_and_change_nothing_else(folder, outcome, data, tmp_path):
    written(tmp_path, outcome, data)
    assert not (tmp_path / candidates.FILE).exists()
    for name in ("particles.star", "half1.mrc", "map.mrc", "fsc.star"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_a_reconstruction_knows_no_errors_of_its_own(outcome, data, tmp_path):
    written(tmp_path, outcome, data, Reconstruct)
    assert "halfmapRotationSd" not in star.read(tmp_path / "particles.star")["particles"].columns


def test_a_particle_of_which_nothing_is_known_has_infinite_variances_and_999_in_the_table():
    nothing = Posterior(Candidates(np.eye(3)[None, None], np.zeros((1, 1, 2)), np.zeros((1, 1))), np.ones((1, 1)),
                        np.zeros((1, 5, 5)))  # fmt: skip
    spread = candidates.arrays(nothing)["covariance"][0]
    assert np.isposinf(np.diag(spread)).all() and not spread[~np.eye(5, dtype=bool)].any()
    assert [column.tolist() for column in candidates.errors(nothing).values()] == [[candidates.UNKNOWN]] * 2


def test_the_outcome_knows_the_poses_of_its_own_particles(data):
    job = made.prepared(made.reconstruction(), data.truth)
    job.reject(np.array([5]), "spoiled")
    state, plan = job.recipe.start.begin(job, None)
    made_of = outcomes.outcome(job, *loop.iterate(job, state, plan))
    np.testing.assert_array_equal(made_of.posterior.candidates.rotations[:, 0], made_of.particles.poses.rotations)
    assert made_of.posterior.probability.shape == (N - 1, 1)


def test_where_the_symmetry_is_relaxed_all_poses_cover_all_directions(data):
    rng, recipe = np.random.default_rng(1), made.homogeneous(max_iterations=1, relax_symmetry="maximization")
    relaxed = loop.run(recipe, data.told(), data.map, None, rng, made.Heard())
    known = relaxed.posterior.candidates
    np.testing.assert_array_equal(known.rotations[:, 0], relaxed.particles.poses.rotations)
    inside = abs(symmetry.canonical(known.rotations[:, 0], made.GROUP) - known.rotations[:, 0]).max(axis=(1, 2)) < 1e-9
    assert 0.1 < inside.mean() < 0.5  # one of four units holds a quarter of all; 150 tell it to 4 %
