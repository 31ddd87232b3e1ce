"""Boxes: the centre stays the centre, grey values stay, what is beyond an image is its mean."""

import numpy as np
import pytest

from halfmap.extract import boxes

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(5, 1, (3, 24, 24)).astype(np.float32)


def wave(box, kx, ky):
    """A wave of kx, ky periods in the box about pixel box // 2."""
    at = (np.arange(box) - box // 2) / box
    return np.cos(2 * np.pi * (ky * at[:, None] + kx * at)).astype(np.float32)


@pytest.mark.parametrize("kx, ky", [(0, 0), (3, 0), (0, -5), (2, 7), (-4, 4)])
def test_a_wave_below_the_new_nyquist_frequency_is_the_same_wave_on_fewer_pixels(kx, ky):
    small = boxes.fourier_cropped(wave(36, kx, ky)[None], 24)[0]
    np.testing.assert_allclose(small, wave(24, kx, ky), atol=2e-6)  # float32 transforms


@pytest.mark.parametrize("kx, ky", [(12, 0), (0, 15), (13, 2)])
def test_a_wave_at_or_beyond_it_is_left_out(kx, ky):
    assert abs(boxes.fourier_cropped(wave(36, kx, ky)[None], 24)).max() < 2e-6


def test_cropping_to_the_same_box_changes_nothing():
    np.testing.assert_array_equal(boxes.fourier_cropped(IMAGES, 24), IMAGES)


def test_the_mean_is_kept():
    np.testing.assert_allclose(boxes.fourier_cropped(IMAGES, 12).mean((1, 2)), IMAGES.mean((1, 2)), rtol=1e-6)


def test_content_moves_by_whole_pixels_and_the_rest_is_the_mean():
    moved = boxes.moved(IMAGES, np.array([[0, 0], [2, -1], [40, 0]]), 24)
    np.testing.assert_array_equal(moved[0], IMAGES[0])
    np.testing.assert_array_equal(moved[1][:-1, 2:], IMAGES[1][1:, :-2])
    np.testing.assert_allclose(moved[1][-1], IMAGES[1].mean(), rtol=1e-6)
    np.testing.assert_allclose(moved[2], IMAGES[2].mean(), rtol=1e-6)


@pytest.mark.parametrize("box", [16, 30])
def test_cropping_and_padding_keep_the_centre(box):
    moved = boxes.moved(IMAGES, np.zeros((3, 2), int), box)
    assert moved.shape == (3, box, box)
    np.testing.assert_array_equal(moved[:, box // 2, box // 2], IMAGES[:, 12, 12])


def test_padding_back_and_cropping_is_the_identity():
    there = boxes.moved(IMAGES, np.zeros((3, 2), int), 40)
    np.testing.assert_array_equal(boxes.moved(there, np.zeros((3, 2), int), 24), IMAGES)


def test_a_box_is_centred_on_the_whole_part_of_its_coordinate():
    field = np.arange(50 * 60, dtype=np.float32).reshape(50, 60)
    centres = boxes.place(np.array([[20.9, 30.1], [10.0, 8.0]]))
    assert centres.tolist() == [[20, 30], [10, 8]]
    cut = boxes.cut(field, centres, 16)
    assert cut[0, 8, 8] == field[30, 20] and cut[1, 0, 0] == field[0, 2]


def test_boxes_that_touch_the_edge_are_inside_and_those_a_pixel_beyond_are_not():
    centres = np.array([[8, 8], [7, 8], [52, 42], [53, 42], [52, 43]])
    sizes = np.array([[60, 50]] * 5)
    assert boxes.inside(centres, 16, sizes).tolist() == [True, False, True, False, False]
