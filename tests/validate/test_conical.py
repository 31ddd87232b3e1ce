"""Conical FSC: isotropic where the maps are, and blind exactly where they are."""

import numpy as np
import pytest

from halfmap.fourier import shells
from halfmap.maps import masks
from halfmap.types import Map
from halfmap.validate import conical, fsc

BOX, VOXEL_A = 48, 2.0


def noise(seed, box=BOX):
    return np.random.default_rng(seed).standard_normal((box,) * 3).astype(np.float32)


def maps(a, b):
    return Map(a.astype(np.float32), VOXEL_A), Map(b.astype(np.float32), VOXEL_A)


@pytest.mark.parametrize("box", [BOX, 33])
def test_a_map_with_itself_is_one_in_every_direction(box):
    found = conical.conical(*maps(noise(1, box), noise(1, box)))
    assert found.cfar == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(found.curves, 1, atol=1e-9)
    np.testing.assert_allclose(found.resolutions_A(), box * VOXEL_A / (box // 2))


@pytest.mark.parametrize("box", [BOX, 33])
def test_the_cells_together_are_the_whole_shells(box):
    a, b = (np.fft.rfftn(noise(seed, box)) for seed in (1, 2))
    last = box // 2
    sums = conical._cell_sums(a, b, last).sum(axis=1)
    np.testing.assert_allclose(sums[:3], shells.cross_sums(a, b), rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(sums[3], shells.shell_counts(shells.shell_of_rfft(box), last + 1))


def test_every_point_falls_into_the_cell_whose_centre_is_near():
    points = np.random.default_rng(3).standard_normal((5000, 3))
    centre = conical._cell_centres()[conical._cell(*points.T)]
    angle = np.arccos(np.abs((centre * points).sum(1)) / np.linalg.norm(points, axis=1))
    # half the diagonal of a cell in the middle of a face, where cells are widest: sqrt(2) / CELLS
    assert angle.max() < 1.001 * np.sqrt(2) / conical.CELLS


def test_axes_are_one_of_each_opposite_pair():
    axes = conical.axes()
    assert len(axes) == 12 * 4**conical.ORDER // 2
    assert (axes @ axes.T - 2 * np.eye(len(axes))).min() > -1 - 1e-9
    assert np.abs(axes @ axes.T)[~np.eye(len(axes), dtype=bool)].max() < 1 - 1e-6


def wedge(half_angle_deg=30.0):
    """Two maps that share everything except what lies within ``half_angle_deg`` of the x axis."""
    k = np.fft.fftfreq(BOX)
    z, y, x = np.meshgrid(k, k, np.fft.rfftfreq(BOX), indexing="ij")
    shared = np.abs(x) < np.cos(np.deg2rad(half_angle_deg)) * np.sqrt(x**2 + y**2 + z**2)
    parts = [np.fft.rfftn(noise(seed)) for seed in (1, 2, 3)]
    mixed = [np.fft.irfftn(np.where(shared, parts[0], own), s=(BOX,) * 3, axes=(0, 1, 2)) for own in parts[1:]]
    return maps(*mixed)


def test_a_missing_cone_is_seen_in_its_direction():
    halves = wedge()
    everything = fsc.curve(*halves)
    found = conical.conical(*halves, whole=everything)
    worst = found.axes[np.argmin(found.area)]
    assert abs(worst[0]) > np.cos(np.deg2rad(15))  # the spacing of the axes
    across = found.axes[:, 0] ** 2 < np.sin(np.deg2rad(30)) ** 2  # their cones end 40 degrees from x, 10 outside
    own = found.values >= conical.LEAST_VALUES  # coarser shells carry the curve of all directions
    np.testing.assert_allclose(found.curves[across][:, own], 1, atol=0.02)
    assert found.cfar < 0.5 and found.beyond_chance


def test_noise_alone_makes_no_anisotropy_of_a_good_pair():
    signal = 3 * noise(1)
    found = conical.conical(*maps(signal + noise(2), signal + noise(3)))
    assert found.cfar > 0.9 and not found.beyond_chance


def test_maps_that_share_nothing_give_numbers_all_the_same():
    found = conical.conical(*maps(noise(1), noise(2)), masks.sphere(BOX, 10, 4))
    assert np.isfinite(found.curves).all() and 0 <= found.cfar <= 1
    assert not found.beyond_chance


def test_a_torus_is_blind_where_what_its_views_measure_is():
    pair = wedge()
    _, tori = conical.cones_and_tori(*pair)
    along, across = np.abs(tori.axes @ [1.0, 0, 0]), tori.area
    # views near y and z measure the x axis, on which the maps share nothing; a view along x never does
    assert across[along > 0.95].min() > 1.1 * across[along < 0.2].max()
    assert tori.cfar < 0.95


def test_tori_of_a_map_with_itself_are_one():
    _, tori = conical.cones_and_tori(*maps(noise(1), noise(1)))
    assert tori.cfar == pytest.approx(1, abs=1e-9)
