import numpy as np
import pytest

from halfmap.errors import InputError
from halfmap.maps import filters, masks, solvent
from halfmap.types import Map

BOX, VOXEL_A, LOWPASS_A = 48, 4.0, 20.0


def particle(level=1.0):
    """Two touching balls, edges soft by two voxels, off centre."""
    z, y, x = np.indices((BOX,) * 3)
    radii = (np.sqrt((x - a) ** 2 + (y - 24) ** 2 + (z - 22) ** 2) - r for a, r in ((20, 8), (30, 5)))
    data = np.maximum(*(np.clip((1 - r) / 2, 0, 1) for r in radii))
    return Map((level * data).astype(np.float32), VOXEL_A)


def noisy(sd, offset=0.0, seed=1):
    noise = np.random.default_rng(seed).standard_normal((BOX,) * 3)
    return Map((particle().data + sd * noise + offset).astype(np.float32), VOXEL_A)


def covered(map):
    """(part of the particle above the threshold, voxels above it further than the low-pass from the particle)."""
    smooth, found = solvent.contour(map, LOWPASS_A)
    region = masks.without_islands(smooth.data > found.threshold)
    true = particle().data > 0.5
    far = masks.squared_distances(true, 10) > (LOWPASS_A / VOXEL_A) ** 2
    return (region & true).sum() / true.sum(), int((region & far).sum())


@pytest.mark.parametrize("sd", [0.0, 0.1, 0.2, 0.3])
def test_the_contour_holds_the_particle_and_no_noise(sd):
    part, false = covered(noisy(sd))
    assert part > 0.97 and false == 0


def test_the_noise_of_the_solvent_is_measured_beside_the_particle():
    sd = 0.3
    smooth, found = solvent.contour(noisy(sd, offset=0.3), LOWPASS_A)
    away = masks.squared_distances(particle().data > 0, 10) > 36
    true = float(smooth.data[away].std())
    # some 500 independent values: 1/sqrt(2 x 500) = 3 % for the standard deviation, 1.65 as much for that of a median
    assert found.solvent_sd == pytest.approx(true, rel=0.15)
    assert found.solvent == pytest.approx(0.3, abs=0.3 * true)
    assert found.threshold == pytest.approx(found.solvent + 5 * found.solvent_sd)


def test_a_map_times_a_number_plus_a_number_has_the_same_contour():
    map = noisy(0.3)
    scaled = Map(map.data * np.float32(1000) - 300, VOXEL_A)
    first, second = (solvent.contour(each, LOWPASS_A)[1] for each in (map, scaled))
    assert second.threshold == pytest.approx(1000 * first.threshold - 300, rel=1e-3)
    assert first.words == second.words


def test_a_solvent_without_noise_has_a_part_of_the_maximum_as_threshold():
    smooth, found = solvent.contour(particle(), LOWPASS_A)
    assert found.threshold == pytest.approx(solvent.LEAST_FRACTION * smooth.data.max())
    assert "of the maximum" in found.words


def test_the_low_pass_does_not_ring():
    smooth, _ = solvent.contour(particle(), LOWPASS_A)
    expected = filters.coarser(particle(), LOWPASS_A, filters.gaussian_rolloff)
    np.testing.assert_array_equal(smooth.data, expected.data)
    assert smooth.data.min() > -1e-3


@pytest.mark.parametrize("map", [
    Map(-particle().data, VOXEL_A), Map(np.ones((BOX,) * 3, np.float32), VOXEL_A),
    Map(np.random.default_rng(1).standard_normal((BOX,) * 3).astype(np.float32), VOXEL_A),
], ids=["dark", "constant", "noise"])  # fmt: skip
def test_where_nothing_stands_out_the_map_is_refused(map):
    with pytest.raises(InputError, match="no particle stands out .* --threshold"):
        solvent.contour(map, LOWPASS_A)


def test_a_particle_that_fills_its_box_still_has_a_contour():
    z, y, x = np.indices((32,) * 3) - 16
    ball = np.clip(15.5 - np.sqrt(x**2 + y**2 + z**2), 0, 1)
    noise = 0.05 * np.random.default_rng(2).standard_normal(ball.shape)
    try:
        smooth, found = solvent.contour(Map((ball + noise).astype(np.float32), VOXEL_A), LOWPASS_A)
    except InputError:
        return  # nothing to measure the noise by, and said so
    assert 0 < found.threshold < smooth.data.max()
