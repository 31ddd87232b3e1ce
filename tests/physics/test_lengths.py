"""Aberrations as lengths and back."""

import numpy as np
import pytest

from halfmap.physics import aberrations, lengths
from halfmap.physics.electrons import wavelength_A
from halfmap.types import Optics

CS_A, VOLTAGE_KV, LENGTH_A, RADIUS = 2.7e7, 300.0, 100.0, 40
WAVELENGTH_A = wavelength_A(VOLTAGE_KV)
NONE = (0.0, 0.0), (0.0, 0.0), (0.0,) * 4


def group(phases: lengths.Phases, cs_A=CS_A) -> Optics:
    return Optics("a", VOLTAGE_KV, cs_A, 0.1, 1.0, 100, False, phases.beam_tilt_rad, phases.odd_zernike,
                  phases.even_zernike)  # fmt: skip


def to_phases(tilt=NONE[0], trefoil=NONE[1], tetra=NONE[2], cs_A=CS_A):
    return lengths.to_phases(tilt, trefoil, tetra, VOLTAGE_KV, cs_A)


def polar():
    ky, kx = np.mgrid[-RADIUS : RADIUS + 1, 0 : RADIUS + 1] / LENGTH_A
    return np.hypot(kx, ky), np.arctan2(ky, kx)


def test_beam_tilt_in_mrad_is_the_arc_sine_of_the_length_over_cs():
    tilt_A = (40500.0, -8100.0)
    found = 1e3 * np.array(to_phases(tilt=tilt_A).beam_tilt_rad)
    np.testing.assert_allclose(found, 1e3 * np.arcsin(np.array(tilt_A) / (2.7 * 1e7)), rtol=1e-12)
    assert to_phases(tilt=tilt_A).odd_zernike == ()


@pytest.mark.parametrize("place", [0, 1])
def test_trefoil_is_a_third_of_the_wave_aberration(place):
    trefoil_A = [0.0, 0.0]
    trefoil_A[place] = 900.0
    k, theta = polar()
    wave = (np.cos, np.sin)[place](3 * theta)
    found = aberrations.odd_phase(group(to_phases(trefoil=trefoil_A)), RADIUS, LENGTH_A)
    np.testing.assert_allclose(found, -2 * np.pi / 3 * 900 * WAVELENGTH_A**2 * k**3 * wave, atol=1e-12)


@pytest.mark.parametrize("place", range(4))
def test_tetra_holds_two_fold_and_four_fold_waves_of_k_to_the_fourth(place):
    tetra_A = [0.0] * 4
    tetra_A[place] = 3e5
    k, theta = polar()
    wave = (np.cos(2 * theta), np.sin(2 * theta), np.cos(4 * theta) / 4, np.sin(4 * theta) / 4)[place]
    found = aberrations.even_phase(group(to_phases(tetra=tetra_A)), RADIUS, LENGTH_A)
    np.testing.assert_allclose(found, 2 * np.pi * WAVELENGTH_A**3 * 3e5 * k**4 * wave, atol=1e-10)


def test_without_a_cs_coma_is_given_by_zernike_terms():
    tilt_A = (700.0, -300.0)
    by_terms = to_phases(tilt=tilt_A, cs_A=0.0)
    assert by_terms.beam_tilt_rad == (0.0, 0.0)
    by_tilt = to_phases(tilt=tilt_A)
    found = aberrations.odd_phase(group(by_terms, 0.0), RADIUS, LENGTH_A)
    # asin x = x + x^3 / 6: 1e-10 of the phase, which is below 1 rad, for tilts of 26 urad
    np.testing.assert_allclose(found, aberrations.odd_phase(group(by_tilt), RADIUS, LENGTH_A), atol=1e-9)


@pytest.mark.parametrize("cs_A", [CS_A, 1.4e7, 0.0])
def test_lengths_come_back(cs_A):
    rng = np.random.default_rng(4)
    given = rng.normal(0, 2e3, 2), rng.normal(0, 900, 2), rng.normal(0, 1e5, 4)
    found = lengths.to_lengths(lengths.to_phases(*given, VOLTAGE_KV, cs_A), VOLTAGE_KV, cs_A)
    for name, values in zip(("tilt_A", "trefoil_A", "tetra_A"), given, strict=True):
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-9)
    assert found.complete


def test_no_lengths_are_no_phases():
    assert to_phases() == lengths.Phases((0.0, 0.0), (), ())
    assert lengths.to_lengths(to_phases(), VOLTAGE_KV, CS_A) == lengths.Lengths(*NONE, True)


@pytest.mark.parametrize(
    "phases",
    [
        lengths.Phases((0.0, 0.0), (0.0, 1.0), ()),  # an image shift
        lengths.Phases((0.0, 0.0), (0.0,) * 7 + (1.0,), ()),  # fifth degree
        lengths.Phases((0.0, 0.0), (), (0.0,) * 6 + (1.0,)),  # round
        lengths.Phases((0.0, 0.0), (), (0.0, 1.0)),  # astigmatism
    ],
)
def test_phases_that_lengths_cannot_tell_are_reported(phases):
    assert not lengths.to_lengths(phases, VOLTAGE_KV, CS_A).complete
