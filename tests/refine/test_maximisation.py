"""From sums to references: what the halves share, what the filter lets through, what a prior may touch."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.geometry import symmetry
from halfmap.reconstruct import nonuniform, solve
from halfmap.refine import loop, masking, maximisation, relaxation
from tests.refine import made

SPLIT_A = 20.0  # shell 8 of a box of 160 A; with MASK_LEAK the halves share the shells below 6
LEAST_VOXELS = 50  # of negative density in a reference of noise and solvent: far more are there


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return made.experiment(tmp_path_factory.mktemp("maximisation"), 120)


@pytest.fixture(scope="module")
def summed(data):
    """(recipe, sums of both halves at the true poses, frame, FSC of the halves)."""
    job = made.prepared(made.reconstruction(), data.truth)
    state, plan = job.recipe.start.begin(job, None)
    _, result, sums = loop.iterate(job, state, plan)
    curve, _ = maximisation.trusted_curve(result.curves["corrected"])
    return job.recipe, sums, job.frame, curve


def recipe_with(recipe, kind=maximisation.FscPrior, split_A=SPLIT_A):
    return replace(recipe, prior=kind(split_A))


def changed(sums, keep):
    """Other sums wherever ``keep`` (a function of |k| in shells) is false."""
    r = sums.weight.shape[-1] - 1
    z, y, x = np.ogrid[-r : r + 1, -r : r + 1, 0 : r + 1]
    kept = keep(np.sqrt(z**2 + y**2 + x**2) / sums.padding)
    return replace(sums, numerator=np.where(kept, sums.numerator, 3 * sums.numerator + 1).astype(np.complex64))


def filtered(prior, halves, curve, frame):
    return prior.filtered(halves, nonuniform.Uniform(curve), frame.box, frame)


def test_beyond_the_split_a_half_knows_nothing_of_the_other(summed):
    _, (a, b), frame, curve = summed
    prior = maximisation.FscPrior(SPLIT_A)
    other = changed(b, lambda shell: shell < prior.shared_below(frame))
    before, after = (filtered(prior, pair, curve, frame) for pair in ((a, b), (a, other)))
    np.testing.assert_array_equal(before[0].data, after[0].data)
    assert (before[1].data != after[1].data).any()


def test_below_the_split_both_halves_make_both_references(summed):
    _, (a, b), frame, curve = summed
    prior = maximisation.FscPrior(SPLIT_A)
    other = changed(b, lambda shell: shell >= prior.shared_below(frame))
    before, after = (filtered(prior, pair, curve, frame) for pair in ((a, b), (a, other)))
    assert (before[0].data != after[0].data).any()


def test_halves_that_share_nothing_are_independent_altogether(summed):
    _, (a, b), frame, curve = summed
    other = changed(b, lambda shell: shell < 0)
    before, after = (filtered(maximisation.FscPrior(np.inf), pair, curve, frame) for pair in ((a, b), (a, other)))
    np.testing.assert_array_equal(before[0].data, after[0].data)


def test_a_finer_split_shares_more(summed):
    frame = summed[2]
    shells = [maximisation.FscPrior(split).shared_below(frame) for split in (np.inf, 40.0, 20.0, 12.0)]
    assert shells[0] == 0 and (np.diff(shells) > 0).all()
    # a mask spreads what is shared over its own width: the curve is independent from the split on
    assert shells[2] == frame.length_A / 20.0 - maximisation.MASK_LEAK


def test_the_map_of_all_does_not_know_which_half_is_the_first(summed):
    _, (a, b), frame, curve = summed
    prior = maximisation.FscPrior(SPLIT_A)
    filter = nonuniform.Uniform(curve)
    maps = (prior.combined(pair, filter, frame.box, frame).data for pair in ((a, b), (b, a)))
    np.testing.assert_array_equal(*maps)


def both(halves, recipe, frame):
    """(what maximise finds, the references of it)."""
    found = maximisation.maximise(halves, recipe, 20.0, frame.box, frame)
    return found, maximisation.references(halves, found, recipe, frame)


def test_the_two_halves_are_treated_alike(summed):
    recipe, (a, b), frame, _ = summed
    (one, first), (other, second) = (both(pair, recipe_with(recipe), frame) for pair in ((a, b), (b, a)))
    for i in (0, 1):
        np.testing.assert_array_equal(first[i].data, second[1 - i].data)
    assert one.shell == other.shell


def test_curves_are_judged_by_the_values_of_an_asymmetric_unit_of_the_map(summed, monkeypatch):
    recipe, halves, frame, _ = summed
    orders = []
    monkeypatch.setattr(maximisation.fsc_report, "unfit", lambda seen, *_: orders.append(seen.pair.order))
    for part in (recipe, replace(recipe, relaxation=relaxation.Maximised())):
        maximisation.maximise(halves, replace(part, group=symmetry.group("D2")), np.inf, frame.box, frame)
    assert orders == [4, 1]


def test_louder_images_make_louder_maps_and_the_same_curves(summed):
    recipe, halves, frame, _ = summed
    louder = tuple(replace(s, numerator=2 * s.numerator) for s in halves)
    (one, quiet), (two, loud) = (both(pair, recipe_with(recipe), frame) for pair in (halves, louder))
    # twice a number is exact in binary: nothing is rounded differently
    np.testing.assert_array_equal(loud[0].data, 2 * quiet[0].data)
    np.testing.assert_array_equal(two.curves["corrected"].values, one.curves["corrected"].values)


def test_a_perfect_fsc_filters_nothing_and_none_leaves_nothing(summed):
    _, (a, _), frame, _ = summed
    shells = solve.shells(a)
    whole = solve.to_map(solve.wiener(a, np.ones(shells)), a, frame.box, frame.box)
    none = solve.to_map(solve.wiener(a, np.zeros(shells)), a, frame.box, frame.box)
    plain = solve.unfiltered(a, frame.box, frame.box)
    # FSC is trusted up to 0.999 and down to 0.001: a thousandth of the amplitude is taken, or left, where weights
    # are the mean of their shell; of 120 images they differ by a factor of some ten
    assert np.corrcoef(whole.data.ravel(), plain.data.ravel())[0, 1] > 0.99
    assert none.data.std() < 0.02 * plain.data.std()


def test_a_trusted_curve_ends_soon_after_its_crossing():
    values = np.r_[1.0, 0.97, 0.9, 0.5, 0.1, -0.2, 0.05, 0.3, 0.4, 1.2, 0.0]
    trusted, shell = maximisation.trusted_curve(made.curve(values))
    assert 3 < shell < 4 and trusted[0] == 1
    end = int(maximisation.KEPT_BEYOND[0] * shell + maximisation.KEPT_BEYOND[1]) + 1
    assert not trusted[end:].any() and (trusted >= 0).all() and (trusted <= 1).all()
    np.testing.assert_array_equal(trusted[1:end], np.clip(values[1:end], 0, 1))


def test_non_negative_references_are_the_usual_ones_without_their_negative_density(summed):
    recipe, halves, frame, _ = summed
    kinds = maximisation.FscPrior, maximisation.NonNegative
    usual, positive = (both(halves, recipe_with(recipe, kind), frame)[1] for kind in kinds)
    for before, after in zip(usual, positive, strict=True):
        assert (before.data < 0).sum() > LEAST_VOXELS
        np.testing.assert_array_equal(after.data, np.maximum(before.data, 0))


def test_non_negativity_touches_neither_half_maps_nor_curves_nor_the_final_map(summed):
    recipe, halves, frame, curve = summed
    kinds = maximisation.FscPrior, maximisation.NonNegative
    usual, positive = (
        maximisation.maximise(halves, recipe_with(recipe, kind), 20.0, frame.box, frame) for kind in kinds
    )
    for before, after in zip(usual.halves, positive.halves, strict=True):
        np.testing.assert_array_equal(after.data, before.data)
    np.testing.assert_array_equal(positive.curves["corrected"].values, usual.curves["corrected"].values)
    maps = [kind(SPLIT_A).combined(halves, nonuniform.Uniform(curve), frame.box, frame).data for kind in kinds]
    np.testing.assert_array_equal(*maps)


def test_references_are_masked_and_half_maps_are_not(summed):
    recipe, halves, frame, _ = summed
    masked, made = both(halves, recipe_with(recipe), frame)
    bare = maximisation.maximise(halves, replace(recipe_with(recipe), mask=masking.NoMask()), 20.0, frame.box, frame)
    outside = masked.mask.data == 0
    assert not made[0].data[outside].any() and masked.halves[0].data[outside].any()
    np.testing.assert_array_equal(masked.halves[0].data, bare.halves[0].data)
