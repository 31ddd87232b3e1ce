"""What a finished refinement hands over, and the evidence its advice is given on."""


import numpy as np
import pytest

from halfmap.geometry import rotations, symmetry
from halfmap.refine import loop, outcome
from halfmap.validate import fsc
from tests.refine import made


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return made.experiment(tmp_path_factory.mktemp("outcome"), n=120)


@pytest.fixture(scope="module")
def finished(data):
    """(job, state, maximised, sums, outcome) of a reconstruction from true poses; image 5 was rejected."""
    job = made.prepared(made.reconstruction(), data.truth)
    job.reject(np.array([5]), "spoiled")
    state, plan = job.recipe.start.begin(job, None)
    state, result, sums = loop.iterate(job, state, plan)
    return job, state, result, sums, outcome.outcome(job, state, result, sums)


def test_particles_are_those_used_in_the_order_of_the_table(finished, data):
    particles = finished[-1].particles
    assert len(particles) == len(data.truth) - 1
    np.testing.assert_array_equal(particles.index, np.delete(np.arange(len(data.truth)), 5))


def test_poses_are_mates_of_the_best_ones_within_one_asymmetric_unit(finished, data):
    found = finished[-1].particles.poses.rotations
    true = np.delete(data.truth.poses.rotations, 5, axis=0)
    # rounding of products of rotations
    assert symmetry.distance(found, true, made.GROUP).max() < 1e-6
    np.testing.assert_allclose(symmetry.canonical(found @ made.GROUP[2], made.GROUP), found, atol=1e-12)
    assert rotations.angle_between(found, true).max() > 1  # most were given in another unit


def test_rejected_images_are_listed_and_warned_of(finished):
    result = finished[-1]
    assert result.rejected == ((5, "spoiled"),)
    assert any("1 image could" in warning for warning in result.warnings)


def test_half_maps_are_handed_over_unfiltered(finished):
    _, _, maximised, _, result = finished
    assert result.half1 is maximised.halves[0] and result.half2 is maximised.halves[1]


def test_the_fsc_mask_is_that_of_the_corrected_curve(finished):
    result = finished[-1]
    again = fsc.corrected(fsc.Pair(result.half1, result.half2), result.fsc.mask.data)
    np.testing.assert_allclose(result.curves["corrected"].values, again["corrected"].values, atol=1e-6)


def test_reconstruction_takes_back_projection_and_solution(finished):
    seconds = finished[-1].seconds
    assert seconds["reconstruct"] == seconds["insert"] + seconds["solve"]


def test_evidence_counts_the_halves_before_and_after_rejection(finished):
    job, state, result, _, ended = finished
    evidence = outcome.evidence(job, state, result, ended.fsc, ended.diagnostics)
    assert sum(evidence.halves_given) - sum(evidence.halves) == evidence.rejected == 1
    assert (evidence.box, evidence.particle_box) == (made.BOX, made.BOX)
    assert evidence.max_iterations is None and not evidence.mask_gave_way
