"""cryoSPARC tables: what is read comes back bit by bit, and what is no such table is refused with every fault."""

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from halfmap.errors import InputError
from halfmap.io import cs

DATA = Path(os.environ.get("HALFMAP_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
REAL = ("metadata/cryodrgn_P12_J24_particles.cs", "metadata/t20s_P9_J209_000_particles.cs")
TYPES = [("uid", "<u8"), ("blob/path", "S9"), ("blob/shape", "<u4", (2,)), ("ctf/df1_A", "<f4"), ("flag", "?")]


def made(rows=5):
    """Five rows with uids beyond the whole numbers of a double."""
    table = np.zeros(rows, TYPES)
    table["uid"] = np.arange(rows, dtype=np.uint64) + np.uint64(2**63 + 1)
    table["blob/path"] = [b"", b"a b.mrc", b"c.mrc", b"nine.mrcs", b"c.mrc"][:rows]
    table["blob/shape"] = np.arange(2 * rows).reshape(rows, 2)
    table["ctf/df1_A"] = np.linspace(1, np.pi, rows)
    return table


def saved(path, table):
    with open(path, "wb") as file:
        np.save(file, table, allow_pickle=True)
    return path


def csdat(table, compressed=()):
    """Format 2 as published: fields in turn, each after its length; texts as offsets into a heap."""
    heap, columns, types = b"", b"", []
    for name in table.dtype.names:
        column, shape = table[name], list(table.dtype[name].shape)
        if column.dtype.kind == "S":
            offsets = []
            for text in column.tolist():
                offsets.append(len(heap))
                heap += text + b"\0"
            column = np.array(offsets, "<u8")
            types.append([name, "|O"])
        else:
            types.append([name, column.dtype.str, *([shape] if shape else [])])
        columns += struct.pack("<I", column.nbytes) + column.tobytes() if len(table) else b""
    head = {"length": len(table), "dtype": types, "compression": "lz4" if compressed else None}
    text = json.dumps({**head, "compressed_fields": list(compressed)}).encode()
    return b"\x95CSDAT" + struct.pack("<I", len(text)) + text + columns + heap


def faults_of(path):
    with pytest.raises(InputError) as caught:
        cs.read(path)
    return caught.value.faults


def test_what_is_written_is_read_bit_by_bit(tmp_path):
    cs.write(tmp_path / "a.cs", made())
    back = cs.read(tmp_path / "a.cs")
    assert back.dtype == made().dtype and back.tobytes() == made().tobytes()
    assert np.load(tmp_path / "a.cs", allow_pickle=False).tobytes() == made().tobytes()


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_format_2_is_the_same_table(rows, tmp_path):
    (tmp_path / "a.cs").write_bytes(csdat(made(rows)))
    back = cs.read(tmp_path / "a.cs")
    assert back.dtype.names == made().dtype.names and len(back) == rows
    for name in back.dtype.names:
        assert back[name].tolist() == made(rows)[name].tolist()


@pytest.mark.parametrize("name", REAL)
def test_a_real_table_survives_writing_and_reading(name, tmp_path):
    if not (DATA / name).exists():
        pytest.skip(f"no {DATA / name}; set HALFMAP_TEST_DATA")
    table = cs.read(DATA / name)
    cs.write(tmp_path / "a.cs", table)
    assert cs.read(tmp_path / "a.cs").tobytes() == table.tobytes()


def test_both_byte_orders_are_read_as_native_numbers(tmp_path):
    saved(tmp_path / "a.cs", made().astype(made().dtype.newbyteorder(">")))
    back = cs.read(tmp_path / "a.cs")
    assert back["uid"].dtype.isnative and back["uid"].tolist() == made()["uid"].tolist()


@pytest.mark.parametrize("form", ["npy", "csdat"])
@pytest.mark.parametrize("fraction", [0.02, 0.5, 0.95])
def test_a_truncated_file_is_refused(form, fraction, tmp_path):
    path = tmp_path / "a.cs"
    if form == "npy":
        saved(path, made())
    else:
        path.write_bytes(csdat(made()))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(fraction * len(whole))])
    assert any("truncated" in fault or "damaged" in fault or "not a cryoSPARC" in fault for fault in faults_of(path))


@pytest.mark.parametrize(
    "header", [b"{", b"[]", b"{}", b'{"length": 1, "dtype": [["uid"]]}', b'{"length": 1, "dtype": [["uid", "?x"]]}']
)
def test_a_damaged_header_is_refused(header, tmp_path):
    (tmp_path / "a.cs").write_bytes(b"\x95CSDAT" + struct.pack("<I", len(header)) + header)
    assert "damaged" in faults_of(tmp_path / "a.cs")[0]
    (tmp_path / "b.cs").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    assert "damaged" in faults_of(tmp_path / "b.cs")[0]


def test_bytes_too_many_are_a_damaged_file(tmp_path):
    path = saved(tmp_path / "a.cs", made())
    path.write_bytes(path.read_bytes() + b"more")
    assert "damaged" in faults_of(path)[0]


def test_a_compressed_file_says_how_to_export_it(tmp_path):
    (tmp_path / "a.cs").write_bytes(csdat(made(), ["ctf/df1_A"]))
    (fault,) = faults_of(tmp_path / "a.cs")
    assert "lz4" in fault and "Dataset.load" in fault


def test_every_field_of_a_wrong_type_is_named_and_the_missing_uid_too(tmp_path):
    types = [("a/when", "datetime64[s]"), ("b/text", "U3"), ("c/good", "f4")]
    found = faults_of(saved(tmp_path / "a.cs", np.zeros(2, types)))
    assert len(found) == 3
    assert all(any(name in fault for fault in found) for name in ("uid", "a/when", "b/text"))


def test_a_uid_must_have_64_bits_without_sign(tmp_path):
    (fault,) = faults_of(saved(tmp_path / "a.cs", np.zeros(2, [("uid", "<i8")])))
    assert "int64" in fault and "uint64" in fault


def test_repeated_uids_are_named_by_row(tmp_path):
    table = made()
    table["uid"][[3, 4]] = table["uid"][0]
    found = faults_of(saved(tmp_path / "a.cs", table))
    assert ["row 4" in found[0], "row 5" in found[1], len(found)] == [True, True, 2]
    with pytest.raises(InputError):
        cs.write(tmp_path / "b.cs", table)
    assert not (tmp_path / "b.cs").exists()


@pytest.mark.parametrize(
    "content", [b"", b"data_particles\n", np.arange(10, dtype="f4"), np.array([{"a": 1}], dtype=object)]
)
def test_what_is_no_table_is_refused(content, tmp_path):
    path = tmp_path / "a.cs"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        saved(path, content)
    assert str(path) in faults_of(path)[0]


def test_a_missing_file_is_an_input_error(tmp_path):
    assert "cannot be read" in faults_of(tmp_path / "none.cs")[0]


def test_a_table_is_known_by_its_first_bytes(tmp_path):
    (tmp_path / "a.star").write_bytes(csdat(made()))
    (tmp_path / "b.cs").write_text("data_\n")
    names = ("a.star", "b.cs", "none")
    assert [cs.is_table(tmp_path / name) for name in names] == [True, False, False]
