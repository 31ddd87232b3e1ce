"""Settings of a simulation: each changes what it is about and nothing else."""

import numpy as np
import pytest

from halfmap import simulate
from halfmap.data import relion
from halfmap.geometry import rotations, symmetry
from halfmap.io import mrc
from halfmap.jobs.particles import simulate as job
from halfmap.params.simulate import Simulate
from halfmap.types import Map
from tests.refine.test_recipes import changed

MOVING = Map(np.zeros((16, 16, 16), np.float32), 3.0)
HINGE = {"map": "m.mrc", "moving": "d.mrc", "hinge_x_A": 1.0, "hinge_y_A": 2.0, "hinge_z_A": 3.0,
         "hinge_angle_deg": 4.0}  # fmt: skip
STRETCHED = {"magnification_anisotropy": 0.02}

# setting -> (other settings it needs, a value that is not the default, the fields of the simulation it changes)
OF_THE_SIMULATION = {
    "snr": ({}, 0.2, {"snr"}),
    "noise_rise": ({}, 0.0, {"noise_rise"}),
    "voltage_kV": ({}, 200.0, {"voltage_kV"}),
    "spherical_aberration_mm": ({}, 1.4, {"spherical_aberration_A"}),
    "amplitude_contrast": ({}, 0.07, {"amplitude_contrast"}),
    "phase_shift_deg": ({}, 90.0, {"phase_shift_rad"}),
    "defocus_min_A": ({}, 5000.0, {"defocus_A"}),
    "defocus_max_A": ({}, 30000.0, {"defocus_A"}),
    "astigmatism_A": ({}, 0.0, {"astigmatism_A"}),
    "decay_A2": ({}, 0.0, {"bfactor_A2"}),
    "beam_tilt_x_mrad": ({}, 1.0, {"beam_tilt_rad"}),
    "beam_tilt_y_mrad": ({}, 1.0, {"beam_tilt_rad"}),
    "odd_zernike": ({}, (0.0, 0.0, 5.0), {"odd_zernike"}),
    "even_zernike": ({}, (0.0, 1.0), {"even_zernike"}),
    "magnification_anisotropy": ({}, 0.03, {"magnification"}),
    "magnification_axis_deg": (STRETCHED, 30.0, {"magnification"}),
    "shift_sd_A": ({}, 0.0, {"shift_sd_A"}),
    "contrast_sd": ({}, 0.3, {"scale_sd"}),
    "junk": ({}, 0.1, {"junk"}),
    "optics_groups": ({}, 3, {"groups"}),
    "hinge_x_A": (HINGE, 9.0, {"hinge.pivot_A"}),
    "hinge_y_A": (HINGE, 9.0, {"hinge.pivot_A"}),
    "hinge_z_A": (HINGE, 9.0, {"hinge.pivot_A"}),
    "hinge_angle_deg": (HINGE, 9.0, {"hinge.sigma_rad"}),
    "moving": ({"map": "m.mrc"}, "d.mrc", {"hinge"}),
}


def settings(**given):
    params = Simulate(out="o", **given)
    return job.settings(params, job.hinge_of(params, MOVING if params.moving else None))


@pytest.mark.parametrize("name", OF_THE_SIMULATION)
def test_a_setting_changes_its_part_of_the_simulation_and_no_other(name):
    needed, value, leaves = OF_THE_SIMULATION[name]
    after = HINGE if name == "moving" else {**needed, name: value}
    assert changed(settings(**needed), settings(**after)) == leaves


def test_settings_reach_the_simulation_in_its_units():
    made = settings(spherical_aberration_mm=2.7, phase_shift_deg=90, beam_tilt_x_mrad=1.5, **HINGE)
    assert made.spherical_aberration_A == pytest.approx(2.7e7)
    assert made.phase_shift_rad == pytest.approx(np.pi / 2) and made.beam_tilt_rad[0] == pytest.approx(1.5e-3)
    assert made.hinge.pivot_A == (1, 2, 3) and made.hinge.sigma_rad == pytest.approx(np.deg2rad(4))


@pytest.mark.parametrize("axis_deg", [0.0, 30.0, -75.0])
def test_magnification_is_larger_along_its_axis_by_the_anisotropy(axis_deg):
    matrix = np.array(settings(magnification_anisotropy=0.03, magnification_axis_deg=axis_deg).magnification)
    along = np.array([np.cos(np.deg2rad(axis_deg)), np.sin(np.deg2rad(axis_deg))])
    across = np.array([-along[1], along[0]])
    assert np.linalg.norm(matrix @ along) / np.linalg.norm(matrix @ across) == pytest.approx(1.03)
    assert np.linalg.det(matrix) == pytest.approx(1)


def ran(folder, **given):
    folder.mkdir()
    params = Simulate(out=folder, n=6, snr=1e4, **given)
    job.run(params, folder, np.random.default_rng(3), lambda kind, **data: None)
    return mrc.read(folder / "map.mrc"), np.array(mrc.read_images(folder / "particles.mrcs", np.arange(6)))


def test_an_object_has_the_box_pixel_size_diameter_and_symmetry_asked_for(tmp_path):
    asked = {"box_size": 32, "pixel_size_A": 4.0, "object_diameter_A": 60.0, "symmetry": "D2"}
    density, images = ran(tmp_path / "a", **asked)
    assert (density.box, density.voxel_size_A, images.shape) == (32, 4.0, (6, 32, 32))
    z, y, x = np.mgrid[:32, :32, :32] - 16
    beyond = np.sqrt(x**2 + y**2 + z**2) * 4.0 > 30.0 + 4.0 * np.sqrt(3) * 4.5  # atoms fill 4 voxels to each side
    assert not density.data[beyond].any() and density.data.any()
    half_turn = np.roll(density.data[:, ::-1, ::-1], 1, axis=(1, 2))
    np.testing.assert_allclose(half_turn, density.data, atol=1e-4 * density.data.max())
    again = simulate.protein_like(32, 4.0, symmetry.group("D2"), np.random.default_rng(3), 60.0)
    np.testing.assert_array_equal(again.data, density.data)


def test_a_map_that_is_given_is_what_the_images_show(tmp_path):
    first, _ = ran(tmp_path / "a", box_size=32)
    given, images = ran(tmp_path / "b", map=tmp_path / "a" / "map.mrc")
    np.testing.assert_array_equal(given.data, first.data)
    assert given.voxel_size_A == first.voxel_size_A and images.shape == (6, 32, 32)


def test_a_domain_of_an_object_turns_about_where_it_touches_the_body(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    params = Simulate(out=folder, n=6, domain_fraction=0.3, hinge_angle_deg=8.0)
    told = job.run(params, folder, np.random.default_rng(3), lambda kind, **data: None)
    body = mrc.read(folder / "map.mrc")
    domain = mrc.read(folder / "moving.mrc")
    assert domain.data.sum() / (domain.data.sum() + body.data.sum()) == pytest.approx(0.3, abs=0.1)  # whole helices
    still, moving = (relion.read(folder / name).poses for name in ("truth.star", "truth_moving.star"))
    turns = rotations.log_so3(np.swapaxes(still.rotations, 1, 2) @ moving.rotations)
    assert 2 < np.rad2deg(turns.std()) < 14  # 18 numbers of standard deviation 8
    pivot = (np.array(told["hinge_px"]) - body.box // 2) * body.voxel_size_A
    where = [(poses.rotations @ pivot)[:, :2] - poses.shifts_A for poses in (still, moving)]
    np.testing.assert_allclose(*where, atol=0.02)  # the hinge itself does not move; it is told to 0.01 voxels


@pytest.mark.parametrize("given, said", [
    ({"domain_fraction": 0.3}, "--hinge-angle"),
    ({"hinge_angle_deg": 8.0}, "--moving MAP.mrc, or --domain-fraction"),
    ({"domain_fraction": 0.3, "hinge_angle_deg": 8.0, "symmetry": "D2"}, "drop --symmetry D2"),
    ({"domain_fraction": 0.3, "hinge_angle_deg": 8.0, "hinge_x_A": 1.0}, "the hinge is where the parts touch"),
    ({"domain_fraction": 0.3, "hinge_angle_deg": 8.0, "micrographs": 2}, "knows no hinge"),
])  # fmt: skip
def test_half_a_hinge_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        Simulate(out="o", **given)
