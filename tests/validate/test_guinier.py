import numpy as np
import pytest

from halfmap.maps import filters
from halfmap.types import Curve, Map
from halfmap.validate import guinier

VOXEL_A = 1.5


def _white(box=64, seed=1):
    return Map(np.random.default_rng(seed).standard_normal((box,) * 3).astype(np.float32), VOXEL_A)


@pytest.mark.parametrize("bfactor_A2", [-80.0, 0.0, 150.0])
def test_a_map_with_a_known_fall_off_gives_its_bfactor(bfactor_A2):
    # white noise times exp(-B k^2 / 4) has Guinier B = -B; shells of 1300 and more coefficients, 26 of them:
    # error of ln(amplitude) 0.5 / sqrt(1300), over a range of 0.1 / A^2 in x: slope to 0.1, B to 0.5 A^2 (one sd)
    fit = guinier.fit(filters.bfactor(_white(), bfactor_A2))
    assert fit.bfactor_A2 == pytest.approx(-bfactor_A2, abs=2.5)
    assert fit.bfactor_A2 == pytest.approx(4 * fit.slope)


def test_sharpening_by_the_fitted_bfactor_flattens_the_map():
    dull = filters.bfactor(_white(), 120.0)
    fit = guinier.fit(dull)
    flat = guinier.fit(filters.bfactor(dull, fit.bfactor_A2))
    # the same shells and the same noise: only the width of a shell is left
    assert abs(flat.bfactor_A2) < 0.5


def test_the_fit_uses_the_shells_between_its_limits():
    fit = guinier.fit(_white(), from_A=9.6, to_A=4.8)
    np.testing.assert_allclose(fit.x, (np.arange(10, 21) / 96) ** 2)
    np.testing.assert_allclose(fit.y, np.log(guinier.profile(_white()).values[10:21]))


def test_weights_of_the_fsc_enter_the_amplitudes_and_empty_shells_leave_the_fit():
    map = _white()
    plain = guinier.fit(map)
    fsc = np.full(33, 0.5)
    fsc[25:] = -0.1
    weighted = guinier.fit(map, fsc=Curve("corrected", fsc, 64, VOXEL_A))
    n = len(weighted.y)
    assert weighted.x[-1] == pytest.approx((24 / 96) ** 2)
    np.testing.assert_allclose(weighted.y, plain.y[:n] + 0.5 * np.log(2 * 0.5 / 1.5))


EMPTY = Map(np.zeros((64,) * 3, dtype=np.float32), VOXEL_A)


@pytest.mark.parametrize("map,to_A", [(_white(), 9.0), (_white(), np.inf), (_white(10), None), (EMPTY, None)])
def test_too_few_shells_give_no_bfactor(map, to_A):
    assert guinier.fit(map, to_A=to_A) is None


def test_profile_of_a_point_is_flat():
    data = np.zeros((16,) * 3, dtype=np.float32)
    data[8, 8, 8] = 2
    np.testing.assert_allclose(guinier.profile(Map(data, 1.0)).values, 2, rtol=1e-6)
