"""The new state: what was not touched stays."""

import numpy as np
import pytest

from halfmap.refine import update
from halfmap.types import Map
from tests.refine import made


def test_a_reference_that_has_the_size_already_is_the_same_state():
    state = made.state()
    assert update.resampled(state, state.references.shape[-1]) is state


def test_resampling_keeps_the_length_of_the_box_and_the_values():
    z, y, x = np.mgrid[:16, :16, :16] - 8
    blob = np.exp(-(x**2 + y**2 + z**2) / 18).astype(np.float32)
    state = made.state(references=np.stack([blob, 2 * blob])[None])
    bigger = update.resampled(state, 24)
    assert bigger.references.shape == (1, 2, 24, 24, 24)
    assert bigger.reference_voxel_A * 24 == pytest.approx(state.reference_voxel_A * 16)
    # a Gaussian of 3 voxels has 1e-4 of its spectrum beyond the old Nyquist shell
    assert isinstance(bigger.reference(1), Map) and bigger.reference(1).data[12, 12, 12] == pytest.approx(2, abs=1e-3)


def test_seconds_are_added_to_the_last_line_of_history_only():
    state = made.state(history=({"iteration": 1}, {"iteration": 2}))
    rows = update.with_seconds(state, 3.0, {"poses": 1.0}).history
    assert rows == ({"iteration": 1}, {"iteration": 2, "seconds": 3.0, "seconds_poses": 1.0})
