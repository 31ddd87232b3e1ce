"""The Ewald sphere: where its sheets lie, and how alike an object is on both."""

import numpy as np
import pytest

from halfmap.physics import ctf, ewald
from halfmap.physics.electrons import wavelength_A
from halfmap.types import Defocus, Optics

BOX, PIXEL_A, RADIUS = 64, 1.1, 31
LENGTH_A = BOX * PIXEL_A


def optics(voltage_kV: float) -> Optics:
    return Optics("one", voltage_kV, 2.7e7, 0.1, PIXEL_A, BOX)


def defocus(u, v) -> Defocus:
    u, v = (np.atleast_1d(np.asarray(value, float)) for value in (u, v))
    zero = np.zeros(len(u))
    return Defocus(u, v, zero + 0.4, zero + 0.3, zero + 20, zero + 1)


@pytest.mark.parametrize("voltage_kV", [300.0, 80.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_atom_at_height_z_has_the_defocus_less_z(voltage_kV, sign):
    z, place = 35.0, np.array([4.0, -7.0])
    ky, kx = np.mgrid[-RADIUS : RADIUS + 1, 0 : RADIUS + 1]
    height = sign * ewald.curvature(voltage_kV, LENGTH_A) * (kx**2 + ky**2)  # shells
    along = np.exp(-2j * np.pi * (kx * place[0] + ky * place[1]) / LENGTH_A)
    sheets = [along * np.exp(-2j * np.pi * side * height * z / LENGTH_A) for side in (1, -1)]
    sine = ctf.half_plane(optics(voltage_kV), defocus(9000, 8000), RADIUS)[0].astype(float)
    ahead = Defocus(*(np.atleast_1d(x) for x in (9000.0, 8000.0, 0.4, 0.3 + np.pi / 2, 20.0, 1.0)))
    wave = ctf.half_plane(optics(voltage_kV), ahead, RADIUS)[0] + 1j * sine  # E e^{i chi}
    shown = (wave * sheets[0] - wave.conj() * sheets[1]) / 2j
    expected = along * ctf.half_plane(optics(voltage_kV), defocus(9000 - sign * z, 8000 - sign * z), RADIUS)[0]
    np.testing.assert_allclose(shown, expected, atol=1e-6)  # the CTF kernel's float32
    other = along * ctf.half_plane(optics(voltage_kV), defocus(9000 + sign * z, 8000 + sign * z), RADIUS)[0]
    assert abs(shown - other).max() > 0.1


def test_the_sheets_lie_half_a_wavelength_times_the_squared_frequency_off_the_plane():
    q = 1 / 2.0  # 1/A
    height = ewald.curvature(300.0, 100.0) * (q * 100) ** 2 / 100  # shells to 1/A
    assert height == pytest.approx(wavelength_A(300.0) * q**2 / 2)
    # a sphere of radius 1/lambda is 1/lambda - sqrt(1/lambda^2 - q^2) off its tangent; next term: (lambda q)^2 / 4
    sphere = 1 / wavelength_A(300.0) - np.sqrt(1 / wavelength_A(300.0) ** 2 - q**2)
    assert height == pytest.approx(sphere, rel=1e-4)


def test_coherence_is_the_transform_of_the_ball_between_the_sheets():
    diameter, q2 = 150.0, np.array([0.0, 1e-4, 0.01, 0.04, 0.1, 0.25])
    z = (np.arange(20000) + 0.5) / 20000 - 0.5  # of the diameter; a ball's cross section is 1/4 - z^2
    apart = wavelength_A(200.0) * q2 * diameter
    expected = (np.cos(2 * np.pi * np.multiply.outer(apart, z)) * (0.25 - z**2)).sum(1) / (0.25 - z**2).sum()
    np.testing.assert_allclose(ewald.coherence(q2, 200.0, diameter), expected, atol=1e-7)


def test_coherence_does_not_jump_where_the_series_takes_over():
    q2 = ewald.SMALL / (np.pi * 150.0 * wavelength_A(200.0))
    below, above = ewald.coherence(np.array([q2 * (1 - 1e-9), q2 * (1 + 1e-9)]), 200.0, 150.0)
    assert below == pytest.approx(above, abs=1e-9)
