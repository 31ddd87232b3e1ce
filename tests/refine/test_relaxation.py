"""Symmetry as a guide to the poses and not a law of the map."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap import simulate
from halfmap.errors import UsageError
from halfmap.geometry import rotations, symmetry
from halfmap.reconstruct.sums import Accumulator
from halfmap.refine import loop, relaxation, schedules
from halfmap.refine.laying import AtBest
from halfmap.refine.posed import Posed
from halfmap.types import Candidates
from tests import blobs
from tests.refine import made

C4 = symmetry.group("C4")


@pytest.fixture(scope="module")
def ring():
    """A C4 ring of four subunits of ten blobs, 64 A across: all that the refinement is told."""
    unit = blobs.scattered(10, 22.0, 7.0, np.random.default_rng(7))
    return replace(unit, centres_A=unit.centres_A + np.array([32.0, 0, 0])).symmetrised(C4)


@pytest.fixture(scope="module")
def data(ring, tmp_path_factory):
    """300 images of the ring with two more blobs on one subunit: a twentieth of the mass."""
    extra = blobs.Blobs(np.array([[36.0, 6, 38], [30, -4, 44]]), np.full(2, 8.0), np.ones(2))
    whole = blobs.Blobs(*(np.concatenate([getattr(part, f) for part in (ring, extra)])
                          for f in ("centres_A", "widths_A", "weights")))  # fmt: skip
    settings = simulate.Settings(snr=0.5, shift_sd_A=2.0)
    drawn = simulate.simulation(whole.map(made.BOX, made.VOXEL_A), 300, np.random.default_rng(1), settings)
    images = np.concatenate(list(drawn.images()))
    truth = made.stacked(tmp_path_factory.mktemp("relaxed") / "images.mrcs", images, drawn.particles)
    return made.Experiment(ring.map(made.BOX, made.VOXEL_A), images, truth, drawn.scale)


@pytest.fixture(scope="module")
def refined(data):
    """By method: (outcome, what was shown)."""
    found = {}
    for name in relaxation.METHODS:
        heard = made.Heard()
        recipe = made.homogeneous(symmetry="C4", relax_symmetry=name)
        found[name] = (loop.run(recipe, data.told(), data.map, None, np.random.default_rng(1), heard), heard)
    return found


def turns(outcome, data):
    """(n,) by which of the four operators each pose differs from the truth."""
    true = data.truth.poses.rotations[outcome.particles.index]
    apart = [rotations.angle_between(outcome.particles.poses.rotations, true @ op) for op in C4]
    return np.argmin(apart, axis=0)


@pytest.mark.parametrize("name", ["maximization", "marginalization"])
def test_the_odd_subunit_is_found_in_most_particles(refined, data, name):
    # which of the four places it takes in the map is up to chance; nearly all particles must agree on it
    counts = np.bincount(turns(refined[name][0], data), minlength=4)
    assert counts.max() > 0.8 * counts.sum()


def test_with_symmetry_imposed_it_is_averaged(refined, data):
    counts = np.bincount(turns(refined["none"][0], data), minlength=4)
    # a quarter each, sd of a count of 300: 2.5 %; four of them
    assert counts.max() < 0.35 * counts.sum()


@pytest.mark.parametrize("name", relaxation.METHODS)
def test_the_maps_obey_the_group_only_where_it_is_imposed(refined, name):
    data = refined[name][0].map.data[1:, 1:, 1:]  # about the centre voxel
    likeness = np.corrcoef(np.rot90(data, axes=(1, 2)).ravel(), data.ravel())[0, 1]
    # trilinear interpolation of symmetric sums is symmetric itself for turns by 90 degrees; the extra blobs hold 5 %
    assert likeness > 0.999 if name == "none" else likeness < 0.99


def test_poses_cover_all_asymmetric_units_only_where_the_group_is_relaxed(refined):
    for name, (outcome, heard) in refined.items():
        units = np.bincount(symmetry.unit_of(outcome.particles.poses.rotations, C4), minlength=4)
        last = heard.of("diagnostics")[-1]["made"].arrays
        if name == "none":
            assert units[0] == units.sum() and "mates" not in last
        else:
            # random views: a quarter each, 75 +- 7.5 of 300, four standard deviations
            assert units.min() > 45
            np.testing.assert_array_equal(last["mates"], units)
            certain = outcome.posterior.probability[:, 0]
            assert last["mate_certainty"].sum() == len(certain)
            assert last["mate_certainty_median"] == pytest.approx(np.median(certain))


@pytest.mark.parametrize("name", relaxation.METHODS)
def test_mates_that_differ_draw_no_warning(refined, name):
    assert not any("told apart" in warning for warning in refined[name][0].warnings)


def test_a_refinement_goes_on_while_particles_change_their_mates(refined):
    for name in ("maximization", "marginalization"):
        hopped = [row["hopped"] for row in refined[name][0].history]
        assert hopped[0] is None and hopped[1] > 0.1
        # the last iteration may be one more, for a reconstruction to the Nyquist frequency
        assert len(hopped) == 20 or min(hopped[-2:]) <= schedules.HOPPING
    assert all(row["hopped"] is None for row in refined["none"][0].history)


def test_the_same_seed_gives_the_same_result(data):
    recipe = made.homogeneous(symmetry="C4", relax_symmetry="marginalization", max_iterations=2)
    a, b, c = (loop.run(recipe, replace(data.told(), half=data.truth.half), data.map, None, np.random.default_rng(seed),
                        made.Heard()) for seed in (1, 1, 2))  # fmt: skip
    np.testing.assert_array_equal(a.half1.data, b.half1.data)
    assert (a.half1.data != c.half1.data).any()


def test_mates_come_first_and_push_the_last_candidates_out():
    rng = np.random.default_rng(1)
    poses = rotations.random(12, rng).reshape(2, 6, 3, 3)
    known = Candidates(poses, rng.normal(size=(2, 6, 2)), rng.normal(size=(2, 6)))
    found = relaxation.with_mates(known, C4)
    np.testing.assert_allclose(found.rotations[:, :4], known.rotations[:, :1] @ C4)
    np.testing.assert_array_equal(found.rotations[:, 4:], known.rotations[:, 1:3])
    np.testing.assert_array_equal(found.shifts_A[:, :4], np.repeat(known.shifts_A[:, :1], 4, axis=1))


def test_of_all_mates_the_best_goes_on():
    rng = np.random.default_rng(1)
    one, other = rotations.random(2, rng)
    poses = np.concatenate([one @ C4, other[None]])[None]
    likelihood = np.array([[1.0, 3.0, 2.0, 0.0, 2.5]])
    found = relaxation.Maximised().merged(Candidates(poses, np.zeros((1, 5, 2)), likelihood), C4)
    assert np.isfinite(found.log_likelihood).sum() == 2
    kept = found.rotations[np.isfinite(found.log_likelihood)]
    np.testing.assert_array_equal(kept, [poses[0, 1], other])


def test_the_first_mates_are_drawn_by_their_probabilities():
    n, weights = 4000, np.array([0.5, 0.3, 0.2, 0.0])
    rng = np.random.default_rng(1)
    poses = np.broadcast_to(C4, (n, 4, 3, 3))
    posed = Posed(np.arange(n), Candidates(poses, np.zeros((n, 4, 2)), np.zeros((n, 4))), np.tile(weights, (n, 1)),
                  np.zeros((n, 5, 5)), np.zeros(n), np.zeros(n), np.ones(n))  # fmt: skip
    part = relaxation.Maximised().drawn(C4, n, 4, rng)
    found = part.told_apart(posed, C4, lambda candidates, rounds, group: posed)
    drawn = np.abs(found.candidates.rotations[:, :1] - C4).max(axis=(2, 3)).argmin(1)
    # sd of a fraction of 4000: at most 0.8 %; four of them
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / n, weights, atol=0.032)
    assert (found.weights[:, 0] == 1).all() and (found.weights[:, 1:] == 0).all()


def laid_in(part, posed, images):
    accumulator = Accumulator(6, 16, 1.0)
    laid = part.laying(AtBest()).laid(np.arange(len(images)), posed, None, None)
    accumulator.add(images, laid.rows, laid.rotations, laid.shifts_A, laid.shares)
    return accumulator.sums(C4[:1])


def test_a_marginalised_particle_is_laid_in_at_all_poses_with_their_weights():
    rng = np.random.default_rng(2)
    planes = blobs.white_noise((2, 13, 7), rng).astype(np.complex64)
    images = blobs.white_images(planes, 16, 1.0)
    poses = rotations.random(4, rng).reshape(2, 2, 3, 3)
    candidates = Candidates(poses, rng.normal(size=(2, 2, 2)), np.zeros((2, 2)))

    def at(weights, part):
        posed = Posed(np.arange(2), candidates, np.tile(weights, (2, 1)), *(None,) * 4)
        return laid_in(part, posed, images)

    both = at([0.7, 0.3], relaxation.Marginalised())
    first, second = (at(w, relaxation.Marginalised()) for w in ([1.0, 0.0], [0.0, 1.0]))
    # sums of a few float32 numbers of order 1
    np.testing.assert_allclose(both.numerator, 0.7 * first.numerator + 0.3 * second.numerator, atol=1e-5)
    np.testing.assert_allclose(both.weight, 0.7 * first.weight + 0.3 * second.weight, atol=1e-5)
    np.testing.assert_array_equal(at([0.7, 0.3], relaxation.Maximised()).weight, first.weight)


@pytest.mark.parametrize("name", ["C1", "I", "D13"])
def test_a_group_that_cannot_be_relaxed_is_refused(name):
    with pytest.raises(UsageError, match="--relax-symmetry maximization: the symmetry has"):
        made.homogeneous(symmetry=name, relax_symmetry="maximization")
    made.homogeneous(symmetry=name)
