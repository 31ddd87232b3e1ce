"""The CTF: known values, limits, symmetries, agreement of the kernel with its definition."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.kernels import ctf as kernel
from halfmap.kernels.ctf import reference
from halfmap.physics import ctf
from halfmap.types import Defocus, Optics

# float32 result of magnitude <= 1 (2^-24), sine polynomial 3.4e-9, three float32 roundings on the way
FLOAT32_STEPS = 4e-7


def optics(**changes) -> Optics:
    values = dict(name="a", voltage_kV=300.0, spherical_aberration_A=2.7e7, amplitude_contrast=0.1)
    return Optics(**(values | dict(pixel_size_A=1.2, box=128) | changes))


def defocus(n=1, u=15000.0, v=15000.0, angle=0.0, phase=0.0, bfactor=0.0, scale=1.0) -> Defocus:
    return Defocus(*(np.broadcast_to(np.asarray(x, float), n).copy() for x in (u, v, angle, phase, bfactor, scale)))


def random_defocus(n, rng) -> Defocus:
    u = rng.uniform(3000, 40000, n)
    v = u - rng.uniform(0, 3000, n)
    angle, phase = rng.uniform(0, np.pi, (2, n))
    return Defocus(u, v, angle, phase, rng.uniform(0, 150, n), rng.uniform(0.5, 1.5, n))


def frequencies_per_A(radius, box, pixel_size_A):
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1] / (box * pixel_size_A)
    return kx, ky


def textbook(optics, defocus, radius, box, pixel_size_A):
    """The formula as printed, with the angle of every frequency; float64."""
    kx, ky = frequencies_per_A(radius, box, pixel_size_A)
    k, theta = np.hypot(kx, ky), np.arctan2(ky, kx)
    volts = optics.voltage_kV * 1e3
    wavelength = 12.2643247 / np.sqrt(volts * (1 + 0.978466e-6 * volts))
    q = optics.amplitude_contrast
    images = []
    for u, v, angle, phase, bfactor, scale in zip(
        *(getattr(defocus, name) for name in defocus.__dataclass_fields__), strict=True
    ):
        along = 0.5 * (u + v) + 0.5 * (u - v) * np.cos(2 * (theta - angle))
        chi = np.pi * wavelength * along * k**2 - 0.5 * np.pi * optics.spherical_aberration_A * wavelength**3 * k**4
        chi = chi + phase + np.arctan(q / np.sqrt(1 - q**2))
        images.append(scale * np.exp(-bfactor * k**2 / 4) * np.sin(chi))
    return np.array(images)


@pytest.mark.parametrize(("voltage_kV", "picometres"), [(100, 3.7014), (200, 2.5079), (300, 1.9687)])
def test_wavelength_is_that_of_the_electron_tables(voltage_kV, picometres):
    # tables (Reimer & Kohl, Transmission Electron Microscopy, table 2.2) print five digits
    assert ctf.wavelength_A(voltage_kV) * 100 == pytest.approx(picometres, abs=1e-4)


@pytest.mark.parametrize("box", [64, 128, 400])
def test_values_are_those_of_the_textbook_formula(box):
    rng = np.random.default_rng(1)
    parameters = random_defocus(12, rng)
    scope = optics(box=box, pixel_size_A=0.6)
    found = ctf.half_plane(scope, parameters, box // 2)
    expected = textbook(scope, parameters, box // 2, box, 0.6)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1.5 * FLOAT32_STEPS)  # scale up to 1.5


def test_phase_of_hundreds_of_radians_keeps_a_ten_thousandth_of_a_radian():
    # 4 um underfocus at 1 A: chi = 250 rad; the CTF and its quadrature give the phase without its envelope
    parameters = defocus(u=40000.0, v=40000.0)
    quadrature = defocus(u=40000.0, v=40000.0, phase=np.pi / 2)
    scope = optics(pixel_size_A=0.5, box=256)
    kx, ky = frequencies_per_A(128, 256, 0.5)
    sine, cosine = (ctf.half_plane(scope, d, 128)[0].astype(float) for d in (parameters, quadrature))
    wanted = [textbook(scope, d, 128, 256, 0.5)[0] for d in (parameters, quadrature)]
    error = np.angle((cosine + 1j * sine) / (wanted[1] + 1j * wanted[0]))
    assert np.abs(error).max() < 1e-5  # ten times better than asked


def test_at_zero_frequency_it_is_the_amplitude_contrast():
    values = ctf.half_plane(optics(amplitude_contrast=0.07), defocus(), 20)
    assert values[0, 20, 0] == pytest.approx(0.07, abs=FLOAT32_STEPS)


def test_pure_amplitude_contrast_is_a_cosine():
    values = ctf.half_plane(optics(amplitude_contrast=1.0), defocus(u=0.0, v=0.0), 4)
    assert values[0, 4, 0] == pytest.approx(1.0, abs=FLOAT32_STEPS)


def test_underfocus_makes_protein_white_at_low_resolution():
    values = ctf.half_plane(optics(), defocus(), 64)
    # 1.5 um at 300 kV crosses zero at 1 / 17 A, shell 9.0 of a box of 154 A
    assert (values[0, 64, :9] > 0).all()
    assert values[0, 64, 9] < 0


def test_without_astigmatism_it_depends_on_the_distance_from_the_origin_only():
    values = ctf.half_plane(optics(), defocus(), 30)[0]
    assert values[30 + 24, 7] == values[30 - 24, 7]
    assert values[30 + 24, 7] == pytest.approx(values[30, 25], abs=FLOAT32_STEPS)


def test_along_the_astigmatism_angle_the_defocus_is_u_and_across_it_v():
    astigmatic = ctf.half_plane(optics(), defocus(u=20000.0, v=14000.0, angle=np.pi / 2), 60)[0]
    u_only = ctf.half_plane(optics(), defocus(u=20000.0, v=20000.0), 60)[0]
    v_only = ctf.half_plane(optics(), defocus(u=14000.0, v=14000.0), 60)[0]
    np.testing.assert_allclose(astigmatic[60:, 0], u_only[60:, 0], atol=FLOAT32_STEPS)
    np.testing.assert_allclose(astigmatic[60, :], v_only[60, :], atol=FLOAT32_STEPS)


def test_astigmatism_angle_turns_from_x_towards_y():
    values = ctf.half_plane(optics(), defocus(u=20000.0, v=14000.0, angle=np.pi / 4), 60)[0]
    u_only = ctf.half_plane(optics(), defocus(u=20000.0, v=20000.0), 60)[0]
    diagonal = np.arange(42)
    np.testing.assert_allclose(values[60 + diagonal, diagonal], u_only[60 + diagonal, diagonal], atol=FLOAT32_STEPS)


def test_exchanging_u_and_v_is_a_quarter_turn_of_the_angle():
    one = ctf.half_plane(optics(), defocus(u=20000.0, v=14000.0, angle=0.3), 40)
    other = ctf.half_plane(optics(), defocus(u=14000.0, v=20000.0, angle=0.3 + np.pi / 2), 40)
    np.testing.assert_allclose(one, other, atol=FLOAT32_STEPS)


def test_a_phase_plate_of_half_a_turn_inverts_the_contrast():
    plain = ctf.half_plane(optics(), defocus(), 40)
    turned = ctf.half_plane(optics(), defocus(phase=np.pi), 40)
    np.testing.assert_allclose(turned, -plain, atol=FLOAT32_STEPS)


def test_bfactor_and_scale_multiply():
    plain = ctf.half_plane(optics(), defocus(), 50)[0]
    damped = ctf.half_plane(optics(), defocus(bfactor=80.0, scale=1.3), 50)[0]
    kx, ky = frequencies_per_A(50, 128, 1.2)
    envelope = 1.3 * np.exp(-80.0 / 4 * (kx**2 + ky**2))
    np.testing.assert_allclose(damped, envelope * plain, atol=1.5 * FLOAT32_STEPS)


def test_same_physical_frequency_has_the_same_value_on_every_grid():
    coarse = ctf.half_plane(optics(), defocus(v=14000.0, angle=0.4), 30)[0]
    padded = ctf.half_plane(optics(), defocus(v=14000.0, angle=0.4), 60, box=256)[0]
    resampled = ctf.half_plane(optics(), defocus(v=14000.0, angle=0.4), 30, box=64, pixel_size_A=2.4)[0]
    np.testing.assert_allclose(padded[::2, ::2], coarse, atol=FLOAT32_STEPS)
    np.testing.assert_allclose(resampled, coarse, atol=FLOAT32_STEPS)


def test_no_particles_give_no_values():
    assert ctf.half_plane(optics(), defocus(n=0), 8).shape == (0, 17, 9)


@pytest.mark.parametrize("radius", [0, 1, 5, 32, 33])
def test_kernel_agrees_with_its_definition(radius):
    rng = np.random.default_rng(radius)
    phase = rng.normal(0, [0.2, 0.2, 0.1, 1e-4, 1.0], (5, 5))
    damping, scale = rng.uniform(0, 1e-3, 5), rng.uniform(-2, 2, 5)
    expected = reference.evaluate(phase, damping, scale, radius)
    np.testing.assert_allclose(kernel.evaluate(phase, damping, scale, radius), expected, atol=2 * FLOAT32_STEPS)


def test_arguments_are_left_as_they_were():
    parameters = random_defocus(3, np.random.default_rng(2))
    before = [getattr(parameters, name).copy() for name in parameters.__dataclass_fields__]
    ctf.half_plane(optics(), parameters, 16)
    for name, old in zip(parameters.__dataclass_fields__, before, strict=True):
        np.testing.assert_array_equal(getattr(parameters, name), old)


# ---- even aberrations and distortion

SKEWED = ((1.02, 0.013), (-0.004, 0.985))


def at_true_frequencies(scope, parameters, radius, even=0.0):
    """The textbook formula at q = M k, less an even phase, written out pixel by pixel; float64."""
    kx, ky = frequencies_per_A(radius, scope.box, scope.pixel_size_A)
    m = np.array(scope.magnification)
    qx, qy = m[0, 0] * kx + m[0, 1] * ky, m[1, 0] * kx + m[1, 1] * ky
    q, theta = np.hypot(qx, qy), np.arctan2(qy, qx)
    wavelength = ctf.wavelength_A(scope.voltage_kV)
    out = []
    for i in range(len(parameters)):
        u, v = parameters.u_A[i], parameters.v_A[i]
        along = 0.5 * (u + v) + 0.5 * (u - v) * np.cos(2 * (theta - parameters.angle_rad[i]))
        chi = np.pi * wavelength * along * q**2 - 0.5 * np.pi * scope.spherical_aberration_A * wavelength**3 * q**4
        chi += parameters.phase_shift_rad[i] + np.arcsin(scope.amplitude_contrast) - even
        out.append(parameters.scale[i] * np.exp(-parameters.bfactor_A2[i] * q**2 / 4) * np.sin(chi))
    return np.array(out)


@pytest.mark.parametrize("damped", [False, True])
def test_a_distorted_group_has_the_ctf_of_the_true_frequencies(damped):
    parameters = random_defocus(6, np.random.default_rng(3))
    if not damped:
        parameters = replace(parameters, bfactor_A2=np.zeros(6))
    scope = optics(magnification=SKEWED)
    expected = at_true_frequencies(scope, parameters, 60)
    np.testing.assert_allclose(ctf.half_plane(scope, parameters, 60), expected, atol=1.5 * FLOAT32_STEPS)
    plain = at_true_frequencies(optics(), parameters, 60)
    assert abs(expected - plain).max() > 0.5  # the distortion matters


def test_even_terms_are_subtracted_from_the_phase():
    parameters = random_defocus(3, np.random.default_rng(4))
    kx, ky = frequencies_per_A(60, 128, 1.2)
    k, theta = np.hypot(kx, ky), np.arctan2(ky, kx)
    found = ctf.half_plane(optics(even_zernike=(0.3,) + (0.0,) * 7 + (40.0,)), parameters, 60)
    expected = at_true_frequencies(optics(), parameters, 60, 0.3 + 40 * k**4 * np.cos(4 * theta))
    np.testing.assert_allclose(found, expected, atol=1.5 * FLOAT32_STEPS)


def test_z40_with_its_lower_terms_is_a_change_of_the_spherical_aberration():
    # pi/2 dCs lambda^3 k^4 = e (Z40 + 3 Z20 + 2 Z00) with e = pi/12 dCs lambda^3: 6k^4 - 6k^2 + 1 + 6k^2 - 3 + 2 = 6k^4
    change_A = 3e6
    e = np.pi / 12 * change_A * ctf.wavelength_A(300) ** 3
    parameters = random_defocus(3, np.random.default_rng(5))
    by_terms = ctf.half_plane(optics(even_zernike=(2 * e, 0, 3 * e, 0, 0, 0, e)), parameters, 60)
    by_cs = ctf.half_plane(optics(spherical_aberration_A=2.7e7 + change_A), parameters, 60)
    np.testing.assert_allclose(by_terms, by_cs, atol=3 * FLOAT32_STEPS)  # two such results, scale up to 1.5


def test_z20_with_its_lower_term_is_a_change_of_defocus():
    # gamma = e (2 k^2 - 1) + e lowers the phase by 2 e k^2 = pi lambda d k^2
    e = 0.5 * np.pi * ctf.wavelength_A(300) * 700.0
    by_terms = ctf.half_plane(optics(even_zernike=(e, 0, e)), defocus(u=15000.0, v=15000.0), 60)
    by_defocus = ctf.half_plane(optics(), defocus(u=14300.0, v=14300.0), 60)
    np.testing.assert_allclose(by_terms, by_defocus, atol=2 * FLOAT32_STEPS)


def test_magnification_alike_in_all_directions_is_another_pixel_size():
    parameters = random_defocus(3, np.random.default_rng(6))
    larger = ctf.half_plane(optics(magnification=((1.03, 0.0), (0.0, 1.03))), parameters, 60)
    finer = ctf.half_plane(optics(pixel_size_A=1.2 / 1.03), parameters, 60)
    np.testing.assert_allclose(larger, finer, atol=3 * FLOAT32_STEPS)


@pytest.mark.parametrize("radius", [0, 1, 5, 33])
def test_aberrated_kernel_agrees_with_its_definition(radius):
    rng = np.random.default_rng(radius)
    phase = rng.normal(0, [0.2, 0.2, 0.1, 1e-4, 1.0], (5, 5))
    damping, scale = rng.uniform(0, 1e-3, 5), rng.uniform(-2, 2, 5)
    damping[2] = 0
    metric, lead = np.array([1.03, 0.96, 0.02]), rng.normal(0, 2, (2 * radius + 1, radius + 1))
    expected = reference.evaluate_aberrated(phase, damping, scale, metric, lead, radius)
    found = kernel.evaluate_aberrated(phase, damping, scale, metric, lead, radius)
    np.testing.assert_allclose(found, expected, atol=2 * FLOAT32_STEPS)


def test_plain_groups_run_the_plain_kernel(monkeypatch):
    monkeypatch.setattr(kernel, "evaluate_aberrated", None)
    odd_only = optics(beam_tilt_rad=(1e-3, 0.0), odd_zernike=(0.0, 3.0), even_zernike=(0.0, 0.0))
    plain = ctf.half_plane(optics(), defocus(), 20)
    np.testing.assert_array_equal(ctf.half_plane(odd_only, defocus(), 20), plain)


def test_quadrature_and_ctf_make_the_envelope():
    parameters, lens = random_defocus(4, np.random.default_rng(7)), optics(even_zernike=(0, 3.0, 0, 0, 60.0))
    both = ctf.half_plane(lens, parameters, 40) ** 2 + ctf.quadrature(lens, parameters, 40) ** 2
    kx, ky = frequencies_per_A(40, 128, 1.2)
    envelope = np.exp(-np.multiply.outer(parameters.bfactor_A2, kx**2 + ky**2) / 2)
    np.testing.assert_allclose(both, parameters.scale[:, None, None] ** 2 * envelope, atol=4 * 1.5**2 * FLOAT32_STEPS)


def test_quadrature_is_the_derivative_by_the_phase():
    step = 1e-3
    ahead, behind = (ctf.half_plane(optics(), defocus(phase=sign * step), 40) for sign in (1, -1))
    # rounding of float32 values over twice the step; third derivative step^2 / 6
    np.testing.assert_allclose((ahead - behind) / (2 * step), ctf.quadrature(optics(), defocus(), 40), atol=1e-3)


def test_a_new_magnification_leaves_the_ctf_where_defocus_is_carried_over():
    old, new = np.array([[1.01, 0.004], [-0.002, 0.98]]), np.array([[0.985, 0.01], [0.007, 1.02]])
    parameters = random_defocus(5, np.random.default_rng(9))
    lens = [optics(spherical_aberration_A=0.0, magnification=tuple(map(tuple, m))) for m in (old, new)]
    plain = replace(parameters, bfactor_A2=np.zeros(5))  # the envelope does move with the frequency
    moved = ctf.carried_over(plain, old, new)
    assert (moved.u_A >= moved.v_A).all()
    one, other = ctf.half_plane(lens[0], plain, 50), ctf.half_plane(lens[1], moved, 50)
    np.testing.assert_allclose(one, other, atol=FLOAT32_STEPS)
