"""The masks of the standard curves, and the search for a tighter one."""

import os
from pathlib import Path

import numpy as np
import pytest

from halfmap.geometry import symmetry
from halfmap.maps import filters, masks
from halfmap.types import Curve, Map
from halfmap.validate import fsc, fsc_masks
from tests.validate import made

DATA = Path(os.environ.get("HALFMAP_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
SPREADS = [fsc_masks.Fixed(), fsc_masks.Scaled()]


def _pair(seed=1, sd=1.0, **settings):
    return fsc.Pair(*made.halves(np.random.default_rng(seed), made.particle(**settings), sd))


@pytest.mark.parametrize("spread", SPREADS, ids=lambda spread: type(spread).__name__)
def test_masks_come_from_both_halves_alike(spread):
    pair = _pair()
    one, other = (fsc_masks.standard(p, spread) for p in (pair, fsc.Pair(pair.half2, pair.half1)))
    for name in ("sphere", "loose", "tight"):
        np.testing.assert_array_equal(getattr(one, name).data, getattr(other, name).data)


@pytest.mark.parametrize("spread", SPREADS, ids=lambda spread: type(spread).__name__)
def test_the_tight_mask_lies_in_the_loose_one_and_holds_the_particle(spread):
    # a texture of half the body: at 12 A nearly all of it stays within 6 A of what exceeds half of the maximum
    found = fsc_masks.standard(_pair(sd=0.5, texture_sd=0.5), spread)
    assert np.all(found.tight.data <= found.loose.data + 1e-6)
    inside = masks.sphere(64, 0.25 * 64, 0) > 0
    assert found.tight.data[inside].mean() > 0.95 and found.tight.data.mean() < 0.7


def test_words_tell_the_distances_of_the_mask():
    pair = _pair()
    fixed = fsc_masks.standard(pair, fsc_masks.Fixed())
    assert fixed.tight.words == "0.50 max at 12 A, 1 to 6 A, 0 from 12 A"
    assert fixed.loose.words == "0.50 max at 12 A, 1 to 25 A, 0 from 40 A"
    # white up to 6 A: no voxel of 3 A within 6 A of the region is below one, none beyond 12 A above zero
    square = fixed.shape.square * made.VOXEL_A**2
    assert (fixed.tight.data[square <= 36] == 1).all() and not fixed.tight.data[square >= 144].any()
    resolution = fsc.resolution_A(pair.unmasked)
    scaled = fsc_masks.standard(pair, fsc_masks.Scaled(1.0, 3.0))
    assert f"1 to {resolution:.3g} A, 0 from {3 * resolution:.3g} A" in scaled.tight.words
    assert f"1 to {2 * resolution:.3g} A" in scaled.loose.words


def test_scaled_masks_shrink_as_the_resolution_improves():
    coarse, fine = (fsc_masks.standard(_pair(sd=sd), fsc_masks.Scaled()) for sd in (3.0, 0.3))
    assert fine.tight.data.sum() < 0.9 * coarse.tight.data.sum()


def test_halves_that_share_nothing_have_no_shape():
    rng = np.random.default_rng(3)
    found = fsc_masks.standard(fsc.Pair(made.noise(rng), made.noise(rng)), fsc_masks.Fixed())
    assert found.shape is None and found.volume_A3 is None
    np.testing.assert_array_equal(found.tight.data, found.sphere.data)
    assert found.tight.words.startswith("the spherical mask, for")


def test_the_volume_without_a_weight_is_that_of_the_body():
    # a ball of 18 voxels of even density, low-passed to 12 A = 4 voxels: its contour at 0.3 lies a little outside
    ball = Map(masks.sphere(64, 18, 0), made.VOXEL_A)
    pair = fsc.Pair(*made.halves(np.random.default_rng(1), ball, 0.05))
    expected = 4 / 3 * np.pi * 18**3 * made.VOXEL_A**3
    # the half-height contour would be exact; 0.3 of the height moves it by less than half a voxel: 3 x 0.5 / 18 = 8 %
    assert 1.0 <= fsc_masks.standard(pair, fsc_masks.Fixed()).volume_A3 / expected < 1.09


def test_a_search_gains_or_changes_nothing():
    pair = _pair(sd=2.0)
    found = fsc_masks.standard(pair, fsc_masks.Fixed((25.0, 40.0), (30.0, 45.0)))
    curves = fsc.corrected(pair, found.tight.data)
    mask, tightened = fsc_masks.Tightened().of(pair, found, curves)
    gain = fsc_masks.area(tightened["corrected"]) - fsc_masks.area(curves["corrected"])
    assert gain >= fsc_masks.LEAST_GAIN
    assert mask.data.sum() < found.tight.data.sum()
    assert fsc_masks.keeps_noise_apart(tightened["randomised"], pair.start)
    never = fsc_masks.Tightened(steps=((20.0, 30.0),))
    assert never.of(pair, found, curves) is None
    assert fsc_masks.AsMade().of(pair, found, curves) is None


@pytest.mark.parametrize("shell", [8, 14, 20])
def test_a_search_never_claims_shells_that_hold_only_noise(shell):
    for seed in range(3):
        pair = fsc.Pair(*made.halves_to(shell, np.random.default_rng(seed)))
        found = fsc_masks.standard(pair, fsc_masks.Fixed())
        curves = fsc.corrected(pair, found.tight.data)
        mask, curves = fsc_masks.Tightened().of(pair, found, curves) or (found.tight, curves)
        # the filter ends half a shell after its shell; two shells are left uncorrected, one is the error of a crossing
        assert fsc.crossing(curves["corrected"]) <= shell + 0.5 + fsc.RANDOMISED_SKIP + 1, (seed, mask.words)


def test_a_mask_that_correlates_noise_is_replaced_by_a_wider_one():
    dull = filters.bfactor(made.particle(), 1200.0)
    pair = fsc.Pair(*made.halves(np.random.default_rng(1), dull, dull.data.std()))
    found = fsc_masks.standard(pair, fsc_masks.Fixed())
    hard = (dull.data > np.quantile(dull.data, 0.97)).astype(np.float32)
    curves = fsc.corrected(pair, hard)
    assert not fsc_masks.keeps_noise_apart(curves["randomised"], pair.start)
    mask, taken = fsc_masks.Tightened().of(pair, found, curves)
    assert mask.data.sum() > hard.sum() and fsc_masks.keeps_noise_apart(taken["randomised"], pair.start)


def test_noise_apart_is_judged_at_the_first_corrected_shell_and_three_later():
    def judged(*values):
        return fsc_masks.keeps_noise_apart(Curve("n", np.array([1.0, 1.0, 0.9, *values]), 14, 3.0), start=1)

    assert judged(0.14, 0.14, 0.14, 0.04, 0.04)
    assert not judged(0.16, 0.01, 0.01, 0.01, 0.01)
    assert not judged(0.14, 0.14, 0.14, 0.06, 0.01)
    assert not judged(0.14, 0.14, 0.14, 0.01, 0.06)


def test_area_counts_shells_up_to_the_crossing():
    curve = Curve("c", np.array([1, 1, 0.8, 0.0, 0.9]), 8, 3.0)
    # crossing at 2 + (0.8 - 0.143) / 0.8 = 2.82: shell 3 counts with 0.82 of 0, the peak after it not at all
    assert fsc_masks.area(curve) == pytest.approx(1.8)
    assert fsc_masks.area(Curve("c", np.ones(5), 8, 3.0)) == 4


def test_modes_of_the_whole_box_are_half_the_coefficients():
    assert fsc_masks.modes(np.ones((32,) * 3, np.float32), 10) == pytest.approx(2 * np.pi * 100)
    ball = masks.sphere(32, 8, 0)
    assert fsc_masks.modes(ball, 10) == pytest.approx(2 * np.pi * 100 * ball.mean(), rel=1e-6)


@pytest.mark.parametrize("name", ["C1", "C2", "D2", "O"])
@pytest.mark.parametrize("masked", [False, True])
def test_a_symmetric_map_has_as_many_independent_values_as_its_asymmetric_unit(name, masked):
    group, mask = symmetry.group(name), masks.sphere(48, 14, 5) if masked else np.ones((48,) * 3, np.float32)
    pairs = (tuple(made.symmetrised(made.noise(np.random.default_rng((seed, half))), group) for half in (0, 1))
             for seed in range(12))  # fmt: skip
    variance = np.mean([fsc.curve(*pair, mask).values ** 2 for pair in pairs], axis=0)
    told = np.array([fsc_masks.modes(mask, shell, len(group)) for shell in range(25)])
    # 0.5 of complex values without mask, less through one. 12 pairs of 19 shells, of which the mask joins neighbours:
    # the mean square is known to 0.15 of itself
    assert 0.15 < (variance * told)[6:].mean() < 0.65


@pytest.mark.parametrize("name", ["maps/diffmodeler_emd_6824.mrc", "empiar-10204/reference_100px.mrc"])
def test_masks_of_an_experimental_map_hold_nearly_all_its_density(name):
    if not (DATA / name).exists():
        pytest.skip(f"{DATA / name} is not here; set HALFMAP_TEST_DATA to the folder of test data")
    mrcfile = pytest.importorskip("mrcfile")
    with mrcfile.open(DATA / name, permissive=True) as file:
        map = Map(file.data.astype(np.float32), float(file.voxel_size.x))
    rng = np.random.default_rng(1)
    sd = 0.2 * map.data.std()
    a, b = (Map((map.data + sd * rng.standard_normal(map.data.shape)).astype(np.float32), map.voxel_size_A)
            for _ in range(2))
    found = fsc_masks.standard(fsc.Pair(a, b), fsc_masks.Fixed())
    density = np.where(map.data > 0.3 * np.percentile(map.data, 99.9), map.data, 0)
    assert (density * found.loose.data).sum() > 0.95 * density.sum()
    assert (density * found.tight.data).sum() > 0.8 * density.sum()
    assert found.tight.data.mean() < 0.5


def test_weight_and_volume_of_a_protein():
    # 465 kDa of beta-galactosidase at 0.81 Da in a cubic Angstrom
    assert fsc_masks.particle_volume_A3(465e3) == pytest.approx(574e3, rel=1e-3)


def test_a_filtered_map_is_not_needed_to_find_the_shape():
    pair = _pair()
    smooth = fsc.Pair(*(filters.lowpass(half, 7.0) for half in (pair.half1, pair.half2)))
    one, other = (fsc_masks.standard(p, fsc_masks.Fixed()).tight.data for p in (pair, smooth))
    np.testing.assert_allclose(one, other, atol=0.02)
