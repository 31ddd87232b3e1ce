"""Claims of resolution: what half-sets share is no evidence, what they agree about beyond it is."""

import numpy as np
import pytest

from halfmap.maps import masks
from halfmap.refine import claims
from halfmap.refine.batches import Frame
from halfmap.types import Curve
from halfmap.validate import fsc

BOX, VOXEL_A = 64, 3.54
FRAME = Frame(BOX, VOXEL_A, 200.0)
MASK = masks.sphere(BOX, 20, 5)


def curve(*values: float) -> Curve:
    padded = np.zeros(BOX // 2 + 1)
    padded[: len(values)] = values
    return Curve("corrected", padded, BOX, VOXEL_A)


def believed(part, *values, order=1) -> float:
    return fsc.resolution_A(part.believed(curve(*values), MASK, order, FRAME))


# 40 A is shell 5.66: shells to 7 are shared, or reached by what is
NOISE = (1, 1, 1, 1, 0.98, 0.76, 0.4, 0.45, 0.5, 0.3, 0.2)
FINE = tuple(np.linspace(1, 0, 26))


@pytest.mark.parametrize("order", [1, 4])
def test_what_noise_shares_is_not_claimed_beyond_the_split(order):
    part = claims.Independent(40.0, 60.0)
    assert believed(part, *NOISE, order=order) >= FRAME.length_A / (FRAME.length_A / 40 + 1)
    assert "40 A" in part.complaint(curve(*NOISE), MASK, order, FRAME)


def test_halves_that_agree_far_beyond_the_split_are_believed():
    part = claims.Independent(40.0, 60.0)
    assert believed(part, *FINE, order=4) == fsc.resolution_A(curve(*FINE))
    assert part.complaint(curve(*FINE), MASK, 4, FRAME) is None


def test_what_both_began_with_is_no_evidence():
    to_25 = (1,) * 8 + (0.9, 0.8, 0.3, 0.1)  # 30 A is shell 7.6
    assert believed(claims.Independent(40.0, 60.0), *to_25) == fsc.resolution_A(curve(*to_25))
    assert believed(claims.Independent(40.0, 30.0), *to_25) > 34
    assert "began with one map of 30 A" in claims.Independent(40.0, 30.0).complaint(curve(*to_25), MASK, 1, FRAME)


def test_of_halves_that_share_nothing_nobody_says_that_they_do():
    part = claims.Independent(np.inf, 30.0)
    to_25 = (1,) * 8 + (0.9, 0.8, 0.3, 0.1)
    said = part.complaint(curve(*to_25), MASK, 1, FRAME)
    assert "share nothing, and beyond 30 A" in said and "inf" not in said and "one map" not in said
    assert believed(part, *to_25) > FRAME.length_A  # of nothing is it believed
    assert part.complaint(curve(*FINE), MASK, 4, FRAME) is None


def test_more_symmetry_asks_for_more():
    part = claims.Independent(40.0, 60.0)
    found = [part.evidence(curve(*FINE), MASK, order, FRAME) for order in (1, 4)]
    assert found[0] == pytest.approx(2 * found[1])


def test_as_measured_believes_everything():
    part = claims.AsMeasured()
    assert part.believed(curve(*NOISE), MASK, 1, FRAME).values[8] == 0.5
    assert part.complaint(curve(*NOISE), MASK, 1, FRAME) is None
