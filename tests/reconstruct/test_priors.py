"""The signal spectrum that the FSC tells."""

import numpy as np
import pytest

from halfmap.kernels import grid
from halfmap.reconstruct import priors


@pytest.fixture
def rng():
    return np.random.default_rng(16)


def test_with_even_sampling_the_filter_is_the_fsc(rng):
    """V = N / (W + <W> (1 - F) / F) = F N / W where every weight is the mean of its shell."""
    r, padding = 13, 2
    fsc = rng.uniform(0.05, 0.95, 7)
    numerator = rng.standard_normal((2 * r + 1, 2 * r + 1, r + 1)).astype(np.complex64)
    weight = np.full(numerator.shape, 3, np.float32)
    mean = grid.shell_means(weight, 7, padding)
    filtered = grid.divide(numerator, weight, priors.ridge(fsc, mean), np.zeros(7), padding)
    kz, ky, kx = np.mgrid[-r : r + 1, -r : r + 1, 0 : r + 1]
    radius = np.sqrt(kz**2 + ky**2 + kx**2) / padding
    for shell in range(7):
        on = radius == shell  # between shells the ridge is interpolated, not the FSC
        assert on.any()
        np.testing.assert_allclose(filtered[on], (fsc[shell] * numerator / weight)[on], rtol=2e-6)


def test_a_perfect_fsc_adds_almost_nothing_and_none_almost_everything():
    ridge = priors.ridge(np.array([1.0, 0.5, 0.0, -0.3]), np.full(4, 2.0))
    # Wiener factors 0.999, 1/2, 0.001, 0.001
    np.testing.assert_allclose(2 / (2 + ridge), [priors.MOST, 0.5, priors.LEAST, priors.LEAST])


def test_the_ridge_follows_the_unit_of_the_weights():
    fsc = np.array([0.9, 0.3])
    np.testing.assert_allclose(priors.ridge(fsc, np.array([5.0, 5.0])), 5 * priors.ridge(fsc, np.ones(2)))


def test_combined_is_the_wiener_factor_of_twice_the_data():
    fsc = np.array([0.0, 0.143, 0.5, 1.0])
    signal_to_noise = fsc[:-1] / (1 - fsc[:-1])  # of one half
    np.testing.assert_allclose(priors.combined(fsc)[:-1], 2 * signal_to_noise / (2 * signal_to_noise + 1))
    assert priors.combined(fsc)[-1] == 1
    assert priors.combined(np.array([-0.2]))[0] == 0
