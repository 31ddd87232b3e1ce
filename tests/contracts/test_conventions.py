"""Every section of docs/CONVENTIONS.md, one class each, named after it."""

import re
import struct
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from halfmap import simulate
from halfmap.data import cryosparc, cryosparc_files, halves, relion
from halfmap.errors import InputError
from halfmap.fourier import shells, transforms
from halfmap.geometry import frames, rotations, symmetry
from halfmap.io import cs, mrc, star
from halfmap.physics import aberrations, ctf, ewald, lengths
from halfmap.physics.projection import Projector
from halfmap.reconstruct import ewald as reconstruct_ewald
from halfmap.simulate import Slices, slices
from halfmap.types import Curve, Defocus, Images, Map, Optics, Poses
from halfmap.validate import fsc

DOCUMENT = Path(__file__).parents[2] / "docs" / "CONVENTIONS.md"
BOX = 32
OPTICS = Optics("one", 300.0, 2.7e7, 0.1, 1.5, 64)


def point(x, y, z, box=BOX) -> Map:
    """A Gaussian of 1.5 voxels at x, y, z voxels from the box centre."""
    offset = np.arange(box) - box // 2
    profile = [np.exp(-((offset - place) ** 2) / (2 * 1.5**2)) for place in (z, y, x)]
    return Map(np.einsum("z,y,x->zyx", *profile).astype(np.float32), 2.0)


def peak_xy(image):
    """Brightest pixel as x, y from the box centre."""
    y, x = np.unravel_index(np.argmax(image), image.shape)
    return x - image.shape[1] // 2, y - image.shape[0] // 2


def table(tmp_path, text, name="particles.star"):
    """Particles of a STAR file whose stack, stack.mrcs, holds 20 images of 16 pixels."""
    mrc.write_stack(tmp_path / "stack.mrcs", np.zeros((20, 16, 16), np.float32), 3.0)
    (tmp_path / name).write_text(text)
    return relion.read(tmp_path / name)


def star31(columns, rows):
    optics = "data_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnOpticsGroupName #2\n_rlnVoltage #3\n"
    optics += "_rlnSphericalAberration #4\n_rlnAmplitudeContrast #5\n_rlnImagePixelSize #6\n_rlnImageSize #7\n"
    optics += "1 first 300.0 2.7 0.1 3.0 16\n2 second 200.0 2.0 0.07 3.0 16\n\n\n"
    names = "".join(f"_{name} #{number}\n" for number, name in enumerate(columns, 1))
    return optics + "data_particles\n\nloop_\n" + names + "\n".join(rows) + "\n"


IMAGE_AND_CTF = ("rlnImageName", "rlnOpticsGroup", "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")


def test_every_section_has_its_tests_and_no_other():
    headings = re.findall(r"^## (.+)$", DOCUMENT.read_text(), re.MULTILINE)
    classes = [value.__doc__ for name, value in globals().items() if name.startswith("Test")]
    assert headings == classes


class TestAxes:
    """Axes and units"""

    def test_files_and_arrays_are_in_the_order_z_y_x(self, tmp_path):
        mrc.write(tmp_path / "map.mrc", point(5, -3, 1))
        with mrcfile.open(tmp_path / "map.mrc") as file:
            brightest = np.unravel_index(np.argmax(file.data), file.data.shape)
        assert brightest == (16 + 1, 16 - 3, 16 + 5)

    def test_x_runs_fastest_in_the_file(self, tmp_path):
        data = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
        mrc.write(tmp_path / "map.mrc", Map(data, 1.0))
        assert struct.unpack("<8f", (tmp_path / "map.mrc").read_bytes()[1024:]) == tuple(range(8))

    @pytest.mark.parametrize("box", [16, 17])
    def test_the_centre_is_voxel_half_the_box_rounded_down(self, box):
        data = np.zeros((box,) * 3, np.float32)
        data[box // 2, box // 2, box // 2] = 1
        half = transforms.half_space(data, box // 2 - 1, 1)
        np.testing.assert_allclose(half, np.full(half.shape, 1 / box**3), rtol=1e-5, atol=1e-10)

    def test_degrees_and_millimetres_in_files_are_radians_and_angstrom_inside(self, tmp_path):
        rows = ["000001@stack.mrcs 1 15000 14000 45.0", "000002@stack.mrcs 2 15000 14000 90.0"]
        found = table(tmp_path, star31(IMAGE_AND_CTF, rows))
        np.testing.assert_allclose(found.defocus.angle_rad, [np.pi / 4, np.pi / 2], rtol=1e-12)
        assert [optics.voltage_kV for optics in found.optics] == [300.0, 200.0]
        assert [optics.spherical_aberration_A for optics in found.optics] == pytest.approx([2.7e7, 2.0e7])


class TestEulerAngles:
    """Euler angles"""

    def test_the_matrix_is_the_product_of_the_printed_ones(self):
        def z(t):
            return np.array([[np.cos(t), np.sin(t), 0], [-np.sin(t), np.cos(t), 0], [0, 0, 1]])

        def y(t):
            return np.array([[np.cos(t), 0, -np.sin(t)], [0, 1, 0], [np.sin(t), 0, np.cos(t)]])

        rot, tilt, psi = np.deg2rad([25.0, 70.0, -140.0])
        found = rotations.euler_to_matrix(25.0, 70.0, -140.0)
        np.testing.assert_allclose(found, z(psi) @ y(tilt) @ z(rot), atol=1e-14)

    def test_the_third_row_is_the_viewing_direction(self):
        rot, tilt = np.deg2rad([25.0, 70.0])
        direction = [np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)]
        np.testing.assert_allclose(rotations.euler_to_matrix(25.0, 70.0, 10.0)[2], direction, atol=1e-14)

    def test_growing_psi_turns_the_image_clockwise_for_y_up(self):
        turned = slices.image(Slices(point(8, 0, 0)).at(rotations.euler_to_matrix(0, 0, 90)))
        assert peak_xy(turned) == (0, -8)

    @pytest.mark.parametrize(("tilt", "psi"), [(0.0, 50.0), (180.0, -10.0)])
    def test_at_the_poles_rot_is_written_as_zero(self, tilt, psi):
        # tilt 0: psi + rot = 50; tilt 180: psi - rot = -10
        found = rotations.matrix_to_euler(rotations.euler_to_matrix(30.0, tilt, 20.0))
        np.testing.assert_allclose(found, (0.0, tilt, psi), atol=1e-9)


class TestShifts:
    """Shifts"""

    def test_the_particle_lies_at_the_centre_minus_the_origin(self, tmp_path):
        columns = (*IMAGE_AND_CTF, "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst")
        rows = [f"00000{i}@stack.mrcs 1 15000 14000 45.0 0 0 0 12.0 -6.0" for i in (1, 2)]
        poses = table(tmp_path, star31(columns, rows)).poses
        np.testing.assert_allclose(poses.shifts_A, [[12.0, -6.0]] * 2)
        seen = Slices(point(0, 0, 0)).at(poses.rotations[0])
        image = slices.image(seen * slices.moved(BOX, *(-poses.shifts_A[0] / 2.0)))
        assert peak_xy(image) == (-6, 3)

    def test_older_files_have_pixels(self, tmp_path):
        columns = ("rlnImageName", "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnDefocusU")
        columns += ("rlnMagnification", "rlnDetectorPixelSize", "rlnOriginX", "rlnOriginY")
        columns += ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
        names = "".join(f"_{name} #{number}\n" for number, name in enumerate(columns, 1))
        rows = [f"00000{i}@stack.mrcs 300 2.7 0.1 15000 10000 3.0 4.0 -2.0 0 0 0" for i in (1, 2)]
        found = table(tmp_path, "data_\n\nloop_\n" + names + "\n".join(rows) + "\n")
        np.testing.assert_allclose(found.poses.shifts_A, [[12.0, -6.0]] * 2)


class TestProjection:
    """Projection"""

    def test_an_image_is_the_sum_along_the_beam(self):
        map = point(3, -4, 6)
        image = slices.image(Slices(map).at(np.eye(3)))
        # 1e-3 of spline aliasing and the frequencies beyond Nyquist that a slice leaves out
        np.testing.assert_allclose(image, map.data.sum(axis=0), atol=2e-3 * map.data.sum(axis=0).max())

    def test_a_point_r_is_seen_at_a_times_r(self):
        rotation = rotations.euler_to_matrix(0, 90, 0)  # q = (-z, y, x)
        assert peak_xy(slices.image(Slices(point(3, -4, 6)).at(rotation))) == (-6, -4)

    def test_the_projector_of_the_refinement_and_that_of_the_simulator_agree(self):
        map, matrices = point(4, -2, 3), rotations.random(3, np.random.default_rng(1))
        radius = 12
        k = np.hypot(np.arange(-radius, radius + 1)[:, None], np.arange(1, radius + 1))
        simulator = Slices(map)
        for found, matrix in zip(Projector.of(map, radius, BOX).slices(matrices), matrices, strict=True):
            seen = slices.image(simulator.at(matrix))
            wanted = transforms.half_plane(seen[None], radius)[0, :, 1:] * (k <= radius)
            # trilinear interpolation, padded twice, of a blob within a third of the box: measured 1 %
            assert np.linalg.norm(found[:, 1:] - wanted) < 0.02 * np.linalg.norm(wanted)

    def test_protein_is_brighter_than_the_background(self):
        image = slices.image(Slices(point(0, 0, 0)).at(np.eye(3)))
        defocus = Defocus(*(np.array([value]) for value in (0.0, 0.0, 0.0, 0.0, 0.0, 1.0)))
        values = ctf.half_plane(OPTICS, defocus, 16, BOX, 2.0)
        seen = transforms.to_images(transforms.half_plane(image[None], 16) * values, BOX)[0]
        assert seen[BOX // 2, BOX // 2] > seen[0, 0]


class TestFourier:
    """Fourier transforms"""

    def test_an_image_of_ones_has_the_coefficient_one(self):
        half = transforms.half_plane(np.ones((1, 16, 16), np.float32), 8)
        assert half[0, 8, 0] == pytest.approx(1.0)
        assert np.abs(half).sum() == pytest.approx(1.0, abs=1e-5)

    def test_the_half_plane_holds_rising_ky_and_kx_from_zero(self):
        offset = np.arange(16) - 8
        wave = np.cos(2 * np.pi * (3 * offset - 2 * offset[:, None]) / 16)  # kx = 3, ky = -2
        half = transforms.half_plane(wave[None].astype(np.float32), 7)
        assert half.shape == (1, 15, 8)
        assert half[0, 7 - 2, 3] == pytest.approx(0.5, abs=1e-6)

    def test_a_point_right_of_the_centre_has_falling_phases(self):
        image = np.zeros((1, 16, 16), np.float32)
        image[0, 8, 9] = 256
        half = transforms.half_plane(image, 7)
        np.testing.assert_allclose(half[0, 7], np.exp(-2j * np.pi * np.arange(8) / 16), atol=1e-5)

    def test_the_half_space_holds_z_y_x_the_same_way(self):
        offset = np.arange(16) - 8
        wave = np.cos(2 * np.pi * (3 * offset - 2 * offset[:, None] + 5 * offset[:, None, None]) / 16)
        half = transforms.half_space(wave.astype(np.float32), 7, 1)
        assert half.shape == (15, 15, 8)
        assert half[7 + 5, 7 - 2, 3] == pytest.approx(0.5, abs=1e-6)

    def test_the_missing_half_is_the_conjugate(self):
        data = np.random.default_rng(5).standard_normal((1, 16, 16)).astype(np.float32)
        half = transforms.half_plane(data, 7)[0]
        np.testing.assert_allclose(half[::-1, 0], half[:, 0].conj(), atol=1e-6)

    def test_nyquist_is_left_out(self):
        stripes = np.tile([1.0, -1.0], (16, 8)).astype(np.float32)
        assert np.abs(transforms.half_plane(stripes[None], 8)).max() < 1e-6


class TestCtf:
    """CTF"""

    def values(self, u=0.0, v=0.0, angle=0.0, phase=0.0, bfactor=0.0, scale=1.0):
        defocus = Defocus(*(np.array([float(value)]) for value in (u, v, angle, phase, bfactor, scale)))
        return ctf.half_plane(OPTICS, defocus, 31)[0]

    def test_it_is_the_printed_formula(self):
        wavelength = 12.2643247 / np.sqrt(300e3 * (1 + 0.978466e-6 * 300e3))
        k = np.arange(32) / (64 * 1.5)
        along_x = (16000 + 15000) / 2 + (16000 - 15000) / 2 * np.cos(2 * (0 - 0.4))
        chi = np.pi * wavelength * along_x * k**2 - np.pi / 2 * 2.7e7 * wavelength**3 * k**4
        chi += 0.3 + np.arctan(0.1 / np.sqrt(1 - 0.1**2))
        expected = 0.8 * np.exp(-50 * k**2 / 4) * np.sin(chi)
        found = self.values(16000, 15000, 0.4, 0.3, 50, 0.8)[31]
        np.testing.assert_allclose(found, expected, atol=1e-6)  # float32

    def test_underfocus_is_positive(self):
        assert self.values(u=10000, v=10000)[31, 5] > 0 > self.values(u=-10000, v=-10000)[31, 5]

    def test_along_its_angle_from_x_to_y_the_defocus_is_u(self):
        astigmatic = self.values(u=20000, v=10000, angle=np.pi / 4)
        np.testing.assert_allclose(astigmatic[31 + 7, 7], self.values(u=20000, v=20000)[31 + 7, 7], atol=1e-6)
        np.testing.assert_allclose(astigmatic[31 - 7, 7], self.values(u=10000, v=10000)[31 - 7, 7], atol=1e-6)

    def test_at_zero_it_is_the_amplitude_contrast(self):
        assert self.values(u=10000, v=10000)[31, 0] == pytest.approx(0.1, abs=1e-6)

    def test_a_positive_bfactor_damps(self):
        assert abs(self.values(u=10000, bfactor=100)[31, 20]) < abs(self.values(u=10000)[31, 20])


class TestLens:
    """Lens aberrations"""

    # frequencies (kx, ky) in shells of a box of 64 x 1.5 A
    AT = ((5, 0), (0, 7), (9, -4), (3, 11))

    def phase(self, part, **lens):
        planes = part(replace(OPTICS, **lens), 15, 64 * 1.5)
        return np.array([planes[15 + ky, kx] for kx, ky in self.AT])

    def polar(self):
        kx, ky = np.array(self.AT).T / (64 * 1.5)
        return np.hypot(kx, ky), np.arctan2(ky, kx)

    def test_images_show_at_k_the_object_at_m_k(self):
        # M k = (k_x, 2 k_y): a wave at k_y in the image is one of twice the frequency in the object
        map = point(0, 4, 0)
        seen = slices.image(Slices(map).at(rotations.stretched(np.eye(3), np.diag([1.0, 2.0]))))
        assert peak_xy(slices.image(Slices(map).at(np.eye(3)))) == (0, 4)
        assert peak_xy(seen) == (0, 8)

    def test_ctf_and_phases_are_those_of_m_k(self):
        lens = {"beam_tilt_rad": (1e-3, 2e-3), "odd_zernike": (0, 0, 5.0), "even_zernike": (0, 0, 0, 0, 50.0)}
        double = replace(OPTICS, **lens, magnification=((2.0, 0.0), (0.0, 2.0)))
        defocus = Defocus(*(np.array([value]) for value in (16000.0, 15000.0, 0.4, 0.0, 50.0, 1.0)))
        ends = np.s_[..., ::2, ::2]
        # frequencies k of the doubled group are those of 2 k of the plain one
        plain = ctf.half_plane(replace(OPTICS, **lens), defocus, 30)[0][ends]
        np.testing.assert_allclose(ctf.half_plane(double, defocus, 15)[0], plain, atol=1e-6)
        for part in (aberrations.odd_phase, aberrations.even_phase):
            found = part(double, 15, 96.0)
            np.testing.assert_allclose(found, part(replace(OPTICS, **lens), 30, 96.0)[ends], atol=1e-12)

    def test_shifts_are_those_of_the_recorded_image(self):
        lens = replace(OPTICS, magnification=((1.1, 0.0), (0.0, 0.9)))
        made = simulate.simulation(point(0, 0, 0), 2, np.random.default_rng(1), simulate.Settings(
            magnification=lens.magnification, amplitude_contrast=1.0, spherical_aberration_A=0.0, defocus_A=(0.0, 0.0),
            astigmatism_A=0.0, bfactor_A2=0.0))  # fmt: skip
        poses = replace(made.particles.poses, shifts_A=np.array([[12.0, -6.0]] * 2))
        made = replace(made, particles=replace(made.particles, poses=poses))
        assert peak_xy(next(made.clean())[0]) == (-6, 3)  # 2 A pixels, whatever the magnification

    def test_beam_tilt_in_files_is_mrad_and_adds_the_printed_phase(self, tmp_path):
        text = star31(IMAGE_AND_CTF, [f"00000{i}@stack.mrcs 1 15000 14000 45.0" for i in (1, 2)])
        text = text.replace("_rlnImageSize #7\n", "_rlnImageSize #7\n_rlnBeamTiltX #8\n_rlnBeamTiltY #9\n")
        text = text.replace(" 3.0 16\n", " 3.0 16 1.5 -0.5\n")
        tilt = table(tmp_path, text).optics[0].beam_tilt_rad
        assert tilt == pytest.approx((1.5e-3, -0.5e-3))
        wavelength = 12.2643247 / np.sqrt(300e3 * (1 + 0.978466e-6 * 300e3))
        k, theta = self.polar()
        expected = -2 * np.pi * 2.7e7 * wavelength**2 * k**3 * (1.5e-3 * np.cos(theta) - 0.5e-3 * np.sin(theta))
        np.testing.assert_allclose(self.phase(aberrations.odd_phase, beam_tilt_rad=tilt), expected, rtol=1e-9)

    def test_an_odd_phase_multiplies_the_projection(self):
        # phase of an image shift, c x with c = -2 pi d: the blob moves by +d
        shifted = simulate.simulation(point(0, 0, 0), 2, np.random.default_rng(1), simulate.Settings(
            odd_zernike=(0.0, -2 * np.pi * 6.0), amplitude_contrast=1.0, spherical_aberration_A=0.0,
            defocus_A=(0.0, 0.0), astigmatism_A=0.0, bfactor_A2=0.0, shift_sd_A=0.0))  # fmt: skip
        assert peak_xy(next(shifted.clean())[0]) == (3, 0)

    def test_even_terms_are_subtracted(self):
        defocus = Defocus(*(np.array([value]) for value in (0.0, 0.0, 0.0, 0.4, 0.0, 1.0)))
        found = ctf.half_plane(replace(OPTICS, even_zernike=(0.3,)), defocus, 4)[0, 4, 0]
        assert found == pytest.approx(np.sin(0.4 + np.arcsin(0.1) - 0.3), abs=1e-6)

    @pytest.mark.parametrize(("place", "wave"), [(5, np.cos), (2, np.sin)])
    def test_coefficients_5_and_2_of_the_odd_list_are_trefoil(self, place, wave):
        k, theta = self.polar()
        found = self.phase(aberrations.odd_phase, odd_zernike=(0.0,) * place + (8.0,))
        np.testing.assert_allclose(found, 8 * k**3 * wave(3 * theta), atol=1e-12)

    @pytest.mark.parametrize(("place", "wave"), [(8, np.cos), (4, np.sin)])
    def test_coefficients_8_and_4_of_the_even_list_are_tetrafoil(self, place, wave):
        k, theta = self.polar()
        found = self.phase(aberrations.even_phase, even_zernike=(0.0,) * place + (8.0,))
        np.testing.assert_allclose(found, 8 * k**4 * wave(4 * theta), atol=1e-12)

    def test_places_in_the_lists_are_the_printed_ones(self):
        for i in range(30):
            k = int((np.sqrt(1 + 4 * i) - 1) / 2)
            assert aberrations.odd_degree(i) == (2 * k + 1, 2 * (i - k * k - k) - 2 * k - 1)
            k = int(np.sqrt(i))
            assert aberrations.even_degree(i) == (2 * k, 2 * (i - k * k - k))

    def test_cryosparcs_lengths_are_the_printed_phases(self):
        phases = lengths.to_phases((900.0, -400.0), (700.0, 300.0), (1e5, 2e5, 3e5, 4e5), 300.0, 2.7e7)
        assert phases.beam_tilt_rad == pytest.approx((np.arcsin(900 / 2.7e7), np.arcsin(-400 / 2.7e7)))
        wavelength = 12.2643247 / np.sqrt(300e3 * (1 + 0.978466e-6 * 300e3))
        k, t = self.polar()
        odd = 900 * np.cos(t) - 400 * np.sin(t) + (700 * np.cos(3 * t) + 300 * np.sin(3 * t)) / 3
        even = 1e5 * np.cos(2 * t) + 2e5 * np.sin(2 * t) + (3e5 * np.cos(4 * t) + 4e5 * np.sin(4 * t)) / 4
        lens = {name: getattr(phases, name) for name in ("beam_tilt_rad", "odd_zernike", "even_zernike")}
        found = self.phase(aberrations.odd_phase, **lens)
        np.testing.assert_allclose(found, -2 * np.pi * wavelength**2 * k**3 * odd, rtol=1e-8)
        found = self.phase(aberrations.even_phase, **lens)
        np.testing.assert_allclose(found, 2 * np.pi * wavelength**3 * k**4 * even, rtol=1e-8)


class TestEwaldSphere:
    """Ewald sphere"""

    SHEET = ewald.curvature(300.0, 64 * 1.5)  # shells off the plane over squared shells, s = 1
    K = 31

    def pixels(self):
        ky, kx = np.mgrid[-self.K : self.K + 1, 0 : self.K + 1]
        return kx, ky

    def halves(self, u):
        """E exp(i chi) of defocus u, the way reconstruction has it."""
        known = Defocus(*(np.array([value]) for value in (u, u, 0.0, 0.0, 0.0, 1.0)))
        sine, cosine = reconstruct_ewald.Curved(1).transfers(OPTICS, known, self.K, OPTICS.box, OPTICS.pixel_size_A)
        return cosine[0] + 1j * sine[0]

    def test_a_sheet_is_half_the_wavelength_times_the_square_off_the_plane(self):
        wavelength = 12.2643247 / np.sqrt(3e5 * (1 + 0.978466e-6 * 3e5))
        q = 20 / (64 * 1.5)
        assert self.SHEET * 20**2 / (64 * 1.5) == pytest.approx(wavelength * q**2 / 2)

    @pytest.mark.parametrize(("name", "sign"), [("positive", 1), ("negative", -1)])
    def test_an_atom_at_z_has_the_defocus_u_minus_s_z(self, name, sign):
        assert reconstruct_ewald.SPHERES[name].sign == sign
        kx, ky = self.pixels()
        turn = np.exp(-2j * np.pi * sign * self.SHEET * (kx**2 + ky**2) * 40.0 / (64 * 1.5))  # V(0, h), z = 40 A
        wave = self.halves(12000.0)
        shown = (wave * turn - wave.conj() * turn.conj()) / 2j
        np.testing.assert_allclose(shown, self.halves(12000.0 - sign * 40.0).imag, atol=1e-6)

    def test_pixels_are_laid_in_where_the_sheets_are(self):
        pose = rotations.euler_to_matrix([40.0], [70.0], [-30.0])[0]
        image = np.zeros((1, 2 * self.K + 1, self.K + 1), np.complex64)
        image[0, self.K + 9, 28] = 1
        seen = Images(np.arange(1), image, image, np.ones(image.shape, np.float32), np.ones(self.K + 1), 64, 1.5,
                      voltage_kV=10.0, quadrature=np.zeros(image.shape, np.float32))  # fmt: skip
        grown = reconstruct_ewald.Curved(1).accumulator(self.K, 64, 1.5, 50.0)
        grown.add(seen, np.arange(1), pose[None], np.zeros((1, 2)))
        sums = grown.sums(np.eye(3)[None])
        z, y, x = np.nonzero(abs(sums.numerator) > 0)
        found = np.stack([x, y - 64, z - 64], -1) / 2 @ pose.T  # grid steps to shells, q = A r
        height = ewald.curvature(10.0, 64 * 1.5) * (28**2 + 9**2)
        assert height > 0.5
        for side in (1, -1):  # and its mate: whichever has x >= 0
            expected = np.array([28, 9, side * height])
            apart = min(np.linalg.norm(found - m * expected, axis=1).min() for m in (1, -1))
            assert apart < np.sqrt(3) / 4  # the nearest of the eight neighbours

    def test_the_mirrored_map_has_the_other_sign(self):
        mirror, atom = np.diag([1.0, 1.0, -1.0]), np.array([10.0, -20.0, 30.0])
        pose = rotations.euler_to_matrix([40.0], [70.0], [-30.0])[0]
        seen, mirrored = pose @ atom, (mirror @ pose @ mirror) @ (mirror @ atom)
        np.testing.assert_allclose(mirrored, [seen[0], seen[1], -seen[2]])  # the same image, and z exchanged


class TestTables:
    """Particle tables"""

    def test_optics_groups_count_from_one(self, tmp_path):
        rows = ["000001@stack.mrcs 2 15000 14000 45.0", "000002@stack.mrcs 1 15000 14000 45.0"]
        found = table(tmp_path, star31(IMAGE_AND_CTF, rows))
        assert [found.optics[group].name for group in found.group] == ["second", "first"]

    def test_images_count_from_one(self, tmp_path):
        rows = [f"{number:06d}@stack.mrcs 1 15000 14000 45.0" for number in (1, 12)]
        np.testing.assert_array_equal(table(tmp_path, star31(IMAGE_AND_CTF, rows)).index, [0, 11])

    def test_pixel_size_of_old_files_comes_from_the_magnification(self, tmp_path):
        columns = ("rlnImageName", "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnDefocusU")
        columns += ("rlnMagnification", "rlnDetectorPixelSize")
        names = "".join(f"_{name} #{number}\n" for number, name in enumerate(columns, 1))
        rows = [f"00000{i}@stack.mrcs 300 2.7 0.1 15000 50000 15.0" for i in (1, 2)]
        found = table(tmp_path, "data_images\n\nloop_\n" + names + "\n".join(rows) + "\n")
        assert found.optics[0].pixel_size_A == pytest.approx(3.0)
        np.testing.assert_array_equal(found.defocus.v_A, found.defocus.u_A)

    def test_what_we_write_is_the_new_form(self, tmp_path):
        rows = [f"00000{i}@stack.mrcs 1 15000 14000 45.0" for i in (1, 2)]
        found = table(tmp_path, star31(IMAGE_AND_CTF, rows))
        relion.write(tmp_path / "out.star", found)
        text = (tmp_path / "out.star").read_text()
        assert "data_optics" in text and "data_particles" in text
        np.testing.assert_array_equal(relion.read(tmp_path / "out.star").index, found.index)

    def test_missing_angles_are_no_poses(self, tmp_path):
        rows = [f"00000{i}@stack.mrcs 1 15000 14000 45.0" for i in (1, 2)]
        assert table(tmp_path, star31(IMAGE_AND_CTF, rows)).poses is None


class TestCryosparcTables:
    """cryoSPARC tables"""

    POSE, SHIFT = (0.4, -1.1, 0.7), (1.5, -2.0)

    def fields(self, **changes):
        """One particle with protein dark, every field as cryoSPARC has it."""
        values = {
            "uid": np.uint64(0), "blob/path": np.bytes_(b">stack.mrc"), "blob/idx": np.uint32(3),
            "blob/shape": np.uint32([16, 16]), "blob/psize_A": np.float32(3), "blob/sign": np.float32(-1),
            "ctf/exp_group_id": np.uint32(4), "ctf/accel_kv": np.float32(300), "ctf/cs_mm": np.float32(2.7),
            "ctf/amp_contrast": np.float32(0.1), "ctf/df1_A": np.float32(15000), "ctf/df2_A": np.float32(14000),
            "ctf/df_angle_rad": np.float32(0.5), "ctf/tilt_A": np.float32([27000, -13500]),
            "ctf/anisomag": np.float32([0.01, 0.02, 0.03, 0.04]), "alignments3D/split": np.uint32(1),
            "alignments3D/pose": np.float32(self.POSE), "alignments3D/shift": np.float32(self.SHIFT),
            "alignments3D/psize_A": np.float32(6), "alignments3D/alpha": np.float32(1.25),
        }  # fmt: skip
        return values | {name.replace("__", "/"): value for name, value in changes.items()}

    def particles(self, tmp_path, *rows):
        """The rows, their uids counted from 2^63."""
        mrc.write_stack(tmp_path / "stack.mrc", np.zeros((20, 16, 16), np.float32), 3.0)
        rows = [row | {"uid": np.uint64(2**63 + n)} for n, row in enumerate(rows or [self.fields()])]
        types = [(name, value.dtype, value.shape) for name, value in rows[0].items()]
        cs.write(tmp_path / "particles.cs", np.array([tuple(row.values()) for row in rows], types))
        return cryosparc.read(tmp_path / "particles.cs")

    def test_a_pose_is_the_rotation_vector_of_the_transpose(self, tmp_path):
        found = self.particles(tmp_path).poses.rotations[0]
        # 32 bits: 6e-8 of each component
        np.testing.assert_allclose(found.T, Rotation.from_rotvec(self.POSE).as_matrix(), atol=3e-7)

    def test_shifts_are_in_pixels_of_the_alignment(self, tmp_path):
        np.testing.assert_allclose(self.particles(tmp_path).poses.shifts_A, [[9.0, -12.0]])

    def test_split_0_and_1_are_the_half_sets_1_and_2(self, tmp_path):
        rows = [self.fields(alignments3D__split=np.uint32(split)) for split in (0, 1)]
        assert self.particles(tmp_path, *rows).half.tolist() == [1, 2]

    def test_particles_of_the_same_optics_are_a_group(self, tmp_path):
        rows = [self.fields(), self.fields(ctf__exp_group_id=np.uint32(1)), self.fields(ctf__cs_mm=np.float32(2.0))]
        found = self.particles(tmp_path, *rows, self.fields())
        assert len(found.optics) == 3 and found.group[0] == found.group[3]

    def test_tilt_and_magnification(self, tmp_path):
        (optics,) = self.particles(tmp_path).optics
        np.testing.assert_allclose(np.sin(optics.beam_tilt_rad), [1e-3, -0.5e-3], rtol=1e-6)
        np.testing.assert_allclose(optics.magnification, [[1.01, 0.02], [0.03, 1.04]], atol=1e-8)

    def test_the_scale_is_alpha_and_dark_protein_a_negative_ctf(self, tmp_path):
        found = self.particles(tmp_path)
        assert found.scale.tolist() == [1.25] and found.defocus.scale.tolist() == [-1.0]
        relion.write(tmp_path / "out.star", replace(found, scale=np.ones(1)))
        assert star.read(tmp_path / "out.star")["particles"].numbers("rlnCtfScalefactor").tolist() == [-1.0]

    def test_images_count_from_0_and_the_mark_before_the_path_is_left_away(self, tmp_path):
        found = self.particles(tmp_path)
        assert found.files == (tmp_path / "stack.mrc",) and found.index.tolist() == [3]

    def test_a_passthrough_file_is_joined_on_uid_and_the_table_comes_first(self, tmp_path):
        self.particles(tmp_path, self.fields(), self.fields())
        types = [("uid", "<u8"), ("ctf/df1_A", "<f4"), ("ctf/phase_shift_rad", "<f4")]
        rows = [(2**63 + 1, 1.0, 0.5), (2**63, 2.0, 0.25)]  # in another order
        cs.write(tmp_path / "J1_passthrough_particles.cs", np.array(rows, types))
        found = cryosparc.read(tmp_path / "particles.cs")
        assert found.defocus.phase_shift_rad.tolist() == [0.25, 0.5] and found.defocus.u_A.tolist() == [15000] * 2

    def test_the_names_under_which_each_kind_of_file_carries_the_other(self, tmp_path):
        relion.write(tmp_path / "way.star", self.particles(tmp_path))
        tags = star.read(tmp_path / "way.star")["particles"].columns
        assert {"cs:uid:u8", "cs:alignments3D/pose:f4:3:0", "cs:alignments3D/pose:f4:3:2"} <= set(tags)
        cryosparc_files.write(tmp_path / "back.cs", relion.read(tmp_path / "way.star"))
        before, after = cs.read(tmp_path / "particles.cs"), cs.read(tmp_path / "back.cs")
        assert {"star/rlnAngleRot", "star_optics/rlnVoltage"} <= set(after.dtype.names)
        assert all(after[name].tobytes() == before[name].tobytes() for name in before.dtype.names)

    def test_a_text_counts_while_the_number_says_the_same(self, tmp_path):
        rows = ["000001@stack.mrcs 1 15000.123456789 14000 45.0"]
        cryosparc_files.write(tmp_path / "way.cs", table(tmp_path, star31(IMAGE_AND_CTF, rows)))
        assert cryosparc.read(tmp_path / "way.cs").defocus.u_A.tolist() == [15000.123456789]
        changed = cs.read(tmp_path / "way.cs")
        changed["ctf/df1_A"] = 15001
        cs.write(tmp_path / "way.cs", changed)
        assert cryosparc.read(tmp_path / "way.cs").defocus.u_A.tolist() == [15001]

    def test_optics_groups_without_particles_are_not_kept(self, tmp_path):
        before = table(tmp_path, star31(IMAGE_AND_CTF, ["000001@stack.mrcs 2 15000 14000 45.0"]))
        cryosparc_files.write(tmp_path / "way.cs", before)
        assert [entry.name for entry in before.optics] == ["first", "second"]
        assert cryosparc.read(tmp_path / "way.cs").optics == before.optics[1:]


class TestHalves:
    """Half-sets"""

    def particles(self, tmp_path, subsets):
        rows = [f"{i + 1:06d}@stack.mrcs 1 15000 14000 45.0 {half}" for i, half in enumerate(subsets)]
        return table(tmp_path, star31((*IMAGE_AND_CTF, "rlnRandomSubset"), rows))

    def test_a_complete_assignment_is_kept(self, tmp_path):
        found = halves.assign(self.particles(tmp_path, [1, 2, 2, 2]), np.random.default_rng(0))
        np.testing.assert_array_equal(found.half, [1, 2, 2, 2])

    def test_zero_is_not_assigned_and_gets_balanced_halves(self, tmp_path):
        found = halves.assign(self.particles(tmp_path, [0] * 11), np.random.default_rng(0))
        assert sorted([(found.half == 1).sum(), (found.half == 2).sum()]) == [5, 6]

    def test_without_the_column_halves_are_drawn(self, tmp_path):
        rows = [f"{i + 1:06d}@stack.mrcs 1 15000 14000 45.0" for i in range(10)]
        found = halves.assign(table(tmp_path, star31(IMAGE_AND_CTF, rows)), np.random.default_rng(0))
        assert (found.half == 1).sum() == (found.half == 2).sum() == 5

    def test_partly_assigned_is_an_error(self, tmp_path):
        with pytest.raises(InputError):
            halves.assign(self.particles(tmp_path, [1, 2, 0, 1]), np.random.default_rng(0))


class TestShells:
    """Shells and FSC"""

    def test_a_coefficient_belongs_to_the_nearest_shell(self):
        shell = shells.shell_of_rfft(16)
        assert shell[0, 0, 3] == 3
        assert shell[1, 1, 1] == 2  # sqrt 3 = 1.73
        assert shell[-1, -2, 2] == 3

    def test_both_mates_count(self):
        counts = shells.shell_counts(shells.shell_of_rfft(16), 9)
        k = np.fft.fftfreq(16, 1 / 16)
        distance = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
        np.testing.assert_array_equal(counts, np.bincount(np.rint(distance).astype(int).ravel())[:9])

    def test_resolution_of_a_shell_is_box_length_over_shell(self):
        assert Curve("any", np.ones(9), 16, 2.0).resolution_A(4) == pytest.approx(8.0)

    def test_fsc_is_the_normalised_correlation(self):
        rng = np.random.default_rng(2)
        f, g = (rng.standard_normal((16, 16, 16)).astype(np.float32) for _ in range(2))
        full_f, full_g = np.fft.fftn(f.astype(float)), np.fft.fftn(g.astype(float))
        k = np.fft.fftfreq(16, 1 / 16)
        five = np.rint(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)) == 5
        expected = (full_f * full_g.conj())[five].sum().real
        expected /= np.sqrt((abs(full_f[five]) ** 2).sum() * (abs(full_g[five]) ** 2).sum())
        assert fsc.curve(Map(f, 1.0), Map(g, 1.0)).values[5] == pytest.approx(expected, abs=1e-5)

    def test_the_resolution_is_the_first_crossing_between_shells(self):
        values = np.array([1, 1, 0.243, 0.043, 0.9, 0.0, 0, 0, 0])
        assert fsc.crossing(Curve("any", values, 16, 2.0)) == pytest.approx(2.5)


class TestSymmetry:
    """Symmetry"""

    def has(self, name, axis, fold):
        unit = np.asarray(axis, float) / np.linalg.norm(axis)
        turn = rotations.exp_so3(unit * 2 * np.pi / fold)
        return np.abs(symmetry.group(name) - turn).max(axis=(1, 2)).min() < 1e-9

    def test_equivalent_poses_are_a_times_r(self):
        corners = np.array([(5, 3, 1)]) @ symmetry.group("D2").transpose(0, 2, 1)
        map = Map(sum(point(*corner[0]).data for corner in corners), 2.0)
        pose = rotations.random(1, np.random.default_rng(3))[0]
        projector = Slices(map)
        expected = projector.at(pose)
        for operator in symmetry.group("D2"):
            error = np.linalg.norm(projector.at(pose @ operator) - expected)
            assert error < 2e-3 * np.linalg.norm(expected)  # spline aliasing

    @pytest.mark.parametrize(("name", "axis", "fold"), [
        ("C5", (0, 0, 1), 5), ("D3", (0, 0, 1), 3), ("D3", (1, 0, 0), 2), ("T", (0, 0, 1), 3),
        ("O", (0, 0, 1), 4), ("O", (1, 0, 0), 4), ("O", (0, 1, 0), 4),
    ])  # fmt: skip
    def test_axes_of_cyclic_dihedral_and_cubic_groups(self, name, axis, fold):
        assert self.has(name, axis, fold)

    @pytest.mark.parametrize("name", ["I", "I2"])
    def test_icosahedron_has_twofolds_on_the_axes_and_a_fivefold_in_the_xz_plane(self, name):
        assert all(self.has(name, axis, 2) for axis in np.eye(3))
        golden = (1 + np.sqrt(5)) / 2
        assert self.has(name, (1, 0, golden), 5)

    @pytest.mark.parametrize("axis", [(0, 1, 0), (0, 0, 1)])
    def test_i1_is_i2_after_a_quarter_turn_about_y_or_z(self, axis):
        turn = rotations.exp_so3(np.array(axis) * np.pi / 2)
        turned = turn @ symmetry.group("I2") @ turn.T
        distance = np.abs(symmetry.group("I1")[:, None] - turned).max(axis=(2, 3)).min(axis=1)
        assert distance.max() < 1e-9

    @pytest.mark.parametrize("name", ["I3", "I4"])
    def test_i3_and_i4_have_a_fivefold_on_z(self, name):
        assert self.has(name, (0, 0, 1), 5)


class TestFrames:
    """Change of frame"""

    POSE = rotations.euler_to_matrix(20.0, 50.0, 70.0)
    PLACE = np.array([4.0, -2.0, 6.0])  # A, of an atom

    @pytest.mark.parametrize("mirror", [1, -1])
    def test_the_moved_atom_seen_by_its_pose_is_where_it_was_in_the_image(self, mirror):
        turn = rotations.exp_so3(np.array([0.3, -0.2, 0.5])) @ np.diag([1, 1, mirror])
        frame = frames.Frame(turn, np.array([2.0, 4.0, -2.0]))
        before = Poses(self.POSE[None], np.array([[1.0, -3.0]]))
        after = frame.poses(before)
        places = [(poses.rotations[0] @ place)[:2] - poses.shifts_A[0]
                  for poses, place in ((before, self.PLACE), (after, frame.points(self.PLACE)))]
        np.testing.assert_allclose(*places, atol=1e-9)
        assert np.linalg.det(after.rotations[0]) == pytest.approx(1)

    def test_the_formula_of_the_page(self):
        frame = frames.Frame(np.diag([1.0, 1.0, -1.0]), np.array([2.0, 4.0, -2.0]))
        after = frame.poses(Poses(self.POSE[None], np.zeros((1, 2))))
        np.testing.assert_allclose(after.rotations[0], np.diag([1, 1, -1]) @ self.POSE @ frame.rotation.T, atol=1e-12)
        np.testing.assert_allclose(after.shifts_A[0], -(self.POSE @ frame.centre_A)[:2], atol=1e-12)

    def test_the_hand_is_flipped_by_a_mirror_across_z(self):
        assert frames.Frame(np.diag([1.0, 1.0, -1.0]), np.zeros(3)).mirrored


class TestMaps:
    """Density maps"""

    def test_maps_are_float32_with_voxel_size_and_origin_zero(self, tmp_path):
        mrc.write(tmp_path / "map.mrc", replace(point(0, 0, 0), voxel_size_A=1.234))
        with mrcfile.open(tmp_path / "map.mrc") as file:
            assert int(file.header.mode) == 2 and int(file.header.ispg) == 1
            assert float(file.voxel_size.x) == pytest.approx(1.234, rel=1e-6)
            assert [float(file.header.origin[axis]) for axis in "xyz"] == [0, 0, 0]
        assert mrcfile.validate(tmp_path / "map.mrc")

    @pytest.mark.parametrize("mode", [2, 12])
    def test_stacks_count_images_in_nz(self, mode, tmp_path):
        mrc.write_stack(tmp_path / "stack.mrcs", np.ones((5, 8, 8), np.float32), 2.0, mode=mode)
        with mrcfile.open(tmp_path / "stack.mrcs") as file:
            assert int(file.header.mode) == mode and int(file.header.ispg) == 0
            assert int(file.header.nz) == 5
