"""Noise models of the optics groups."""

import numpy as np

from halfmap.physics import noise


def test_the_standard_deviation_is_the_root_of_the_power():
    model = noise.from_power(np.array([4.0, 4.0, 9.0, 16.0]))
    np.testing.assert_array_equal(model.noise_sd, [2, 2, 3, 4])
    assert model.grey == 1


def test_the_origin_takes_the_value_of_its_neighbour():
    # the mean of an image is not noise: particle, ice and normalisation put anything there
    np.testing.assert_array_equal(noise.from_power(np.array([1e6, 4.0, 9.0])).noise_sd, [2, 2, 3])


def test_a_shell_without_noise_does_not_rule():
    sd = noise.from_power(np.array([1.0, 1.0, 0.0, -1.0])).noise_sd
    np.testing.assert_allclose(sd[2:], np.sqrt(noise.LEAST_POWER))


def test_new_power_replaces_the_first_shells_and_leaves_the_rest_and_the_grey_scale():
    model = noise.from_power(np.full(5, 4.0), grey=0.7)
    changed = model.with_power(np.array([9.0, 9.0, 16.0]), np.array([False, True, True]))
    np.testing.assert_array_equal(changed.noise_sd, [3, 3, 4, 2, 2])
    assert changed.grey == 0.7
    np.testing.assert_array_equal(model.noise_sd, 2)


def test_shells_without_data_keep_their_noise():
    model = noise.from_power(np.full(4, 4.0))
    # more shells than the group's pixels have, and one that no image reached
    changed = model.with_power(np.array([9.0, 9.0, 1.0, 16.0, 25.0, 36.0]), np.array([1, 1, 0, 1, 0, 0], bool))
    np.testing.assert_array_equal(changed.noise_sd, [3, 3, 2, 4])


def test_the_power_given_stays_as_it_is():
    power = np.array([100.0, 4.0, 0.0])
    noise.from_power(power)
    np.testing.assert_array_equal(power, [100, 4, 0])
