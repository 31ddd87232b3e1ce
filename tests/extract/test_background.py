"""Normalisation: mean, slope and deviation of the background become 0, 0 and 1."""

import numpy as np
import pytest

from halfmap.extract.background import Background

BOX = 32


def images(seed=0):
    return np.random.default_rng(seed).normal(7, 3, (4, BOX, BOX)).astype(np.float32)


def test_the_background_has_mean_nought_and_deviation_one():
    background = Background(BOX)
    found, flat = background.normalised(images())
    outside = found[:, background.pixels]
    np.testing.assert_allclose(outside.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(outside.std(1), 1, rtol=1e-6)
    assert not flat.any()


def test_a_gradient_makes_no_difference():
    slope = np.linspace(-20, 20, BOX) + 5 * np.linspace(-1, 1, BOX)[:, None]
    plain, _ = Background(BOX).normalised(images())
    tilted, _ = Background(BOX).normalised(images() + slope.astype(np.float32))
    np.testing.assert_allclose(tilted, plain, atol=2e-5)  # float32 of values up to 30


def test_grey_scale_and_offset_make_no_difference():
    plain, _ = Background(BOX).normalised(images())
    other, _ = Background(BOX).normalised(-2.5 * images() + 100)
    np.testing.assert_allclose(other, -plain, atol=2e-5)


def test_the_particle_takes_no_part():
    disc = ~Background(BOX).pixels
    plain, _ = Background(BOX).normalised(images())
    bright, _ = Background(BOX).normalised(images() + 50 * disc)
    np.testing.assert_allclose(bright[:, ~disc], plain[:, ~disc], atol=2e-5)


@pytest.mark.parametrize("diameter, wanted", [(None, 0.75 * BOX), (20.0, 20.0)])
def test_the_circle_has_the_diameter_asked_for(diameter, wanted):
    covered = (~Background(BOX, diameter).pixels).sum()
    assert covered == pytest.approx(np.pi / 4 * wanted**2, rel=0.05)  # a disc of whole pixels


def test_an_even_background_is_told():
    found, flat = Background(BOX).normalised(np.full((2, BOX, BOX), 7.0, np.float32))
    assert flat.all() and not found.any()
