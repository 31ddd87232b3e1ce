"""Particles of a moved map: poses, and defocus with either sign."""

import numpy as np
import pytest

from halfmap.data import moved
from halfmap.errors import InputError
from halfmap.geometry import frames
from tests.jobs import made


def test_poses_go_with_the_map_and_nothing_else(tmp_path):
    table = made.particles(tmp_path)
    frame = frames.shift(np.array([3.0, 4.0, -5.0]))
    along = moved.moved(table, frame)
    np.testing.assert_allclose(along.poses.shifts_A, frame.poses(table.poses).shifts_A)
    np.testing.assert_array_equal(along.defocus.u_A, table.defocus.u_A)
    assert along.columns is table.columns and along.optics is table.optics


@pytest.mark.parametrize("name, sign", [("positive", -1), ("negative", 1)])
def test_the_defocus_changes_by_the_height_of_the_new_centre(name, sign, tmp_path):
    """An atom at q_z = z has the defocus u - s z: so has the particle of which it is the centre."""
    table = made.particles(tmp_path)
    centre = np.array([30.0, -20.0, 10.0])
    along = moved.moved(table, frames.shift(-centre), name)
    height = (table.poses.rotations @ centre)[:, 2]
    np.testing.assert_allclose(along.defocus.u_A - table.defocus.u_A, sign * height, atol=1e-9)
    np.testing.assert_allclose(along.defocus.v_A - table.defocus.v_A, sign * height, atol=1e-9)


def test_a_way_back_restores_defocus_and_poses(tmp_path):
    table = made.particles(tmp_path)
    frame = frames.shift(np.array([8.0, 1.0, -5.0])).after(frames.mirror())
    # the mirror turns the beam round: so does the sign
    back = moved.moved(moved.moved(table, frame, "positive"), frame.inverse(), "negative")
    np.testing.assert_allclose(back.defocus.u_A, table.defocus.u_A, atol=1e-9)
    np.testing.assert_allclose(back.poses.rotations, table.poses.rotations, atol=1e-12)
    np.testing.assert_allclose(back.poses.shifts_A, table.poses.shifts_A, atol=1e-9)


def test_a_table_without_poses_is_refused(tmp_path):
    table = made.particles(tmp_path)
    with pytest.raises(InputError, match="no poses"):
        moved.moved(made_without(table), frames.identity())


def made_without(table):
    from dataclasses import replace

    return replace(table, poses=None)
