"""Back-projection: its laws, and the numba body against the definition."""

import numpy as np
import pytest

from halfmap import device
from halfmap.kernels.insert import Points, cpu, insert, reference
from halfmap.kernels.insert.cpu import complete_plane
from halfmap.kernels.project.reference import in_band
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


def test_an_image_can_be_laid_in_at_several_poses_and_left_out(rng):
    images, ctf, poses, phases = batch(8, rng)
    which = np.array([2, 0, 2])
    found, expected = empty(18), empty(18)
    insert(*found, images, ctf, which, poses[:3], phases[:3], 8, 2)
    insert(*expected, *with_rows(images[which], ctf[which], poses[:3], phases[:3], 8, 2))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
