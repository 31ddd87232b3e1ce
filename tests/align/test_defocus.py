"""Defocus of single particles: found at its own standard error, and left alone where nothing asks for a change."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.align import defocus
from halfmap.align.defocus import Search
from halfmap.align.views import Views
from halfmap.physics import ctf
from tests import blobs
from tests.align import microscope
from tests.align.microscope import LENGTH_A, OPTICS, RADIUS

BAND = (5, RADIUS)  # 19 A to 3.4 A
N = 400


@pytest.fixture
def rng():
    return np.random.default_rng(31)


@pytest.fixture(scope="module")
def projector():
    return microscope.projector()


def refined(projector, views, search=Search(), optics=OPTICS):  # noqa: B008 - frozen
    return defocus.refine(search, projector, views, optics, BAND)


def test_errors_of_500_A_are_corrected_to_their_own_standard_error_without_bias(projector, rng):
    wrong = rng.normal(0, 500, N)
    views, _ = microscope.views(projector, N, 100.0, rng, error_A=wrong)
    found = refined(projector, views)
    left = found.change_A - wrong
    assert np.median(found.error_A) < 40
    z = left / found.error_A
    assert (abs(z) < 8).all()  # nobody at a wrong maximum: the next is 200 A away
    # 1 +- 0.035 by sampling; some more from those that stay, up to two errors off
    assert z.std() == pytest.approx(1.05, abs=0.2)
    assert abs(left.mean()) < 4 * left.std() / np.sqrt(N)


def test_true_values_mostly_stay(projector, rng):
    views, _ = microscope.views(projector, N, 100.0, rng)
    found = refined(projector, views)
    assert (found.change_A == 0).mean() > 0.9  # two standard errors: 95 %
    assert np.sqrt((found.change_A**2).mean()) < np.median(found.error_A)
    assert (found.gain[found.change_A == 0] == 0).all()


def test_images_of_noise_change_nothing(projector, rng):
    views, _ = microscope.views(projector, N, 100.0, rng)
    noise = blobs.white_noise(views.images.unmasked.shape, rng).astype(np.complex64)
    found = refined(projector, replace(views, images=replace(views.images, unmasked=noise)))
    # with a particle they are less likely by 100, and the best of 50 tries has some 3 x sqrt(200) = 42 more
    assert (found.change_A == 0).mean() > 0.98


def test_the_curve_is_the_log_likelihood_of_every_defocus_tried(projector, rng):
    views, told = microscope.views(projector, 3, 100.0, rng, error_A=np.array([300.0, -200.0, 0.0]))
    found = refined(projector, views)
    expected = [log_likelihood(projector, views, told, change) for change in found.tried_A[::9]]
    curves = found.curves[:, ::9]
    relative = np.array(expected).T - log_likelihood(projector, views, told, 0.0)[:, None]
    # pixels lie up to 0.05 rad from the phase of their ring at the end of the range: 0.03^2 / 2 of the power 100
    np.testing.assert_allclose(curves, relative, atol=1.0)
    assert abs(found.curves[:, len(found.tried_A) // 2]).max() == 0


def log_likelihood(projector, views: Views, told, change_A: float) -> np.ndarray:
    """Of whole images, the CTF computed anew."""
    ky, kx = np.mgrid[-RADIUS : RADIUS + 1, 0 : RADIUS + 1]
    shell = np.rint(np.hypot(kx, ky))
    inside = (shell >= BAND[0]) & (shell <= BAND[1]) & ((kx > 0) | (ky > 0))
    amplitude = np.sqrt(views.images.ctf**2 + views.quadrature**2)  # no B-factor: the same everywhere
    moved = replace(told, u_A=told.u_A + change_A, v_A=told.v_A + change_A)
    turns = (kx * views.shifts_A[:, 0, None, None] + ky * views.shifts_A[:, 1, None, None]) / LENGTH_A
    model = projector.slices(views.rotations, RADIUS) * np.exp(2j * np.pi * turns)
    model = model * amplitude * ctf.half_plane(OPTICS, moved, RADIUS)
    x = views.images.unmasked
    return ((abs(x) ** 2 - abs(x - model) ** 2) * inside).sum((1, 2))


def test_the_information_is_the_curvature_of_the_log_likelihood(projector, rng):
    views, _ = microscope.views(projector, 50, 1e5, rng, noise=0.0)
    found = refined(projector, views)
    step = found.tried_A[1] - found.tried_A[0]
    middle = len(found.tried_A) // 2
    bend = -(found.curves[:, middle + 1] + found.curves[:, middle - 1]) / step**2
    # a step turns the edge by half a radian at most: the parabola's next term is (0.5 x 2)^2 / 12 of it, mostly less
    np.testing.assert_allclose(bend, found.error_A**-2.0, rtol=0.1)


def test_no_change_leaves_the_range(projector, rng):
    views, _ = microscope.views(projector, 60, 300.0, rng, error_A=np.full(60, 600.0))
    found = refined(projector, views, Search(range_A=300.0))
    assert abs(found.change_A).max() <= 300
    assert abs(found.tried_A).max() == 300


def test_a_prior_draws_uncertain_changes_towards_zero(projector, rng):
    wrong = rng.normal(0, 100, N)
    views, _ = microscope.views(projector, N, 8.0, rng, error_A=wrong)
    flat, drawn = refined(projector, views), refined(projector, views, Search(prior_sd_A=100.0))
    assert np.sqrt(((drawn.change_A - wrong) ** 2).mean()) < np.sqrt(((flat.change_A - wrong) ** 2).mean())
    assert (drawn.error_A <= 100).all()


def test_rings_are_those_of_the_true_frequency():
    bent = replace(OPTICS, magnification=((1.05, 0.0), (0.0, 0.95)))
    ring, turn = defocus.rings(bent, RADIUS, BAND[0], LENGTH_A, 2000.0)
    assert len(turn) == ring.max() + 1
    ky, kx = np.mgrid[-RADIUS : RADIUS + 1, 0 : RADIUS + 1] / LENGTH_A
    exact = np.pi * 0.0196875 * ((1.05 * kx) ** 2 + (0.95 * ky) ** 2)
    used = ring >= 0
    assert abs(2000 * (turn[ring] - exact)[used]).max() < 0.1  # rad at the end of the range; wavelength to 1e-5


def test_a_batch_does_not_depend_on_its_company(projector, rng):
    views, _ = microscope.views(projector, 12, 100.0, rng, error_A=rng.normal(0, 300, 12))
    rows = slice(4, 9)
    some = replace(views, images=replace(views.images, unmasked=views.images.unmasked[rows],
                                         ctf=views.images.ctf[rows]),
                   rotations=views.rotations[rows], shifts_A=views.shifts_A[rows], quadrature=views.quadrature[rows])
    np.testing.assert_array_equal(refined(projector, some).change_A, refined(projector, views).change_A[rows])
