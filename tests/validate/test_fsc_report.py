"""Reports of two half-maps: complete, described, and honest about masks that are too tight."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.geometry import symmetry
from halfmap.maps import filters, masks
from halfmap.maps.masks import Made
from halfmap.types import Curve, Map
from halfmap.validate import fsc, fsc_masks, fsc_report
from tests.validate import made

PLAIN = fsc_report.Settings(tightening=fsc_masks.AsMade())
OFFERED = [
    fsc_report.Settings(fsc_masks.Fixed()),
    fsc_report.Settings(fsc_masks.Scaled()),
    PLAIN,
    fsc_report.Settings(fsc_masks.Scaled(1.0, 3.0), fsc_masks.AsMade()),
]


def _halves(sd=1.5, seed=1):
    return made.halves(np.random.default_rng(seed), made.particle(), sd)


def test_every_curve_has_its_name_and_its_words():
    report = fsc_report.report(*_halves(), PLAIN)
    names = ["no_mask", "spherical", "mask_free", "loose", "tight", "randomised", "corrected"]
    assert list(report.curves) == list(report.descriptions) == names
    assert all(curve.name == name for name, curve in report.curves.items())
    assert report.descriptions["tight"] == "tight: 0.50 max at 12 A, 1 to 6 A, 0 from 12 A"
    assert "tight mask" in report.descriptions["corrected"]
    assert list(report.masks) == ["mask_fsc"]
    assert report.randomised_from == fsc.Pair(*_halves()).start


def test_masks_help_in_their_order():
    curves = fsc_report.report(*_halves(), PLAIN).curves
    shell = {key: fsc.crossing(curve) for key, curve in curves.items()}
    # half a shell of tolerance: a crossing has the error of one shell's FSC
    assert shell["no_mask"] < shell["loose"] + 0.5 < shell["tight"] + 1
    assert shell["no_mask"] - 0.5 < shell["corrected"] < shell["tight"] + 0.5


def test_a_search_keeps_the_curve_and_the_mask_from_before():
    wide = fsc_masks.Fixed(tight_A=(30.0, 45.0))
    before, after = (fsc_report.report(*_halves(), fsc_report.Settings(wide, part))
                     for part in (fsc_masks.AsMade(), fsc_masks.Tightened()))  # fmt: skip
    assert list(after.masks) == ["mask_fsc", "mask_fsc_auto"]
    np.testing.assert_array_equal(after.masks["mask_fsc"].data, before.masks["mask_fsc"].data)
    np.testing.assert_array_equal(after.curves["corrected_tight"].values, before.curves["corrected"].values)
    assert fsc_masks.area(after.curves["corrected"]) > fsc_masks.area(before.curves["corrected"])
    assert "auto mask" in after.descriptions["corrected"] and set(after.curves) == set(after.descriptions)


def test_a_given_mask_takes_the_place_of_loose_and_tight():
    mask = masks.sphere(64, 20, 4)
    halves = _halves()
    report = fsc_report.report(*halves, fsc_report.Settings(), Made(mask, "given mask body.mrc"))
    assert list(report.curves) == ["no_mask", "spherical", "mask_free", "masked", "randomised", "corrected"]
    np.testing.assert_array_equal(report.curves["masked"].values, fsc.curve(*halves, mask).values)
    np.testing.assert_array_equal(report.masks["mask_fsc"].data, mask)
    assert report.descriptions["masked"] == "masked: given mask body.mrc" and report.warnings == ()


def test_a_molecular_weight_sets_the_mask_free_curve():
    light, heavy = (fsc_report.report(*_halves(5.0), fsc_report.Settings(molecular_weight_Da=weight))
                    for weight in (400e3, 1600e3))  # fmt: skip
    ratio = (masks.sphere(64, 0.85 * 32, 0.15 * 32).astype(float) ** 2).sum() * made.VOXEL_A**3 * 0.81 / 1600e3
    sphere = fsc_masks.spherical(64, made.VOXEL_A).data
    expected = fsc.without_solvent(fsc.masked_and_corrected(*_halves(5.0), sphere)["corrected"], ratio).values
    np.testing.assert_allclose(heavy.curves["mask_free"].values, expected, rtol=1e-6)
    assert fsc.crossing(light.curves["mask_free"]) > fsc.crossing(heavy.curves["mask_free"])
    assert "1600 kDa" in heavy.descriptions["mask_free"]
    assert "the map above" in fsc_report.report(*_halves(), PLAIN).descriptions["mask_free"]


def _scraps(source, part):
    """A hard mask around the strongest voxels only: much too tight."""
    return Made((source.data > np.quantile(source.data, 1 - part)).astype(np.float32), "scraps")


DULL = filters.bfactor(made.particle(), 600.0)  # a spectrum that noise ends in the middle of the shells


@pytest.mark.parametrize("sd", [1.0, 3.0])
@pytest.mark.parametrize("part", [0.002, 0.01, 0.03, 0.1])
def test_a_mask_much_too_tight_is_exposed_and_claims_no_more_than_a_good_one(part, sd):
    """Drawn around the strongest voxels of the truth, and of the half-maps themselves with all their noise."""
    halves = made.halves(np.random.default_rng(1), DULL, sd * DULL.data.std())
    good = fsc.crossing(fsc_report.report(*halves, PLAIN).curves["corrected"])
    mean = Map((halves[0].data + halves[1].data) / 2, made.VOXEL_A)
    for source in (DULL, mean):
        tight = fsc_report.report(*halves, PLAIN, _scraps(source, part))
        assert fsc.crossing(tight.curves["corrected"]) <= good + 1
        # the tenth of the voxels of the truth hold most of the particle: that mask is hard, but not much too tight
        assert tight.warnings or (part == 0.1 and source is DULL)
        # what the mask itself adds is in plain sight: masked and corrected part
        assert np.max((tight.curves["masked"].values - tight.curves["corrected"].values)[1:]) > 0.05


def test_a_mask_that_is_unfit_gives_way_to_the_sphere():
    halves = made.halves(np.random.default_rng(1), DULL, 3 * DULL.data.std())
    mask = _scraps(DULL, 0.01)
    report = fsc_report.report(*halves, PLAIN, mask)
    assert "too tight" in report.warnings[0] and "spherical mask" in report.descriptions["corrected"]
    sphere = fsc_masks.spherical(64, made.VOXEL_A).data
    for name, used in (("corrected", sphere), ("corrected_given", mask.data)):
        expected = fsc.masked_and_corrected(*halves, used)["corrected"].values
        np.testing.assert_array_equal(report.curves[name].values, expected)
    np.testing.assert_array_equal(report.masks["mask_fsc_auto"].data, sphere)
    np.testing.assert_array_equal(report.masks["mask_fsc"].data, mask.data)
    assert set(report.curves) == set(report.descriptions)


def test_a_mask_that_cuts_the_density_away_gives_way_to_the_sphere():
    halves = made.halves(np.random.default_rng(1), DULL, DULL.data.std())
    beside = np.roll(masks.sphere(64, 8, 6), 32, axis=0)  # 18 voxels of particle, 14 of mask, 32 between
    report = fsc_report.report(*halves, PLAIN, Made(beside, "beside the particle"))
    assert "in a sphere" in report.warnings[0]
    assert fsc.crossing(report.curves["corrected_given"]) < fsc.crossing(report.curves["corrected"]) - 1


def test_a_mask_of_a_part_may_cut_density_away_but_not_make_the_halves_agree():
    halves = made.halves(np.random.default_rng(1), DULL, DULL.data.std())
    part = replace(PLAIN, doubts=fsc_report.OF_A_PART)
    beside = Made(np.roll(masks.sphere(64, 8, 6), 32, axis=0), "a part")
    assert fsc_report.report(*halves, part, beside).warnings == ()
    noisy = made.halves(np.random.default_rng(1), DULL, 3 * DULL.data.std())
    assert "too tight" in fsc_report.report(*noisy, part, _scraps(DULL, 0.01)).warnings[0]


@pytest.mark.parametrize("settings", OFFERED, ids=["fixed", "scaled", "as made", "narrow"])
def test_noise_claims_no_resolution(settings):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        report = fsc_report.report(made.noise(rng), made.noise(rng), settings)
        # shells 1, 2 and 3 pass by chance in 29, 17 and 9 % of cases: all three in half a percent
        assert fsc.crossing(report.curves["no_mask"]) <= 3
        # the sphere leaves 0.4 of the box: shells of the masked volume are 1 / 0.4^(1/3) = 1.36 wide
        assert all(fsc.crossing(curve) <= 3 * 1.36 for curve in report.curves.values())
        assert "mask_free" not in report.curves  # no particle, no volume


@pytest.mark.parametrize("settings", OFFERED, ids=["fixed", "scaled", "as made", "narrow"])
@pytest.mark.parametrize("name", ["D2", "O"])
def test_noise_that_was_symmetrised_claims_no_resolution(settings, name):
    group = symmetry.group(name)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        halves = (made.symmetrised(made.noise(rng), group) for _ in range(2))
        report = fsc_report.report(*halves, settings, order=len(group))
        # as for noise without symmetry; shells that hold an order times fewer values fall as often below zero
        assert all(fsc.crossing(curve) <= 3 * 1.36 for curve in report.curves.values())


@pytest.mark.parametrize("seed", range(8))
def test_noise_claims_no_resolution_through_a_given_mask(seed):
    rng = np.random.default_rng(seed)
    mask = masks.sphere(48, 14, 5)
    report = fsc_report.report(made.noise(rng), made.noise(rng), PLAIN, Made(mask, "ball"))
    assert fsc.crossing(report.curves["corrected"]) <= 3 * mask.mean() ** (-1 / 3)


@pytest.mark.parametrize("settings", OFFERED, ids=["fixed", "scaled", "as made", "narrow"])
def test_noise_beyond_the_randomisation_stays_below_the_threshold_through_every_mask(settings):
    """Halves that share a shape up to shell 14 and nothing beyond: masks have something to cling to."""
    total = []
    for seed in range(6):
        report = fsc_report.report(*made.halves_to(14, np.random.default_rng(seed)), settings)
        mask = list(report.masks.values())[-1].data
        first = report.randomised_from + fsc.RANDOMISED_SKIP
        values = report.curves["corrected"].values[first:]
        # chance: four standard deviations of an FSC of so many independent values
        chance = np.array([4 / np.sqrt(fsc_masks.modes(mask, shell)) for shell in range(first, 33)])
        assert first <= 18 and np.all(np.abs(values) < np.maximum(chance, fsc.THRESHOLD))
        total.append(report.curves["corrected"].values[18:])  # the same shells of every seed
    # the mean over seeds has 1 / sqrt(6) of that error: nothing systematic is left of the threshold
    assert np.all(np.mean(total, axis=0) < fsc.THRESHOLD)


def test_nothing_to_randomise_is_said(tmp_path):
    map = made.particle()
    report = fsc_report.report(map, Map(map.data.copy(), map.voxel_size_A), PLAIN)
    assert report.randomised_from is None and "no phases" in report.descriptions["randomised"]


@pytest.fixture
def rng():
    return np.random.default_rng(6)


@pytest.mark.parametrize("honest", [True, False])
def test_shells_together_tell_an_honest_mask_from_one_drawn_around_noise(honest, rng):
    ratio, modes = 11.0, 2 * np.pi * np.arange(129.0) ** 2 * 0.4
    true = np.clip(1.2 - np.arange(129) / 80, 0, 1)  # in the mask: falls to 0.143 at shell 84.6
    sphere = true / (true + (1 - true) * ratio) + rng.normal(0, 1, 129) / np.sqrt(np.maximum(modes, 1))
    claimed = true if honest else np.where(np.arange(129) < 84, true, 0.25 * (np.arange(129) < 100))
    curves = [Curve("corrected", values, 256, 1.0) for values in (claimed, sphere)]
    assert (fsc_report.surplus(*curves, ratio, modes) < fsc_report.CHANCE) == honest


@pytest.mark.parametrize("order", [1, 4, 24])
def test_chance_in_few_values_is_no_reason_against_an_honest_mask(order, rng):
    """Of maps of a point group, shells hold so many times fewer values: the error of their FSC is larger by its root.

    Not divided by 24, the values would make three standard deviations out of 0.6: a verdict in a quarter of cases.
    """
    ratio, whole = 11.0, 2 * np.pi * np.arange(129.0) ** 2 * 0.4
    true = np.clip(1.2 - np.arange(129) / 80, 0, 1)
    exact = true / (true + (1 - true) * ratio)
    claimed, unfit = Curve("corrected", true, 256, 1.0), []
    for _ in range(300):
        sphere = Curve("corrected", exact + rng.normal(0, 1, 129) * np.sqrt(order / np.maximum(whole, 1)), 256, 1.0)
        unfit.append([fsc_report.surplus(claimed, sphere, ratio, whole / each) > fsc_report.CHANCE
                      for each in (order, 1)])  # fmt: skip
    counted, ignored = np.mean(unfit, axis=0)
    assert counted < 0.02  # 0.1 % of a normal distribution; shells are chosen by the data, which costs a little
    assert order < 24 or ignored > 0.15


def test_a_mask_that_leaves_too_few_values_of_an_asymmetric_unit_gives_way_to_the_sphere():
    halves = _halves(3.0)
    pair = fsc.Pair(*halves)
    made_ = fsc_masks.standard(pair, fsc_masks.Fixed())
    left = fsc_masks.modes(made_.tight.data, fsc.crossing(pair.unmasked))
    enough, too_few = int(left / fsc_masks.MASK_LEAST_MODES), int(left / fsc_masks.MASK_LEAST_MODES) + 1
    told = [fsc_report.report(*halves, PLAIN, order=order).descriptions["tight"] for order in (1, enough, too_few)]
    assert told[0] == told[1] and "0.50 max" in told[0]
    assert "too few Fourier values" in told[2]
