"""The picture of a map: what closed forms say of a ball, and that light falls from the lamp."""

import numpy as np
import pytest
from scipy import ndimage

from halfmap.errors import InputError
from halfmap.jobs.pictures import surface
from halfmap.types import Map

BOX = 48


def ball(radius, centre=(0, 0, 0), stretch=(1, 1, 1)):
    """Density falling linearly from the centre: the contour 0 is at the radius."""
    grid = np.stack(np.meshgrid(*(np.arange(BOX) - BOX // 2,) * 3, indexing="ij"), axis=-1)
    away = np.sqrt((((grid - np.array(centre)) / np.array(stretch)) ** 2).sum(axis=-1))
    return (radius - away).astype(np.float32)


def test_a_ball_is_a_disc_as_deep_as_its_radius_with_normals_from_its_centre():
    seen = surface.cast(ball(14), 0.0, 96)
    reach = 96 / 2 * (1 - 2 * surface.MARGIN) * 14 / 15.5  # half extents are widened by 1.5 voxels
    assert seen.hit.sum() == pytest.approx(np.pi * reach**2, rel=0.03)
    assert seen.depth.max() == pytest.approx(14, abs=1.2)
    np.testing.assert_allclose(seen.normal[48, 48], (0, 0, -1), atol=0.1)
    assert seen.normal[48, 80, 0] > 0.5 and seen.normal[80, 48, 1] > 0.5


def test_depth_and_normals_do_not_depend_on_where_the_map_lies():
    here, there = (surface.cast(ball(10, centre), 0.0, 64) for centre in ((0, 0, 0), (5, -4, 3)))
    assert np.mean(here.hit != there.hit) < 0.01
    both = here.hit & there.hit & (here.normal[..., 2] < -0.4)
    np.testing.assert_allclose(here.depth[both], there.depth[both], atol=0.35)


def test_the_longest_axis_stands_upright_and_the_shortest_is_looked_along():
    axes, centre, half = surface.camera(ball(7, stretch=(1, 3, 1.8)), 0.0)  # z shortest, y longest
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1.0)
    assert abs(axes[1] @ (0, 1, 0)) > 0.9 and abs(axes[2] @ (1, 0, 0)) > 0.8  # but for the tilt
    assert half[1] > half[0] > half[2]
    np.testing.assert_allclose(centre, BOX // 2, atol=0.6)


def test_the_picture_is_brightest_towards_the_lamp_and_white_beside_the_map():
    picture = surface.picture(Map(ball(14), 1.0), 0.0, 80).astype(float).mean(axis=-1)
    assert picture.shape == (80, 80) and picture[0, 0] == 255
    assert picture[25, 25] > picture[55, 55] + 20  # the lamp is at the upper left


def test_specks_are_left_out():
    data = ball(12)
    speckled = data.copy()
    speckled[3, 3, 3] = 5.0
    with_it, without = (surface.picture(Map(each, 1.0), 1.0, 40).astype(int) for each in (speckled, data))
    assert np.abs(with_it - without).max() <= 3  # of 255: interpolation carries a ripple of it


def test_a_level_above_the_map_is_refused():
    with pytest.raises(InputError, match="contour level"):
        surface.picture(Map(ball(10), 1.0), 99.0, 40)


def test_rays_that_begin_near_the_density_see_what_rays_from_afar_see(monkeypatch):
    noise = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal((BOX,) * 3), 2)
    rough = ball(12) + (2 * noise / noise.std()).astype(np.float32)
    near = surface.cast(rough, 0.0, 64)
    monkeypatch.setattr(surface, "SPREAD", 20)
    far = surface.cast(rough, 0.0, 64)
    # steps fall on other places: what is thinner than one may be seen by one and not the other
    assert np.mean(near.hit != far.hit) < 0.005
    same = near.hit & far.hit
    assert np.mean(np.abs(near.depth - far.depth)[same] < 0.1) > 0.95
