"""MRC files: grey values, axes and sizes as they stand in the file, in both byte orders and all modes."""

import os
from pathlib import Path

import numpy as np
import pytest

from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.types import Map

DATA = Path(os.environ.get("HALFMAP_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
TYPES = {0: np.int8, 1: np.int16, 2: np.float32, 6: np.uint16, 12: np.float16}


def cube(box=6, seed=0):
    return np.random.default_rng(seed).normal(size=(box, box, box)).astype(np.float32)


def as_written(data, mode, order="<", stamp=True, extended=b"", axes=(1, 2, 3), cell=None, grid=None):
    """An MRC file put together here, independently of the writer under test."""
    nz, ny, nx = data.shape
    header = np.zeros(256, dtype=order + "i4")
    header[:4] = nx, ny, nz, mode
    header[7:10] = grid or (nx, ny, nz)
    header[10:13] = np.array(cell or (nx * 1.5, ny * 1.5, nz * 1.5), dtype=order + "f4").view(order + "i4")
    header[16:19] = axes
    header[22], header[23] = 1, len(extended)
    raw = bytearray(header.tobytes())
    if stamp:
        raw[208:212] = b"MAP "
        raw[212:216] = b"\x44\x44\0\0" if order == "<" else b"\x11\x11\0\0"
    kind = np.dtype(TYPES[mode]).newbyteorder(order)
    return bytes(raw) + extended + data.astype(kind).tobytes()


@pytest.mark.parametrize("stamp", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mode", TYPES)
def test_every_mode_and_byte_order_gives_the_same_values(mode, order, stamp, tmp_path):
    values = np.random.default_rng(mode).integers(0, 100, (5, 8, 8)).astype(TYPES[mode])
    path = tmp_path / "x.mrcs"
    path.write_bytes(as_written(values, mode, order, stamp, extended=b"e" * 80))
    images = mrc.read_images(path, np.arange(5))
    assert images.dtype == TYPES[mode] and images.dtype.isnative
    np.testing.assert_array_equal(images, values)
    header = mrc.read_header(path)
    assert (header.mode, header.byte_order, header.data_offset) == (mode, order, 1104)


def test_a_wrong_machine_stamp_does_not_mislead(tmp_path):
    raw = bytearray(as_written(cube(), 2, ">"))
    raw[212:216] = b"\x44\x44\0\0"
    (tmp_path / "x.mrc").write_bytes(raw)
    np.testing.assert_array_equal(mrc.read(tmp_path / "x.mrc").data, cube())


@pytest.mark.parametrize("indices", [[3], [0, 1, 2], [4, 4, 0], [1, 3, 4, 2], [], [5, 6, 7, 0, 1, 2, 3, 4]])
def test_images_come_in_the_order_asked_for(indices, tmp_path):
    values = np.random.default_rng(1).normal(size=(8, 4, 4)).astype(np.float32)
    mrc.write_stack(tmp_path / "x.mrcs", values, 1.0)
    np.testing.assert_array_equal(mrc.read_images(tmp_path / "x.mrcs", indices), values[np.array(indices, dtype=int)])


def test_an_image_outside_the_stack_is_an_index_error(tmp_path):
    mrc.write_stack(tmp_path / "x.mrcs", np.zeros((2, 4, 4)), 1.0)
    for index in (2, -1):
        with pytest.raises(IndexError):
            mrc.read_images(tmp_path / "x.mrcs", [index])


def test_reading_into_another_type_converts(tmp_path):
    values = np.random.default_rng(2).normal(size=(3, 4, 4)).astype(np.float16)
    mrc.write_stack(tmp_path / "x.mrcs", values, 1.0, mode=12)
    out = np.zeros((3, 4, 4), dtype=np.float32)
    with mrc.Reader(tmp_path / "x.mrcs") as reader:
        reader.into(out, [2, 0, 1])
    np.testing.assert_array_equal(out, values[[2, 0, 1]].astype(np.float32))


def test_maps_survive_writing_and_reading(tmp_path):
    mrc.write(tmp_path / "x.mrc", Map(cube(), 1.06))
    back = mrc.read(tmp_path / "x.mrc")
    np.testing.assert_array_equal(back.data, cube())
    assert back.voxel_size_A == pytest.approx(1.06, rel=1e-7)  # the cell is float32
    assert back.data.dtype == np.float32 and back.data.flags.c_contiguous


@pytest.mark.parametrize("axes", [(1, 2, 3), (3, 2, 1), (2, 1, 3), (2, 3, 1), (3, 1, 2), (1, 3, 2)])
def test_axes_are_brought_to_z_y_x(axes, tmp_path):
    wanted = cube()  # z, y, x
    of_axis = {1: 2, 2: 1, 3: 0}  # x is the last axis of a z, y, x array
    columns, rows, sections = axes
    stored = wanted.transpose(of_axis[sections], of_axis[rows], of_axis[columns])
    (tmp_path / "x.mrc").write_bytes(as_written(np.ascontiguousarray(stored), 2, axes=axes))
    np.testing.assert_array_equal(mrc.read(tmp_path / "x.mrc").data, wanted)


def test_mrcfile_reads_what_we_write(tmp_path):
    mrcfile = pytest.importorskip("mrcfile")
    mrc.write(tmp_path / "map.mrc", Map(cube(), 1.06))
    mrc.write_stack(tmp_path / "stack.mrcs", cube()[:4], 1.06, mode=12)
    assert mrcfile.validate(str(tmp_path / "map.mrc")) and mrcfile.validate(str(tmp_path / "stack.mrcs"))
    with mrcfile.open(tmp_path / "map.mrc") as file:
        np.testing.assert_array_equal(file.data, cube())
        assert file.header.ispg == 1 and file.voxel_size.z == pytest.approx(1.06, rel=1e-6)
        assert file.header.rms == pytest.approx(cube().std(), rel=1e-6)
    with mrcfile.open(tmp_path / "stack.mrcs") as file:
        assert file.is_image_stack() and file.data.dtype == np.float16 and file.data.shape == (4, 6, 6)
        np.testing.assert_array_equal(file.data, cube()[:4].astype(np.float16))
        assert file.voxel_size.x == pytest.approx(1.06, rel=1e-6)


@pytest.mark.parametrize(
    "name", ["empiar-10204/reference_100px.mrc", "maps/diffmodeler_emd_6824.mrc", "maps/hinge/body.mrc"]
)
def test_real_maps_read_as_mrcfile_reads_them(name):
    mrcfile = pytest.importorskip("mrcfile")
    if not (DATA / name).exists():
        pytest.skip(f"no {DATA / name}; set HALFMAP_TEST_DATA")
    ours = mrc.read(DATA / name)
    with mrcfile.open(DATA / name, permissive=True) as file:
        np.testing.assert_array_equal(ours.data, file.data)
        assert ours.voxel_size_A == pytest.approx(float(file.voxel_size.x), rel=1e-6)


def test_a_stack_may_come_in_pieces(tmp_path):
    values = np.random.default_rng(3).normal(size=(7, 4, 4)).astype(np.float32)
    count = mrc.write_stack(tmp_path / "x.mrcs", iter([values[:3], values[3], values[4:]]), 2.0)
    assert count == 7
    np.testing.assert_array_equal(mrc.read_images(tmp_path / "x.mrcs", range(7)), values)


def test_values_that_overflow_float16_are_refused(tmp_path):
    with pytest.raises(InputError, match="65504"):
        mrc.write_stack(tmp_path / "x.mrcs", np.full((1, 4, 4), 1e5, np.float32), 1.0, mode=12)
    assert os.listdir(tmp_path) == []


def refused(folder, raw):
    (folder / "x.mrc").write_bytes(raw)
    with pytest.raises(InputError) as caught:
        mrc.read(folder / "x.mrc")
    return str(caught.value)


def test_a_truncated_file_is_refused_with_both_sizes(tmp_path):
    raw = as_written(cube(), 2)
    text = refused(tmp_path, raw[:-10])
    assert f"{len(raw):,}" in text and f"{len(raw) - 10:,}" in text and "5 of 6 sections" in text


@pytest.mark.parametrize(
    "raw, part",
    [
        (b"short", "only 5 bytes"),
        (os.urandom(4) * 0 + b"\xff" * 2000, "not an MRC file"),
        (as_written(cube(), 2)[:12] + b"\4\0\0\0" + as_written(cube(), 2)[16:], "mode 4 is not supported"),
        (as_written(cube(), 2, cell=(6, 6, 6.1)), "are not cubes"),
        (as_written(cube(), 2, cell=(0, 0, 0)), "no voxel size"),
        (as_written(cube(), 2, cell=(3e-47, 3e-47, 3e-47)), "no voxel size"),
        (as_written(cube(), 2, cell=(3e30, 3e30, 3e30)), "no voxel size"),
        (as_written(cube()[:4], 2), "must be a cube"),
        (as_written(np.full((4, 4, 4), np.nan), 2), "64 voxels are NaN"),
    ],
)
def test_what_is_no_map_is_refused_with_the_reason(raw, part, tmp_path):
    assert part in refused(tmp_path, raw)


def test_a_missing_map_is_named(tmp_path):
    with pytest.raises(InputError, match="nothing.mrc: cannot be read"):
        mrc.read(tmp_path / "nothing.mrc")


def test_a_given_voxel_size_overrules_the_header(tmp_path):
    (tmp_path / "x.mrc").write_bytes(as_written(cube(), 2, cell=(0, 0, 0)))
    assert mrc.read(tmp_path / "x.mrc", voxel_size_A=5.0).voxel_size_A == 5.0


def test_a_stack_that_shrinks_while_open_is_noticed(tmp_path):
    path = tmp_path / "x.mrcs"
    mrc.write_stack(path, np.zeros((4, 4, 4), np.float32), 1.0)
    with mrc.Reader(path) as reader:
        os.truncate(path, 1024 + 64)
        assert reader.images([0]).shape == (1, 4, 4)
        with pytest.raises(InputError, match="truncated"):
            reader.images([1])


@pytest.mark.parametrize("voxel_size_A, box", [(0.885, 36), (1.24453125, 32), (2.65, 18), (3.54, 10)])
def test_a_voxel_size_is_the_decimal_that_was_meant(tmp_path, voxel_size_A, box):
    mrc.write(tmp_path / "a.mrc", Map(np.zeros((box,) * 3, np.float32), voxel_size_A))
    assert mrc.read(tmp_path / "a.mrc").voxel_size_A == pytest.approx(voxel_size_A, rel=1e-15)
