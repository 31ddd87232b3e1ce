"""The posterior over all poses of a grid, and what it carries back to the map."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.align import polar, soft
from halfmap.align.polar import PolarSearch
from halfmap.geometry import rotations, symmetry
from halfmap.kernels.polar import sample_slices
from tests.align import made

RADIUS, DIAMETER_A, RANGE_A = 6, 56.0, 9.0


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def posed(rng, name="C1", n=12, power=40.0):
    """Images of an object, its projector and a grid."""
    truth = made.object_(symmetry_name=name)
    matrices = rotations.random(n, rng)
    images = made.loud(made.images(truth, matrices, rng.uniform(-4, 4, (n, 2)), RADIUS), power)
    grid = soft.scattered(RADIUS, made.LENGTH_A, DIAMETER_A, RANGE_A, symmetry.group(name), rng)
    return images, made.projector(truth, RADIUS), grid, matrices


def scaled(projector, factor):
    return replace(projector, half=projector.half * np.complex64(factor))


def posterior(projectors, images, grid, similarity=0.0):
    searches = [PolarSearch.of(one, grid, RADIUS) for one in projectors]
    return soft.posterior(searches, images, np.zeros((len(images), 2)), similarity)


def test_what_is_carried_back_is_the_gradient_of_the_evidence(rng):
    images, projector, grid, _ = posed(rng)
    other = made.projector(made.object_(seed=5), RADIUS)  # the direction of the derivative
    here = posterior([projector], images, grid)
    hands = grid.matrices[: len(here.rings[0].values)]
    slices, slope = (sample_slices(one.half, hands, RADIUS, grid.angles, one.padding) for one in (projector, other))
    ring = here.rings[0]
    told = 2 * np.sum((slope.conj() * (ring.values - ring.weight[..., None] * slices)).real)
    step = 2e-3
    around = [posterior([replace(projector, half=projector.half + np.complex64(s * step) * other.half)], images, grid)
              for s in (1, -1)]
    measured = (around[0].evidence.sum() - around[1].evidence.sum()) / (2 * step)
    # float32 sums of some thousand terms, and a third-order remainder of the difference
    assert told == pytest.approx(measured, rel=1e-2)


def test_a_place_is_as_probable_as_all_poses_there_together(rng):
    images, projector, grid, _ = posed(rng, power=3e3)
    found = posterior([projector, scaled(projector, 0.5)], images, grid)
    assert found.places.shape == (len(images), len(grid.shifts_A))
    np.testing.assert_allclose(found.places.sum(1), 1, rtol=1e-4)
    # of loud images all of the weight is where their best pose is
    best = grid.shifts_A[found.places.argmax(1)]
    np.testing.assert_allclose(best, found.shifts_A[np.arange(len(images)), found.shares.argmax(1)])


def test_places_far_from_the_middle_are_less_likely_the_narrower_particles_are_spread():
    shifts = np.array([[[0.0, 0], [6, 0], [0, -12]]])
    narrow, even = soft.log_prior(shifts, 6.0)[0], soft.log_prior(shifts, np.inf)[0]
    np.testing.assert_array_equal(even, 0)
    np.testing.assert_allclose(np.diff(narrow), [-0.5, -1.5])
    assert np.exp(narrow).mean() == pytest.approx(1)


def test_of_images_that_tell_nothing_all_poses_carry_weight_whatever_the_prior(rng):
    images, projector, grid, _ = posed(rng)
    searches = [PolarSearch.of(scaled(projector, 1e-4), grid, RADIUS)]
    found = soft.posterior(searches, images, np.full((len(images), 2), 3.0), spread_A=4.0)
    np.testing.assert_allclose(found.effective, 1, rtol=1e-3)
    np.testing.assert_allclose(found.evidence, 0, atol=0.01)
    wanted = np.exp(soft.log_prior(grid.shifts_A[None] + 3.0, 4.0)) / len(grid.shifts_A)
    np.testing.assert_allclose(found.places, np.repeat(wanted, len(images), 0), rtol=1e-2)


def test_loud_images_are_seen_where_they_were_taken_from(rng):
    images, projector, grid, matrices = posed(rng, "D2", power=3e3)
    found = posterior([projector], images, grid)
    apart = symmetry.distance(found.rotations[:, 0], matrices, symmetry.group("D2"))
    assert np.median(apart) < grid.step_rad and found.effective.max() < 0.01


def test_an_empty_map_leaves_all_poses_alike(rng):
    images, projector, grid, _ = posed(rng)
    found = posterior([scaled(projector, 0)], images, grid)
    np.testing.assert_allclose(found.effective, 1, rtol=1e-4)
    np.testing.assert_allclose(found.evidence, 0, atol=1e-5)


def test_noise_as_it_is_gives_the_posterior_without_a_word_of_it(rng):
    images, projector, grid, _ = posed(rng)
    searches = [PolarSearch.of(projector, grid, RADIUS)]
    centres = np.zeros((len(images), 2))
    one, other = (soft.posterior(searches, images, centres, 0.0, 5.0, *more) for more in ((), (1.0,)))
    for name in ("evidence", "shares", "effective", "places", "directions", "shifts_A"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.rings[0].values, other.rings[0].values)


def test_noise_taken_larger_is_the_posterior_of_images_of_larger_noise(rng):
    images, projector, grid, _ = posed(rng, power=400.0)
    searches = [PolarSearch.of(one, grid, RADIUS) for one in (projector, scaled(projector, 0.8))]
    centres = np.zeros((len(images), 2))
    blurred = soft.posterior(searches, images, centres, 0.0, 5.0, noise_scale=3.0)
    noisy = replace(images, masked=images.masked / np.float32(3), ctf=images.ctf / np.float32(3))  # whitened by it
    wanted = soft.posterior(searches, noisy, centres, 0.0, 5.0)
    for name in ("shares", "effective", "places", "directions"):
        np.testing.assert_allclose(getattr(blurred, name), getattr(wanted, name), rtol=1e-3, atol=1e-5)
    # they are laid into the map as what they are, and tell of it what they do
    np.testing.assert_allclose(blurred.rings[0].values, 9 * wanted.rings[0].values, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(blurred.rings[0].weight, 9 * wanted.rings[0].weight, rtol=1e-3)
    plain = soft.posterior(searches, images, centres, 0.0, 5.0)
    np.testing.assert_allclose(blurred.evidence, plain.evidence, rtol=1e-5)


def test_images_go_to_the_map_that_they_show(rng):
    images, projector, grid, _ = posed(rng, power=400)
    other = made.projector(made.object_(seed=5), RADIUS)
    assert posterior([projector, other], images, grid).shares[:, 0].min() > 0.9


def test_similarity_deals_images_out_evenly(rng):
    images, projector, grid, _ = posed(rng, power=400)
    other = made.projector(made.object_(seed=5), RADIUS)
    found = posterior([projector, other], images, grid, similarity=1.0)
    np.testing.assert_allclose(found.shares, 0.5)
    total = sum(ring.weight.sum() for ring in found.rings)
    assert found.rings[0].weight.sum() == pytest.approx(total / 2, rel=0.2)


def test_grids_are_never_the_same_and_never_sparser_than_asked(rng):
    one, two = (soft.scattered(RADIUS, made.LENGTH_A, DIAMETER_A, RANGE_A, np.eye(3)[None], rng) for _ in range(2))
    assert np.abs(one.matrices[0] - two.matrices[0]).max() > 1e-3
    assert len(one.matrices) == pytest.approx(4 * np.pi / one.step_rad**2, rel=0.05)  # both hands of half of them
    assert one.step_rad == pytest.approx(soft.SPACING * made.LENGTH_A / RADIUS / DIAMETER_A)


def test_the_number_of_threads_changes_nothing(rng, monkeypatch):
    images, projector, grid, _ = posed(rng)
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(soft.device, "threads", lambda threads=threads: threads)
        found.append(posterior([projector], images, grid).rings[0])
    assert np.array_equal(found[0].values, found[1].values) and np.array_equal(found[0].weight, found[1].weight)


@pytest.mark.parametrize("angles", [12, 54, 72])
def test_turning_by_halves_is_the_inverse_transform_and_its_adjoint(angles, rng):
    whole, turn = polar.inverse_transform(angles), soft.Turn.of(angles)
    spectrum, values = (rng.standard_normal((n, 5)).astype(np.float32) for n in whole.shape[::-1])
    np.testing.assert_allclose(turn @ spectrum, whole @ spectrum, atol=1e-5)  # float32
    np.testing.assert_allclose(turn.back(values), whole.T @ values, atol=1e-5)
