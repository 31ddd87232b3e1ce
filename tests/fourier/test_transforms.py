"""Half planes and half spaces: normalisation, origin, layout, pruning."""

import numpy as np
import pytest

from halfmap.fourier import transforms
from tests import blobs

BOXES = [16, 18]


@pytest.fixture
def rng():
    return np.random.default_rng(10)


def direct(images, radius, padding):
    """The definition: sum over pixels x(q) exp(-2 pi i k q / (p N)) / N^2, q from the box centre."""
    box = images.shape[-1]
    q = np.arange(box) - box // 2
    along_y = np.exp(-2j * np.pi * np.outer(np.arange(-radius, radius + 1), q) / (padding * box))
    along_x = along_y[radius:]
    return np.einsum("ky,byx,lx->bkl", along_y, images.astype(float), along_x, optimize=True) / box**2


def real_half_planes(n, radius, rng):
    """Half planes of real images: Hermitian along kx = 0."""
    planes = rng.standard_normal((n, 2 * radius + 1, radius + 1)) + 1j * rng.standard_normal(
        (n, 2 * radius + 1, radius + 1)
    )
    planes[..., 0] += planes[:, ::-1, 0].conj()
    return planes.astype(np.complex64)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("padding", [1, 2, 3])
@pytest.mark.parametrize("radius", [0, 3, 7])
def test_half_plane_is_the_sum_over_pixels(box, padding, radius, rng):
    images = rng.standard_normal((2, box, box)).astype(np.float32)
    found = transforms.half_plane(images, radius, padding)
    assert found.dtype == np.complex64
    # values of order 1 / box; float32 transforms
    np.testing.assert_allclose(found, direct(images, radius, padding), atol=1e-7)


def test_a_constant_image_has_its_value_at_the_origin():
    half = transforms.half_plane(np.full((1, 16, 16), 2.5, np.float32), 7)[0]
    assert half[7, 0] == pytest.approx(2.5)
    half[7, 0] = 0
    np.testing.assert_allclose(half, 0, atol=1e-6)


def test_a_cosine_has_half_its_amplitude_at_its_frequency():
    q = np.arange(16) - 8
    image = np.cos(2 * np.pi * (3 * q - 2 * q[:, None]) / 16)  # kx = 3, ky = -2
    half = transforms.half_plane(image[None], 7)[0]
    assert half[7 - 2, 3] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("missing", [1, 4])
def test_images_of_half_planes_give_the_half_planes_back(box, missing, rng):
    radius = box // 2 - missing
    planes = real_half_planes(3, radius, rng)
    images = transforms.to_images(planes, box)
    assert images.dtype == np.float32
    np.testing.assert_allclose(transforms.half_plane(images, radius), planes, atol=5e-6)  # sums of 200 float32 values


def test_at_the_nyquist_frequency_half_planes_are_zero(rng):
    half = transforms.half_plane(rng.standard_normal((1, 16, 16)), 8)[0]
    assert not half[0].any() and not half[-1].any() and not half[:, -1].any()
    assert half[1:-1, :-1].all()


@pytest.mark.parametrize("step", [(1, 0), (0, 1), (-3, 5)])
def test_moving_an_image_turns_the_phases(step, rng):
    box, radius = 16, 7
    image = rng.standard_normal((1, box, box)).astype(np.float32)
    moved = np.roll(image, (step[1], step[0]), axis=(1, 2))
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    expected = transforms.half_plane(image, radius) * np.exp(-2j * np.pi * (kx * step[0] + ky * step[1]) / box)
    np.testing.assert_allclose(transforms.half_plane(moved, radius), expected, atol=2e-7)


def test_every_other_point_of_a_padded_half_plane_is_one_of_the_unpadded(rng):
    images = rng.standard_normal((2, 16, 16)).astype(np.float32)
    padded = transforms.half_plane(images, 14, padding=2)
    np.testing.assert_allclose(padded[:, ::2, ::2], transforms.half_plane(images, 7), atol=1e-7)


def test_power_is_that_of_the_pixels(rng):
    images = transforms.to_images(real_half_planes(1, 7, rng), 16)
    half = transforms.half_plane(images, 7)[0]
    # Parseval: mean square = sum over the whole plane; column 0 holds its own mates
    power = (abs(half[:, 0]) ** 2).sum() + 2 * (abs(half[:, 1:]) ** 2).sum()
    assert power == pytest.approx((images.astype(float) ** 2).mean(), rel=1e-5)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("padding", [1, 2])
def test_half_space_of_gaussians_is_their_closed_form(box, padding, rng):
    # sigma 1.6 voxels: at half Nyquist the aliases have exp(-2 pi^2 1.6^2 0.75^2) = 5e-13 of the peak, and the
    # density 2 voxels off the centre has fallen to exp(-6^2 / 2 / 1.6^2) = 1e-3 at the edge of a box of 16
    truth = blobs.scattered(4, 1.0, 1.6 * 0.9, rng)
    radius = padding * box // 4
    found = transforms.half_space(truth.map(box, 0.9).data, radius, padding)
    expected = truth.half_space(radius, box * 0.9, padding)
    z, y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1, 0 : radius + 1]
    inside = z**2 + y**2 + x**2 <= (radius + 2) ** 2
    assert found.dtype == np.complex64
    assert abs(found - expected)[inside].max() < 1e-4 * abs(expected).max()


def test_half_space_of_another_sampling_of_the_same_box_is_the_same(rng):
    truth = blobs.scattered(5, 6.0, 3.2, rng)
    fine, coarse = (transforms.half_space(truth.map(box, 40 / box).data, 8, 2) for box in (40, 20))
    # sigma is 1.6 voxels of the coarse box: beyond 16 / 2 of 20 / 2 shells nothing is aliased back above 1e-8
    np.testing.assert_allclose(coarse, fine, atol=2e-6 * abs(fine).max())


def test_points_at_and_beyond_the_padded_nyquist_frequency_are_zero(rng):
    volume = rng.standard_normal((8, 8, 8)).astype(np.float32)
    half = transforms.half_space(volume, 10, 2)
    assert half.shape == (21, 21, 11)
    inside = half[3:-3, 3:-3, :8]
    np.testing.assert_array_equal(inside, transforms.half_space(volume, 7, 2))
    assert np.count_nonzero(half) == np.count_nonzero(inside)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("padding", [1, 2])
@pytest.mark.parametrize("spare", [-1, 0, 1])  # half spaces that end before, at and after the Nyquist frequency
def test_volumes_come_back_from_their_half_space(box, padding, spare, rng):
    volume = blobs.scattered(4, 2.0, 1.6, rng).map(box, 1.0).data
    half = transforms.half_space(volume, padding * box // 2 + spare, padding)
    back = transforms.to_volume(half, box, padding)
    assert back.dtype == np.float32 and back.shape == volume.shape
    # nothing at Nyquist: exp(-2 pi^2 1.6^2 / 4) = 3e-6 of the total, over 4 blobs of volume 65 in 16^3 voxels
    np.testing.assert_allclose(back, volume, atol=1e-4 * volume.max())


def test_volume_of_another_box_is_another_sampling_of_the_same_density(rng):
    truth = blobs.scattered(4, 4.0, 3.2, rng)
    half = transforms.half_space(truth.map(32, 1.0).data, 15, 2)  # below the Nyquist frequency of both
    coarse, fine = (transforms.to_volume(half, box, 2) for box in (16, 32))
    np.testing.assert_allclose(coarse, fine[::2, ::2, ::2], atol=2e-6 * fine.max())  # the same finite Fourier sum


@pytest.mark.parametrize("at_least, box", [(1, 2), (2, 2), (7, 8), (11, 12), (13, 16), (99, 100), (251, 256)])
def test_good_boxes_are_even_and_not_smaller(at_least, box):
    assert transforms.good_box(at_least) >= at_least
    assert transforms.good_box(at_least) % 2 == 0
    assert transforms.good_box(at_least) <= box


def test_arguments_stay_as_they_are(rng):
    image, volume = rng.standard_normal((1, 8, 8)).astype(np.float32), rng.standard_normal((8, 8, 8)).astype(np.float32)
    planes, half = real_half_planes(1, 3, rng), transforms.half_space(volume, 7, 2)
    given = (image, volume, planes, half)
    before = [part.copy() for part in given]
    transforms.half_plane(image, 4)
    transforms.half_space(volume, 8, 2)
    transforms.to_images(planes, 8)
    transforms.to_volume(half, 8, 2)
    for part, old in zip(given, before, strict=True):
        np.testing.assert_array_equal(part, old)
