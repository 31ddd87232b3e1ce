"""Steps of the searches of `refine auto`."""

import numpy as np
import pytest

from halfmap.refine import sampling
from halfmap.refine.sampling import Sampling


@pytest.mark.parametrize("degrees, order", [(30, 1), (15, 2), (7.5, 3), (3.7, 4), (1.8, 5), (0.9, 6), (0.5, 7)])
def test_the_steps_of_relion_are_healpix_orders(degrees, order):
    assert sampling.order_of(degrees) == order
    assert sampling.step_deg(order) == pytest.approx(degrees, rel=0.08)
    assert Sampling(order, False, order, 0.0, 1.0).step_deg == sampling.step_deg(order)


def test_the_needed_step_moves_the_edge_of_the_particle_by_one_resolution():
    degrees = sampling.needed_deg(10.0, 200.0)
    assert np.deg2rad(degrees) * 100 == pytest.approx(10, rel=0.02)


def test_no_grid_helps_below_three_quarters_of_the_turn_that_the_likelihood_tells():
    assert sampling.useful_deg(None) == 0
    one_axis_sd = 1.0
    assert sampling.useful_deg(np.sqrt(3) * one_axis_sd) == pytest.approx(0.75 * np.sqrt(2 * np.log(100)), rel=1e-3)
