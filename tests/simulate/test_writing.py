"""Simulated files: what is told, what is kept for the truth."""

import numpy as np
import pytest
import starfile

from halfmap.data import relion
from halfmap.io import mrc
from halfmap.simulate import Hinge, Settings, simulation, write
from halfmap.types import Map

BOX = 24


@pytest.fixture
def made():
    rng = np.random.default_rng(4)
    map, moving = (Map(rng.standard_normal((BOX,) * 3).astype(np.float32), 2.5) for _ in range(2))
    hinge = Hinge(moving, (10.0, 0.0, -5.0), 0.2)
    settings = Settings(groups=2, junk=0.3, hinge=hinge, snr=0.5, phase_shift_rad=0.6)
    return simulation(map, 70, rng, settings)


def test_particles_tell_no_truth_and_truth_tells_all(made, tmp_path):
    write(tmp_path, made)
    given, truth = (relion.read(tmp_path / name) for name in ("particles.star", "truth.star"))
    assert given.poses is None
    assert not given.half.any()
    # STAR files carry at least six decimals of a degree and of an Angstrom
    np.testing.assert_allclose(truth.poses.rotations, made.particles.poses.rotations, atol=1e-6)
    np.testing.assert_allclose(truth.poses.shifts_A, made.particles.poses.shifts_A, atol=1e-5)
    np.testing.assert_array_equal(truth.half, made.particles.half)
    for table in (given, truth):
        np.testing.assert_array_equal(table.group, made.particles.group)
        np.testing.assert_allclose(table.defocus.u_A, made.particles.defocus.u_A, atol=1e-3)
        np.testing.assert_allclose(table.defocus.phase_shift_rad, 0.6, atol=1e-6)
        assert not table.defocus.bfactor_A2.any() and (table.defocus.scale == 1).all()
        assert table.optics[0].pixel_size_A == 2.5 and table.optics[0].box == BOX


def test_the_stack_holds_the_images(made, tmp_path):
    write(tmp_path, made)
    table = relion.read(tmp_path / "particles.star")
    found = mrc.read_images(table.files[0], table.index)
    np.testing.assert_array_equal(found, np.concatenate(list(made.images())))
    assert mrc.read_header(table.files[0]).voxel_size_A == pytest.approx(2.5)


def test_float16_differs_by_its_rounding_only(made, tmp_path):
    write(tmp_path, made, mode=12)
    found = mrc.read_images(tmp_path / "particles.mrcs", np.arange(70))
    assert found.dtype == np.float16
    # 11 bits: half a unit in the last place is 2^-11 of the value
    np.testing.assert_allclose(found, np.concatenate(list(made.images())), rtol=2**-11, atol=1e-6)


def test_the_moving_domain_has_a_table_of_its_own(made, tmp_path):
    write(tmp_path, made)
    moving = relion.read(tmp_path / "truth_moving.star")
    np.testing.assert_allclose(moving.poses.rotations, made.moving.rotations, atol=1e-6)
    np.testing.assert_allclose(moving.poses.shifts_A, made.moving.shifts_A, atol=1e-5)


def test_another_reader_finds_junk_and_contrast_in_the_truth(made, tmp_path):
    written = write(tmp_path, made)
    assert all(path.exists() for path in written)
    table = starfile.read(tmp_path / "truth.star")["particles"]
    np.testing.assert_array_equal(table["halfmapTrueJunk"].to_numpy(bool), made.junk)
    np.testing.assert_allclose(table["halfmapTrueContrast"], made.scale, atol=1e-5)
    assert "halfmapTrueJunk" not in starfile.read(tmp_path / "particles.star")["particles"]
