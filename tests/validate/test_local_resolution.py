import numpy as np
import pytest

from halfmap.errors import InputError
from halfmap.maps import filters, masks
from halfmap.types import Map
from halfmap.validate import fsc, local_resolution
from halfmap.validate.local_resolution import Settings, Window
from tests.validate import made

BOX, VOXEL_A = 64, 2.7  # 173 A, Nyquist at 5.4 A


def noise(rng, box=BOX, sd=1.0):
    return (sd * rng.standard_normal((box,) * 3)).astype(np.float32)


@pytest.fixture(scope="module")
def two_regions():
    """Halves of a ball with structure to 6 A at x > 0 and to 12 A at x < 0, and the mask of the ball."""
    rng = np.random.default_rng(1)
    texture = filters.bfactor(Map(noise(rng), VOXEL_A), 150.0).data
    ball = masks.sphere(BOX, 0.4 * BOX, 3)
    body = Map(ball * (1 + 3 * texture / texture.std()), VOXEL_A)
    fine, coarse = (filters.lowpass(body, resolution, 1.0).data for resolution in (6.0, 12.0))
    side = (0.5 + 0.5 * np.tanh((np.arange(BOX) - BOX // 2) / 2)).astype(np.float32)
    truth = side * fine + (1 - side) * coarse
    return [Map(truth + noise(rng, sd=0.3 * truth.std()), VOXEL_A) for _ in range(2)], ball


@pytest.fixture(scope="module")
def estimated(two_regions):
    halves, ball = two_regions
    return local_resolution.local_resolution(*halves, ball, Settings())


@pytest.fixture(scope="module")
def stepped(two_regions):
    halves, ball = two_regions
    return local_resolution.local_resolution(*halves, ball, Settings(step=2))


def medians(found):
    """(at x > 0, at x < 0), a window of the fine side away from the border."""
    x = np.broadcast_to(np.arange(BOX) - BOX // 2, found.inside.shape)
    return [float(np.median(found.map.data[found.inside & side])) for side in (x > 6, x < -6)]


def test_regions_of_6_and_12_A_are_found_within_10_percent(estimated):
    fine, coarse = medians(estimated)
    assert fine == pytest.approx(6, rel=0.1)
    assert coarse == pytest.approx(12, rel=0.1)


def test_voxels_outside_the_mask_are_nil_and_all_inside_have_a_value(estimated, two_regions):
    _, ball = two_regions
    assert np.all(estimated.map.data[ball < local_resolution.INSIDE] == 0)
    assert np.all(estimated.values >= 2 * VOXEL_A * 0.999) and estimated.unresolved == 0


def test_grey_scales_of_the_halves_do_not_matter(stepped, two_regions):
    (half1, half2), ball = two_regions
    again = local_resolution.local_resolution(half1, Map(half2.data * np.float32(7), VOXEL_A), ball, Settings(step=2))
    np.testing.assert_allclose(again.values, stepped.values, rtol=1e-2)  # single precision, a threshold passed or not


def test_coarser_steps_give_the_same_regions(estimated, stepped):
    assert medians(stepped) == pytest.approx(medians(estimated), rel=0.03)


def test_a_lower_threshold_never_makes_a_place_coarser(stepped, two_regions):
    halves, ball = two_regions
    lower = local_resolution.local_resolution(*halves, ball, Settings(threshold=0.3, step=2))
    assert np.all(lower.values <= stepped.values * 1.0001) and np.any(lower.values < 0.95 * stepped.values)


def test_a_narrower_window_sees_a_sharper_border(two_regions):
    halves, ball = two_regions
    wide = local_resolution.local_resolution(*halves, ball, Settings(window_factor=12, step=2))
    narrow = local_resolution.local_resolution(*halves, ball, Settings(window_factor=5, step=2))
    assert medians(narrow)[1] > medians(wide)[1]  # less of the fine half reaches into the coarse one


@pytest.mark.parametrize("threshold", [0.5, 0.143])
def test_nothing_is_claimed_of_noise(threshold):
    rng = np.random.default_rng(3)
    halves = [Map(noise(rng, 48), 2.0) for _ in range(2)]
    found = local_resolution.local_resolution(*halves, masks.sphere(48, 16, 4), Settings(threshold))
    assert found.unresolved == 1


def test_an_even_map_has_the_resolution_of_its_fsc_everywhere():
    rng = np.random.default_rng(5)
    texture = filters.bfactor(Map(noise(rng, 64), 2.0), 150.0).data
    ball = masks.sphere(64, 24, 4)
    body = ball * texture / texture.std()
    halves = [Map(body + noise(rng, 64), 2.0) for _ in range(2)]
    found = local_resolution.local_resolution(*halves, ball, Settings())
    # levelled amplitudes and a band of 12 % make it coarser by 4 %, chance by another few in a box of 64
    assert np.median(found.values) == pytest.approx(fsc.resolution_A(fsc.curve(*halves, ball), 0.5), rel=0.1)


def test_noise_in_a_window_scatters_as_its_modes_say():
    rng = np.random.default_rng(7)
    box, shell = 64, 16.0
    pair = [np.fft.rfftn(noise(rng, box)).astype(np.complex64) for _ in range(2)]
    window, whole = Window(shell, 6 * box / shell, box), np.ones((box,) * 3, np.float32)
    found, _ = window.correlation(pair, lambda n: np.ones((n,) * 3, np.float32), box)
    modes = window.modes(whole)
    assert np.ptp(modes) < 1e-3 * modes.mean()
    # 268 windows of that size in the box: a standard deviation known to 5 %; ripples of the band blur it by a little
    assert found.std() == pytest.approx(1 / np.sqrt(2 * modes.mean()), rel=0.25)


def test_modes_at_the_rim_of_a_mask_are_fewer():
    ball = masks.sphere(48, 14, 2)
    modes = Window(12.0, 20.0, 48).modes(ball)
    assert modes[24, 24, 24] > 1.5 * modes[24, 24, 38]


def test_bands_go_from_coarse_to_nyquist():
    bands = local_resolution.bands(128, 1.5)
    assert bands[0] == pytest.approx(6) and bands[-1] == pytest.approx(64)
    assert local_resolution.bands(400, 1.5)[0] == pytest.approx(12)  # 50 A
    assert np.all(bands[1:] / bands[:-1] <= local_resolution.SPACING * 1.0001)


def test_an_empty_mask_is_refused():
    half = Map(np.ones((16,) * 3, np.float32), 2.0)
    with pytest.raises(InputError, match="mask holds nothing"):
        local_resolution.local_resolution(half, half, np.zeros_like(half.data), Settings())


def test_odd_boxes_work():
    half1, half2 = made.halves(np.random.default_rng(1), made.particle(45), 0.2)
    found = local_resolution.local_resolution(half1, half2, masks.sphere(45, 14, 3), Settings(step=2))
    assert found.map.data.shape == (45,) * 3 and found.unresolved < 0.05
