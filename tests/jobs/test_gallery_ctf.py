"""Plots of CTF refinements: where they stand, and what they show."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.jobs.pictures import gallery_ctf, plots
from halfmap.jobs.pictures.views import View
from halfmap.jobs.running import diagnostics, run
from halfmap.params.homogeneous import Homogeneous
from tests.jobs import made


@pytest.fixture
def folder(tmp_path):
    """Three iterations; the second and the third began with a look at the CTF, the last of the lens alone."""
    for number in (1, 2, 3):
        diagnostics.write(tmp_path, made.iteration(number))
    diagnostics.write(tmp_path, made.lens(2))
    last = made.lens(3)
    odd = {name: plane for name, plane in last.arrays.items() if name.startswith("odd")}
    diagnostics.write(tmp_path, replace(last, arrays=odd))
    return tmp_path


def drawable(folder, name):
    return {plot.name for plot in plots.drawable(View(folder, name))} & {"phases", "defocus"}


def test_a_look_at_the_ctf_is_shown_with_the_iteration_it_began_and_the_last_one_with_the_result(folder):
    found = {name: drawable(folder, name) for name in ("iteration_001", "iteration_002", "iteration_003", "final")}
    assert found == {"iteration_001": set(), "iteration_002": {"phases", "defocus"}, "iteration_003": {"phases"},
                     "final": {"phases"}}  # fmt: skip
    assert View(folder).facts["lens"]["iteration"] == 3 and View(folder).facts["groups"] == ["opticsGroup1"]
    assert View(folder, "iteration_002").facts["lens"]["iteration"] == 2


def test_it_gets_no_plots_of_its_own(tmp_path):
    class Asked(list):
        iteration = list.append

    asked, settings = Asked(), Homogeneous(particles="p", volume="v", out=tmp_path)
    for shown in (made.lens(2), made.iteration(2)):
        run._keep(tmp_path, shown, settings, asked)
    assert asked == ["iteration_002"] and [view.name for view in plots.views(tmp_path)] == ["final", "iteration_002"]


def test_half_planes_become_whole_ones_by_the_law_of_their_kind():
    ky, kx = np.mgrid[-4:5, -4:5]
    known = (kx > 0) | ((kx == 0) & (ky > 0))
    for kind, phase in (("odd", kx**3 - 2.0 * ky), ("even", kx**2 + 3.0 * kx * ky + ky**2)):
        half = np.where(known, phase, np.nan)[:, 4:]
        whole = gallery_ctf.whole(half, gallery_ctf.SIGN[kind])
        assert np.isnan(whole[4, 4]) and np.isnan(whole).sum() == 1
        np.testing.assert_allclose(whole[np.isfinite(whole)], phase[np.isfinite(whole)])


def test_titles_tell_values_with_their_units_and_whether_they_are_used(folder):
    plots.draw("phases", View(folder, "iteration_002"))
    text = (folder / "plots" / "iteration_002" / "phases.svg").read_text().replace("\u00a0", " ")
    assert "opticsGroup1, odd phases, 20.0 to 9.00 A, before iteration 2" in text
    assert "tilt x 0.001 \u00b1 1e-05 rad" in text and text.count("not significant, not used") == 1
    assert all(name in text for name in ("data", "fit", "residual", "phase (rad)"))


def test_the_histogram_of_defocus_counts_every_particle_once():
    change = np.concatenate([np.random.default_rng(1).normal(0, 100, 500), [4000.0, -9000.0]])
    shown = gallery_ctf.counted(change, "")
    assert shown.counts.sum() == 502 and shown.edges[0] == -shown.edges[-1]
    assert gallery_ctf.counted(np.array([]), "").counts.sum() == 0


def test_curves_carry_the_numbers_of_their_particles_and_a_dot_where_each_was_left(folder):
    plots.draw("defocus", View(folder, "iteration_002"))
    text = (folder / "plots" / "iteration_002" / "defocus.svg").read_text()
    assert all(f"particle {row}" in text for row in (1, 2, 3)) and "9 of 11 moved" in text
