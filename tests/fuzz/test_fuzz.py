"""Readers meet a few hundred changed files each: nothing but our own errors comes out. `make fuzz` does it for longer.

Below, what longer runs have found.
"""

import json
import os
import struct

import numpy as np
import pytest

from halfmap.data import cryosparc, relion, tables
from halfmap.errors import InputError
from halfmap.io import cs, star
from tests.fuzz import fuzzer, targets

INPUTS = 300  # of each reader: about a second; the first ones are the sound seeds


@pytest.fixture(scope="module")
def known():
    return targets.targets()


@pytest.mark.parametrize("name", ["star", "star_long", "relion", "mrc", "cs", "cryosparc"])
def test_a_reader_answers_changed_files_with_our_own_errors_only(name, known):
    found = fuzzer.run(known[name], seed=0, inputs=INPUTS)
    assert {place: (str(fault), data) for place, (data, fault) in found.failures.items()} == {}
    assert found.inputs == INPUTS and found.accepted > 0


def test_the_fuzzer_notices_a_foreign_error_a_warning_a_hang_and_a_huge_buffer(monkeypatch):
    monkeypatch.setattr(fuzzer, "HANG_S", 0.2)

    def broken(data):
        if data == b"hang":
            while True:
                pass
        {b"index": lambda: [][1], b"warn": lambda: np.float32(1e30) ** 9, b"huge": lambda: bytearray(1 << 40)}[data]()

    seeds = (b"index", b"warn", b"hang", b"huge")
    found = fuzzer.run(fuzzer.Target("broken", broken, seeds, (b"x",), ()), seed=0, inputs=4)
    assert {type(fault).__name__ for _, fault in found.failures.values()} <= {
        "IndexError", "RuntimeWarning", "Hang", "MemoryError"}  # fmt: skip
    assert found.accepted == 0


def test_the_same_seed_feeds_the_same_inputs(known):
    one, two = (fuzzer.run(known["mrc"], seed=4, inputs=60) for _ in range(2))
    assert (one.accepted, one.lines, one.corpus) == (two.accepted, two.lines, two.corpus)


# ---- found by fuzzing


def csdat(head: dict | bytes, rest: bytes = b"") -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return b"\x95CSDAT" + struct.pack("<I", len(text)) + text + rest


def npy(descr: bytes, shape: bytes = b"(1,)") -> bytes:
    text = b"{'descr': " + descr + b", 'fortran_order': False, 'shape': " + shape + b", }\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize("content", [
    b"\x95CSDAT\xff\xff\xff\xff{",  # announces a header of 4 GB
    csdat({"length": 1 << 60, "dtype": [["uid", "<u8"]]}, b"\0" * 12),  # and a column of 8 EB
    csdat({"length": 1, "dtype": [["a", "<f4("]]}),  # NumPy: SyntaxError
    csdat({"length": 1, "dtype": [["a", "<f4(99999999999,)"]]}),  # NumPy: ValueError
    csdat({"length": -1, "dtype": [["uid", "<u8"]]}, b"\0" * 12),
    csdat({"length": 1, "dtype": [["uid", "<u8", [-3]]]}, b"\0" * 12),
    csdat(b"[" * 100_000),  # json: RecursionError
    npy(b"(" * 9_000),  # NumPy: MemoryError
], ids=["header", "column", "syntax", "size", "length", "shape", "nested", "brackets"])  # fmt: skip
def test_a_lying_header_of_a_cs_file_is_damage(content, tmp_path):
    (tmp_path / "a.cs").write_bytes(content)
    with pytest.raises(InputError, match="a.cs"):
        cs.read(tmp_path / "a.cs")


def test_a_table_that_python_2_wrote_is_read_in_silence(tmp_path, recwarn):
    (tmp_path / "a.cs").write_bytes(npy(b"[('uid', '<u8')]", b"(1L,)") + b"\7" * 8)
    assert cs.read(tmp_path / "a.cs")["uid"].tolist() == [0x0707070707070707]
    assert not recwarn.list


def test_a_file_name_that_is_no_utf8_goes_through_a_star_file(tmp_path):
    raw = [b"1@\xff\xfe.mrcs", b"2@\xff \xfe.mrcs"]
    star.write(tmp_path / "a.star", [star.Block("", {"name": np.array([os.fsdecode(name) for name in raw], object)})])
    assert list(star.read(tmp_path / "a.star")[""].texts("name")) == raw


def test_a_text_that_no_file_can_hold_is_refused_in_words(tmp_path):
    with pytest.raises(InputError, match="it is no text"):
        star.write(tmp_path / "a.star", [star.Block("", {"name": np.array(["\ud800"], object)})])


def test_both_star_bodies_say_the_same_of_a_loop_without_tags(tmp_path, monkeypatch):
    (tmp_path / "a.star").write_text("data_\nloop_\nx\n")
    said = []
    for limit in (star._SHORT_FILE_BYTES, 0):
        monkeypatch.setattr(star, "_SHORT_FILE_BYTES", limit)
        with pytest.raises(InputError) as caught:
            star.read(tmp_path / "a.star")
        said.append(caught.value.faults)
    assert said[0] == said[1]


def test_a_name_longer_than_the_system_allows_is_a_missing_file(tmp_path):
    text = "data_\nloop_\n_rlnImageName\n_rlnVoltage\n_rlnSphericalAberration\n_rlnAmplitudeContrast\n_rlnPixelSize\n" \
           "_rlnDefocusU\n_rlnDefocusV\n_rlnDefocusAngle\n"  # fmt: skip
    (tmp_path / "a.star").write_text(f"{text}1@{'x' * 5000}.mrcs 300 2.7 0.1 1.5 9000 9000 0\n")
    with pytest.raises(InputError, match="no file xxx"):
        relion.read(tmp_path / "a.star")


def test_signalling_nans_are_named_and_not_warned_of(tmp_path, recwarn):
    table = targets.test_cryosparc.made()
    table["ctf/df1_A"].view(np.uint32)[0] = 0x7FA00000
    cs.write(tmp_path / "a.cs", table)
    with pytest.raises(InputError, match="ctf/df1_A: row 1: nan is not a finite number"):
        cryosparc.read_table(tmp_path / "a.cs")
    assert tables.cs.is_table(tmp_path / "a.cs") and not recwarn.list


@pytest.mark.parametrize("name", ["ctf/tilt_A", "ctf/anisomag"])
def test_a_nan_in_a_vector_of_the_lens_is_named(name, tmp_path):
    table = targets.test_cryosparc.made()
    table[name][0, 1] = np.nan
    cs.write(tmp_path / "a.cs", table)
    with pytest.raises(InputError, match=f"{name}: row 1: .* are not finite numbers"):
        cryosparc.read_table(tmp_path / "a.cs")
