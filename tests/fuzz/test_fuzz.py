"""Readers meet a few hundred changed files each: nothing but our own errors comes out. `make fuzz` does it for longer.

Below, what longer runs have found.
"""

import dataclasses
import json
import os
import struct

import numpy as np
import pytest

from halfmap.data import (
    carried,
    cryosparc,
    cryosparc_files,
    cryosparc_writing,
    expansion,
    originals,
    picks,
    relion,
    relion_columns,
    relion_micrographs,
    relion_project,
    stack,
    tables,
)
from halfmap.errors import InputError
from halfmap.io import cs, mrc, star
from tests.data.test_cryosparc import made as cs_table
from tests.data.test_relion import OPTICS, PARTICLES, block, changed, faults_of, project
from tests.fuzz import fuzzer, structures, targets

INPUTS = 150  # of each reader: a second or two; the first ones are the sound seeds


@pytest.fixture(scope="module")
def known():
    return targets.targets()


# Lines of the reader that so few inputs reach; the least that were seen with five seeds, less 0.05
@pytest.mark.parametrize("name, file, share", [
    ("star", "/io/star.py", 0.6), ("star_long", "/io/star.py", 0.5), ("relion", "/data/relion_table.py", 0.85),
    ("relion_others", "/data/relion_micrographs.py", 0.5), ("mrc", "/io/mrc.py", 0.8), ("cs", "/io/cs.py", 0.8),
    ("cryosparc", "/data/cryosparc_table.py", 0.85),
])  # fmt: skip
def test_a_reader_answers_changed_files_with_our_own_errors_only(name, file, share, known):
    found = fuzzer.run(known[name], seed=0, inputs=INPUTS)
    assert {place: (str(fault), data) for place, (data, fault) in found.failures.items()} == {}
    assert found.inputs == INPUTS and found.accepted > 0
    lines, missed = fuzzer.unreached(found)[file]
    assert 1 - len(missed) / lines > share


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


UID, ONE, NONE = ["uid", "<u8"], struct.pack("<I", 8) + b"\1" * 8, struct.pack("<I", 0)


@pytest.mark.parametrize("content", [
    b"\x95CSDAT\xff\xff\xff\xff{",  # announces a header of 4 GB
    csdat({"length": 1 << 60, "dtype": [["uid", "<u8"]]}, b"\0" * 12),  # and a column of 8 EB
    csdat({"length": 1, "dtype": [["a", "<f4("]]}),  # NumPy: SyntaxError
    csdat({"length": 1, "dtype": [["a", "<f4(99999999999,)"]]}),  # NumPy: ValueError
    csdat({"length": -1, "dtype": [["uid", "<u8"]]}, b"\0" * 12),
    csdat({"length": 1, "dtype": [["uid", "<u8", [-3]]]}, b"\0" * 12),
    csdat(b"[" * 100_000),  # json: RecursionError
    npy(b"(" * 9_000),  # NumPy: MemoryError
    npy(b"[('uid', '<u8'), ('a', ((), 1))]"),  # NumPy: IndexError
    csdat({"length": 1, "dtype": [UID], "compressed_fields": 5}, ONE),
    csdat({"length": 1, "dtype": [UID, UID]}, ONE + ONE),
    csdat({"length": 1, "dtype": [UID, ["", "<u8"]]}, ONE + ONE),
    csdat({"length": 1, "dtype": [UID, ["a b", "<u8"]]}, ONE + ONE),
    csdat({"length": 1, "dtype": [UID, ["\ud800", "<u8"]]}, ONE + ONE),
    csdat({"length": 0, "dtype": [UID, ["a", "<f4", [2147483647, 2]]]}),
    csdat({"length": 1, "dtype": [UID, ["a", "<f4", [0] * 70]]}, ONE + NONE),
    csdat({"length": 1, "dtype": [UID, ["a", "S"]]}, ONE + NONE),
    csdat({"length": 1, "dtype": [UID, ["a", "V"]]}, ONE + NONE),
    csdat({"length": 1, "dtype": [UID, ["a", "(2,)u4"]]}, ONE + ONE),
    csdat({"length": 1 << 60, "dtype": [["a", "<f4", [0]], UID]}, NONE),
    csdat({"length": 1, "dtype": [UID, ["a", "<f4", [0]]]}, ONE),
], ids=["header", "column", "syntax", "size", "length", "shape", "nested", "brackets", "index", "compressed", "twice",
        "no name", "blank", "surrogate", "bytes", "sides", "no width", "void", "array in type", "rows of nothing",
        "no count"])  # fmt: skip
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


def test_texts_of_a_cs_file_cannot_take_much_more_memory_than_the_file(tmp_path):
    """2,000 offsets that all point to one text of 60 kB would be a column of 120 MB; of a file of 60 MB, 120 TB."""
    rows, heap = 2_000, b"x" * 60_000
    uid = struct.pack("<I", 8 * rows) + np.arange(rows, dtype="<u8").tobytes()
    offsets = struct.pack("<I", 8 * rows) + np.zeros(rows, "<u8").tobytes()
    (tmp_path / "a.cs").write_bytes(csdat({"length": rows, "dtype": [UID, ["blob/path", "|O"]]}, uid + offsets + heap))
    with pytest.raises(InputError, match="blob/path: a text of 60,000 bytes among 2,000"):
        cs.read(tmp_path / "a.cs")


def retyped(name, dtype, shape=()):
    table = cs_table()
    types = [(field, dtype, shape) if field == name else (field, table.dtype[field]) for field in table.dtype.names]
    out = np.zeros(len(table), types)
    for field in set(table.dtype.names) - {name}:
        out[field] = table[field]
    return out


@pytest.mark.parametrize("name, dtype, shape, expected", [
    ("blob/path", "<u4", (), "text"), ("blob/path", "S5", (2,), "text"), ("blob/idx", "<f4", (), "whole number"),
    ("blob/shape", "<u4", (3,), "2 whole numbers"), ("blob/psize_A", "S8", (), "number"),
    ("ctf/df1_A", "<f4", (2,), "number"), ("ctf/df1_A", "<f2", (), "number"), ("ctf/tilt_A", "<f4", (), "2 numbers"),
    ("alignments3D/pose", "<f4", (4,), "3 numbers"), ("alignments3D/split", "S1", (), "whole number"),
])  # fmt: skip
def test_a_field_of_a_type_that_cannot_be_read_is_named(name, dtype, shape, expected, tmp_path):
    cs.write(tmp_path / "a.cs", retyped(name, dtype, shape))
    with pytest.raises(InputError, match=f"a.cs: {name}: type .* expected {expected} in a row"):
        cryosparc.read_table(tmp_path / "a.cs")


@pytest.mark.parametrize("name, value, expected", [
    ("ctf/accel_kv", 0, "kV is no voltage"), ("blob/psize_A", -1, "A is no pixel size"),
    ("ctf/amp_contrast", 7, "is no amplitude contrast"), ("blob/shape", 2**32 - 1, "is no box"),
    ("ctf/cs_mm", np.nan, "nan is not a finite number"), ("ctf/cs_mm", 1e5, "mm is no spherical aberration"),
    ("ctf/df1_A", 1e30, "1e[+]30 is out of range"), ("ctf/tilt_A", 1e30, "are out of range"),
])  # fmt: skip
def test_a_value_that_nothing_can_be_computed_with_is_named_in_a_cs_file(name, value, expected, tmp_path):
    table = cs_table()
    table[name][2] = value
    cs.write(tmp_path / "a.cs", table)
    with pytest.raises(InputError, match=f"{name}: row 3: .*{expected}"):
        cryosparc.read_table(tmp_path / "a.cs")


def test_text_of_a_star_file_that_would_spoil_one_is_refused_in_a_cs_file(tmp_path):
    table, types = cs_table(), [*cs_table().dtype.descr, ("star/someNote", "S9")]
    out = np.zeros(len(table), types)
    for field in table.dtype.names:
        out[field] = table[field]
    out["star/someNote"] = [b"plain", b"'a b'", b"a b", b"1 #2", b"", b"x"]
    cs.write(tmp_path / "a.cs", out)
    with pytest.raises(InputError) as caught:
        cryosparc.read_table(tmp_path / "a.cs")
    assert [fault.split("row ")[1][0] for fault in caught.value.faults] == ["3", "4", "5"]


def test_numbers_of_images_that_a_narrow_field_cannot_hold_widen_it(tmp_path):
    """As uint8, image 301 would be written as image 45."""
    cs.write(tmp_path / "a.cs", retyped("blob/idx", "<u1"))
    particles = cryosparc.read_table(tmp_path / "a.cs")
    cryosparc_files.write(tmp_path / "b.cs", dataclasses.replace(particles, index=np.arange(300, 306)))
    assert cs.read(tmp_path / "b.cs")["blob/idx"].tolist() == list(range(300, 306))


@pytest.mark.parametrize("tag, value, expected", [
    ("rlnVoltage", "-300", "-300 kV is no voltage"), ("rlnVoltage", "0", "0 kV is no voltage"),
    ("rlnAmplitudeContrast", "7", "7 is no amplitude contrast"), ("rlnImageSize", "-8", "-8 is no box"),
    ("rlnImageSize", "8.5", "8.5 is not a whole number"), ("rlnImageSize", "1e9", "1e[+]09 is no box"),
    ("rlnImagePixelSize", "1e-300", "1e-300 A is no pixel size"),
    ("rlnSphericalAberration", "1e308", "1e[+]308 is out of range"),
    ("rlnSphericalAberration", "2.7e7", "2.7e[+]07 mm is no spherical aberration"),
])  # fmt: skip
def test_a_value_that_nothing_can_be_computed_with_is_named_in_a_star_file(tag, value, expected, tmp_path):
    found = faults_of(project(tmp_path, PARTICLES, changed(OPTICS, **{tag: [OPTICS[tag][0], value]})))
    assert len(found) == 1
    with pytest.raises(InputError, match=f"{tag}: row 2: {expected}"):
        raise InputError(found)


def test_a_detector_pixel_over_a_magnification_of_nearly_nothing_is_named(tmp_path):
    old = {tag: values for tag, values in PARTICLES.items() if tag != "rlnOpticsGroup"}
    old |= {"rlnVoltage": [300] * 4, "rlnSphericalAberration": [2.7] * 4, "rlnAmplitudeContrast": [0.1] * 4,
            "rlnDetectorPixelSize": [7.5] * 4, "rlnMagnification": ["1e-308"] * 4}  # fmt: skip
    found = faults_of(project(tmp_path, old, None))
    assert any("rlnMagnification: row 1: 1e-308 is no magnification" in fault for fault in found)
    old["rlnMagnification"] = [0.001] * 4
    found = faults_of(project(tmp_path, old, None))
    assert any("rlnDetectorPixelSize: row 1: 7.5e+07 A is no pixel size" in fault for fault in found)


def test_an_optics_table_without_rows_is_named(tmp_path):
    found = faults_of(project(tmp_path, PARTICLES, {tag: [] for tag in OPTICS}))
    assert list(found) == [f"{tmp_path / 'particles.star'}: data_optics has no rows; add the optics groups"]


@pytest.mark.parametrize("tag, value, said", [
    ("cs:a:f4:99999999999:0", "1", "number 1 of 99999999999 is missing"),  # was a list of 99,999,999,999
    ("cs:a:f4:0:0", "1", "1 columns of 0"),
    ("cs:a:u1", "300", "do not fit"),
    ("cs:a:f4", "1e308", "overflow"),
    ("cs:a:S99999999", "x", "no text is that wide"),  # was 100 MB for each particle
])  # fmt: skip
def test_a_carried_column_that_was_renamed_or_edited_is_named(tag, value, said):
    with pytest.raises(InputError, match=said):
        carried.fields_of({tag: np.array([value.encode()] * 3)}, "a.star")


def test_carried_columns_of_one_field_that_differ_in_type_are_named():
    column = np.array([b"1", b"2"])
    with pytest.raises(InputError, match="cs:a:f8:2:1: columns of one field differ"):
        carried.fields_of({"cs:a:f4:2:0": column, "cs:a:f8:2:1": column}, "a.star")


@pytest.mark.parametrize("tag", ["cs:a:f1", "cs:a:b2", "cs:a:S0"])
def test_a_column_of_a_type_that_does_not_exist_carries_nothing(tag):
    assert not carried.is_field(tag)


@pytest.mark.parametrize("value", ["x", "-1", "1.5", str(2**64), "."])
@pytest.mark.parametrize("tag", ["halfmapParent", "halfmapSymmetryMate"])
def test_a_parent_that_is_no_number_of_a_particle_is_named_when_the_table_is_read(tag, value, tmp_path):
    """It was found by the job that needed it first: by the one that writes a .cs, after hours."""
    found = faults_of(project(tmp_path, changed(PARTICLES, **{tag: ["1", value, "2", "3"]})))
    assert len(found) == 1 and f"{tag}: row 2: b'{value}' is no number of a particle; where rows are no" in found[0]


def test_a_parent_that_is_no_number_is_named_in_a_cs_file_too(tmp_path):
    table = cs_table()
    out = np.zeros(len(table), [*table.dtype.descr, ("star/halfmapParent", "S9")])
    for field in table.dtype.names:
        out[field] = table[field]
    out["star/halfmapParent"] = b"."
    cs.write(tmp_path / "a.cs", out)
    with pytest.raises(InputError, match="a.cs: halfmapParent: row 1: b'.' is no number of a particle"):
        cryosparc.read_table(tmp_path / "a.cs")


def test_copies_of_which_only_the_parent_is_told_go_into_a_cs_file(tmp_path):
    particles = relion.read_table(project(tmp_path, changed(PARTICLES, halfmapParent=["5", "5", "6", "6"])))
    cryosparc_files.write(tmp_path / "a.cs", particles)
    assert cs.read(tmp_path / "a.cs")["sym_expand/src_uid"].tolist() == [5, 5, 6, 6]
    assert expansion.parents(cryosparc.read_table(tmp_path / "a.cs")).tolist() == [5, 5, 6, 6]


def test_a_magnification_among_particles_of_3_0_is_read_and_moves_to_the_optics(tmp_path):
    old = old_table(rlnMagMat00=["1.02", "1.02", "1", "1"], rlnMagMat11=["0.98", "0.98", "1", "1"])
    particles = relion.read_table(project(tmp_path, old, None))
    assert [entry.magnification for entry in particles.optics] == [((1.02, 0.0), (0.0, 0.98)), ((1.0, 0.0), (0.0, 1.0))]
    relion.write(tmp_path / "b.star", particles)
    assert "rlnMagMat00" not in star.read(tmp_path / "b.star")["particles"].columns
    assert relion.read_table(tmp_path / "b.star").optics == particles.optics


@pytest.mark.parametrize("in_optics", [False, True])
def test_a_magnification_that_is_none_is_named_where_it_stands(in_optics, tmp_path):
    if in_optics:
        path = project(tmp_path, PARTICLES, changed(OPTICS, rlnMagMat00=["1", "0"]))
    else:
        path = project(tmp_path, old_table(rlnMagMat00=["1", "1", "0", "1"]), None)
    found = faults_of(path)
    assert len(found) == 1 and f"rlnMagMat00 to 11: row {2 if in_optics else 3}: [[0.0" in found[0]


def test_a_magnification_in_both_tables_is_that_of_the_optics_and_stays_so(tmp_path):
    """Particles of which no group is distorted would lose the columns of the optics, and be read from their own."""
    unity = {tag: ["1", "1"] if tag[-1] == tag[-2] else ["0", "0"] for tag in relion_columns.MATRIX}
    path = project(tmp_path, changed(PARTICLES, rlnMagMat00=["9"] * 4), changed(OPTICS, **unity))
    particles = relion.read_table(path)
    assert all(entry.magnification == ((1.0, 0.0), (0.0, 1.0)) for entry in particles.optics)
    relion.write(tmp_path / "b.star", dataclasses.replace(particles, optics_columns={}))
    written = star.read(tmp_path / "b.star")
    assert set(relion_columns.MATRIX) <= set(written["optics"].columns)
    relion.write(tmp_path / "c.star", particles)
    assert star.read(tmp_path / "c.star")["particles"].strings("rlnMagMat00") == ["9"] * 4  # nothing is lost
    assert relion.read_table(tmp_path / "c.star").optics == particles.optics


def test_a_magnification_of_a_cs_file_that_is_none_is_named(tmp_path):
    table = cs_table()
    table["ctf/anisomag"][:] = 0, 1e6, 0, 0
    cs.write(tmp_path / "a.cs", table)
    with pytest.raises(InputError, match="ctf/anisomag: row 1: .* is no magnification matrix less the identity"):
        cryosparc.read_table(tmp_path / "a.cs")


@pytest.mark.parametrize("name", [b"J1/a\0b.mrc", b"J1/a\rb.mrc", b"J1/a\nb.mrc", b"J1/a\x0bb.mrc"])
def test_a_text_of_a_cs_file_with_signs_of_control_is_named(name, tmp_path):
    """A STAR file of it could not be read again."""
    table = cs_table()
    table["blob/path"][3] = name
    cs.write(tmp_path / "a.cs", table)
    with pytest.raises(InputError, match="blob/path: row 4: .* is no text"):
        cryosparc.read_table(tmp_path / "a.cs")


def test_a_text_of_a_cs_file_that_no_quotes_of_a_star_file_hold_is_named(tmp_path):
    table = cs_table()
    table["blob/path"][1], table["blob/path"][3] = b"J1/a b.mrc", b"""J1/'a "b.mrc"""
    cs.write(tmp_path / "a.cs", table)
    with pytest.raises(InputError, match="blob/path: row 4: .* is no value of a STAR file"):
        cryosparc.read_table(tmp_path / "a.cs")


def test_a_carried_field_of_which_a_column_is_lost_is_named_when_the_table_is_read(tmp_path):
    particles = cryosparc.read_table(written_cs(tmp_path))
    relion.write(tmp_path / "b.star", particles)
    blocks = star.read(tmp_path / "b.star")
    del blocks["particles"].columns["cs:ctf/tilt_A:f4:2:1"]
    star.write(tmp_path / "c.star", blocks)
    with pytest.raises(InputError, match="c.star: cs:ctf/tilt_A: number 1 of 2 is missing; remove the rest too"):
        relion.read_table(tmp_path / "c.star")


def test_a_known_field_that_was_renamed_to_another_type_is_named_when_the_table_is_read(tmp_path):
    path = project(tmp_path, changed(PARTICLES, **{"cs:ctf/df1_A:S3": ["1", "2", "3", "4"]}))
    with pytest.raises(InputError, match="ctf/df1_A: type .S3 of shape .*, expected number in a row"):
        relion.read_table(path)


def test_what_a_cs_file_cannot_hold_is_told_before_a_job_that_is_to_write_one(tmp_path):
    columns = changed(PARTICLES, **{"cs:own/x:u1": ["1", "2", "3", "300"]})
    particles = relion.read_table(project(tmp_path, columns))
    assert cryosparc_writing.faults_of(particles, "a.star", False)[0].startswith("a.star: cs:own/x:u1: ")
    half = relion.read_table(project(tmp_path, changed(PARTICLES, rlnRandomSubset=["1", "2", "0", "0"])))
    assert "a.star: half-sets: 2 of 4 particles have none" in cryosparc_writing.faults_of(half, "a.star", False)[0]
    assert cryosparc_writing.faults_of(half, "a.star", new_halves=True) == []
    twice = relion.read_table(project(tmp_path, changed(PARTICLES, **{"cs:uid:u8": ["7", "8", "7", "9"]})))
    assert "uid: row 3: 7 stands in an earlier row" in cryosparc_writing.faults_of(twice, "a.star", False)[0]
    named = relion.read_table(project(tmp_path, changed(PARTICLES, **{"a\x7fb": ["1"] * 4})))
    assert "is no name of a field" in cryosparc_writing.faults_of(named, "a.star", False)[0]


def old_table(**more):
    """Columns of a table of 3.0."""
    old = {tag: values for tag, values in PARTICLES.items() if tag != "rlnOpticsGroup"}
    return old | {"rlnVoltage": [300] * 4, "rlnSphericalAberration": [2.7] * 4, "rlnAmplitudeContrast": [0.1] * 4,
                  "rlnDetectorPixelSize": [7.5] * 4, "rlnMagnification": ["50000"] * 4, **more}  # fmt: skip


def written_cs(folder):
    cs.write(folder / "a.cs", cs_table())
    return folder / "a.cs"


def test_a_pick_without_a_place_and_tables_without_rows_are_named(tmp_path):
    picked = {"rlnMicrographName": ["m.mrc"] * 4, "rlnCoordinateX": [1, 2, 3, "inf"], "rlnCoordinateY": [1, 2, 3, 4]}
    path = project(tmp_path, changed(PARTICLES, **picked))
    with pytest.raises(InputError, match="rlnCoordinateX: row 4: inf is not a finite number"):
        picks.of_particles(path, None, None)
    none = {tag: [] for tag in ("rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY", "rlnOpticsGroup")}
    star.write(tmp_path / "picks.star", [block("", none)])
    star.write(tmp_path / "mics.star", [block("optics", OPTICS), block("micrographs", none)])
    with pytest.raises(InputError, match="picks.star: no rows with rlnMicrographName"):
        relion_micrographs.picked(tmp_path / "picks.star", tmp_path / "mics.star")
    star.write(tmp_path / "picks.star", [block("", {tag: ["1"] for tag in none})])
    with pytest.raises(InputError, match="mics.star: data_micrographs has no rows"):
        relion_micrographs.picked(tmp_path / "picks.star", tmp_path / "mics.star")


def test_an_mtf_that_ends_in_infinity_is_named(tmp_path, recwarn):
    curve = {"rlnResolutionInversePixel": ["inf", "inf"], "rlnMtfValue": [1, 0.5]}
    star.write(tmp_path / "mtf.star", [block("", curve)])
    with pytest.raises(InputError, match="rlnResolutionInversePixel: row 1: inf is not a finite number"):
        relion.read_mtf(tmp_path / "mtf.star")
    assert not recwarn.list


def test_an_original_image_without_a_number_is_named(tmp_path):
    path = project(tmp_path, changed(PARTICLES, rlnImageOriginalName=["1@a.mrcs", "x@a.mrcs", "0@a.mrcs", "2@a.mrcs"]))
    with pytest.raises(InputError) as caught:
        originals.reverted(relion.read_table(path), False, path)
    assert [fault.split(": ")[2] for fault in caught.value.faults] == ["row 2", "row 3"]


@pytest.mark.parametrize("text, said", [
    ("loop_\n_rlnPipeLineJobCounter #1\n\n", "rlnPipeLineJobCounter: no number"),
    ("_rlnPipeLineJobCounter 20\n\ndata_pipeline_processes\nloop_\n_rlnPipeLineProcessName #1\nRefine3D/job019/\n",
     "rlnPipeLineProcessStatus: column missing in data_pipeline_processes"),
])  # fmt: skip
def test_a_pipeline_that_lacks_what_jobs_are_listed_by_is_refused(text, said, tmp_path):
    (tmp_path / "default_pipeline.star").write_text(f"data_pipeline_general\n{text}")
    with pytest.raises(InputError, match=said):
        relion_project.read(tmp_path / "default_pipeline.star")


def test_a_file_that_lies_about_its_size_takes_no_memory(tmp_path):
    """1e9 particles, images or rows announced; the limit of the fuzzer, 256 MiB, holds."""
    path = tmp_path / "a.mrcs"
    mrc.write_stack(path, np.zeros((2, 8, 8), np.float32) + np.eye(8, dtype=np.float32), 1.5)
    lying = bytearray(path.read_bytes())
    struct.pack_into("<3i", lying, 0, 1 << 20, 1 << 20, 1 << 20)
    path.write_bytes(lying)
    (tmp_path / "a.cs").write_bytes(npy(b"[('uid', '<u8')]", b"(1000000000,)") + b"\7" * 8)
    with fuzzer._bounded():
        with pytest.raises(InputError, match="truncated"):
            mrc.read_header(path)
        with pytest.raises(InputError, match="truncated"):
            mrc.read_images(path, [0])  # asked for 4 TB
        with pytest.raises(InputError, match="truncated"):
            cs.read(tmp_path / "a.cs")
    table = project(tmp_path, changed(PARTICLES, rlnImageName=["999999999999@a.mrcs"] * 4))
    assert "image 999,999,999,999 is asked for" in stack.check(relion.read(table))[0]


def test_signalling_nans_are_written_as_float16_in_silence(tmp_path, recwarn):
    image = np.full((8, 8), 0x7FA00000, np.uint32).view(np.float32)
    image[0, :2] = np.inf, -np.inf
    mrc.write_stack(tmp_path / "a.mrcs", image, 1.5, 12)
    image = mrc.read_images(tmp_path / "a.mrcs", [0])
    assert np.isinf(image[0, 0, :2]).all() and np.isnan(image[0, 1:]).all() and not recwarn.list


def test_links_that_lead_nowhere_or_in_a_circle_are_unreadable_files(tmp_path):
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    for name in ("circle", "nowhere", "."):
        for read in (star.read, mrc.read_header, cs.read):
            with pytest.raises(InputError, match="cannot be read"):
                read(tmp_path / name)


@pytest.mark.parametrize("seed", [*targets._cs_seeds(), *targets._cryosparc_seeds()])
def test_the_fields_of_every_sound_cs_file_are_found_by_what_changes_them(seed):
    """It passes over what it cannot read, and would change nothing but bytes without a word."""
    assert structures._sound_fields(seed)
