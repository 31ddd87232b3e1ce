"""How many images a step of maps that grow takes."""

import numpy as np
import pytest

from halfmap.refine.batch_sizes import WINDOW, Measured, Told

RULE = Measured(first=200, least=50, most=2000, epsilon=0.05, least_share=0.01)


def steps(n=2 * WINDOW, images=200, noise=(0.1,), occupancy=(1.0,), band_A=40.0):
    return [{"images": images, "batch_noise": list(noise), "occupancy": list(occupancy), "band_A": band_A}] * n


def test_as_many_as_told_are_taken_whatever_the_noise():
    assert Told(77).images(steps(noise=(9.0,)), 40.0, 0.5) == 77 == Told(77).images((), 40.0, 0.1)


def test_before_anything_is_measured_there_are_as_many_as_at_first():
    assert RULE.images((), 40.0, 0.5) == 200
    assert RULE.images(steps(noise=(np.nan,)), 40.0, 0.5) == 200


@pytest.mark.parametrize("rate", [0.2, 0.6])
def test_maps_at_rest_have_the_noise_that_was_asked_for(rate):
    """A running mean of batches of white noise, each of as many images as the rule takes."""
    rng = np.random.default_rng(1)
    of_one = 0.1 * np.sqrt(200)  # noise of a batch of one image
    number = RULE.images(steps(), 40.0, rate)
    value, values = 0.0, []
    for _ in range(20_000):
        value = (1 - rate) * value + rate * rng.normal(0, of_one / np.sqrt(number))
        values.append(value)
    assert np.std(values[100:]) == pytest.approx(RULE.epsilon, rel=0.06)  # some thousand values are independent


def test_half_the_epsilon_takes_four_times_the_images_and_measuring_with_more_changes_nothing():
    half = Measured(200, 50, 2000, RULE.epsilon / 2, 0.01)
    assert half.images(steps(), 40.0, 0.3) == pytest.approx(4 * RULE.images(steps(), 40.0, 0.3), abs=4)
    assert RULE.images(steps(images=800, noise=(0.05,)), 40.0, 0.3) == RULE.images(steps(), 40.0, 0.3)


def test_batches_stay_within_their_bounds():
    assert RULE.images(steps(noise=(1e-3,)), 40.0, 0.3) == 50
    assert RULE.images(steps(noise=(5.0,)), 40.0, 0.3) == 2000


def test_the_map_that_few_particles_show_decides_unless_hardly_any_do():
    one = RULE.images(steps(), 40.0, 0.3)
    rare = {"noise": (0.1, 0.2)}
    assert RULE.images(steps(occupancy=(0.8, 0.2), **rare), 40.0, 0.3) == pytest.approx(4 * one, abs=4)
    assert RULE.images(steps(occupancy=(0.995, 0.005), **rare), 40.0, 0.3) == one


def test_steps_at_the_resolution_of_the_next_one_count_and_of_them_the_last():
    coarse, fine = steps(noise=(0.05,)), steps(noise=(0.1,), band_A=25.0)
    assert RULE.images(coarse + fine, 40.0, 0.3) == RULE.images(coarse, 40.0, 0.3)
    assert RULE.images(fine + coarse, 26.0, 0.3) == RULE.images(fine, 25.0, 0.3)
    assert RULE.images(coarse + steps(), 40.0, 0.3) == RULE.images(steps(), 40.0, 0.3)
