"""Inputs: all faults at once, and a mask that fits."""

import dataclasses

import numpy as np
import pytest

from halfmap.data import relion
from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.jobs.refinement import homogeneous
from halfmap.jobs.running import events, inputs
from halfmap.maps import masks
from halfmap.params.homogeneous import Homogeneous
from halfmap.params.reconstruct import Reconstruct
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


def test_a_static_mask_with_a_hard_edge_is_warned_of_by_its_name():
    heard = events.Passing()
    ball = masks.sphere(made.BOX, 6.0, 0.0)
    inputs.warn_of_mask("m.mrc", Map(ball, made.VOXEL_A), heard)
    assert len(heard.warnings) == 1 and heard.warnings[0].startswith("m.mrc: it is binary")
    inputs.warn_of_mask("m.mrc", Map(masks.sphere(made.BOX, 4.0, 11.0), made.VOXEL_A), heard)
    assert len(heard.warnings) == 1


LENS = {
    "beam_tilt_rad": (1e-3, -2e-3),
    "odd_zernike": (0.5, 1.0, 2.0, 3.0, 4.0, 5.0),
    "even_zernike": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "magnification": ((1.02, 0.01), (0.01, 0.98)),
}
WITHOUT = {
    "ignore_tilt": {"beam_tilt_rad": (0.0, 0.0), "odd_zernike": (0.0, 0.0, 2.0, 0.0, 0.0, 5.0)},
    "ignore_trefoil": {"odd_zernike": (0.5, 1.0, 0.0, 3.0, 4.0, 0.0)},
    "ignore_tetrafoil": {"even_zernike": (0.1, 0.0, 0.3, 0.0, 0.0, 0.0, 0.7, 0.0, 0.0)},
    "ignore_anisotropic_magnification": {"magnification": ((1.0, 0.0), (0.0, 1.0))},
}


def aberrated(folder):
    """Particles of two optics groups whose lens has everything, and their file."""
    table = made.particles(folder)
    lens = dataclasses.replace(table.optics[0], **LENS)
    table = dataclasses.replace(table, optics=(lens, dataclasses.replace(lens, name="other")),
                                group=(np.arange(len(table)) % 2).astype(np.int32))  # fmt: skip
    mrc.write_stack(folder / "images.mrcs", np.zeros((made.N, made.BOX, made.BOX), np.float32), made.VOXEL_A)
    relion.write(folder / "lens.star", table)
    return table, folder / "lens.star"


@pytest.mark.parametrize("job", [Homogeneous, Reconstruct])
@pytest.mark.parametrize("ignored", [(), *((name,) for name in WITHOUT), tuple(WITHOUT)], ids=len)
def test_what_is_to_be_ignored_is_zero_and_all_else_as_the_table_says(ignored, job, tmp_path):
    table, path = aberrated(tmp_path)
    given = {"volume": "v.mrc"} if job is Homogeneous else {}
    params = job(out="o", particles=path, **given, **dict.fromkeys(ignored, True))
    found = homogeneous.read_particles(params, lambda kind, **data: None)
    wanted = dict(LENS)
    for name in ignored:
        for field, value in WITHOUT[name].items():
            zeroed = tuple(v if w else 0.0 for v, w in zip(wanted[field], value, strict=True))
            wanted[field] = value if field != "odd_zernike" else zeroed
    for before, entry in zip(table.optics, found.optics, strict=True):
        expected = dataclasses.replace(before, **wanted)
        assert dataclasses.replace(entry, **wanted) == expected  # nothing else
        for field, value in wanted.items():
            np.testing.assert_allclose(getattr(entry, field), value, rtol=1e-9)
    np.testing.assert_array_equal(found.group, table.group)
    np.testing.assert_array_equal(found.defocus.u_A, table.defocus.u_A)
