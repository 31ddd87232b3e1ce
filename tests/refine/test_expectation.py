"""The E-step: scales, silent particles, blanked shells, samples; what it changes and what it does not."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.refine import expectation, loop
from halfmap.types import Candidates, Images
from tests.refine import made

BAND = 8


@pytest.fixture
def rng():
    return np.random.default_rng(2)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return made.experiment(tmp_path_factory.mktemp("expectation"), 60)


@pytest.fixture(scope="module")
def begun(data):
    """(job, state, plan) of a refinement of poses from the true map and the true poses, without a search."""
    job = made.prepared(made.homogeneous(candidates=1), data.truth)
    state, plan = job.recipe.start.begin(job, data.map)
    known = Candidates(data.truth.poses.rotations[:, None], data.truth.poses.shifts_A[:, None], np.zeros((60, 1)))
    plan = replace(plan, searched=np.zeros(60, bool), stages=((BAND, 3),), band=BAND)
    return job, replace(state, candidates=known), plan


def expected(job, state, plan, accumulator=None):
    """The E-step of the first half: (posed, its images that were laid in, sums)."""
    state = loop.resampled(state, plan.box)
    found, sums = loop._half(job, state, plan, 0, lambda count: None)
    return found, sums


@pytest.fixture(scope="module")
def usual(begun):
    return expected(*begun)


def images(rng, n=5, radius=BAND):
    shape = n, 2 * radius + 1, radius + 1
    drawn = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    return Images(np.arange(n), drawn, 2 * drawn, np.ones(shape, np.float32), np.ones(radius + 1), made.BOX,
                  made.VOXEL_A)  # fmt: skip


def shells(radius):
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    return np.hypot(kx, ky)


def test_values_for_a_model_of_another_scale_are_brought_to_scale_one(rng):
    n, scale = 7, rng.uniform(0.3, 3, 7)
    cross, power = rng.normal(size=n), rng.uniform(1, 2, n)
    candidates = Candidates(np.zeros((n, 1, 3, 3)), np.zeros((n, 1, 2)), np.zeros((n, 1)))
    posed = expectation.Posed(np.arange(n), candidates, np.ones((n, 1)), np.ones((n, 5, 5)), cross * scale,
                              power * scale**2, np.ones(n))  # fmt: skip
    again = posed.at_scale(scale)
    np.testing.assert_allclose(again.cross, cross)
    np.testing.assert_allclose(again.power, power)
    assert again.information is posed.information and again.candidates is posed.candidates


def test_the_scale_of_a_particle_does_not_change_what_its_image_says_of_it(begun):
    job, state, plan = begun
    still = replace(plan, stages=((BAND, 0),))
    n = len(state.scale)
    (one, _), (other, _) = (expected(job, replace(state, scale=scale), still)
                            for scale in (np.ones(n), np.linspace(0.5, 2, n)))  # fmt: skip
    # no pose moves, so the model differs by its scale alone: single precision of the images
    np.testing.assert_allclose(other.posed.cross, one.posed.cross, rtol=1e-4, atol=1e-4 * one.posed.cross.max())
    np.testing.assert_allclose(other.posed.power, one.posed.power, rtol=1e-4)


def test_a_fainter_model_leaves_the_pose_less_certain(begun, usual):
    job, state, plan = begun
    faint, _ = expected(job, replace(state, scale=np.full(len(state.scale), 0.5)), plan)
    ratio = np.einsum("nii->n", faint.posed.information) / np.einsum("nii->n", usual[0].posed.information)
    assert np.median(ratio) == pytest.approx(0.25, rel=0.05)  # information goes with the square of the signal


def test_silent_particles_are_not_laid_in_but_still_posed(begun, usual):
    job, state, plan = begun
    found, whole = usual
    silent = np.zeros(len(state.silent), bool)
    silent[found.posed.rows[::3]] = True
    hushed, sums = expected(job, replace(state, silent=silent), plan)
    np.testing.assert_array_equal(hushed.posed.rows, found.posed.rows)
    np.testing.assert_array_equal(hushed.posed.cross, found.posed.cross)
    _, without = expected(job, state, replace(plan, used=~silent))
    assert sums.images == without.images == whole.images - silent.sum()
    np.testing.assert_allclose(sums.numerator, without.numerator, atol=1e-5 * abs(whole.numerator).max())


def test_if_all_are_silent_the_sums_are_empty(begun):
    job, state, plan = begun
    _, sums = expected(job, replace(state, silent=np.ones(len(state.silent), bool)), plan)
    assert sums.images == 0 and not sums.numerator.any() and not sums.weight.any()


def test_particles_that_do_not_take_part_are_not_there(begun):
    job, state, plan = begun
    used = np.arange(len(state.scale)) % 2 == 0
    found, sums = expected(job, state, replace(plan, used=used))
    rows = job.rows(1)
    np.testing.assert_array_equal(np.sort(found.posed.rows), rows[used[rows]])
    assert sums.images == used[rows].sum()


@pytest.mark.parametrize("shell", [1, 3, 6])
def test_blanked_shells_are_empty_and_all_others_as_they_were(shell, rng):
    before = images(rng)
    after = expectation.above(before, shell)
    inside = shells(BAND) < shell - 0.5
    assert not after.masked[:, inside].any() and not after.ctf[:, inside].any()
    np.testing.assert_array_equal(after.masked[:, ~inside], before.masked[:, ~inside])
    np.testing.assert_array_equal(after.ctf[:, ~inside], before.ctf[:, ~inside])
    np.testing.assert_array_equal(after.unmasked, before.unmasked)


@pytest.mark.parametrize("shell", [0, -2])
def test_nothing_is_blanked_where_nothing_is_asked_for(shell, rng):
    before = images(rng)
    assert expectation.above(before, shell) is before


def test_a_pose_does_not_depend_on_shells_that_do_not_align(begun, rng):
    job, state, plan = begun
    matcher = loop.matcher_of(job, loop.resampled(state, plan.box), plan, 0)
    rows = job.rows(1)[:12]
    (batch,) = job.source.batches(rows, 100, BAND, state.models, state.poses.shifts_A, state.scale)
    noise = (rng.normal(0, 5, batch.masked.shape) * (shells(BAND) < 3.5)).astype(np.complex64)
    spoiled = replace(batch, masked=batch.masked + noise)

    def posed(images, lowest):
        return expectation._posed(matcher, images, state, replace(plan, lowest=lowest), job.source.clock)

    for one, other in zip(*(vars(posed(x, 4).candidates).values() for x in (batch, spoiled)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (posed(batch, 0).candidates.rotations != posed(spoiled, 0).candidates.rotations).any()
    # fewer shells, less information
    less, more = (np.linalg.slogdet(posed(batch, lowest).information)[1] for lowest in (4, 0))
    assert (less < more).all()


def test_every_manieth_particle_takes_stock(begun):
    job, state, plan = begun
    whole, part = (expected(job, state, replace(plan, stock_every=every))[0].shells[0] for every in (1, 3))
    rows = job.rows(1)
    # row 3 of the sums counts pixels, the same number for every image
    np.testing.assert_allclose(part[3], whole[3] * np.mean(rows % 3 == 0))


def test_the_size_of_batches_changes_no_sum(begun, usual):
    job, state, plan = begun
    small = replace(job, batch=7)
    found, _ = expected(small, state, plan)
    np.testing.assert_array_equal(found.shells[0], usual[0].shells[0])
    np.testing.assert_array_equal(found.posed.power, usual[0].posed.power)
