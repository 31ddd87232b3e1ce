"""CTFs that are left out, wholly or before their first peak."""

import numpy as np
import pytest

from halfmap.physics import ctf
from halfmap.physics.electrons import wavelength_A
from halfmap.reconstruct import transfer
from halfmap.reconstruct.ewald import Flat
from halfmap.types import Defocus, Optics

OPTICS = Optics("a", 300.0, 2.7e7, 0.1, 2.0, 64)
RADIUS = 32


def defocus(scale=1.0, phase=0.0) -> Defocus:
    mean = np.array([9000.0, 18000.0, 30000.0])
    some = np.ones(3)
    return Defocus(mean + 150, mean - 150, 0.3 * some, phase * some, 20 * some, scale * some)


def planes(part, **values) -> np.ndarray:
    (found,) = part.transfers(OPTICS, defocus(**values), RADIUS, 64, 2.0)
    return found


def squared() -> np.ndarray:
    ky, kx = np.mgrid[-RADIUS : RADIUS + 1, 0 : RADIUS + 1] / 128.0
    return kx**2 + ky**2


def first_peaks() -> np.ndarray:
    """Squared frequency where the phase of the CTF is a quarter turn, without spherical aberration."""
    d = defocus()
    return (0.5 - np.arcsin(0.1) / np.pi) / (wavelength_A(300.0) * (d.u_A + d.v_A) / 2)


def test_without_correction_a_slice_is_multiplied_by_one():
    assert (planes(transfer.Uncorrected()) == 1).all() and planes(transfer.Uncorrected()).shape == (3, 65, 33)


@pytest.mark.parametrize("scale", [1.0, -0.7])
def test_before_the_first_peak_the_ctf_is_its_envelope_and_beyond_it_itself(scale):
    flat, whole = planes(transfer.FromFirstPeak(), scale=scale), planes(Flat(), scale=scale)
    envelope = scale * np.exp(-20 * squared() / 4)
    for i, peak in enumerate(first_peaks()):
        before, beyond = squared() < 0.95 * peak, squared() > 1.05 * peak
        np.testing.assert_allclose(flat[i][before], envelope[before], rtol=1e-5)
        assert np.array_equal(flat[i][beyond], whole[i][beyond])


def test_a_phase_plate_has_its_peak_at_the_origin_and_nothing_changes():
    flat, whole = (planes(part, phase=np.pi / 2) for part in (transfer.FromFirstPeak(), Flat()))
    assert np.array_equal(flat, whole)


def test_multiplied_images_have_the_square():
    optics = Optics("a", 300.0, 2.7e7, 0.1, 2.0, 64, premultiplied=True)
    (found,) = transfer.FromFirstPeak().transfers(optics, defocus(), RADIUS, 64, 2.0)
    np.testing.assert_allclose(found, planes(transfer.FromFirstPeak()) ** 2, rtol=1e-6)
    assert ctf.half_plane(OPTICS, defocus(), RADIUS).shape == found.shape
