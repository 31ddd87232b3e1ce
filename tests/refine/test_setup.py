"""Half-sets, the grid of the run, the size of batches."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap import errors
from halfmap.maps import masks
from halfmap.refine import setup
from halfmap.types import Map, Optics
from tests.refine import made


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Forty images and neither poses nor half-sets."""
    folder = tmp_path_factory.mktemp("setup")
    return made.experiment(folder, 40).told()


def with_optics(particles, *grids):
    """One optics group per (box, pixel size); the images stay what they are."""
    described = tuple(Optics("group", 300.0, 2.7e7, 0.1, pixel, box) for box, pixel in grids)
    group = (np.arange(len(particles)) % len(described)).astype(np.int32)
    return replace(particles, optics=described, group=group)


def frame(particles, reference=None, **settings):
    return setup.frame_of(made.homogeneous(**settings), particles, reference)


def test_the_grid_of_one_optics_group_is_that_of_its_images(told):
    made_frame = frame(told)
    assert (made_frame.box, made_frame.voxel_size_A) == (made.BOX, made.VOXEL_A)


@pytest.mark.parametrize(
    "grids, box",
    [
        (((32, 5.0), (64, 2.5)), 64),  # the same length
        (((32, 5.0), (40, 2.5)), 64),  # 160 A at 2.5 A
        (((100, 1.0), (50, 3.0)), 150),
        (((32, 5.0), (48, 3.0)), 54),  # 160 / 3 = 53.3: the nearest even box
    ],
)
def test_the_finest_pixel_and_the_longest_box_set_the_grid(told, grids, box):
    made_frame = frame(with_optics(told, *grids))
    assert made_frame == frame(with_optics(told, *grids[::-1]))
    assert made_frame.voxel_size_A == min(pixel for _, pixel in grids)
    assert made_frame.box == box
    assert abs(made_frame.length_A - max(b * p for b, p in grids)) <= made_frame.voxel_size_A


def test_a_smaller_box_keeps_the_length(told):
    small, whole = frame(told, box_size=20), frame(told)
    assert small.box == 20
    assert small.length_A == pytest.approx(whole.length_A)
    assert small.diameter_A == whole.diameter_A


def test_a_larger_box_than_the_images_have_is_not_made(told):
    assert frame(told, box_size=64) == frame(told)


def test_a_particle_larger_than_its_box_is_refused(told):
    with pytest.raises(errors.UsageError, match=r"--particle-diameter 161 A.*160\.0 A"):
        frame(told, particle_diameter_A=161.0)


def test_the_circle_leaves_room_for_its_edge(told):
    for made_frame in (frame(told), frame(told, particle_diameter_A=160.0)):
        assert made_frame.diameter_A == setup.LARGEST_CIRCLE * 160.0
    assert frame(told, particle_diameter_A=100.0).diameter_A == 100.0


@pytest.mark.parametrize("radius_A", [30.0, 50.0, 70.0])
def test_the_diameter_is_estimated_from_the_map(told, radius_A):
    ball = Map(masks.sphere(64, radius_A / 4, 0.5), 4.0)
    estimate = setup.estimated_diameter_A(ball)
    # low-passed to 20 A, a sharp edge falls from 1 to 0.1 within half of that; a voxel of 4 A on either side
    assert 2 * radius_A - 8 < estimate - setup.DIAMETER_MARGIN_A < 2 * radius_A + 20 + 8
    assert frame(told, ball).diameter_A == min(estimate, setup.LARGEST_CIRCLE * 160.0)


def test_the_estimated_diameter_knows_nothing_of_the_scale_of_the_map():
    ball = Map(masks.sphere(48, 12, 3), 4.0)
    assert setup.estimated_diameter_A(Map(7.3 * ball.data, 4.0)) == setup.estimated_diameter_A(ball)


def test_batches_shrink_with_the_image_and_stay_within_their_limits():
    boxes = np.arange(16, 2050, 2)
    sizes = np.array([setup.batch_size(setup.BYTES_PER_PIXEL * box**2) for box in boxes])
    assert (np.diff(sizes) <= 0).all()
    assert sizes.max() == 2048 and sizes.min() >= 1
    held = sizes * setup.BYTES_PER_PIXEL * boxes.astype(float) ** 2
    assert held.max() <= setup.MOST_BATCH_BYTES
    assert (sizes[held < setup.BATCH_BYTES * 0.9] >= setup.LEAST_BATCH).all()


def test_one_image_fits_always():
    assert setup.batch_size(1e12) == 1


def test_the_batch_of_the_user_is_used(told):
    assert made.prepared(made.homogeneous(minibatch_size=7), told).batch == 7
    assert made.prepared(made.homogeneous(), told).batch == setup.batch_size(setup.BYTES_PER_PIXEL * made.BOX**2)


def test_new_half_sets_are_balanced_and_cover_everything(told):
    run = made.prepared(made.homogeneous(), told)
    first, second = run.rows(1), run.rows(2)
    assert len(first) == len(second) == len(told) / 2
    np.testing.assert_array_equal(np.sort(np.concatenate([first, second])), np.arange(len(told)))
    assert not told.half.any()  # the table that was given stays as it was


def test_the_half_sets_of_the_input_stay(told):
    half = np.where(np.arange(len(told)) < 19, 1, 2).astype(np.int8)
    np.testing.assert_array_equal(made.prepared(made.homogeneous(), replace(told, half=half)).half, half)
    again = made.prepared(made.homogeneous(force_resplit=True), replace(told, half=half))
    assert (again.half != half).any()


def test_a_suspicious_split_is_told_once(told):
    half = np.where(np.arange(len(told)) < 3, 1, 2).astype(np.int8)
    heard = made.Heard()
    run = made.prepared(made.homogeneous(), replace(told, half=half), watch=heard)
    (warning,) = heard.of("warning")
    assert "unequal" in warning["message"] and run.warnings == [warning["message"]]
    run.warn(warning["message"])
    assert len(heard) == 1


def test_rejected_particles_are_used_no_more(told):
    run = made.prepared(made.homogeneous(), told)
    gone = run.rows(1)[:3]
    run.source.reject(gone[:2], "NaN")
    run.reject(gone[2:], "faint")
    assert not np.isin(gone, run.rows(1)).any()
    assert len(run.rows(1)) == len(told) / 2 - 3 and len(run.rows(2)) == len(told) / 2
    assert run.rejected == {int(gone[0]): "NaN", int(gone[1]): "NaN", int(gone[2]): "faint"}
