"""Inputs: all faults at once, and a mask that fits."""

import numpy as np
import pytest

from halfmap.errors import InputError
from halfmap.jobs import inputs
from halfmap.types import Map
from tests.jobs import made


def failing(*faults):
    def read():
        raise InputError(faults)

    return read


def mask(box=made.BOX, voxel_A=made.VOXEL_A, height=1.0):
    return Map(np.full((box,) * 3, height, np.float32), voxel_A)


def test_results_come_in_order():
    assert inputs.read_all(lambda: 1, lambda: 2) == [1, 2]


def test_faults_of_all_readers_are_raised_together():
    with pytest.raises(InputError) as caught:
        inputs.read_all(failing("a: missing"), lambda: 2, failing("b: short", "b: odd"))
    assert caught.value.faults == ("a: missing", "b: short", "b: odd")


@pytest.mark.parametrize("fitting", [mask(), mask(made.BOX // 2, 2 * made.VOXEL_A), mask(voxel_A=1.005 * made.VOXEL_A)])
def test_a_mask_of_the_same_width_fits(fitting, tmp_path):
    inputs.check_mask("m.mrc", fitting, made.particles(tmp_path))


@pytest.mark.parametrize(
    "wrong, text",
    [
        (mask(box=40), "120.0 A wide, that of the particles 96.0 A"),
        (mask(height=7.0), "7 to 7, a mask has 0 to 1"),
        (mask(height=0.0), "make a mask"),
    ],
)
def test_a_mask_of_another_box_or_a_map_is_refused(wrong, text, tmp_path):
    with pytest.raises(InputError, match=text):
        inputs.check_mask("m.mrc", wrong, made.particles(tmp_path))
