from functools import partial

import numpy as np
import pytest

from halfmap.errors import UsageError
from halfmap.maps import filters, sharpening
from halfmap.maps.sharpening import Mtf
from halfmap.types import Map

FSC = np.array([0.7, 1.0, 0.5, 0.143, 0.00001, 0.4])


def white(box=24, voxel_size_A=1.5):
    return Map(np.random.default_rng(1).standard_normal((box,) * 3).astype(np.float32), voxel_size_A)


@pytest.mark.parametrize(
    "name, at_half", [("cref", np.sqrt(2 / 3)), ("full", 2 / 3), ("half", 0.5), ("off", 1.0)]
)
def test_weights_are_those_of_their_formula(name, at_half):
    found = sharpening.weights(FSC, sharpening.WEIGHTS[name])
    np.testing.assert_allclose(found[:3], [1, 1, at_half])


def test_the_figure_of_merit_is_a_half_where_the_halves_have_0143():
    assert sharpening.weights(FSC, sharpening.cref)[3] == pytest.approx(0.5, abs=1e-3)


def test_no_shell_comes_back_after_the_first_without_signal():
    assert np.all(sharpening.weights(FSC, sharpening.cref)[4:] == 0)
    assert np.all(sharpening.weights(FSC, sharpening.WEIGHTS["off"]) == 1)


def test_an_mtf_laid_on_and_undone_leaves_the_map():
    map, mtf = white(), Mtf(np.array([0.0, 0.25, 0.5]), np.array([1.0, 0.7, 0.2]))
    undone = mtf.undone(map, 1.5)
    worsened = filters.radial(map, lambda radii: 1 / undone(radii))
    np.testing.assert_allclose(filters.radial(worsened, undone).data, map.data, atol=1e-5)


def test_frequencies_of_an_mtf_are_those_of_the_pixel_it_was_measured_with():
    map, mtf = white(), Mtf(np.array([0.0, 0.5]), np.array([1.0, 0.2]))
    # Nyquist of the map is 0.5 / pixel of its own voxel, and 0.25 / pixel of one half as large
    assert mtf.undone(map, 1.5)(np.array([12.0])) == pytest.approx(1 / 0.2)
    assert mtf.undone(map, 0.75)(np.array([12.0])) == pytest.approx(1 / 0.6)


def test_a_butterworth_filter_halves_the_power_at_its_resolution():
    factor = partial(filters.butterworth, shell=8.0, order=8)(np.array([0.0, 4.0, 8.0, 12.0]))
    np.testing.assert_allclose(factor, [1, 1, np.sqrt(0.5), (2 / 3) ** 8], rtol=0.01)
    assert partial(filters.butterworth, shell=8.0, order=2)(np.array([12.0]))[0] > factor[3]


def test_a_product_of_factors_is_one_filter_after_the_other():
    map = white()
    parts = [partial(filters.butterworth, shell=6.0, order=8), filters.bfactor_factor(map, -50.0)]
    one_by_one = filters.bfactor(filters.radial(map, parts[0]), -50.0)
    np.testing.assert_allclose(filters.radial(map, filters.product(parts)).data, one_by_one.data, atol=1e-5)
    np.testing.assert_allclose(filters.radial(map, filters.product([])).data, map.data, atol=1e-6)


def test_a_low_pass_without_a_length_is_refused():
    with pytest.raises(UsageError, match="positive"):
        filters.coarser(white(), 0.0, filters.butterworth)
