"""CTF refinement of a running refinement: images on disk, references made from them, each half against its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from halfmap import simulate
from halfmap.align import aberrations
from halfmap.errors import InputError
from halfmap.geometry import symmetry
from halfmap.params.homogeneous import Homogeneous
from halfmap.physics import ctf
from halfmap.refine import loop
from halfmap.refine.optics import CtfRefinement, refined
from tests.refine import made

BOX, VOXEL_A, N = 48, 1.6, 480
TILT = (2e-3, -1e-3)
BENT = ((1.02, 0.01), (0.01, 0.98))


def params(**changes) -> Homogeneous:
    return Homogeneous(out=Path("o"), particles=Path("p"), volume=Path("v"), **changes)


@pytest.fixture(scope="module")
def molecule():
    return simulate.protein_like(BOX, VOXEL_A, symmetry.group("D2"), np.random.default_rng(4), 44.0, 30.0)


def particles_of(molecule, folder, seed=6, **lens):
    rng = np.random.default_rng(seed)
    settings = simulate.Settings(snr=0.5, bfactor_A2=10.0, scale_sd=0.0, shift_sd_A=1.0, noise_rise=0.0, **lens)
    drawn = simulate.simulation(molecule, N, rng, settings)
    return made.stacked(folder / "images.mrcs", np.concatenate(list(drawn.images())), drawn.particles)


def posed(particles, told=None):
    """(job, state, plan) with references from the true poses and the CTF as it is ``told``."""
    recipe = made.reconstruction(symmetry="D2", particle_diameter_A=54.0)
    job = made.prepared(recipe, particles if told is None else told)
    state, plan = job.recipe.start.begin(job, None)
    state, _, _ = loop.iterate(job, state, replace(plan, final=False))
    state, _, _ = loop.iterate(job, state, replace(plan, final=False))  # noise and grey scale of a map that exists
    return job, replace(state, shell=min(state.shell, BOX // 2 - 3)), plan


@pytest.fixture(scope="module")
def blurred(molecule, tmp_path_factory):
    """(truth, errors of defocus, job, state, plan)."""
    truth = particles_of(molecule, tmp_path_factory.mktemp("blurred"))
    wrong = np.random.default_rng(1).normal(0, 300, N)
    told = replace(truth.defocus, u_A=truth.defocus.u_A - wrong, v_A=truth.defocus.v_A - wrong)
    return truth, wrong, *posed(truth, replace(truth, defocus=told))


@pytest.fixture(scope="module")
def tilted(molecule, tmp_path_factory):
    truth = particles_of(molecule, tmp_path_factory.mktemp("tilted"), beam_tilt_rad=TILT)
    perfect = tuple(replace(o, beam_tilt_rad=(0.0, 0.0)) for o in truth.optics)
    return posed(truth, replace(truth, optics=perfect))


def rms(values) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def deaf(monkeypatch):
    """Fits that take the reference for one that holds nothing of the images."""
    monkeypatch.setattr(aberrations, "echo_of", np.zeros_like)


def test_defocus_errors_shrink(blurred):
    truth, wrong, job, state, plan = blurred
    new, report = refined(CtfRefinement.of(params(refine_defocus=True)), job, state, plan)
    left = new.defocus.u_A - truth.defocus.u_A
    assert rms(left) < 0.4 * rms(wrong)
    # astigmatism is the particle's own, and nothing else of the state changes
    np.testing.assert_allclose(new.defocus.u_A - new.defocus.v_A, truth.defocus.u_A - truth.defocus.v_A, atol=1e-6)
    assert new.optics == state.optics and new.references is state.references
    np.testing.assert_allclose(report["arrays"]["defocus_change_A"], new.defocus.u_A - state.defocus.u_A, atol=1e-6)
    assert report["defocus"]["particles"] == N
    assert report["arrays"]["defocus_curves"].shape == (3, len(report["arrays"]["defocus_tried_A"]))


def test_what_images_find_of_themselves_in_the_reference_does_not_hold_their_defocus_back(blurred, monkeypatch):
    truth, wrong, job, state, plan = blurred

    def found():
        new, _ = refined(CtfRefinement.of(params(refine_defocus=True)), job, state, plan)
        change = new.defocus.u_A - state.defocus.u_A
        near = abs(wrong) < 500  # the others may be at another maximum
        return float(change[near] @ wrong[near] / (wrong[near] @ wrong[near]))

    with_echo_removed = found()
    deaf(monkeypatch)
    assert found() < with_echo_removed - 0.03
    assert with_echo_removed == pytest.approx(1, abs=0.1)


def test_beam_tilt_is_found_by_both_halves_together(tilted):
    job, state, plan = tilted
    new, report = refined(CtfRefinement.of(params(refine_group_ctf=True)), job, state, plan)
    found = np.array(new.optics[0].beam_tilt_rad)
    # a tenth, as the program promises, for the tenth that standard errors are here
    assert np.linalg.norm(found - TILT) < 0.2 * np.linalg.norm(TILT)
    (group,) = report["groups"]
    assert group["odd"]["errors"]["tilt_x_rad"] < 0.05 * TILT[0]
    assert group["odd"]["slope"] == pytest.approx(1, abs=0.15)  # once the echo is gone: a Wiener-filtered map fits
    assert report["arrays"]["odd_0_fitted"].shape == report["arrays"]["odd_0_measured"].shape
    assert new.defocus is state.defocus or (new.defocus.u_A == state.defocus.u_A).all()


def test_what_images_find_of_themselves_in_the_reference_does_not_hold_the_lens_back(tilted, monkeypatch):
    job, state, plan = tilted
    parts = CtfRefinement.of(params(refine_group_ctf=True))
    whole, _ = refined(parts, job, state, plan)
    deaf(monkeypatch)
    held, _ = refined(parts, job, state, plan)
    whole, held = (np.array(s.optics[0].beam_tilt_rad) @ TILT / np.dot(TILT, TILT) for s in (whole, held))
    assert held < 0.75 and held < whole - 0.2


@pytest.mark.parametrize("seen_as_distorted", [True, False])
def test_defocus_follows_a_magnification_where_it_was_measured_on_the_distorted_image(
    seen_as_distorted, molecule, tmp_path
):
    truth = particles_of(molecule, tmp_path, magnification=BENT)
    perfect = tuple(replace(o, magnification=((1.0, 0.0), (0.0, 1.0))) for o in truth.optics)
    defocus = ctf.carried_over(truth.defocus, np.array(BENT), np.eye(2)) if seen_as_distorted else truth.defocus
    job, state, plan = posed(truth, replace(truth, optics=perfect, defocus=defocus))
    parts = CtfRefinement.of(params(refine_group_ctf=True, fit_tilt=False, fit_trefoil=False,
                                    fit_anisotropic_magnification=True))  # fmt: skip
    state, _ = refined(parts, job, state, plan)
    state, _, _ = loop.iterate(job, state, replace(plan, final=False))
    state, _ = refined(parts, job, replace(state, shell=min(state.shell, BOX // 2 - 3)), plan)
    found = np.array(state.optics[0].magnification)
    # standard errors of 0.001; what is too small to be sure of, two of them, is left; size and turn are not looked for
    assert abs(found - BENT).max() < 0.004
    stretch = np.hypot(*(state.defocus.u_A - truth.defocus.u_A, state.defocus.v_A - truth.defocus.v_A))
    # a distortion of 2 % left in 16,000 A of defocus would be 600 A
    assert np.median(stretch) < 150


def test_the_settings_decide_what_is_refined():
    assert not CtfRefinement.of(params())
    assert not CtfRefinement.of(params(fit_spherical=True, fit_anisotropic_magnification=True))
    everything = {name: True for name in ("refine_group_ctf", "fit_spherical", "fit_tetrafoil",
                                          "fit_anisotropic_magnification", "refine_defocus")}  # fmt: skip
    parts = CtfRefinement.of(params(**everything, defocus_range=500.0, defocus_prior=200.0,
                                    ctf_min_fit_resolution=8.0, defocus_min_fit_resolution=15.0))  # fmt: skip
    assert parts.odd == ("tilt", "trefoil") and parts.even == ("spherical", "tetrafoil") and parts.magnification
    assert (parts.defocus.range_A, parts.defocus.prior_sd_A) == (500.0, 200.0)
    assert (parts.group_min_fit_A, parts.defocus_min_fit_A) == (8.0, 15.0)
    assert CtfRefinement.of(params(refine_group_ctf=True, fit_tilt=False)).odd == ("trefoil",)


def test_premultiplied_images_are_refused_in_words(blurred):
    truth = blurred[0]
    multiplied = replace(truth, optics=tuple(replace(o, premultiplied=True) for o in truth.optics))
    with pytest.raises(InputError, match="opticsGroup1.*multiplied by their CTF"):
        CtfRefinement.of(params(refine_defocus=True)).check(multiplied)
    CtfRefinement().check(multiplied)  # nothing asked for, nothing refused
