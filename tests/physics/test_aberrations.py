"""Zernike polynomials, odd and even phases, and optics groups without one of their terms."""

import numpy as np
import pytest

from halfmap.physics import aberrations, ctf
from halfmap.types import Optics

BOX, PIXEL_A, RADIUS = 64, 1.2, 31
LENGTH_A = BOX * PIXEL_A
CS_A = 2.7e7
SKEWED = ((1.02, 0.013), (-0.004, 0.985))
# columns of Born & Wolf, Principles of Optics, table 9.1, as polynomials of x = q cos t and y = q sin t
KNOWN = {
    (1, 1): lambda x, y: x,
    (1, -1): lambda x, y: y,
    (2, 0): lambda x, y: 2 * (x * x + y * y) - 1,
    (2, 2): lambda x, y: x * x - y * y,
    (2, -2): lambda x, y: 2 * x * y,
    (3, 1): lambda x, y: (3 * (x * x + y * y) - 2) * x,
    (3, -1): lambda x, y: (3 * (x * x + y * y) - 2) * y,
    (3, 3): lambda x, y: x**3 - 3 * x * y * y,
    (3, -3): lambda x, y: 3 * x * x * y - y**3,
    (4, 0): lambda x, y: 6 * (x * x + y * y) ** 2 - 6 * (x * x + y * y) + 1,
    (4, 2): lambda x, y: (4 * (x * x + y * y) - 3) * (x * x - y * y),
    (4, 4): lambda x, y: x**4 - 6 * x * x * y * y + y**4,
    (4, -4): lambda x, y: 4 * x**3 * y - 4 * x * y**3,
}


def optics(**changes) -> Optics:
    values = dict(name="a", voltage_kV=300.0, spherical_aberration_A=CS_A, amplitude_contrast=0.1)
    return Optics(**(values | dict(pixel_size_A=PIXEL_A, box=BOX) | changes))


def polar(radius=RADIUS):
    """(k in 1/A, theta) on the half plane."""
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1] / LENGTH_A
    return np.hypot(kx, ky), np.arctan2(ky, kx)


def one(place: int, value: float = 1.0) -> tuple[float, ...]:
    return (0.0,) * place + (value,)


def test_odd_coefficients_come_in_relions_order():
    degrees = [aberrations.odd_degree(i) for i in range(12)]
    assert degrees[:6] == [(1, -1), (1, 1), (3, -3), (3, -1), (3, 1), (3, 3)]
    assert degrees[6:] == [(5, -5), (5, -3), (5, -1), (5, 1), (5, 3), (5, 5)]


def test_even_coefficients_come_in_relions_order():
    degrees = [aberrations.even_degree(i) for i in range(9)]
    assert degrees == [(0, 0), (2, -2), (2, 0), (2, 2), (4, -4), (4, -2), (4, 0), (4, 2), (4, 4)]


@pytest.mark.parametrize("degree", KNOWN, ids=str)
def test_a_polynomial_is_that_of_the_tables(degree):
    x, y = np.random.default_rng(1).uniform(-1.5, 1.5, (2, 50))  # also outside the unit disc
    np.testing.assert_allclose(aberrations.zernike(*degree, x, y), KNOWN[degree](x, y), atol=1e-12)


def test_beam_tilt_is_coma():
    tilt = (1.5e-3, -0.4e-3)
    k, theta = polar()
    along = tilt[0] * np.cos(theta) + tilt[1] * np.sin(theta)
    expected = -2 * np.pi * CS_A * ctf.wavelength_A(300) ** 2 * along * k**3
    found = aberrations.odd_phase(optics(beam_tilt_rad=tilt), RADIUS, LENGTH_A)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert abs(found).max() > 5  # 1.5 mrad is many radians at 2.5 A


def test_beam_tilt_is_a_third_of_z31_and_two_thirds_of_z11():
    tilt = optics(beam_tilt_rad=(1e-3, 0.0))
    strength = -2 * np.pi * CS_A * ctf.wavelength_A(300) ** 2 * 1e-3
    as_zernike = optics(odd_zernike=(0.0, strength * 2 / 3, 0.0, 0.0, strength / 3))
    found, expected = (aberrations.odd_phase(o, RADIUS, LENGTH_A) for o in (as_zernike, tilt))
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize(("place", "wave"), [(5, np.cos), (2, np.sin)])
def test_trefoil_is_k_cubed_times_a_wave_of_three_theta(place, wave):
    k, theta = polar()
    found = aberrations.odd_phase(optics(odd_zernike=one(place, 7.0)), RADIUS, LENGTH_A)
    np.testing.assert_allclose(found, 7 * k**3 * wave(3 * theta), atol=1e-12)


@pytest.mark.parametrize(("place", "wave"), [(8, np.cos), (4, np.sin)])
def test_tetrafoil_is_k_to_the_fourth_times_a_wave_of_four_theta(place, wave):
    k, theta = polar()
    found = aberrations.even_phase(optics(even_zernike=one(place, 7.0)), RADIUS, LENGTH_A)
    np.testing.assert_allclose(found, 7 * k**4 * wave(4 * theta), atol=1e-12)


@pytest.mark.parametrize("magnification", [aberrations.IDENTITY, SKEWED])
def test_odd_phases_change_sign_with_the_frequency_and_even_ones_do_not(magnification):
    rng = np.random.default_rng(2)
    group = optics(
        beam_tilt_rad=(1e-3, 2e-3),
        odd_zernike=tuple(rng.normal(0, 10, 12)),
        even_zernike=tuple(rng.normal(0, 10, 9)),
        magnification=magnification,
    )
    odd, even = (part(group, RADIUS, LENGTH_A)[:, 0] for part in (aberrations.odd_phase, aberrations.even_phase))
    np.testing.assert_allclose(odd[::-1], -odd, atol=1e-10)  # the column kx = 0 holds both mates
    np.testing.assert_allclose(even[::-1], even, atol=1e-10)


def test_phases_are_those_of_the_true_frequency():
    # doubled frequencies in a box of twice the length are the frequencies of the box
    double = ((2.0, 0.0), (0.0, 2.0))
    terms = dict(beam_tilt_rad=(1e-3, 2e-3), odd_zernike=one(2, 5.0), even_zernike=one(5, 5.0))
    for part in (aberrations.odd_phase, aberrations.even_phase):
        found = part(optics(**terms, magnification=double), RADIUS, 2 * LENGTH_A)
        np.testing.assert_allclose(found, part(optics(**terms), RADIUS, LENGTH_A), atol=1e-10)


def test_the_modulation_is_the_exponential_of_the_phase_and_cannot_be_changed():
    group = optics(beam_tilt_rad=(1e-3, 0.0))
    factor = aberrations.modulation(group, RADIUS, LENGTH_A)
    np.testing.assert_allclose(factor, np.exp(1j * aberrations.odd_phase(group, RADIUS, LENGTH_A)), atol=1e-12)
    with pytest.raises(ValueError):
        factor[0, 0] = 1


LOUD = optics(
    beam_tilt_rad=(1e-3, 2e-3),
    odd_zernike=tuple(range(1, 13)),
    even_zernike=tuple(range(1, 10)),
    magnification=SKEWED,
)


def changed_terms(before: Optics, after: Optics) -> set:
    fields = ("name", "beam_tilt_rad", "magnification")
    found = {name for name in fields if getattr(before, name) != getattr(after, name)}
    for name, degree in (("odd_zernike", aberrations.odd_degree), ("even_zernike", aberrations.even_degree)):
        pairs = zip(getattr(before, name), getattr(after, name), strict=True)
        found |= {degree(i) for i, (old, new) in enumerate(pairs) if new != old}
    return found


@pytest.mark.parametrize(
    ("without", "gone"),
    [
        (aberrations.without_tilt, {"beam_tilt_rad", *((n, m) for n in (1, 3, 5) for m in (-1, 1))}),
        (aberrations.without_trefoil, {(n, m) for n in (3, 5) for m in (-3, 3)}),
        (aberrations.without_tetrafoil, {(2, -2), (2, 2), (4, -4), (4, -2), (4, 2), (4, 4)}),
        (aberrations.without_distortion, {"magnification"}),
    ],
)
def test_leaving_out_a_term_leaves_out_that_term_only(without, gone):
    assert changed_terms(LOUD, without(LOUD)) == gone
    again = without(without(LOUD))
    assert again == without(LOUD)


def test_without_all_terms_a_group_is_plain_but_for_what_has_no_name():
    quiet = LOUD
    for without in (aberrations.without_tilt, aberrations.without_trefoil, aberrations.without_tetrafoil,
                    aberrations.without_distortion):  # fmt: skip
        quiet = without(quiet)
    assert quiet.beam_tilt_rad == (0, 0) and quiet.magnification == aberrations.IDENTITY
    assert [aberrations.odd_degree(i) for i, c in enumerate(quiet.odd_zernike) if c] == [(5, -5), (5, 5)]
    assert [aberrations.even_degree(i) for i, c in enumerate(quiet.even_zernike) if c] == [(0, 0), (2, 0), (4, 0)]


def test_what_counts_as_plain_and_odd():
    assert aberrations.is_plain(optics()) and not aberrations.is_odd(optics(odd_zernike=(0.0, 0.0)))
    assert not aberrations.is_plain(optics(even_zernike=(0.1,)))
    assert not aberrations.is_plain(optics(magnification=SKEWED))
    assert aberrations.is_odd(optics(beam_tilt_rad=(0.0, 1e-4))) and aberrations.is_odd(optics(odd_zernike=(0.1,)))
