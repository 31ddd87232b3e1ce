"""<Ax, y> = <x, A'y>: the projector and the back-projection are one operator and its adjoint.

Images and maps are real, so a half plane stands for the whole plane and a half space for the whole space. In the whole
plane every pixel of a slice (0 < |k| <= K, of kx = 0 only ky > 0) has one mate, its conjugate:

    <a, b> = 2 Re sum conj(a) b                                       over the pixels of the half plane
    <u, v> = Re sum_{x = 0} conj(u) v + 2 Re sum_{x > 0} conj(u) v     the plane x = 0 holds its own mates
"""

import numpy as np
import pytest

from halfmap.fourier.shells import friedel_weights
from halfmap.geometry import rotations
from halfmap.kernels.project.reference import in_band
from halfmap.physics.projection import Projector
from halfmap.types import Map


@pytest.fixture
def rng():
    return np.random.default_rng(9)


def planes_product(a, b) -> float:
    return 2 * np.vdot(a.astype(complex), b.astype(complex)).real


def spaces_product(u, v) -> float:
    weights = friedel_weights(2 * (u.shape[-1] - 1) + 1)
    return float((weights * (u.conj().astype(complex) * v).real).sum())


def white_map(box, rng) -> Map:
    return Map(rng.standard_normal((box,) * 3).astype(np.float32), 2.0)


def poses(rng):
    special = rotations.euler_to_matrix([0, 90, 0, 0, 45], [0, 0, 90, 180, 90], [0, 0, 0, 0, 90])
    return np.concatenate([rotations.random(5, rng), special])


@pytest.mark.parametrize("box", [16, 18])
@pytest.mark.parametrize("padding", [1, 2])
@pytest.mark.parametrize("shells_less", [0, 1, 5])  # images of all shells, of one less, of a few
@pytest.mark.parametrize("smaller", [0, 1, 2])  # slices of a smaller radius than the projector was made for
def test_back_projection_is_the_adjoint_of_projection(box, padding, shells_less, smaller, rng):
    projector = Projector.of(white_map(box, rng), box // 2 - shells_less, box, padding)
    matrices, radius = poses(rng), box // 2 - shells_less - smaller
    slices = projector.slices(matrices, radius)
    images = (rng.standard_normal(slices.shape) + 1j * rng.standard_normal(slices.shape)).astype(np.complex64)
    left = planes_product(slices, images * in_band(radius, radius))
    right = spaces_product(projector.half, projector.adjoint(images, matrices))
    size = np.linalg.norm(slices) * np.linalg.norm(images)
    assert size > 0
    # rounding: thousands of float32 products of either sign, 6e-8 each
    assert abs(left - right) < 1e-6 * size


def test_what_lies_outside_the_slice_does_not_come_back(rng):
    projector = Projector.of(white_map(16, rng), 8, 16)
    matrices = poses(rng)
    images = rng.standard_normal((len(matrices), 17, 9)).astype(np.complex64)
    inside = (images * in_band(8, 8)).astype(np.complex64)
    np.testing.assert_array_equal(projector.adjoint(images, matrices), projector.adjoint(inside, matrices))


def test_the_adjoint_of_real_images_is_that_of_a_real_map(rng):
    projector = Projector.of(white_map(16, rng), 8, 16)
    matrices = poses(rng)
    images = (rng.standard_normal((len(matrices), 17, 9)) + 1j).astype(np.complex64)
    plane = projector.adjoint(images, matrices)[..., 0]
    np.testing.assert_array_equal(plane, plane[::-1, ::-1].conj())
