"""Images come once each, in the order of the disk, as the file holds them; faults are found before reading."""

import os
import threading

import numpy as np
import pytest

from halfmap.data import stack
from halfmap.data.particles import Particles
from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.types import Defocus, Optics

BOX = 8


def images_of(seed, n, box=BOX, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=(n, box, box)).astype(dtype)


def particles(files, file, index, group=None, boxes=(BOX,)):
    n = len(file)
    return Particles(
        files=tuple(files),
        file=np.asarray(file, np.int32),
        index=np.asarray(index, np.int64),
        optics=tuple(Optics(f"o{i}", 300, 2.7e7, 0.1, 1.0, box) for i, box in enumerate(boxes)),
        group=np.zeros(n, np.int32) if group is None else np.asarray(group, np.int32),
        defocus=Defocus(*(np.zeros(n) for _ in range(6))),
        poses=None,
        half=np.zeros(n, np.int8),
        scale=np.ones(n),
    )


@pytest.fixture
def shuffled(tmp_path):
    """(table, images): 40 rows in random order over three stacks and two optics groups."""
    values = [images_of(seed, 20, dtype=np.float16) for seed in range(3)]
    files = [tmp_path / f"{i}.mrcs" for i in range(3)]
    for path, data in zip(files, values, strict=True):
        mrc.write_stack(path, data, 1.0, mode=12)
    rng = np.random.default_rng(9)
    places = rng.permutation(60)[:40]
    file, index = places // 20, places % 20
    table = particles(files, file, index, rng.integers(0, 2, 40), boxes=(BOX, BOX))
    return table, np.stack([values[f][i] for f, i in zip(file, index, strict=True)])


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_every_row_comes_once_with_its_own_image_whatever_the_batch_size(shuffled, size):
    table, images = shuffled
    rows = np.arange(0, 40, 2)
    seen = []
    for batch, pixels in stack.Stack(table).batches(rows, size):
        assert len(batch) <= size and len(set(table.group[batch])) == 1
        assert pixels.dtype == np.float16 and pixels.flags.c_contiguous
        np.testing.assert_array_equal(pixels, images[batch])
        seen += batch.tolist()
    assert sorted(seen) == rows.tolist()


def test_files_are_read_front_to_back(shuffled):
    table, _ = shuffled
    for group in range(2):
        batches = [rows for rows, _ in stack.Stack(table).batches(np.arange(40), 5) if table.group[rows[0]] == group]
        rows = np.concatenate(batches)
        assert np.all(np.diff(table.file[rows].astype(np.int64) * 1000 + table.index[rows]) > 0)


def test_single_images_come_in_the_order_asked_for(shuffled):
    table, images = shuffled
    rows = np.flatnonzero(table.group == 0)[::-1]
    np.testing.assert_array_equal(stack.Stack(table).images(rows), images[rows])


def test_no_rows_give_no_batches(shuffled):
    assert list(stack.Stack(shuffled[0]).batches(np.array([], dtype=int), 5)) == []


def reading_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("halfmap-read-ahead")]


def test_the_reading_thread_ends_when_the_iterator_is_closed(shuffled):
    batches = stack.Stack(shuffled[0]).batches(np.arange(40), 2)
    next(batches)
    assert reading_threads()
    batches.close()
    assert not reading_threads()


def test_an_exception_in_the_loop_ends_the_reading_thread(shuffled):
    def interrupted():
        for _ in stack.Stack(shuffled[0]).batches(np.arange(40), 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not reading_threads()


def test_a_file_that_vanishes_is_an_input_error_in_its_place(shuffled):
    table, _ = shuffled
    os.unlink(table.files[1])
    with pytest.raises(InputError, match="1.mrcs: cannot be read"):
        list(stack.Stack(table).batches(np.arange(40), 4))
    assert not reading_threads()


def test_files_of_different_types_are_brought_to_the_wider_one(tmp_path):
    mrc.write_stack(tmp_path / "a.mrcs", images_of(0, 2), 1.0, mode=12)
    mrc.write_stack(tmp_path / "b.mrcs", images_of(1, 2), 1.0, mode=2)
    table = particles([tmp_path / "a.mrcs", tmp_path / "b.mrcs"], [0, 1], [0, 1])
    ((_, pixels),) = stack.Stack(table).batches(np.arange(2), 5)
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, [images_of(0, 2)[0].astype(np.float16), images_of(1, 2)[1]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, np.int16])
def test_faulty_images_are_the_constant_and_the_infinite_ones(dtype):
    images = (100 * images_of(0, 6)).clip(-127, 127).astype(dtype)
    images[1] = 7
    images[3, 0] = 7  # one flat row is no fault
    wanted = [False, True, False, False, False, False]
    if np.dtype(dtype).kind == "f":
        images[2, 5, 3], images[4, 1, 1], images[4, 1, 2], images[5, 7, 7] = np.nan, np.inf, -np.inf, -np.inf
        wanted = [False, True, True, False, True, True]
    assert stack.faulty(images).tolist() == wanted


def test_a_black_image_with_signed_zeros_is_constant():
    images = np.zeros((1, 4, 4), np.float16)
    images[0, 2, 2] = -0.0
    assert stack.faulty(images).tolist() == [True]


# ---- checks before reading


def test_a_sound_table_has_no_faults(shuffled):
    assert stack.check(shuffled[0]) == []


def test_every_broken_file_is_named_with_its_particles(tmp_path):
    names = ["short", "gone", "odd", "oblong", "few", "box", "text"]
    files = [tmp_path / f"{name}.mrcs" for name in names]
    shapes = {"short": (4, 8, 8), "odd": (4, 7, 7), "oblong": (4, 8, 10), "few": (2, 8, 8), "box": (4, 10, 10)}
    for name, shape in shapes.items():
        mrc.write_stack(tmp_path / f"{name}.mrcs", np.zeros(shape, np.float32), 1.0)
    os.truncate(files[0], 1024 + 3 * 256)
    files[6].write_text("not an image" * 200)
    table = particles(files, np.arange(7).repeat(2), [3, 1] * 7)
    found = stack.check(table)
    for name, part in {
        "short": "truncated: 1,792 bytes where the header (8 x 8 x 4, mode 2) asks for 2,048",
        "gone": "cannot be read",
        "odd": "odd box of 7 pixels",
        "oblong": "8 pixels are not square",
        "few": "2 images, but image 4 is asked for",
        "box": "box 10 pixels, its optics group says 8",
        "text": "not an MRC file",
    }.items():
        assert any(f"{name}.mrcs: " in line and part in line for line in found), (name, found)
    assert all("used by 2 particles, first in row" in line for line in found)


def test_hundreds_of_broken_files_are_counted(tmp_path):
    files = [tmp_path / f"{i}.mrcs" for i in range(100)]
    found = stack.check(particles(files, np.arange(100), np.zeros(100)))
    assert len(found) == 21 and "80 more" in found[-1]
