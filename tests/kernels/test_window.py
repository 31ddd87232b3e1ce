"""The soft circle."""

import numpy as np
import pytest

from halfmap.kernels.window import reference, window


@pytest.fixture
def rng():
    return np.random.default_rng(6)


def test_nothing_changes_inside_and_nothing_is_left_outside(rng):
    images = rng.standard_normal((1, 24, 24)).astype(np.float32)
    found = window(images, np.array([[12.0, 12.0]]), 6, 3)[0]
    y, x = np.mgrid[:24, :24] - 12
    distance = np.hypot(x, y)
    np.testing.assert_array_equal(found[distance <= 6], images[0][distance <= 6])
    assert not found[distance >= 9].any()


def test_the_edge_falls_by_half_in_its_middle():
    found = window(np.ones((1, 16, 16), np.float32), np.array([[8.0, 8.0]]), 3, 2)[0]
    assert found[8, 12] == pytest.approx(0.5, abs=1e-6)
    assert found[12, 8] == pytest.approx(0.5, abs=1e-6)


def test_every_image_has_its_own_centre_x_first():
    found = window(np.ones((2, 16, 16), np.float32), np.array([[8.0, 8.0], [11.0, 6.0]]), 3, 2)
    np.testing.assert_allclose(found[1], np.roll(found[0], (-2, 3), axis=(0, 1)), atol=1e-6)


@pytest.mark.parametrize("box", [16, 17])
@pytest.mark.parametrize("radius, edge", [(0.0, 4.0), (5.5, 3.0), (7.0, 0.5), (40.0, 5.0)])
def test_body_agrees_with_the_definition(box, radius, edge, rng):
    images = rng.standard_normal((4, box, box)).astype(np.float32)
    centres = rng.uniform(2, box - 2, (4, 2))
    found = window(images, centres, radius, edge)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference.window(images, centres, radius, edge), atol=2e-6)  # float32 cosine


def test_arguments_stay_as_they_are(rng):
    images = rng.standard_normal((1, 16, 16)).astype(np.float32)
    before = images.copy()
    window(images, np.array([[8.0, 8.0]]), 3, 2)
    np.testing.assert_array_equal(images, before)
