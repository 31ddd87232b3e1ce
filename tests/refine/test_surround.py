"""Noise around the circle that masks an image."""

import numpy as np

from halfmap.fourier import transforms
from halfmap.physics import noise
from halfmap.refine import surround

BOX = 32
MODEL = noise.GroupModel(0.01 * (1 + np.exp(-np.arange(BOX // 2 + 1) / 4)))


def half(images: np.ndarray) -> np.ndarray:
    """Keeps the left half of an image."""
    return images * (np.arange(BOX) < BOX // 2)


def filled(seed: int, rows=range(400)) -> tuple[np.ndarray, float]:
    rows = np.array(rows)
    return surround.Noise(seed).filled(np.zeros((len(rows), BOX, BOX), np.float32), 0.5, rows, MODEL, half)


def test_noise_has_the_spectrum_of_the_images():
    empty = np.zeros((400, BOX, BOX), np.float32)
    whole, kept = surround.Noise(1).filled(empty, 0.5, np.arange(400), MODEL, lambda images: 0 * images)
    power = noise.shell_means((np.abs(transforms.half_plane(whole, BOX // 2)) ** 2).mean(0))
    inside = slice(1, BOX // 2)
    # 400 images with 4 values in the smallest shell: 2.5 %
    np.testing.assert_allclose(power[inside], (MODEL.noise_sd**2)[inside], rtol=0.1)
    assert kept == 1


def test_what_the_mask_kept_is_left_alone():
    images, _ = filled(1)
    assert (half(images) == 0).all() and (images[:, :, BOX // 2 :] != 0).any()


def test_a_particle_has_the_same_noise_whatever_its_batch_and_another_for_another_seed():
    whole, alone, other = filled(1)[0], filled(1, [17])[0], filled(2, [17])[0]
    assert np.array_equal(whole[17], alone[0]) and not np.array_equal(alone, other)


def test_zeros_change_nothing():
    images = np.ones((2, BOX, BOX), np.float32)
    same, kept = surround.Zeros().filled(images, 0.3, np.arange(2), MODEL, half)
    assert same is images and kept == 0.3
