"""Masks that hold a blurred and a sharp part of a map, and such as hold one of them."""

import numpy as np
import pytest

from halfmap.maps import filters, masks, sharpness
from halfmap.types import Map

BOX, VOXEL_A, FINE_A = 48, 4.0, 12.0


def ball(at):
    z, y, x = np.mgrid[:BOX, :BOX, :BOX]
    return (z - BOX // 2) ** 2 + (y - BOX // 2) ** 2 + (x - at) ** 2 < 9**2


def two_balls():
    """Two balls of protein-like density side by side: a mean of 1, lumps of the size of atoms on it."""
    lumps = np.random.default_rng(2).normal(0, 1, (BOX,) * 3)
    return [Map((ball(x) * (1 + lumps)).astype(np.float32), VOXEL_A) for x in (14, 34)]


def second_blurred():
    """The second is blurred as by a turn."""
    still, moving = two_balls()
    return Map(still.data + filters.bfactor(moving, 6000.0).data, VOXEL_A)


@pytest.fixture(scope="module")
def consensus():
    return second_blurred()


def around(*centres):
    return Map(masks.soft(np.any([ball(x) for x in centres], axis=0), 1, 4).astype(np.float32), VOXEL_A)


def test_a_mask_of_the_blurred_part_holds_no_detail_of_the_sharp_one(consensus):
    found = sharpness.mixture(consensus, around(34), FINE_A)
    assert found.blurred > 0.8 and found.sharp_detail < 0.3


def test_a_mask_of_both_parts_holds_mostly_detail_of_the_sharp_one(consensus):
    found = sharpness.mixture(consensus, around(14, 34), FINE_A)
    assert found.blurred > 0.3 and found.sharp_detail > 0.8


def test_the_wider_the_mask_the_more_of_the_detail_is_that_of_the_rest(consensus):
    wide = [Map(masks.soft(ball(34), by, by + 3).astype(np.float32), VOXEL_A) for by in (0, 4, 8, 12)]
    shares = [sharpness.mixture(consensus, mask, FINE_A).sharp_detail for mask in wide]
    assert shares == sorted(shares) and shares[-1] > shares[0] + 0.3


def test_a_map_that_is_alike_everywhere_has_nothing_blurred():
    whole = Map(np.sum([part.data for part in two_balls()], axis=0), VOXEL_A)
    for centres in ((14,), (34,), (14, 34)):
        assert sharpness.mixture(whole, around(*centres), FINE_A).blurred < 0.1


def test_the_grey_scale_of_the_map_does_not_matter(consensus):
    other = Map(7 * consensus.data, VOXEL_A)
    mask = around(14, 34)
    assert vars(sharpness.mixture(other, mask, FINE_A)) == pytest.approx(
        vars(sharpness.mixture(consensus, mask, FINE_A)), rel=1e-5)  # float32


def test_an_empty_mask_holds_nothing(consensus):
    empty = Map(np.zeros_like(consensus.data), VOXEL_A)
    assert sharpness.mixture(consensus, empty, FINE_A) is None
