"""CTF refinement of a running refinement: images on disk, references made from them, each half against its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from halfmap import simulate
from halfmap.errors import InputError
from halfmap.geometry import symmetry
from halfmap.params.homogeneous import Homogeneous
from halfmap.refine import loop
from halfmap.refine.optics import CtfRefinement, refined
from tests.refine import made

BOX, VOXEL_A, N = 48, 1.6, 240
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
    job = made.prepared(made.reconstruction(symmetry="D2"), particles if told is None else told)
    state, plan = job.recipe.start.begin(job, None)
    state, _, _ = loop.iterate(job, state, replace(plan, final=False))
    state, _, _ = loop.iterate(job, state, replace(plan, final=False))  # noise and grey scale of a map that exists
    return job, replace(state, shell=min(state.shell, BOX // 2 - 3)), plan


def test_defocus_errors_shrink(molecule, tmp_path):
    truth = particles_of(molecule, tmp_path)
    wrong = np.random.default_rng(1).normal(0, 300, N)
    blurred = replace(truth.defocus, u_A=truth.defocus.u_A - wrong, v_A=truth.defocus.v_A - wrong)
    job, state, plan = posed(truth, replace(truth, defocus=blurred))
    new, report = refined(CtfRefinement.of(params(refine_defocus=True)), job, state, plan)
    left = new.defocus.u_A - truth.defocus.u_A
    assert np.sqrt((left**2).mean()) < 0.5 * np.sqrt((wrong**2).mean())
    # astigmatism is the particle's own, and nothing else of the state changes
    np.testing.assert_allclose(new.defocus.u_A - new.defocus.v_A, truth.defocus.u_A - truth.defocus.v_A, atol=1e-6)
    assert new.optics == state.optics and new.references is state.references
    np.testing.assert_allclose(report["arrays"]["defocus_change_A"], new.defocus.u_A - state.defocus.u_A, atol=1e-6)
    assert report["defocus"]["particles"] == N
    assert report["arrays"]["defocus_curves"].shape == (3, len(report["arrays"]["defocus_tried_A"]))


def test_beam_tilt_is_found_by_both_halves_together(molecule, tmp_path):
    truth = particles_of(molecule, tmp_path, beam_tilt_rad=TILT)
    perfect = tuple(replace(o, beam_tilt_rad=(0.0, 0.0)) for o in truth.optics)
    job, state, plan = posed(truth, replace(truth, optics=perfect))
    parts = CtfRefinement.of(params(refine_group_ctf=True))
    for _ in range(2):
        state, report = refined(parts, job, state, plan)
        state, _, _ = loop.iterate(job, state, replace(plan, final=False))
        state = replace(state, shell=min(state.shell, BOX // 2 - 3))
    found = np.array(state.optics[0].beam_tilt_rad)
    # a reference from tilted images and from so few: within a tenth, as the program promises
    assert np.linalg.norm(found - TILT) < 0.1 * np.linalg.norm(TILT)
    (group,) = report["groups"]
    assert group["odd"]["errors"]["tilt_x_rad"] < 0.1 * TILT[0]
    assert report["arrays"]["odd_0_fitted"].shape == report["arrays"]["odd_0_measured"].shape


@pytest.mark.parametrize("seen_as_distorted", [True, False])
def test_defocus_follows_a_magnification_where_it_was_measured_on_the_distorted_image(
    seen_as_distorted, molecule, tmp_path
):
    from halfmap.physics import ctf

    truth = particles_of(molecule, tmp_path, magnification=BENT)
    perfect = tuple(replace(o, magnification=((1.0, 0.0), (0.0, 1.0))) for o in truth.optics)
    defocus = ctf.carried_over(truth.defocus, np.array(BENT), np.eye(2)) if seen_as_distorted else truth.defocus
    job, state, plan = posed(truth, replace(truth, optics=perfect, defocus=defocus))
    parts = CtfRefinement.of(params(refine_group_ctf=True, fit_tilt=False, fit_trefoil=False,
                                    fit_anisotropic_magnification=True))  # fmt: skip
    for _ in range(4):
        state, _ = refined(parts, job, state, plan)
        state, _, _ = loop.iterate(job, state, replace(plan, final=False))
        state = replace(state, shell=min(state.shell, BOX // 2 - 3))
    found = np.array(state.optics[0].magnification)
    assert abs(found - BENT).max() < 0.003  # 15 % of the distortion; its size and its turn are not looked for
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


def test_premultiplied_images_are_refused_in_words(molecule, tmp_path):
    truth = particles_of(molecule, tmp_path)
    multiplied = replace(truth, optics=tuple(replace(o, premultiplied=True) for o in truth.optics))
    with pytest.raises(InputError, match="opticsGroup1.*multiplied by their CTF"):
        CtfRefinement.of(params(refine_defocus=True)).check(multiplied)
    CtfRefinement().check(multiplied)  # nothing asked for, nothing refused
