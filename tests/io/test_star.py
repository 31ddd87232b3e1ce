"""STAR syntax: what is read is what stands there, and every fault of a file comes at once."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from halfmap.errors import InputError
from halfmap.io import star

DATA = Path(os.environ.get("HALFMAP_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
REAL = (
    "empiar-10204/particles.star",
    "empiar-10204/mtf_k2_200kV.star",
    "metadata/aspire_starfile_3796.star",
    "metadata/relion_empiar10017_ap_s_c2d.star",
    "small_stacks/relion31.star",
    "small_stacks/empiar_10076_7.star",
    "small_stacks/sample_relion_data.star",
)
BODIES = (star._short_body, star._long_body)
TABLE = "data_t\n\nloop_\n_a #1\n_b #2\n"


def real(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no {path}; set HALFMAP_TEST_DATA")
    return path


def made(folder, text):
    path = folder / "file.star"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def faults_of(folder, text):
    with pytest.raises(InputError) as caught:
        star.read(made(folder, text))
    return caught.value.faults


def every_body_compiled(monkeypatch):
    monkeypatch.setattr(star, "_SHORT_FILE_BYTES", 0)
    monkeypatch.setattr(star, "_SHORT_COLUMN", -1)


def same_tables(a, b):
    assert list(a) == list(b)
    for name in a:
        assert list(a[name].columns) == list(b[name].columns)
        for tag, column in a[name].columns.items():
            assert column.tolist() == b[name].columns[tag].tolist(), (name, tag)


@pytest.mark.parametrize("name", REAL)
def test_real_files_read_as_the_starfile_package_reads_them(name):
    starfile = pytest.importorskip("starfile")
    path = real(name)
    theirs = starfile.read(path, always_dict=True, parse_as_string=[])
    ours = star.read(path)
    assert len(ours) == len(theirs)
    for block, frame in zip(ours.values(), theirs.values(), strict=True):
        assert list(block.columns) == list(frame.columns)
        for tag in block.columns:
            if frame[tag].dtype.kind in "if":
                # pandas' default parser may be one unit in the last place off; ours is correctly rounded
                np.testing.assert_allclose(block.numbers(tag), frame[tag].to_numpy(), rtol=4e-16, atol=0)
            else:
                assert block.strings(tag) == frame[tag].tolist()


@pytest.mark.parametrize("name", REAL)
def test_the_compiled_body_reads_what_the_plain_one_reads(name, monkeypatch):
    plain = star.read(real(name))
    every_body_compiled(monkeypatch)
    compiled = star.read(real(name))
    same_tables(plain, compiled)


@pytest.mark.parametrize("name", REAL)
def test_writing_and_reading_keeps_every_character(name, tmp_path):
    before = star.read(real(name))
    star.write(tmp_path / "copy.star", before)
    same_tables(before, star.read(tmp_path / "copy.star"))


HARD = (
    "# a comment\n\ndata_\n\nloop_\n_a #1\n_b #2\n_c\n"
    "1 'two words' 3 # a comment with 'one quote\n\n"
    '\t4   "five"  6\r\n'
    '  7 it\'s "a"b c"\n'  # a quote inside a value, and a quote that ends only before a blank
    "data_x 8 9\n"  # no block: three values
    "# whole line\n10 11#12 13\n"
    "data_next\n_k v\n"
)
WANTED = [["1", "two words", "3"], ["4", "five", "6"], ["7", "it's", 'a"b c'], ["data_x", "8", "9"]]
WANTED.append(["10", "11#12", "13"])


@pytest.mark.parametrize("threads", [0, 1, 2, 7])
def test_quotes_comments_and_odd_values_are_told_apart(threads, tmp_path, monkeypatch):
    if threads:  # 0: the plain body
        every_body_compiled(monkeypatch)
        monkeypatch.setattr("halfmap.device._threads", threads)
    blocks = star.read(made(tmp_path, HARD))
    assert list(blocks) == ["", "next"]
    assert list(zip(*(blocks[""].strings(tag) for tag in "abc"), strict=True)) == [tuple(row) for row in WANTED]
    assert blocks["next"].strings("k") == ["v"] and not blocks["next"].is_loop


@pytest.mark.parametrize("threads", range(1, 9))
def test_the_number_of_threads_does_not_change_the_table(threads, tmp_path, monkeypatch):
    rows = "".join(f"{i} value{i % 7 * 'x'}\n" for i in range(50))
    path = made(tmp_path, TABLE + rows + "\ndata_second\nloop_\n_c #1\n5\n6\n")
    plain = star.read(path)
    every_body_compiled(monkeypatch)
    monkeypatch.setattr("halfmap.device._threads", threads)
    same_tables(plain, star.read(path))


def test_a_last_line_without_an_end_is_a_row(tmp_path):
    assert star.read(made(tmp_path, TABLE + "1 2\n3 4"))["t"].rows == 2


def test_a_table_without_rows_has_columns(tmp_path):
    block = star.read(made(tmp_path, TABLE))["t"]
    assert block.rows == 0 and list(block.columns) == ["a", "b"] and block.numbers("a").shape == (0,)


def test_one_very_long_value_does_not_widen_every_row(tmp_path, monkeypatch):
    rows = "1 2\n" * 3000 + "1 " + "x" * 100_000 + "\n"
    for threshold in (1 << 40, 0):
        monkeypatch.setattr(star, "_SHORT_FILE_BYTES", threshold)
        block = star.read(made(tmp_path, TABLE + rows))["t"]
        assert block.columns["b"].dtype == object and len(block.strings("b")[-1]) == 100_000


# ---- numbers


def awkward_numbers():
    rng = np.random.default_rng(0)
    values = [f"{x:.6f}" for x in rng.normal(scale=1e4, size=4000)]
    values += [repr(x) for x in rng.normal(size=2000).tolist()]
    values += [f"{x:.{d}e}" for x in rng.normal(size=200) for d in (1, 5, 16, 20)]
    values += ["0", "-0", "+1", ".5", "5.", "-.5e3", "1e22", "1e23", "1e-22", "1e-23", "9007199254740993", "1e400"]
    values += ["123456789012345678901234567890", "0.1e-320", "2.2250738585072011e-308", "nan", "-inf", "1E5", "1e+05"]
    return values


@pytest.mark.parametrize("threshold", [-1, 1 << 40])
def test_every_number_is_rounded_correctly(threshold, tmp_path, monkeypatch):
    monkeypatch.setattr(star, "_SHORT_COLUMN", threshold)
    texts = awkward_numbers()
    block = star.Block("", {"x": np.array([text.encode() for text in texts])})
    np.testing.assert_array_equal(block.numbers("x"), np.array([float(text) for text in texts]))


@pytest.mark.parametrize("threshold", [-1, 1 << 40])
@pytest.mark.parametrize("text", ["abc", "1.2.3", "1_000", "--1", "1e", "e5", "-", ".", "1,5", "0x10", "''"])
def test_text_is_no_number(text, threshold, monkeypatch):
    monkeypatch.setattr(star, "_SHORT_COLUMN", threshold)
    block = star.Block("t", {"x": np.array([b"1", text.encode(), b"2"])}, source="file.star")
    with pytest.raises(InputError) as caught:
        block.numbers("x")
    assert caught.value.faults == (f"file.star: x: row 2: {text!r} is not a number",)


def test_integers_may_carry_zeros_behind_the_point_and_nothing_else():
    assert star.Block("", {"x": np.array([b"3.000", b"-4"])}).integers("x").tolist() == [3, -4]
    with pytest.raises(InputError, match="row 1: 3.5 is not a whole number"):
        star.Block("", {"x": np.array([b"3.5"])}).integers("x")
    with pytest.raises(InputError, match="row 1: nan"):
        star.Block("", {"x": np.array([b"nan"])}).integers("x")


def test_floats_survive_writing_to_twelve_digits(tmp_path):
    values = np.random.default_rng(1).normal(scale=1e3, size=1000) * 10.0 ** np.arange(-10, 10).repeat(50)
    star.write(tmp_path / "x.star", [star.Block("t", {"x": values, "n": np.arange(1000)})])
    block = star.read(tmp_path / "x.star")["t"]
    np.testing.assert_allclose(block.numbers("x"), values, rtol=5e-12)  # half a unit of the twelfth digit
    assert block.integers("n").tolist() == list(range(1000))


def test_text_that_needs_quotes_gets_them(tmp_path):
    texts = ["two words", "", "#1", "it's", "'quoted'", "_tag", "data_x", "loop_", "plain", "[1,2]"]
    star.write(tmp_path / "x.star", [star.Block("t", {"x": np.array(texts, dtype=object), "n": np.arange(10)})])
    assert star.read(tmp_path / "x.star")["t"].strings("x") == texts


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.star"
    path.write_text("old")
    with pytest.raises(InputError, match="line break"):
        star.write(path, [star.Block("t", {"x": np.array(["a\nb"], dtype=object)})])
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["x.star"]


# ---- faults


@pytest.mark.parametrize("compiled", [False, True])
def test_all_short_and_long_rows_are_named_by_line(compiled, tmp_path, monkeypatch):
    if compiled:
        every_body_compiled(monkeypatch)
    found = faults_of(tmp_path, TABLE + "1 2\n3\n\n4 5 6\n7 8\n")
    assert [fault.split(": ", 1)[1].split(" in a row")[0] for fault in found] == [
        "line 7: 1 values",
        "line 9: 3 values",
    ]
    assert all("expected 2" in fault and "file.star" in fault for fault in found)


@pytest.mark.parametrize("compiled", [False, True])
def test_many_bad_rows_are_counted_rather_than_listed(compiled, tmp_path, monkeypatch):
    if compiled:
        every_body_compiled(monkeypatch)
    found = faults_of(tmp_path, TABLE + "1 2\n3\n" * 5000)
    assert len(found) == 21 and "4,980 more rows" in found[-1]


def test_faults_of_different_kinds_come_together(tmp_path):
    text = "data_a\n_x 1\n_x 2\ndata_a\nloop_\n_y\n_y\n1 2\n3\n"
    found = "\n".join(faults_of(tmp_path, text))
    for part in ("x stands twice", "second block data_a", "y stands twice", "line 9: 1 values"):
        assert part in found


@pytest.mark.parametrize(
    "text, part",
    [
        ("", "empty file"),
        (" \n\n", "empty file"),
        ("hello world\n", "before the first data_ block"),
        ("# only a comment\n", "no data_ block"),
        ("data_a\n1 2 3\n", "outside a loop"),
        ("data_a\n_x\n", "0 values, expected 1"),
        ("data_a\nloop_\n1 2\n", "without tags"),
        ("data_a\nloop_\n_x\n1\nloop_\n_y\n2\n", "second table"),
        ("data_a\nloop_\n_x 5\n1\n", "value inside a loop header"),
        (b"\x80\0\0\0\1\2\3" * 100, "binary"),
    ],
)
def test_what_is_no_star_file_is_refused(text, part, tmp_path):
    assert any(part in fault for fault in faults_of(tmp_path, text))


def test_a_missing_file_and_a_missing_column_are_named(tmp_path):
    with pytest.raises(InputError, match="nothing.star: cannot be read"):
        star.read(tmp_path / "nothing.star")
    with pytest.raises(InputError, match="file.star: z: column missing in data_t"):
        star.read(made(tmp_path, TABLE + "1 2\n"))["t"].numbers("z")


def test_short_files_are_read_without_numba():
    path = real("empiar-10204/particles.star")
    code = (
        "import sys; from halfmap.io import star; "
        f"b = star.read({str(path)!r})['particles']; b.numbers('rlnDefocusU'); print('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
