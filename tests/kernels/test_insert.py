"""Back-projection: its laws, and the numba body against the definition."""

import numpy as np
import pytest

from halfmap import device
from halfmap.geometry import rotations
from halfmap.kernels.insert import Points, best_buffer_bytes, cpu, insert, insert_curved, reference
from halfmap.kernels.insert.cpu import complete_plane
from halfmap.kernels.project.reference import corners, full_space, grid_points, in_band
from tests.kernels import made


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def threads():
    before = device.threads()
    yield device.set_threads
    device.set_threads(before)


def batch(image_radius, rng):
    """Images, CTFs, poses and phases."""
    poses = made.poses(6, rng)
    images = made.complex_normal((len(poses), 2 * image_radius + 1, image_radius + 1), rng)
    ctf = rng.uniform(-1, 1, images.shape).astype(np.float32)
    return images, ctf, poses, rng.uniform(-0.2, 0.2, (len(poses), 2))


def empty(r):
    shape = (2 * r + 1, 2 * r + 1, r + 1)
    return np.zeros(shape, np.complex64), np.zeros(shape, np.float32)


def with_rows(images, ctf, poses, *rest):
    """Arguments of insert that lay every image in at its own pose."""
    return images, ctf, np.arange(len(images)), poses, *rest


def inserted(r, *arguments):
    sums = empty(r)
    insert(*sums, *with_rows(*arguments))
    return sums


def completed(numerator, weight):
    complete_plane(numerator, weight)
    return numerator, weight


def test_any_number_of_threads_gives_the_same_bits(rng, threads):
    arguments = (*batch(8, rng), 8, 2)
    threads(1)
    expected = inserted(18, *arguments)
    for n in (2, 3, 7, 50):  # more threads than bricks
        threads(n)
        found = inserted(18, *arguments)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


def test_any_size_of_batch_gives_the_same_bits(rng):
    images, ctf, poses, phases = batch(8, rng)
    expected = inserted(18, images, ctf, poses, phases, 8, 2)
    found = empty(18)
    for rows in (slice(0, 1), slice(1, 6), slice(6, None)):
        insert(*found, *with_rows(images[rows], ctf[rows], poses[rows], phases[rows], 8, 2))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("buffer_bytes", [1, 4e3, 2e4])  # one image holds 113 pixels, 2.7 kB and their doubles
def test_any_size_of_buffer_gives_the_same_bits(buffer_bytes, rng):
    arguments = with_rows(*batch(8, rng), 8, 2)
    expected, found = empty(18), empty(18)
    insert(*expected, *arguments)
    points = Points(*found, buffer_bytes)
    points.insert(*arguments)
    points.flush()
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_the_buffer_grows_with_the_grid_within_bounds():
    sizes = [best_buffer_bytes(grid) for grid in (1e5, 1.4e7, 1.1e8, 8.3e8)]  # boxes 12, 64, 128, 256
    assert sizes[0] == sizes[1] < sizes[2] < sizes[3] == 4e8


def test_nothing_is_added_before_it_is_asked_for_and_nothing_twice(rng):
    arguments, sums = with_rows(*batch(8, rng), 8, 2), empty(18)
    points = Points(*sums)
    points.insert(*arguments)
    assert not sums[0].any()
    points.flush()
    once = sums[1].copy()
    points.flush()
    np.testing.assert_array_equal(sums[1], once)


def test_every_pixel_and_its_mate_are_spread_with_weight_one(rng):
    images, ctf, poses, phases = batch(8, rng)
    _, weight = completed(*inserted(18, images, np.ones_like(ctf), poses, phases, 8, 2))
    whole = 2 * weight[..., 1:].sum(dtype=float) + weight[..., 0].sum(dtype=float)
    # 2 per pixel; float32 sums of thousands of fractions
    assert whole == pytest.approx(2 * len(poses) * in_band(8, 8).sum(), rel=1e-5)


def test_the_completed_plane_is_hermitian(rng):
    numerator, weight = completed(*inserted(10, *batch(8, rng), 8, 1))
    np.testing.assert_array_equal(numerator[..., 0], numerator[::-1, ::-1, 0].conj())
    np.testing.assert_array_equal(weight[..., 0], weight[::-1, ::-1, 0])


@pytest.mark.parametrize("radius", [1, 5, 8, 20])  # 20 at padding 2: a grid of several bricks along every axis
@pytest.mark.parametrize("padding", [1, 2])
@pytest.mark.parametrize("beyond", [0, 3])  # images may hold more shells than are used
def test_body_agrees_with_the_definition(radius, padding, beyond, rng):
    arguments = (*batch(radius + beyond, rng), radius, padding)
    r = padding * radius + 2
    expected = np.zeros_like(empty(r)[0], np.complex128), np.zeros_like(empty(r)[1], float)
    reference.insert(*expected, *with_rows(*arguments))
    numerator, weight = completed(*inserted(r, *arguments))
    # float32 sums of up to 12 images x 8 corners of order 1; near the origin of padded spaces up to 30
    np.testing.assert_allclose(numerator, expected[0], atol=2e-5)
    np.testing.assert_allclose(weight, expected[1], atol=2e-5)


@pytest.mark.parametrize("short_by", [1e-7, 1e-9, 1e-12])  # float32 rounds the last two up to the border itself
def test_pixels_just_short_of_the_border_of_a_brick_stay_in_the_grid(short_by, rng):
    radius, padding = 2 * cpu.EDGE, 2
    images = made.complex_normal((3, 2 * radius + 1, radius + 1), rng)
    turns = np.stack([np.eye(3), np.eye(3)[[1, 2, 0]], np.eye(3)[[2, 0, 1]]]) * (1 - short_by)
    arguments = with_rows(images, np.ones(images.shape, np.float32), turns, np.zeros((3, 2)), radius, padding)
    r = padding * radius + 2
    expected = np.zeros_like(empty(r)[0], np.complex128), np.zeros_like(empty(r)[1], float)
    reference.insert(*expected, *arguments)
    found = empty(r)
    insert(*found, *arguments)
    numerator, weight = completed(*found)
    np.testing.assert_allclose(numerator, expected[0], atol=2e-5)
    np.testing.assert_allclose(weight, expected[1], atol=2e-5)


def test_an_image_counts_at_each_pose_what_its_share_says(rng):
    images, ctf, poses, phases = batch(8, rng)
    which, shares = np.array([2, 0, 2]), np.array([0.25, 1.0, 0.75], np.float32)
    arguments = images, ctf, which, poses[:3], phases[:3], 8, 2, shares
    expected = np.zeros_like(empty(18)[0], np.complex128), np.zeros_like(empty(18)[1], float)
    reference.insert(*expected, *arguments)
    found = empty(18)
    insert(*found, *arguments)
    numerator, weight = completed(*found)
    np.testing.assert_allclose(numerator, expected[0], atol=2e-5)
    np.testing.assert_allclose(weight, expected[1], atol=2e-5)


def test_an_image_can_be_laid_in_at_several_poses_and_left_out(rng):
    images, ctf, poses, phases = batch(8, rng)
    which = np.array([2, 0, 2])
    found, expected = empty(18), empty(18)
    insert(*found, images, ctf, which, poses[:3], phases[:3], 8, 2)
    insert(*expected, *with_rows(images[which], ctf[which], poses[:3], phases[:3], 8, 2))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


# ---- on the Ewald sphere

BENT = 0.004  # 1/shells: 0.26 shells off the plane at shell 8, where half a grid step is 0.25


def curved_batch(image_radius, rng):
    """Images, sines, cosines, coherence, which, poses, phases."""
    images, sine, poses, phases = batch(image_radius, rng)
    cosine = rng.uniform(-1, 1, images.shape).astype(np.float32)
    alike = rng.uniform(-0.1, 1, images.shape[1:]).astype(np.float32)
    return images, sine, cosine, alike, np.arange(len(poses)), poses, phases


def inserted_curved(r, *arguments):
    sums = empty(r)
    insert_curved(*sums, *arguments)
    return sums


@pytest.mark.parametrize("radius", [1, 5, 8, 20])
@pytest.mark.parametrize("padding", [1, 2])
@pytest.mark.parametrize("curvature", [BENT, -3 * BENT])
def test_the_curved_body_agrees_with_the_definition(radius, padding, curvature, rng):
    arguments = (*curved_batch(radius + 2, rng), curvature, radius, padding)
    r = padding * radius + 5  # at shell 20, 0.012 x 400 = 4.8 shells off the plane take the edge to 20.6
    expected = np.zeros_like(empty(r)[0], np.complex128), np.zeros_like(empty(r)[1], float)
    reference.insert_curved(*expected, *arguments)
    numerator, weight = completed(*inserted_curved(r, *arguments))
    # as for planes: float32 sums of up to 24 images x 8 corners of order 1/2
    np.testing.assert_allclose(numerator, expected[0], atol=2e-5)
    np.testing.assert_allclose(weight, expected[1], atol=2e-5)


def test_any_number_of_threads_batches_and_any_buffer_give_the_same_bits_on_the_sphere(rng, threads):
    images, sine, cosine, alike, which, poses, phases = curved_batch(8, rng)
    rest = (BENT, 8, 2)
    threads(1)
    expected = inserted_curved(19, images, sine, cosine, alike, which, poses, phases, *rest)
    threads(3)
    found = inserted_curved(19, images, sine, cosine, alike, which, poses, phases, *rest)
    parts, pieces = empty(19), empty(19)
    for rows in (slice(0, 4), slice(4, None)):
        insert_curved(*parts, images, sine, cosine, alike, which[rows], poses[rows], phases[rows], *rest)
    points = Points(*pieces, 4e3)
    points.insert_curved(images, sine, cosine, alike, which, poses, phases, *rest)
    points.flush()
    for sums in (found, parts, pieces):
        np.testing.assert_array_equal(sums[0], expected[0])
        np.testing.assert_array_equal(sums[1], expected[1])


def test_without_curvature_and_with_everything_alike_it_is_the_insertion_of_planes(rng):
    images, sine, cosine, alike, which, poses, phases = curved_batch(8, rng)
    expected = inserted(18, images, sine, poses, phases, 8, 2)
    found = inserted_curved(18, images, sine, cosine, np.ones_like(alike), which, poses, phases, 0.0, 8, 2)
    # float32 sums of the same halves in another order
    np.testing.assert_allclose(found[0], expected[0], atol=2e-5)
    np.testing.assert_allclose(found[1], expected[1], atol=2e-5)


def test_a_stretched_image_is_bent_by_where_its_pixels_lie(rng):
    images, sine, cosine, alike, which, poses, phases = curved_batch(8, rng)
    stretch = np.array([[1.05, 0.1], [-0.02, 0.9]])
    arguments = images, sine, cosine, alike, which, rotations.stretched(poses, stretch), phases, BENT, 8, 2
    expected = np.zeros_like(empty(24)[0], np.complex128), np.zeros_like(empty(24)[1], float)
    ky, kx = np.mgrid[-8:9, 0:9]
    keep = in_band(8, 8)
    q = np.einsum("ij,jyx->yxi", stretch, np.stack([kx, ky]))
    height = BENT * (q**2).sum(-1)
    assert height[keep].max() > 0.2  # of a shell
    for i, pose in enumerate(poses):  # by the formula: A^T (S k, +-h)
        ramp = np.exp(-2j * np.pi * (kx * phases[i, 0] + ky * phases[i, 1]))
        for side in (1, -1):
            place = 2 * np.concatenate([q, side * height[..., None]], axis=-1) @ pose
            value = (sine[i] + side * 1j * cosine[i]) / 2 * images[i] * ramp
            for sign, v in ((1, value), (-1, value.conj())):
                for z, y, x, w in corners(sign * place[keep]):
                    half = x >= 0
                    np.add.at(expected[0], (z[half] + 24, y[half] + 24, x[half]), (w * v[keep])[half])
    numerator, _ = completed(*inserted_curved(24, *arguments))
    np.testing.assert_allclose(numerator, expected[0], atol=2e-5)


def test_curved_insertion_is_the_adjoint_of_slicing_the_two_sheets(rng):
    images, sine, cosine, alike, which, poses, phases = curved_batch(8, rng)
    half = made.half_space(20, rng)
    cube = full_space(half.astype(np.complex128))
    numerator, _ = completed(*inserted_curved(20, images, sine, cosine, alike, which, poses, phases, BENT, 8, 2))
    ky, kx = np.mgrid[-8:9, 0:9]
    keep = in_band(8, 8)
    forward = 0.0
    for i, pose in enumerate(poses):
        flat = grid_points(pose, 8, 2)[keep]
        up = BENT / 2 * (flat**2).sum(-1)[..., None] * pose[2]
        sheets = [sum(w * cube[z + 20, y + 20, x + 20] for z, y, x, w in corners(flat + side * up)) for side in (1, -1)]
        wave = (cosine[i] + 1j * sine[i])[keep]
        seen = (wave * sheets[0] - wave.conj() * sheets[1]) / 2j
        moved = images[i] * np.exp(-2j * np.pi * (kx * phases[i, 0] + ky * phases[i, 1]))
        forward += 2 * np.vdot(moved[keep], seen).real
    whole = np.concatenate([numerator[..., :0:-1][::-1, ::-1].conj(), numerator], axis=-1)
    backward = np.vdot(whole, cube).real
    scale = np.linalg.norm(whole) * np.linalg.norm(cube)
    assert abs(forward - backward) < 1e-6 * scale  # float32 sums
    assert abs(forward) > 1e-3 * scale  # there is something to compare
