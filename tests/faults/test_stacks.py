"""Image files that are not what they should be. Table D: 6, 7, 8, 9, 13."""

import errno
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from halfmap.data import relion, stack
from halfmap.errors import InputError
from halfmap.io import mrc, patience
from halfmap.refine import batches
from tests.faults import made

HEADER = mrc.HEADER_BYTES


def spoiled(folder: Path, offset: int, data: bytes) -> None:
    with open(folder / "images.mrcs", "r+b") as file:
        file.seek(offset)
        file.write(data)


@pytest.mark.parametrize("size, words", [
    (HEADER + 5 * 1024 + 100, ("truncated", "5 of 12 sections are complete", "used by 12 particles, first in row 1")),
    (700, ("only 700 bytes", "an MRC header has 1024")),
    (0, ("only 0 bytes",)),
], ids=["in an image", "in the header", "empty"])  # fmt: skip
def test_a_truncated_stack_is_named_with_what_is_left_of_it(size, words, tmp_path):
    """D 6"""
    made.particle_set(tmp_path)
    os.truncate(tmp_path / "images.mrcs", size)
    for ended in (made.refinement(tmp_path), made.check(tmp_path, out=tmp_path / "check")):
        assert ended.exit_code == 3
        assert all(word in made.told(ended) for word in ("images.mrcs", *words))


@pytest.mark.parametrize("offset, value, words", [
    (8, 4000, "truncated"),  # nz
    (12, 154285104, "not an MRC file"),  # the mode of RELION's issue 844
    (12, 101, "MRC mode 101 is not supported"),
    (92, 2**30, "truncated"),  # NSYMBT
    (0, -5, "not an MRC file"),
], ids=["nz", "mode", "mode 101", "extended header", "nx"])  # fmt: skip
def test_a_header_that_lies_is_named_with_its_file(offset, value, words, tmp_path):
    """D 7"""
    made.particle_set(tmp_path)
    spoiled(tmp_path, offset, struct.pack("<i", value))
    ended = made.refinement(tmp_path)
    assert ended.exit_code == 3 and words in made.told(ended) and "images.mrcs" in made.told(ended)


def test_a_negative_extended_header_is_none(tmp_path):
    """D 7: NSYMBT garbage below zero moves no data."""
    made.particle_set(tmp_path)
    before = mrc.read_images(tmp_path / "images.mrcs", [3])
    spoiled(tmp_path, 92, struct.pack("<i", -7))
    np.testing.assert_array_equal(mrc.read_images(tmp_path / "images.mrcs", [3]), before)


def test_a_big_endian_stack_is_read_right(tmp_path):
    """D 7"""
    made.particle_set(tmp_path)
    raw = (tmp_path / "images.mrcs").read_bytes()
    before = mrc.read_images(tmp_path / "images.mrcs", [0, 7])
    swapped = np.frombuffer(raw, "<u4").byteswap().tobytes()
    (tmp_path / "images.mrcs").write_bytes(swapped[:208] + b"MAP \x11\x11\x00\x00" + swapped[216:])
    np.testing.assert_array_equal(mrc.read_images(tmp_path / "images.mrcs", [0, 7]), before)


BAD = {"NaN": np.nan, "infinity": np.inf, "constant": None}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_image_is_found_and_left_out(kind, tmp_path):
    """D 8: by the check, and by the source of every refinement, which lists it in rejected.star."""
    particles = made.particle_set(tmp_path)
    image = np.zeros((16, 16), "<f4")
    image[3, 4] = 0 if BAD[kind] is None else BAD[kind]
    spoiled(tmp_path, HEADER + 5 * image.nbytes, image.tobytes())
    ended = made.check(tmp_path)
    assert ended.summary["rows"]["bad_images"] == [6] and "row 6" in made.told(ended)
    rejected = {}
    frame = batches.Frame(16, 5.0, 60.0)
    source = batches.Source(particles, stack.Stack(particles), frame,
                            lambda rows, why: rejected.update(dict.fromkeys(rows, why)))
    seen = np.concatenate([batch for batch, _ in source._raw(np.arange(12), 5)])
    assert list(rejected) == [5] and "NaN, infinite or huge" in rejected[5]
    assert sorted(seen) == [row for row in range(12) if row != 5]


def test_an_image_of_1e30_is_left_out(tmp_path):
    """D 8: finite, but its square is not; and the rest is as if it were not there."""
    particles = made.particle_set(tmp_path)
    spoiled(tmp_path, HEADER + 5 * 1024, np.full((16, 16), 1e30, "<f4").tobytes())
    image = np.random.default_rng(1).normal(size=(16, 16)).astype("<f4") * np.float32(1e30)
    spoiled(tmp_path, HEADER + 6 * 1024, image.tobytes())
    ended = made.check(tmp_path)
    assert set(ended.summary["rows"]["bad_images"]) == {6, 7}
    assert stack.faulty(stack.Stack(particles).images(np.arange(4, 8))).tolist() == [False, True, True, False]


def test_a_refinement_is_as_if_a_bad_image_were_not_there(tmp_path):
    """D 8: it runs to its end, lists the image, and its map is that of the other particles."""
    made.particle_set(tmp_path)
    table = tmp_path / "particles.star"
    lines = table.read_text().splitlines(True)
    sixth = [line for line in lines if line.startswith("000006@")]
    (tmp_path / "others.star").write_text("".join(line for line in lines if line not in sixth))
    spoiled(tmp_path, HEADER + 5 * 1024, np.full((16, 16), np.nan, "<f4").tobytes())
    ended = made.refinement(tmp_path, max_iterations=1, seed=1, threads=1)
    without = made.refinement(tmp_path, max_iterations=1, seed=1, threads=1, particles=tmp_path / "others.star",
                              out=tmp_path / "without")  # fmt: skip
    assert len(sixth) == 1 and ended.exit_code == without.exit_code == 0
    assert (ended.summary["n_particles"], ended.summary["n_rejected"]) == (11, 1)
    assert relion.read_table(tmp_path / "job" / "rejected.star").index.tolist() == [5]
    found, expected = (mrc.read(folder / "map.mrc").data for folder in (tmp_path / "job", tmp_path / "without"))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())  # sums in float32, another order


def test_float16_saturation_is_an_image_with_infinity(tmp_path):
    """D 9: what overflowed when a stack was written is infinite there; such images are left out."""
    made.particle_set(tmp_path)
    images = np.random.default_rng(0).normal(0, 1, (12, 16, 16)).astype(np.float16)
    images[4, 2, 2] = np.inf
    mrc.write_stack(tmp_path / "images.mrcs", images, 5.0, mode=12)
    assert made.check(tmp_path).summary["rows"]["bad_images"] == [5]


def test_a_value_that_does_not_fit_float16_is_not_written(tmp_path):
    """D 9: an overflow is refused, the file is not there."""
    with pytest.raises(InputError, match="above 65504 do not fit into float16; normalise them or use float32"):
        mrc.write_stack(tmp_path / "a.mrcs", np.full((1, 4, 4), 7e4), 1.0, mode=12)
    assert not list(tmp_path.iterdir())


def test_float16_sums_do_not_overflow(tmp_path):
    """D 9: a sound float16 stack whose sums exceed 65504 is sound; computing is in float32."""
    images = np.full((2, 16, 16), 3000.0, np.float16)
    images[:, ::2] = 3010
    assert not stack.faulty(images).any()


@pytest.fixture
def flaky(monkeypatch):
    """The first ``times`` reads fail with ``code``."""
    real, left, pauses = os.preadv, [0, 0], []

    def read(*arguments):
        if left[0]:
            left[0] -= 1
            raise OSError(left[1], os.strerror(left[1]))
        return real(*arguments)

    def fail(code, times):
        left[:] = times, code
        return pauses

    monkeypatch.setattr(os, "preadv", read)
    monkeypatch.setattr(patience.time, "sleep", pauses.append)
    return fail


@pytest.mark.parametrize("code", patience.PASSING, ids=errno.errorcode.get)
def test_a_file_system_that_fails_once_is_asked_again(code, flaky, tmp_path):
    """D 13: EIO and ESTALE of a network file system; the file is opened anew."""
    particles = made.particle_set(tmp_path)
    expected = stack.Stack(particles).images(np.arange(3))
    pauses = flaky(code, 2)
    np.testing.assert_array_equal(stack.Stack(particles).images(np.arange(3)), expected)
    assert pauses == list(patience.PAUSES_S[:2])


def test_a_file_system_that_keeps_failing_is_told_with_the_file(flaky, tmp_path):
    """D 13"""
    particles = made.particle_set(tmp_path)
    flaky(errno.EIO, 100)
    with pytest.raises(InputError, match=r"images.mrcs: cannot be read \(Input/output error, 4 times\)"):
        stack.Stack(particles).images(np.arange(3))


def test_another_error_is_told_at_once(flaky, tmp_path):
    particles = made.particle_set(tmp_path)
    pauses = flaky(errno.EISDIR, 1)
    with pytest.raises(InputError, match="Is a directory"):
        stack.Stack(particles).images(np.arange(3))
    assert pauses == []


def test_missing_broken_and_unreadable_files_are_listed_each(tmp_path):
    """D 13: all at once, with the rows that want them."""
    particles = made.particle_set(tmp_path)
    text = (tmp_path / "particles.star").read_text()
    (tmp_path / "broken.mrcs").symlink_to(tmp_path / "gone.mrcs")
    (tmp_path / "folder.mrcs").mkdir()
    for number, name in ((2, "missing.mrcs"), (3, "broken.mrcs"), (4, "folder.mrcs")):
        text = text.replace(f"{number:06d}@{particles.files[0]}", f"{number:06d}@{name}")
    (tmp_path / "particles.star").write_text(text)
    ended = made.refinement(tmp_path)
    assert ended.exit_code == 3
    for number, name in ((2, "missing.mrcs"), (3, "broken.mrcs"), (4, "folder.mrcs")):
        assert f"row {number}: no file {name}" in made.told(ended)


def test_a_moved_project_is_found_by_its_root(tmp_path):
    """D 13 and 23: --images-root"""
    before, after = tmp_path / "before", tmp_path / "behind the Ångström"
    before.mkdir()
    made.particle_set(before)
    table = before / "particles.star"
    table.write_text(table.read_text().replace(str(before) + "/", ""))
    (after / "stacks").mkdir(parents=True)
    os.rename(before / "images.mrcs", after / "stacks" / "images.mrcs")
    lost = made.check(before, quick=True)
    assert lost.exit_code == 3 and "images.mrcs" in made.told(lost) and "images root" in made.told(lost)
    found = made.check(before, images_root=after / "stacks", out=tmp_path / "b")
    assert found.exit_code == 0 and found.summary["counts"]["images_read"] == made.N
