"""How far the noise has to be inflated for a part of all poses to carry weight."""

import numpy as np
import pytest

from halfmap.align import inflation, soft
from halfmap.align.inflation import Sample
from halfmap.align.polar import PolarSearch
from tests.align import made
from tests.align.test_soft import RADIUS, posed, scaled

SPREAD_A = 6.0


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def loud(rng):
    """Searches with two maps, and images that tell their poses: in them less than 1 % of all poses carry weight."""
    images, projector, grid, _ = posed(rng, power=1e3)
    other = made.projector(made.object_(seed=5), RADIUS)
    return [PolarSearch.of(one, grid, RADIUS) for one in (projector, other)], images


def sample(searches, images, similarity=0.0):
    centres_A = np.full((len(images), 2), 2.0)
    return Sample.of(searches, [(images[part], centres_A[part]) for part in (slice(0, 5), slice(5, None))], similarity,
                     SPREAD_A)


@pytest.mark.parametrize("scale", [1.0, 2.5])
@pytest.mark.parametrize("similarity", [0.0, 0.4])
def test_the_fraction_is_that_of_the_posterior(scale, similarity, loud):
    searches, images = loud
    told = soft.posterior(searches, images, np.full((len(images), 2), 2.0), similarity, SPREAD_A, scale)
    wanted = (told.shares * told.effective).sum(1).mean()
    assert sample(*loud, similarity).fraction(scale) == pytest.approx(wanted, rel=1e-4)


def test_the_larger_the_noise_the_more_poses_carry_weight_until_all_do(loud):
    found = [sample(*loud).fraction(scale) for scale in np.geomspace(1, 1e3, 25)]
    assert found[0] < 0.01 and np.all(np.diff(found) > -1e-6) and found[-1] == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("fraction", [0.011, 0.1, 0.7])
def test_the_noise_is_inflated_until_as_many_poses_carry_weight_as_asked_for(fraction, loud):
    some = sample(*loud)
    scale = some.noise_scale(fraction)
    assert scale > 1 and some.fraction(scale) == pytest.approx(fraction, rel=1.5 * inflation.CLOSE)


def test_noise_is_never_taken_smaller_than_it_is(loud):
    some = sample(*loud)
    assert some.noise_scale(0.9 * some.fraction(1.0)) == 1.0 and some.noise_scale(0.0) == 1.0


def test_maps_of_nothing_need_no_noise(loud, rng):
    images, projector, grid, _ = posed(rng)
    empty = sample([PolarSearch.of(scaled(projector, 0), grid, RADIUS)], images)
    assert empty.noise_scale(0.99) == 1.0
