"""The way back to the original images is exact, from STAR and .cs, through a smaller box and other poses."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.data import cryosparc_files, originals, relion, tables
from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.types import Poses
from tests.jobs import made


@pytest.fixture
def table(tmp_path):
    mrc.write_stack(tmp_path / "images.mrcs", np.zeros((made.N, made.BOX, made.BOX), np.float32) + 1, made.VOXEL_A)
    relion.write(tmp_path / "particles.star", made.particles(tmp_path))
    return relion.read(tmp_path / "particles.star")


def changed(table, folder):
    """Noted down, then in a stack of another box and pixel size, refined further."""
    optics = tuple(replace(entry, box=24, pixel_size_A=4.0) for entry in table.optics)
    noted = originals.remembered(table)
    new = tables.with_images(noted, (folder / "new.mrcs",), table.file, table.index[::-1].copy(), optics)
    return replace(new, poses=Poses(np.roll(new.poses.rotations, 1, axis=0), new.poses.shifts_A + 1))


@pytest.mark.parametrize("write, name", [(relion.write, "a.star"), (cryosparc_files.write, "a.cs")])
def test_the_original_table_comes_back(table, tmp_path, write, name):
    write(tmp_path / name, changed(table, tmp_path))
    back = originals.reverted(tables.read_table(tmp_path / name), True, tmp_path / name)
    assert back.files == table.files and back.index.tolist() == table.index.tolist()
    np.testing.assert_array_equal(back.poses.rotations, table.poses.rotations)
    np.testing.assert_array_equal(back.poses.shifts_A, table.poses.shifts_A)
    assert (back.optics[0].box, back.optics[0].pixel_size_A) == (made.BOX, made.VOXEL_A)
    assert not [tag for tag in back.columns if "Original" in tag]


def test_a_star_file_comes_back_byte_for_byte(table, tmp_path):
    relion.write(tmp_path / "a.star", changed(table, tmp_path))
    back = originals.reverted(relion.read_table(tmp_path / "a.star"), True, tmp_path / "a.star")
    relion.write(tmp_path / "back.star", back)
    assert (tmp_path / "back.star").read_text() == (tmp_path / "particles.star").read_text()


def test_poses_refined_since_are_kept_unless_asked_for(table, tmp_path):
    new = changed(table, tmp_path)
    back = originals.reverted(new, False, tmp_path / "a.star")
    np.testing.assert_array_equal(back.poses.rotations, new.poses.rotations)
    assert back.files == table.files


def test_what_is_noted_stays_through_a_second_subtraction(table, tmp_path):
    twice = originals.remembered(changed(table, tmp_path))
    assert originals.reverted(twice, False, tmp_path / "a.star").files == table.files


def test_particles_that_were_not_subtracted_are_refused(table):
    with pytest.raises(InputError, match="not made by a subtraction"):
        originals.reverted(table, False, "a.star")


def test_original_images_that_are_gone_are_named(table, tmp_path):
    new = changed(table, tmp_path)
    (tmp_path / "images.mrcs").unlink()
    with pytest.raises(InputError, match="images.mrcs"):
        originals.reverted(new, False, tmp_path / "a.star")
