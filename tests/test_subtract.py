"""The forward model as an image, against the simulator's own projector; the scale by regression, against noise."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap import simulate, subtract
from halfmap.data.particles import Particles
from halfmap.maps import resample
from halfmap.types import Map

BOX, N = 32, 12
LENS = {"beam_tilt_rad": (1e-3, -5e-4), "odd_zernike": (0.0, 0.0, 40.0), "even_zernike": (0.0, 3.0),
        "magnification": ((1.02, 0.0), (0.0, 0.99)), "phase_shift_rad": 0.5}  # fmt: skip


@pytest.fixture(scope="module")
def molecule():
    return simulate.protein_like(BOX, 5.0, np.eye(3)[None], np.random.default_rng(0))


def taken(molecule: Map, **settings) -> tuple[np.ndarray, Particles]:
    """Clean images and their truth, without the decay and contrast that no table tells."""
    how = simulate.Settings(bfactor_A2=0.0, scale_sd=0.0, **settings)
    drawn = simulate.simulation(molecule, N, np.random.default_rng(1), how)
    return np.concatenate(list(drawn.clean())), drawn.particles


def shown(particles: Particles, rows=slice(None), scale=1.0) -> subtract.Shown:
    table = particles[rows]
    return subtract.Shown(table.optics[0], table.defocus, table.poses, np.full(len(table), scale))


def off(images, wanted) -> float:
    """Power of the difference over that of what was wanted."""
    return float(np.square(images - wanted).sum() / np.square(wanted).sum())


@pytest.mark.parametrize("lens", [{}, LENS], ids=["plain", "every term of the lens"])
def test_the_model_is_what_the_microscope_shows(molecule, lens):
    images, truth = taken(molecule, **lens)
    model = subtract.images(subtract.projector(molecule), shown(truth))
    # trilinear against cubic interpolation: 2e-4 here; a wrong sign of one term leaves 1e-2 and more
    assert off(model, images) < 1e-3


def test_the_mean_of_an_image_is_that_of_the_model(molecule):
    images, truth = taken(molecule)
    model = subtract.images(subtract.projector(molecule), shown(truth))
    np.testing.assert_allclose(model.mean((1, 2)), images.mean((1, 2)), rtol=0.05)


def test_images_multiplied_by_their_ctf_show_its_square(molecule):
    _, truth = taken(molecule, shift_sd_A=0.0)
    projector = subtract.projector(molecule)
    once = subtract.half_planes(projector, shown(truth))
    squared = replace(truth, optics=(replace(truth.optics[0], premultiplied=True),))
    twice = subtract.half_planes(projector, shown(squared))
    plain = subtract.half_planes(projector, replace(shown(truth), defocus=flat(truth)))
    np.testing.assert_allclose(twice * plain, once**2, atol=1e-4 * abs(once**2).max())


def flat(truth: Particles):
    """In focus and with all waves of one phase: a CTF of 1 but for the little that Cs does to 10 A."""
    zero = np.zeros(len(truth))
    phase = np.full(len(truth), np.pi / 2 - np.arcsin(truth.optics[0].amplitude_contrast))
    return replace(truth.defocus, u_A=zero, v_A=zero, phase_shift_rad=phase)


def test_scales_multiply(molecule):
    _, truth = taken(molecule)
    projector = subtract.projector(molecule)
    np.testing.assert_allclose(subtract.images(projector, shown(truth, scale=0.3)),
                               0.3 * subtract.images(projector, shown(truth)), rtol=1e-5, atol=1e-7)  # fmt: skip


def test_parts_add_up_to_the_whole(molecule):
    _, truth = taken(molecule)
    left = Map(molecule.data * (np.arange(BOX) < BOX // 2), molecule.voxel_size_A)
    right = Map(molecule.data - left.data, molecule.voxel_size_A)
    parts = [subtract.images(subtract.projector(part), shown(truth)) for part in (left, right, molecule)]
    np.testing.assert_allclose(parts[0] + parts[1], parts[2], atol=1e-5 * abs(parts[2]).max())


def test_a_map_in_a_smaller_box_of_larger_voxels_gives_the_same_image(molecule):
    """As of a refinement with --box-size: densities keep the sums of the full-size box."""
    _, truth = taken(molecule)
    coarse = resample.fourier_crop(molecule, 24)
    grey = Map(coarse.data * np.float32(BOX / 24), coarse.voxel_size_A)  # as many voxels along the beam
    full, small = (inner(subtract.half_planes(subtract.projector(m), shown(truth)), 10) for m in (molecule, grey))
    assert np.square(abs(small - full)).sum() < 1e-3 * np.square(abs(full)).sum()


def inner(planes: np.ndarray, radius: int) -> np.ndarray:
    """The frequencies of half planes within ``radius``."""
    edge = planes.shape[-1] - 1 - radius
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    return planes[:, edge : edge + 2 * radius + 1, : radius + 1][:, np.hypot(kx, ky) < radius]


@pytest.mark.parametrize("slope", [0.4, 1.0, 3.0])
def test_the_slope_is_the_scale_of_the_images(molecule, slope):
    images, truth = taken(molecule)
    projector = subtract.projector(molecule)
    found = subtract.regression(slope * images + 7, shown(truth), projector, projector)  # a pedestal says nothing
    assert found.slope == pytest.approx(slope, rel=2e-3)


def test_noise_of_two_half_maps_does_not_bias_the_slope(molecule):
    images, truth = taken(molecule)
    rng = np.random.default_rng(5)
    noise = 0.5 * molecule.data.std()
    own, other = (subtract.projector(Map(molecule.data + rng.normal(0, noise, molecule.data.shape).astype(np.float32),
                                         molecule.voxel_size_A)) for _ in range(2))  # fmt: skip
    alone = subtract.regression(images, shown(truth), own, own).slope
    together = subtract.regression(images, shown(truth), own, other).slope
    assert abs(together - 1) < 0.03 < 1 - alone


def test_regressions_add_up_over_batches(molecule):
    images, truth = taken(molecule)
    projector = subtract.projector(molecule)
    whole = subtract.regression(images, shown(truth), projector, projector)
    parts = [subtract.regression(images[rows], shown(truth, rows), projector, projector)
             for rows in (slice(0, 5), slice(5, N))]  # fmt: skip
    assert (parts[0] + parts[1]).slope == pytest.approx(whole.slope, rel=1e-6)


def test_images_that_do_not_show_the_map_have_no_slope(molecule):
    images, truth = taken(molecule)
    projector = subtract.projector(molecule)
    assert subtract.regression(-images, shown(truth), projector, projector).slope is None
