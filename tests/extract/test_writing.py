"""Stacks: every particle finds its image again, whatever order images came in and whatever was left out."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.data.stack import Stack
from halfmap.errors import InputError
from halfmap.extract import writing
from halfmap.io import mrc
from tests.jobs import made


def two_sizes(folder):
    """Twelve particles, the odd ones of an optics group with larger images."""
    table = made.particles(folder)
    small, large = table.optics[0], replace(table.optics[0], name="opticsGroup2", box=40, pixel_size_A=2.4)
    return replace(table, optics=(small, large), group=(np.arange(made.N) % 2).astype(np.int32))


def numbered(particles, backwards=False, without=()):
    """A stream of images that say which row they are of; pixel (0, 0) is another, or they would be flat."""

    def stream(rows):
        for row in rows[::-1] if backwards else rows:
            if row not in without:
                box = particles.optics[particles.group[row]].box
                image = np.full((1, box, box), row, np.float32)
                image[0, 0, 0] = -1
                yield np.array([row]), image

    return stream


@pytest.mark.parametrize("backwards", [False, True])
def test_every_particle_finds_its_image(tmp_path, backwards):
    table = two_sizes(tmp_path)
    new, kept = writing.write(tmp_path, table, table.optics, 2, numbered(table, backwards))
    assert len(new) == made.N and len(new.files) == 2
    for row in range(made.N):
        image = Stack(new).images(np.array([row]))[0]
        assert image[5, 5] == kept[row] and len(image) == table.optics[row % 2].box


def test_pixel_sizes_are_in_the_headers(tmp_path):
    table = two_sizes(tmp_path)
    new, _ = writing.write(tmp_path, table, table.optics, 12, numbered(table))
    headers = {h.nx: h for h in map(mrc.read_header, new.files)}
    assert headers[40].voxel_size_A == pytest.approx(2.4) and headers[32].voxel_size_A == pytest.approx(3.0)
    assert headers[32].mode == 12


def test_rows_without_an_image_are_left_out(tmp_path):
    table = made.particles(tmp_path)
    new, kept = writing.write(tmp_path, table, table.optics, 2, numbered(table, without=(0, 7)))
    assert kept.tolist() == [row for row in range(made.N) if row not in (0, 7)]
    np.testing.assert_array_equal(new.poses.rotations, table.poses.rotations[kept])
    assert mrc.read_header(new.files[0]).nz == made.N - 2


def test_nothing_at_all_is_a_fault_and_leaves_no_file(tmp_path):
    table = made.particles(tmp_path)
    with pytest.raises(InputError, match="not one particle"):
        writing.write(tmp_path, table, table.optics, 2, numbered(table, without=range(made.N)))
    assert not list(tmp_path.iterdir())


def test_a_fault_on_the_way_leaves_no_half_a_stack(tmp_path):
    table = made.particles(tmp_path)

    def stream(rows):
        yield from numbered(table)(rows[:3])
        raise InputError("truncated")

    with pytest.raises(InputError, match="truncated"):
        writing.write(tmp_path, table, table.optics, 2, stream)
    assert not list(tmp_path.iterdir())


def test_unusable_images_are_noted_with_a_reason():
    rejects = writing.Rejects()
    images = np.random.default_rng(0).normal(size=(4, 8, 8)).astype(np.float32)
    images[1, 2, 3], images[3] = np.nan, 5.0
    left = list(rejects.usable([(np.arange(10, 14), images)]))
    assert [rows.tolist() for rows, _ in left] == [[10, 12]]
    assert rejects.listed == ((11, writing.UNUSABLE), (13, writing.UNUSABLE))
