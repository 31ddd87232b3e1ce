"""Slices against images that were computed without a projector.

How exact trilinear interpolation is. A density at u = r / (padding N) of the padded box, seen through interpolation at
a fraction t of a grid step and divided by the mean response sinc^2 u, comes out along each axis times

    ((1 - t) + t exp(2 pi i u)) / (sinc^2 u exp(2 pi i u t)) = 1 + (pi u)^2 (1/3 - 2 t (1 - t)) + ...

On a node (t = 0) that is too much by (pi u)^2 / 3, half-way too little by half of it; the mean over t is 1 and the
root mean square error (pi u)^2 / sqrt(45). Over three axes the errors add to pi^2 |u|^2 / 3 at most, and less than
pi^2 |u|^2 / sqrt(45) in the mean square. The next order, (pi u)^3, is a fifth more at the edge of the objects below.
"""

import numpy as np
import pytest

from halfmap.fourier import transforms
from halfmap.geometry import rotations
from halfmap.kernels.project.reference import in_band
from halfmap.physics import projection
from halfmap.physics.projection import MARGIN, Projector, reach
from halfmap.types import Map
from tests import blobs

BOX, VOXEL, RADIUS = 32, 2.0, 12
REACH = 8 * VOXEL  # of the blobs' centres: a quarter of the box
WORST = (np.pi * 0.25 / 2) ** 2 / 3  # relative error at that radius, padding 2
TYPICAL = WORST * 3 / np.sqrt(45)
HIGHER_ORDERS = 1.2


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def truth(rng):
    return blobs.scattered(6, REACH, 1.5 * VOXEL, rng)


def exact(truth, matrices, radius=RADIUS):
    still = np.zeros((len(matrices), 2))
    return truth.half_planes(matrices, still, radius, BOX * VOXEL, VOXEL) * in_band(radius, radius)


def relative(found, expected) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def test_without_rotation_a_slice_is_the_transform_of_the_corrected_sum_along_z(truth):
    map = truth.map(BOX, VOXEL)
    found = Projector.of(map, RADIUS, BOX).slices(np.eye(3)[None])
    flat = projection.corrected(map.data).sum(axis=0, dtype=float)
    expected = transforms.half_plane(flat[None], RADIUS) * in_band(RADIUS, RADIUS)
    np.testing.assert_allclose(found, expected, atol=2e-6 * abs(expected).max())  # nodes: nothing is interpolated


def test_without_rotation_a_slice_is_the_sum_along_z_up_to_the_error_on_nodes(truth):
    map = truth.map(BOX, VOXEL)
    found = Projector.of(map, RADIUS, BOX).slices(np.eye(3)[None])
    flat = map.data.sum(axis=0, dtype=float)
    expected = transforms.half_plane(flat[None], RADIUS) * in_band(RADIUS, RADIUS)
    bound = HIGHER_ORDERS * WORST * abs(flat).sum() / BOX**2  # every density at the largest radius, in phase
    assert abs(found - expected).max() < bound
    assert relative(found, expected) < HIGHER_ORDERS * WORST


def test_slices_are_the_transforms_of_the_images(truth, rng):
    matrices = rotations.random(50, rng)
    found = Projector.of(truth.map(BOX, VOXEL), RADIUS, BOX).slices(matrices)
    assert relative(found, exact(truth, matrices)) < HIGHER_ORDERS * TYPICAL


def test_the_error_falls_with_the_square_of_the_padding(truth, rng):
    matrices = rotations.random(20, rng)
    errors = [
        relative(Projector.of(truth.map(BOX, VOXEL), RADIUS, BOX, padding).slices(matrices), exact(truth, matrices))
        for padding in (1, 2, 4)
    ]
    # factors of 4 in the leading order; padding 1 has u = 1/4, where the next orders count
    assert errors[0] / errors[1] > 3
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.15)


def test_a_coarser_map_of_the_same_box_gives_the_same_slices(truth, rng):
    matrices, radius = rotations.random(5, rng), 6
    fine, coarse = (
        Projector.of(truth.map(box, BOX * VOXEL / box), radius, BOX).slices(matrices) for box in (BOX, BOX // 2)
    )
    # sigma is 0.75 coarse voxels: aliases from frequency 1 - 6/16 have exp(-2 pi^2 0.75^2 (0.62^2 - 0.38^2)) = 0.07
    # of the density's own transform there, which is 0.2 of its peak
    assert relative(coarse, fine) < 0.03


def test_slices_grow_with_the_depth(truth, rng):
    map, matrices = truth.map(BOX, VOXEL), rotations.random(2, rng)
    thin, thick = (Projector.of(map, RADIUS, depth).slices(matrices) for depth in (BOX, 2 * BOX))
    np.testing.assert_array_equal(thick, 2 * thin)


def test_slices_of_a_smaller_radius_are_the_inner_part(truth, rng):
    projector, matrices = Projector.of(truth.map(BOX, VOXEL), RADIUS, BOX), rotations.random(2, rng)
    cut = RADIUS - 5
    inner = projector.slices(matrices)[:, cut:-cut, :6] * in_band(5, 5)
    np.testing.assert_allclose(projector.slices(matrices, 5), inner, atol=1e-6 * abs(inner).max())


def test_the_correction_undoes_the_kernel(rng):
    volume = rng.standard_normal((12, 12, 12)).astype(np.float32)
    k = projection.interpolation_kernel(12, 2)
    np.testing.assert_allclose(projection.corrected(volume, 2) * k[:, None, None] * k[:, None] * k, volume, rtol=1e-6)


@pytest.mark.parametrize("padding", [1, 2])
def test_the_kernel_is_the_transform_of_a_triangle(padding):
    t = (np.arange(4000) + 0.5) / 2000 - 1  # grid steps, mid-points
    u = (np.arange(16) - 8) / (16 * padding)
    expected = ((1 - abs(t)) * np.cos(2 * np.pi * u[:, None] * t)).mean(1) * 2
    np.testing.assert_allclose(projection.interpolation_kernel(16, padding), expected, atol=1e-6)  # (step pi)^2 / 24


def test_the_map_stays_as_it_is(truth):
    map = truth.map(BOX, VOXEL)
    before = Map(map.data.copy(), VOXEL)
    Projector.of(map, RADIUS, BOX)
    np.testing.assert_array_equal(map.data, before.data)


STRETCHES = [np.eye(2), 1.06 * np.eye(2), np.array([[1.03, 0.02], [0.0, 0.97]]), np.array([[1.4, -0.3], [0.2, 0.7]]),
             0.8 * np.eye(2)]  # fmt: skip


@pytest.mark.parametrize("stretch", STRETCHES, ids=range(len(STRETCHES)))
@pytest.mark.parametrize("padding", [1, 2, 3])
def test_no_pixel_within_reach_leaves_the_grid_and_one_more_shell_would(stretch, padding):
    rng = np.random.default_rng(4)
    largest = np.linalg.svd(stretch)[2][0]  # the direction that is stretched most
    turns = rotations.random(200, rng)
    # views that lay the most stretched direction along x, y and z, where the grid is nearest
    seen = stretch @ largest / np.linalg.norm(stretch @ largest)
    worst = [np.stack([seen[0] * e + seen[1] * f, seen[1] * e - seen[0] * f, np.cross(e, f)])
             for e, f in ((np.eye(3)[i], np.eye(3)[(i + 1) % 3]) for i in range(3))]  # fmt: skip
    matrices = rotations.stretched(np.concatenate([turns, worst]), stretch)
    for radius in range(6, 40):
        edge = padding * radius + MARGIN
        allowed = reach(edge, padding, stretch)
        ky, kx = np.mgrid[-allowed : allowed + 1, 0 : allowed + 1]
        inside = kx**2 + ky**2 <= allowed**2 + allowed
        points = padding * np.einsum("nij,ip->npj", matrices[:, :2], np.stack([kx[inside], ky[inside]]))
        assert np.floor(abs(points)).max() + 1 <= edge
        beyond = np.sqrt((allowed + 1) ** 2 + allowed + 1) * np.linalg.norm(stretch, 2) * padding
        assert beyond >= edge * (1 - 1e-8)  # not smaller than it must be
    assert reach(padding * 20 + MARGIN, padding, np.eye(2)) >= 20


@pytest.mark.parametrize("curvature", [1e-4, -0.003, 0.02, 0.5, -30.0])
@pytest.mark.parametrize("size", [1.0, 1.2])
def test_no_pixel_of_a_curved_sheet_leaves_the_grid_and_one_more_shell_would(curvature, size):
    for radius in range(6, 40):
        edge = 2 * radius + MARGIN
        allowed = reach(edge, 2, size * np.eye(2), curvature)
        square = size**2 * np.array([k * k + k for k in (allowed, allowed + 1)])  # of the last pixel, and one beyond
        away = 2 * np.sqrt(square + (curvature * square) ** 2)  # a view may lay it along any axis
        assert np.floor(away[0]) + 1 <= edge
        assert away[1] >= edge * (1 - 1e-8)


def test_a_projector_reaches_no_further_than_it_was_made_for():
    made = Projector(np.zeros((2 * 22 + 1, 2 * 22 + 1, 23), np.complex64), 10, 2, 100.0)
    assert made.reach(np.eye(2)) == made.reach(0.5 * np.eye(2)) == 10
    assert made.reach(1.2 * np.eye(2)) == 8  # 2 x 1.2 x sqrt(8 x 9) = 20.4, sqrt(9 x 10) would be 22.8
