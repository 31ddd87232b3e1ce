"""Aberrations fitted to images of a known lens: found within their standard errors, and none where there are none."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.align import aberrations
from halfmap.align.aberrations import COMA, SPHERICAL, TETRAFOIL, TILT, TREFOIL, DistortionSums, PhaseSums
from halfmap.physics import aberrations as lens
from halfmap.types import Map
from tests import blobs
from tests.align import microscope
from tests.align.microscope import OPTICS, RADIUS

BAND = (9, RADIUS)  # 10.7 A to 3.4 A
ODD, EVEN = (TILT, TREFOIL), (SPHERICAL, TETRAFOIL)
CALM = 4.5  # standard errors: 30 parameters of these tests exceed it together once in 5,000 times


@pytest.fixture
def rng():
    return np.random.default_rng(21)


@pytest.fixture(scope="module")
def projector():
    return microscope.projector()


def phase_sums(projector, rng, n=80, power=300.0, **lenses) -> PhaseSums:
    views, _ = microscope.views(projector, n, power, rng, **lenses)
    return PhaseSums.of(projector, views, RADIUS)


def assert_found(fit, truth: dict[str, float]):
    """Every parameter within CALM standard errors of its true change, which is 0 where none is given."""
    for name, value in fit.values.items():
        assert abs(value - truth.get(name, 0.0)) < CALM * fit.errors[name], name


def test_beam_tilt_is_found_and_no_trefoil_with_it(projector, rng):
    fit = aberrations.fit_odd(phase_sums(projector, rng, true=replace(OPTICS, beam_tilt_rad=(1.5e-3, -0.7e-3))),
                              OPTICS, ODD, BAND)  # fmt: skip
    assert_found(fit, {"tilt_x_rad": 1.5e-3, "tilt_y_rad": -0.7e-3})
    assert fit.errors["tilt_x_rad"] < 5e-5  # the bar of the program, 10 %, is three errors away
    assert fit.optics.beam_tilt_rad == pytest.approx((fit.values["tilt_x_rad"], fit.values["tilt_y_rad"]))
    assert fit.slope == pytest.approx(1, abs=0.05)  # 24,000 of power: noise of the slope 0.5 %


def test_a_tilt_that_turns_phases_more_than_once_is_found(projector, rng):
    true = replace(OPTICS, beam_tilt_rad=(4e-3, 3e-3))  # 8 rad at the edge
    fit = aberrations.fit_odd(phase_sums(projector, rng, true=true), OPTICS, ODD, BAND)
    assert_found(fit, {"tilt_x_rad": 4e-3, "tilt_y_rad": 3e-3})


def test_trefoil_is_found(projector, rng):
    true = replace(OPTICS, odd_zernike=(0, 0, -9.0, 0, 0, 25.0))
    fit = aberrations.fit_odd(phase_sums(projector, rng, true=true), OPTICS, ODD, BAND)
    assert_found(fit, {"trefoil_x_rad_A3": 25.0, "trefoil_y_rad_A3": -9.0})
    np.testing.assert_allclose(fit.optics.odd_zernike[5], fit.values["trefoil_x_rad_A3"])


def test_what_is_left_beside_a_known_tilt_is_found(projector, rng):
    known = replace(OPTICS, beam_tilt_rad=(1e-3, 0.0))
    sums = phase_sums(projector, rng, optics=known, true=replace(known, beam_tilt_rad=(1.2e-3, 0.3e-3)))
    fit = aberrations.fit_odd(sums, known, (TILT,), BAND)
    assert_found(fit, {"tilt_x_rad": 0.2e-3, "tilt_y_rad": 0.3e-3})
    assert fit.optics.beam_tilt_rad[0] == pytest.approx(1e-3 + fit.values["tilt_x_rad"])


def test_coma_without_spherical_aberration_becomes_zernike_coefficients(projector, rng):
    corrected = replace(OPTICS, spherical_aberration_A=0.0)
    true = replace(corrected, odd_zernike=(0, 40.0, 0, 0, 20.0))  # 60 k^3 cos t: no shift
    assert aberrations.coma_of(corrected) is COMA and aberrations.coma_of(OPTICS) is TILT
    fit = aberrations.fit_odd(phase_sums(projector, rng, true=true, optics=corrected), corrected, (COMA,), BAND)
    assert_found(fit, {"coma_x_rad_A3": 60.0})
    # the new coefficients are a pure k^3 cos: nothing is left at low frequency
    qx, qy = np.array([0.2]), np.array([0.1])
    pure = fit.values["coma_x_rad_A3"] * 0.05 * 0.2 + fit.values["coma_y_rad_A3"] * 0.05 * 0.1
    made = sum(c * lens.zernike(*lens.odd_degree(i), qx, qy) for i, c in enumerate(fit.optics.odd_zernike))
    assert made[0] == pytest.approx(pure)


def test_spherical_aberration_is_found_and_no_tetrafoil_with_it(projector, rng):
    true = replace(OPTICS, spherical_aberration_A=3.2e7)
    fit = aberrations.fit_even(phase_sums(projector, rng, true=true), OPTICS, EVEN, BAND)
    assert_found(fit, {"spherical_aberration_A": 0.5e7})
    assert fit.optics.spherical_aberration_A == pytest.approx(2.7e7 + fit.values["spherical_aberration_A"])
    assert fit.significant


def test_tetrafoil_is_found(projector, rng):
    # 30 k^4 cos 2t, written as 7.5 Z_4^2 + 22.5 Z_2^2, beside four-fold terms
    true = replace(OPTICS, even_zernike=(0, 0, 0, 22.5, 60.0, 0, 0, 7.5, 40.0))
    fit = aberrations.fit_even(phase_sums(projector, rng, true=true), OPTICS, EVEN, BAND)
    assert_found(fit, {"tetrafoil_2x_rad_A4": 30.0, "tetrafoil_4x_rad_A4": 40.0, "tetrafoil_4y_rad_A4": 60.0})


def test_a_common_error_of_defocus_is_no_spherical_aberration(projector, rng):
    fit = aberrations.fit_even(phase_sums(projector, rng, error_A=np.full(80, 60.0)), OPTICS, EVEN, BAND)
    assert_found(fit, {})


def test_new_optics_describe_the_images_at_the_second_look(projector):
    true = replace(OPTICS, beam_tilt_rad=(1.5e-3, 0), even_zernike=(0, 0, 0, 0, 60.0), spherical_aberration_A=2.2e7)
    known = OPTICS
    for _ in range(2):
        sums = phase_sums(projector, np.random.default_rng(5), true=true, optics=known)
        odd = aberrations.fit_odd(sums, known, ODD, BAND)
        even = aberrations.fit_even(sums.without(odd.whole), odd.optics, EVEN, BAND)
        known = even.optics
    assert known.spherical_aberration_A == pytest.approx(2.2e7, abs=CALM * even.errors["spherical_aberration_A"])
    # the coma was right at the first look and the tilt has followed Cs; of the same noise, nothing is left to ask for
    assert max(abs(v) / f.errors[k] for f in (odd, even) for k, v in f.values.items()) < 2.5


@pytest.mark.parametrize("fit, terms", [(aberrations.fit_odd, ODD), (aberrations.fit_even, EVEN)])
def test_a_perfect_lens_stays_perfect_and_errors_are_what_they_say(fit, terms, projector, rng):
    found = [fit(phase_sums(projector, rng, n=30), OPTICS, terms, BAND) for _ in range(40)]
    z = np.array([[f.values[name] / f.errors[name] for name in f.values] for f in found])
    # mean of 40 values 0 +- 0.16, standard deviation 1 +- 0.11; 4 of these
    assert abs(z.mean(0)).max() < 0.65
    assert abs(z.std(0) - 1).max() < 0.45
    # by chance a gain above twice the number of terms: chi^2 above 16 for 4, above 20 for 5, once in 300 or more
    assert np.mean([f.significant for f in found]) <= 0.05
    assert all(f.optics == OPTICS for f in found if not f.significant)


def test_images_of_noise_change_nothing(projector, rng):
    views, _ = microscope.views(projector, 60, 200.0, rng)
    noise = blobs.white_noise(views.images.unmasked.shape, rng).astype(np.complex64)
    views = replace(views, images=replace(views.images, unmasked=noise))
    sums = PhaseSums.of(projector, views, RADIUS)
    for fit in (aberrations.fit_odd(sums, OPTICS, ODD, BAND), aberrations.fit_even(sums, OPTICS, EVEN, BAND),
                aberrations.fit_distortion(DistortionSums.of(projector, views, RADIUS), OPTICS, BAND)):  # fmt: skip
        assert not fit.significant and fit.optics == OPTICS
        assert fit.slope < 0.1


def test_pictures_show_the_fit_inside_the_band_alone(projector, rng):
    true = replace(OPTICS, beam_tilt_rad=(1.5e-3, 0.0))
    fit = aberrations.fit_odd(phase_sums(projector, rng, true=true, power=1e5), OPTICS, (TILT,), BAND)
    ky, kx = np.mgrid[-RADIUS : RADIUS + 1, 0 : RADIUS + 1]
    shell = np.rint(np.hypot(kx, ky))
    assert np.isnan(fit.fitted[(shell < BAND[0]) | (shell > BAND[1])]).all()
    inside = np.isfinite(fit.fitted)
    assert inside.sum() > 0.9 * ((shell >= BAND[0]) & (shell <= BAND[1])).sum()
    # so little noise (1e5 x 80 / 1200 pixels): the phases themselves are those of the tilt, turn for turn
    apart = np.angle(np.exp(1j * (fit.measured - fit.fitted)[inside]))
    assert np.sqrt((apart**2).mean()) < 0.05


@pytest.mark.parametrize("known", [((1.0, 0.0), (0.0, 1.0)), ((1.0, 0.004), (0.004, 0.99))])
def test_anisotropic_magnification_is_found(known, projector, rng):
    true = ((1.015, 0.006), (0.004, 0.985))
    optics = replace(OPTICS, magnification=known)
    views, _ = microscope.views(projector, 150, 300.0, rng, optics=optics, true=replace(OPTICS, magnification=true))
    fit = aberrations.fit_distortion(DistortionSums.of(projector, views, RADIUS), optics, (9, RADIUS - 1))
    expected = np.linalg.inv(known) @ true - np.eye(2)
    error = np.sqrt(np.diag(fit.covariance)).reshape(2, 2)
    assert (abs(fit.change - expected) < CALM * error).all()
    assert error.max() < 0.0015  # 10 % of the distortion
    np.testing.assert_allclose(fit.optics.magnification, np.array(known) @ (np.eye(2) + fit.change))


def test_no_distortion_is_found_where_there_is_none(projector, rng):
    z = []
    for _ in range(40):
        views, _ = microscope.views(projector, 30, 300.0, rng)
        fit = aberrations.fit_distortion(DistortionSums.of(projector, views, RADIUS), OPTICS, BAND)
        z.append(fit.change.ravel() / np.sqrt(np.diag(fit.covariance)))
    z = np.array(z)
    assert abs(z.mean(0)).max() < 0.65  # as above
    assert abs(z.std(0) - 1).max() < 0.45


def test_a_wrong_ctf_does_not_pass_for_a_distortion(projector, rng):
    views, _ = microscope.views(projector, 150, 300.0, rng, error_A=rng.normal(0, 250, 150))
    fit = aberrations.fit_distortion(DistortionSums.of(projector, views, RADIUS), OPTICS, BAND)
    assert fit.slope < 0.9  # the CTFs are wrong by a radian at the edge
    assert (abs(fit.change.ravel()) < CALM * np.sqrt(np.diag(fit.covariance))).all()


def test_sums_of_batches_are_those_of_the_whole(projector, rng):
    views, _ = microscope.views(projector, 20, 300.0, rng)
    rows = [slice(0, 7), slice(7, 20)]
    parts = [replace(views, images=replace(views.images, unmasked=views.images.unmasked[r], ctf=views.images.ctf[r]),
                     rotations=views.rotations[r], shifts_A=views.shifts_A[r], quadrature=views.quadrature[r])
             for r in rows]  # fmt: skip
    for kind in (PhaseSums, DistortionSums):
        whole, (one, other) = kind.of(projector, views, RADIUS), [kind.of(projector, p, RADIUS) for p in parts]
        both = one + other
        for name in set(kind.__dataclass_fields__) - {"length_A", "images"}:
            np.testing.assert_allclose(getattr(both, name), getattr(whole, name), rtol=1e-9, atol=1e-7)


def noisy_halves(width_of_noise: float, rng) -> tuple[Map, Map]:
    """Two maps of one ball of density with noise of their own inside a Gaussian of so many times its width."""
    axis = np.arange(32) - 16
    square = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
    signal = rng.standard_normal(square.shape) * np.exp(-square / (2 * 4.0**2))
    around = np.exp(-square / (2 * (4.0 * width_of_noise) ** 2))
    return tuple(Map((signal + 0.4 * rng.standard_normal(square.shape) * around).astype(np.float32), 2.0)
                 for _ in range(2))  # fmt: skip


def test_noise_as_far_out_as_the_signal_leaves_gradients_as_trusty_as_values(rng):
    assert aberrations.gradient_of(*noisy_halves(1.0, rng))[3:16].mean() == pytest.approx(1, abs=0.05)


def test_noise_beyond_the_molecule_spoils_gradients_more_than_values(rng):
    # noise to signal 0.16 x 2^3 of the values (its volume), 2^2 times that of the gradients: 1 / 6.1 against 1 / 2.3
    assert aberrations.gradient_of(*noisy_halves(2.0, rng))[3:16].mean() == pytest.approx(2.28 / 6.12, abs=0.06)


def test_without_the_echo_sums_are_those_of_a_foreign_reference(projector, rng):
    true = replace(OPTICS, beam_tilt_rad=(1e-3, 0.0))
    views, _ = microscope.views(projector, 80, 300.0, rng, true=true)
    echo = np.linspace(0, 2, RADIUS + 1)
    plain = PhaseSums.of(projector, views, RADIUS)
    ky, kx = np.mgrid[-RADIUS : RADIUS + 1, 0 : RADIUS + 1]
    own = echo[np.minimum(np.rint(np.hypot(kx, ky)).astype(int), RADIUS)]
    model = projector.slices(views.rotations, RADIUS) * views.images.ctf
    turns = (kx * views.shifts_A[:, 0, None, None] + ky * views.shifts_A[:, 1, None, None]) / microscope.LENGTH_A
    echoing = (views.images.unmasked + own * model * np.exp(2j * np.pi * turns)).astype(np.complex64)
    loud = replace(views, images=replace(views.images, unmasked=echoing))
    clear = PhaseSums.of(projector, loud, RADIUS).without_echo(echo)
    np.testing.assert_allclose(clear.cross, plain.cross, atol=1e-4 * abs(plain.cross).max())  # float32 planes
    shells = DistortionSums.of(projector, loud, RADIUS).without_echo(echo).shells
    np.testing.assert_allclose(shells, DistortionSums.of(projector, views, RADIUS).shells, rtol=1e-3, atol=0.5)


def test_the_echo_of_a_shell_without_noise_is_nothing_and_as_loud_as_the_signal_at_a_half():
    np.testing.assert_allclose(aberrations.echo_of(np.array([1.0, 0.5, 0.2])), [0, 1, 4])
    assert np.isfinite(aberrations.echo_of(np.array([0.0, -0.1]))).all()
