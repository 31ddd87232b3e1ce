"""Simulated particles: statistics of what is drawn, and what the images are made of."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap import device
from halfmap.errors import UsageError
from halfmap.geometry import rotations
from halfmap.physics import ctf
from halfmap.simulate import Hinge, Settings, noise, simulation
from halfmap.simulate.images import _background
from halfmap.types import Map

BOX, VOXEL_A = 32, 3.0
PLAIN = Settings(bfactor_A2=0.0, scale_sd=0.0, astigmatism_A=0.0)


def gaussian(x=0.0, y=0.0, z=0.0, sigma=2.0, box=BOX) -> Map:
    """A round blob at x, y, z voxels from the centre."""
    offset = np.arange(box) - box // 2
    profile = [np.exp(-((offset - place) ** 2) / (2 * sigma**2)) for place in (z, y, x)]
    return Map(np.einsum("z,y,x->zyx", *profile).astype(np.float32), VOXEL_A)


def drawn(n=200, seed=1, map=None, **changes):
    map = gaussian(x=5, y=-2, z=3) if map is None else map
    return simulation(map, n, np.random.default_rng(seed), replace(PLAIN, **changes))


def stacked(batches):
    return np.concatenate(list(batches))


def centroid(image):
    offset = np.arange(BOX) - BOX // 2
    return np.array([image.sum(axis=0) @ offset, image.sum(axis=1) @ offset]) / image.sum()


def test_same_generator_same_images():
    np.testing.assert_array_equal(stacked(drawn(70).images()), stacked(drawn(70).images()))


def test_number_of_threads_changes_nothing():
    before = device.threads()
    one, two = [], []
    try:
        for images, threads in ((one, 1), (two, 2)):
            device.set_threads(threads)
            images.append(stacked(drawn(20).images()))
    finally:
        device.set_threads(before)
    np.testing.assert_array_equal(one[0], two[0])


def test_batches_hold_all_images_in_order():
    sizes = [len(batch) for batch in drawn(130).images()]
    assert sum(sizes) == 130
    whole = drawn(130)
    rows = np.array([100])
    alone = replace(
        whole,
        particles=whole.particles[rows],
        junk=whole.junk[rows],
        scale=whole.scale[rows],
        seeds=whole.seeds[rows],
    )
    np.testing.assert_array_equal(stacked(alone.clean())[0], stacked(whole.clean())[100])


def test_the_blob_appears_where_pose_and_shift_say():
    # Q = 1 without defocus and Cs: a CTF of 1 everywhere, so the image is the projection
    made = drawn(
        40, amplitude_contrast=1.0, spherical_aberration_A=0.0, defocus_A=(0.0, 0.0), shift_sd_A=6.0
    )
    poses = made.particles.poses
    seen = (poses.rotations @ np.array([5.0, -2.0, 3.0]))[:, :2] - poses.shifts_A / VOXEL_A
    found = np.array([centroid(image) for image in stacked(made.clean())])
    inside = np.abs(seen).max(axis=1) < 8  # the blob must not wrap around the box
    assert inside.sum() > 20
    # spline aliasing, 1e-3 of the blob at up to half a box from it
    np.testing.assert_allclose(found[inside], seen[inside], atol=0.03)


def test_the_sum_of_an_image_is_the_sum_of_the_map_times_contrast():
    made = drawn(8, amplitude_contrast=0.2, scale_sd=0.1, shift_sd_A=0.0)
    sums = stacked(made.clean()).sum(axis=(1, 2))
    np.testing.assert_allclose(sums, 0.2 * made.scale * made.map.data.sum(), rtol=2e-3)  # aliasing, see above


def test_images_carry_their_ctf():
    made = drawn(5, bfactor_A2=100.0, astigmatism_A=800.0, scale_sd=0.1, shift_sd_A=0.0)
    flat = drawn(5, amplitude_contrast=1.0, spherical_aberration_A=0.0, defocus_A=(0.0, 0.0), shift_sd_A=0.0)
    flat = replace(flat, particles=replace(flat.particles, poses=made.particles.poses))
    defocus = replace(made.particles.defocus, bfactor_A2=np.full(5, 100.0), scale=made.scale)
    transfer = np.fft.ifftshift(ctf.half_plane(made.particles.optics[0], defocus, BOX // 2)[:, :-1], axes=1)
    expected = np.fft.irfft2(np.fft.rfft2(stacked(flat.clean())) * transfer, s=(BOX, BOX))
    np.testing.assert_allclose(stacked(made.clean()), expected, atol=2e-5)  # float32, pixels up to 10


def test_signal_to_noise_is_what_was_asked():
    made = drawn(300, snr=0.2, noise_rise=3.0, defocus_A=(8000.0, 8000.0))
    clean = stacked(made.clean())
    noisy = stacked(made.images())
    # normalised images are (clean + noise) / s; regress on the clean image to find s, then compare variances
    background = _background(BOX)
    factor = (clean * noisy).sum() / (clean**2).sum()
    rest = noisy - factor * clean
    signal = (factor**2) * np.mean([image.var() for image in clean])
    ratio = signal / np.mean([image.var() for image in rest])
    # 64 images define the signal: their variance differs by 5 % from the mean of all; the regression adds as much
    assert ratio == pytest.approx(0.2, rel=0.2)
    assert abs(noisy[:, background].mean()) < 1e-4


def test_background_has_mean_zero_and_deviation_one():
    outside = stacked(drawn(20).images())[:, _background(BOX)]
    np.testing.assert_allclose(outside.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(outside.std(axis=1), 1, atol=1e-5)


def test_coloured_noise_rises_towards_low_frequency_and_white_noise_does_not():
    for rise in (0.0, 3.0):
        images = stacked(noise(200, 64, np.random.default_rng(2), rise))
        power = np.mean(np.abs(np.fft.rfft2(images)) ** 2, axis=0)
        ratio = power[1:3, 1:3].mean() / power[20:30, 20:30].mean()
        # frequency 1.5 sqrt 2 / 64 = 0.033: 1 + 3 exp(-0.55); 800 coefficients give 4 %, normalisation 2 %
        assert ratio == pytest.approx(1 + rise * np.exp(-0.033 / 0.06), rel=0.15)


def test_noise_holds_as_many_images_as_asked():
    assert stacked(noise(130, 16, np.random.default_rng(0))).shape == (130, 16, 16)


def test_junk_images_hold_no_particle():
    made = drawn(200, junk=0.3)
    clean = stacked(made.clean())
    np.testing.assert_array_equal((clean == 0).all(axis=(1, 2)), made.junk)
    assert 0.2 < made.junk.mean() < 0.4  # binomial: 0.3 +- 0.032


def test_drawn_values_follow_the_settings():
    made = drawn(4000, shift_sd_A=5.0, defocus_A=(9000.0, 20000.0), astigmatism_A=600.0, scale_sd=0.1, groups=3)
    table = made.particles
    assert table.poses.shifts_A.std() == pytest.approx(5.0, rel=0.05)
    mean = (table.defocus.u_A + table.defocus.v_A) / 2
    assert 9000 <= mean.min() and mean.max() <= 20000
    difference = table.defocus.u_A - table.defocus.v_A
    assert 0 <= difference.min() and difference.max() <= 600
    assert made.scale.std() == pytest.approx(0.1, rel=0.1)
    assert len(table.optics) == 3 and set(table.group) == {0, 1, 2}
    assert (table.half == 1).sum() == (table.half == 2).sum() == 2000


def test_viewing_directions_cover_the_sphere_evenly():
    directions = drawn(4000).particles.poses.rotations[:, 2]
    assert np.abs(directions.mean(axis=0)).max() < 0.04  # 4 standard errors of sqrt(1/3 / 4000)


def test_a_hinged_domain_moves_as_its_own_poses_say():
    domain = gaussian(x=6, y=2)
    hinge = Hinge(domain, pivot_A=(3.0, 3.0, -6.0), sigma_rad=0.3)
    nothing = Map(np.zeros_like(domain.data) + np.float32(1e-12), VOXEL_A)
    optics = dict(amplitude_contrast=1.0, spherical_aberration_A=0.0, defocus_A=(0.0, 0.0))
    made = drawn(10, map=nothing, hinge=hinge, **optics)
    found = np.array([centroid(image) for image in stacked(made.clean())])
    seen = (made.moving.rotations @ np.array([6.0, 2.0, 0.0]))[:, :2] - made.moving.shifts_A / VOXEL_A
    inside = np.abs(seen).max(axis=1) < 8
    np.testing.assert_allclose(found[inside], seen[inside], atol=0.03)


def test_the_pivot_stays_where_it_is():
    hinge = Hinge(gaussian(), pivot_A=(3.0, 4.0, -6.0), sigma_rad=0.5)
    made = drawn(20, hinge=hinge)
    pivot = np.array(hinge.pivot_A)
    fixed = (made.particles.poses.rotations @ pivot)[:, :2] - made.particles.poses.shifts_A
    moving = (made.moving.rotations @ pivot)[:, :2] - made.moving.shifts_A
    np.testing.assert_allclose(moving, fixed, atol=1e-9)
    angles = rotations.angle_between(made.moving.rotations, made.particles.poses.rotations)
    assert angles.min() > 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(snr=0.0), "snr"),
        (dict(junk=1.5), "junk"),
        (dict(groups=0), "optics groups"),
        (dict(hinge=Hinge(gaussian(box=16), (0.0, 0.0, 0.0), 0.1)), "moving map"),
        (dict(map=Map(np.zeros((15, 15, 15), np.float32), 1.0)), "even"),
        (dict(n=1), "at least 2"),
    ],
)
def test_impossible_settings_are_refused(changes, words):
    with pytest.raises(UsageError, match=words):
        drawn(**changes)


# ---- aberrations: the whole image against a sum over voxels that uses nothing of the program

LENS = {
    "beam_tilt_rad": (9e-3, -4e-3),
    "odd_zernike": (0.0, 0.0, 250.0, 0.0, 0.0, -150.0),
    "even_zernike": (0.0, 0.0, 0.0, 0.0, 9000.0, 0.0, 0.0, 0.0, 15000.0),
    "magnification": ((1.03, 0.012), (-0.007, 0.98)),
}


def directly(made, row):
    """Image of ``row``: sum over voxels of the map, frequency by frequency, in float64."""
    table, box = made.particles, made.map.box
    optics, d = table.optics[0], table.defocus
    ky, kx = np.meshgrid(np.arange(-box // 2, box // 2), np.arange(-box // 2, box // 2), indexing="ij")
    length = box * VOXEL_A
    (mxx, mxy), (myx, myy) = optics.magnification
    qx, qy = (mxx * kx + mxy * ky) / length, (myx * kx + myy * ky) / length
    q, t = np.hypot(qx, qy), np.arctan2(qy, qx)
    z, y, x = np.nonzero(made.map.data > 1e-7)
    places = (np.stack([x, y, z], axis=1) - box // 2) * VOXEL_A @ table.poses.rotations[row].T
    phase = np.einsum("v,vyx->vyx", places[:, 0], np.broadcast_to(qx, (len(places), box, box)))
    phase = phase + places[:, 1, None, None] * qy
    seen = np.einsum("v,vyx->yx", made.map.data[z, y, x].astype(float), np.exp(-2j * np.pi * phase))
    volts = 1e3 * optics.voltage_kV
    wavelength = 12.2643247 / np.sqrt(volts * (1 + 0.978466e-6 * volts))
    u, v, angle = d.u_A[row], d.v_A[row], d.angle_rad[row]
    along = (u + v) / 2 + (u - v) / 2 * np.cos(2 * (t - angle))
    chi = np.pi * wavelength * along * q**2 - np.pi / 2 * optics.spherical_aberration_A * wavelength**3 * q**4
    chi += np.arcsin(optics.amplitude_contrast)
    chi -= q**4 * (9000 * np.sin(4 * t) + 15000 * np.cos(4 * t))
    tilt = optics.beam_tilt_rad[0] * np.cos(t) + optics.beam_tilt_rad[1] * np.sin(t)
    odd = -2 * np.pi * optics.spherical_aberration_A * wavelength**2 * q**3 * tilt
    odd += q**3 * (250 * np.sin(3 * t) - 150 * np.cos(3 * t))
    sx, sy = table.poses.shifts_A[row]
    moved = np.exp(2j * np.pi * (kx * sx + ky * sy) / length)
    inside = (np.hypot(kx, ky) < box // 2) & (q * length < box // 2)
    spectrum = seen * np.sin(chi) * np.exp(1j * odd) * moved * inside
    offset = np.arange(box) - box // 2
    waves = np.exp(2j * np.pi / box * np.outer(offset, offset))
    image = waves @ spectrum @ waves.T / box**2
    assert abs(image.imag).max() < 1e-9 * abs(image.real).max()
    return image.real


def test_images_are_those_of_a_direct_sum_with_every_aberration():
    lumps = [gaussian(5, -2, 3, 1.5), gaussian(-4, 5, 0, 1.5), gaussian(0, 3, -6, 1.5)]
    lumpy = Map(sum(f * lump.data for f, lump in zip((1, 0.7, 1.3), lumps, strict=True)), VOXEL_A)
    lumpy = Map(np.where(lumpy.data > 1e-3, lumpy.data, 0).astype(np.float32), VOXEL_A)
    given = {"shift_sd_A": 3.0, "defocus_A": (6000.0, 9000.0), "astigmatism_A": 900.0}
    images = {name: drawn(2, map=lumpy, **given, **lens) for name, lens in (("all", LENS), ("none", {}))}
    clean = {name: stacked(made.clean()) for name, made in images.items()}
    for row in range(2):
        expected = directly(images["all"], row)
        scale = np.linalg.norm(expected)
        # the splines' aliasing at a third of the box, 1e-3
        assert np.linalg.norm(clean["all"][row] - expected) < 3e-3 * scale
        assert np.linalg.norm(clean["none"][row] - expected) > 0.1 * scale  # the aberrations are seen


@pytest.mark.parametrize("term", LENS)
def test_each_aberration_is_told_in_the_table_and_changes_the_images(term):
    plain, made = drawn(2), drawn(2, **{term: LENS[term]})
    assert getattr(made.particles.optics[0], term) == LENS[term]
    assert made.particles.optics[0] == replace(plain.particles.optics[0], **{term: LENS[term]})
    np.testing.assert_array_equal(made.particles.poses.rotations, plain.particles.poses.rotations)
    one, other = stacked(plain.clean()), stacked(made.clean())
    assert np.linalg.norm(one - other) > 0.01 * np.linalg.norm(one)
