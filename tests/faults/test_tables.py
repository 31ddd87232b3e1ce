"""Particle tables that are broken or ask for what is not there. Table D: 10, 11, 12, 30."""

import struct

import numpy as np
import pytest

from halfmap.data import relion
from halfmap.io import cs
from tests.data import test_cryosparc
from tests.faults import made
from tests.io import test_cs

DEFOCUS = 3  # word of a row, from 0: image, group, defocus U ...


def rows(text: str) -> list[int]:
    return [number for number, line in enumerate(text.splitlines()) if "@" in line]


def word(text: str, row: int, place: int, value: str) -> str:
    """The table with another word in a row."""
    lines = text.splitlines()
    words = lines[rows(text)[row]].split()
    words[place : place + 1] = [value] if value else []
    lines[rows(text)[row]] = " ".join(words)
    return "\n".join(lines) + "\n"


def place_of(text: str, tag: str) -> int:
    """Which word of a row a column is."""
    return int([line for line in text.splitlines() if line.startswith(f"_{tag} ")][-1].split("#")[1]) - 1


def in_column(tag: str, value: str):
    return lambda text: word(text, 2, place_of(text, tag), value)


# Twelve ways to break a STAR file, each with what the complaint names
BROKEN = {
    "short row": (in_column("rlnDefocusU", ""), ("line", "values in a row of data_particles", "complete or remove")),
    "extra value": (in_column("rlnDefocusU", "1 2"), ("line", "values in a row of data_particles, expected")),
    "text in a number": (in_column("rlnDefocusU", "in-focus"), ("rlnDefocusU: row 3", "'in-focus' is not a number")),
    "NaN angle": (in_column("rlnAngleRot", "nan"), ("rlnAngleRot: row 3",)),
    "infinite defocus": (in_column("rlnDefocusV", "inf"), ("rlnDefocusV: row 3",)),
    "image 0": (in_column("rlnImageName", "000000@images.mrcs"), ("rlnImageName: row 3",)),
    "unknown optics group": (in_column("rlnOpticsGroup", "7"), ("rlnOpticsGroup: row 3", "7")),
    "third half-set": (in_column("rlnRandomSubset", "3"), ("rlnRandomSubset: row 3", "3")),
    "duplicate tag": (lambda text: text.replace("_rlnDefocusV ", "_rlnDefocusU "), ("rlnDefocusU stands twice",)),
    "missing column": (lambda text: text.replace("_rlnDefocusU ", "_rlnDefocus "), ("rlnDefocusU: column missing",)),
    "empty loop": (lambda text: "".join(line for line in text.splitlines(True) if "@" not in line), ("particles",)),
    "cut mid-row": (lambda text: text[: text.rindex("@") + 3], ("line", "values in a row of data_particles")),
    "no data block": (lambda text: "just notes\n", ("not a STAR file",)),
    "binary": (lambda text: "\0\1\2" * 50, ("binary data, not a STAR file",)),
    "empty file": (lambda text: "", ("empty file",)),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_star_file_is_named_by_line_or_column_and_row(kind, tmp_path):
    """D 10: no silent NaN; nothing is written."""
    made.particle_set(tmp_path)
    spoil, words = BROKEN[kind]
    table = tmp_path / "particles.star"
    table.write_text(spoil(table.read_text()))
    ended = made.refinement(tmp_path)
    assert ended.exit_code == 3
    assert "particles.star" in made.told(ended) and all(each in made.told(ended) for each in words), made.told(ended)
    assert not list((tmp_path / "job").glob("*.mrc"))


@pytest.mark.parametrize("change", [
    lambda text: text.replace("\n", "\r\n"),
    lambda text: "# a comment\n" + text.replace("\nloop_", "\n# another\nloop_"),
    lambda text: text.replace(" ", "\t "),
], ids=["CRLF", "comments", "tabs"])  # fmt: skip
def test_what_only_looks_unusual_is_read_as_ever(change, tmp_path):
    """D 10"""
    made.particle_set(tmp_path)
    table = tmp_path / "particles.star"
    before = relion.read_table(table)
    table.write_bytes(change(table.read_text()).encode())
    after = relion.read_table(table)
    np.testing.assert_array_equal(after.defocus.u_A, before.defocus.u_A)
    np.testing.assert_array_equal(after.half, before.half)


def test_all_faults_of_a_table_come_at_once(tmp_path):
    """D 10"""
    made.particle_set(tmp_path)
    table = tmp_path / "particles.star"
    text = in_column("rlnDefocusU", "a")(table.read_text())
    table.write_text(in_column("rlnAngleTilt", "b")(text))
    told = made.told(made.refinement(tmp_path))
    assert "rlnDefocusU: row 3: 'a'" in told and "rlnAngleTilt: row 3: 'b'" in told


def test_a_cs_file_without_images_says_which_field_is_missing(tmp_path):
    """D 12"""
    table = test_cryosparc.made()
    cs.write(tmp_path / "a.cs", test_cryosparc.fields(table, "ctf", "alignments3D"))
    ended = made.check(tmp_path, particles=tmp_path / "a.cs", quick=True)
    assert ended.exit_code == 3 and "blob/path" in made.told(ended)


def test_a_compressed_cs_file_says_how_to_export_it(tmp_path):
    """D 12"""
    (tmp_path / "a.cs").write_bytes(test_cs.csdat(test_cs.made(), ["ctf/df1_A"]))
    ended = made.check(tmp_path, particles=tmp_path / "a.cs", quick=True)
    assert ended.exit_code == 3 and "compressed" in made.told(ended) and "Dataset.load" in made.told(ended)


def test_a_cs_table_whose_stacks_moved_is_told_and_found_by_its_root(tmp_path):
    """D 12 and 23"""
    (tmp_path / "before").mkdir()
    path = test_cryosparc.project(tmp_path / "before")
    (tmp_path / "before" / "J1").rename(tmp_path / "J1")
    (tmp_path / "before" / "J2").rename(tmp_path / "before" / "elsewhere")
    path = tmp_path / "before" / "elsewhere" / path.name
    lost = tmp_path / "lost"
    lost.mkdir()
    (tmp_path / "J1").rename(lost / "J1")
    ended = made.check(tmp_path, particles=path, quick=True, out=tmp_path / "a")
    assert ended.exit_code == 3 and "J1/a.mrc" in made.told(ended) and "images root" in made.told(ended)
    found = made.check(tmp_path, particles=path, quick=True, out=tmp_path / "b", images_root=lost)
    assert "no file" not in made.told(found) and found.summary["counts"]["particles"] > 0


class Bomb:
    """Unpickling it makes a file."""

    def __reduce__(self):
        return (open, ("exploded", "w"))


@pytest.mark.parametrize("name", ["a.cs", "a.star", "map.mrc"])
def test_pickles_are_refused_unread(name, monkeypatch, tmp_path):
    """D 30: an array of objects, offered as a table, a STAR file or a map."""
    monkeypatch.chdir(tmp_path)
    made.particle_set(tmp_path)
    table = np.empty(1, [("uid", "<u8"), ("bomb", object)])
    table[0] = (1, Bomb())
    with open(tmp_path / name, "wb") as file:
        np.save(file, table, allow_pickle=True)
    which = "volume" if name == "map.mrc" else "particles"
    ended = made.refinement(tmp_path, **{which: tmp_path / name})
    assert ended.exit_code == 3 and name in made.told(ended)
    assert not (tmp_path / "exploded").exists()


def test_a_pickle_in_a_checkpoint_is_refused(tmp_path):
    """D 30: its manifest may be right, its arrays are not loaded as objects."""
    from halfmap.errors import InputError
    from halfmap.jobs.running import checkpoint, kept
    from tests.jobs.test_kept import snapshot

    checkpoint.Checkpoints(tmp_path).keep(snapshot(1))
    place = kept.path_of(tmp_path, 1)
    arrays = dict(np.load(place / checkpoint.STATE))
    (place / kept.MANIFEST).unlink()
    np.savez(place / checkpoint.STATE, **{**arrays, "half": np.array([Bomb()], dtype=object)})
    kept.seal(place, {})
    with pytest.raises(InputError, match="not a whole checkpoint"):
        checkpoint.read(place)


@pytest.mark.parametrize("columns, words", [
    ("_rlnImageName\n", ("rlnDefocusU",)),
    ("_rlnImageName\n_rlnDefocusU\n_rlnDefocusV\n_rlnDefocusAngle\n", ("rlnVoltage", "rlnSphericalAberration")),
])  # fmt: skip
def test_a_relion_3_0_table_without_what_it_needs_names_all_that_is_missing(columns, words, tmp_path):
    """D 11"""
    values = " ".join(["1@images.mrcs", "9000", "9000", "0"][: columns.count("_rln")])
    (tmp_path / "particles.star").write_text(f"data_\nloop_\n{columns}{values}\n")
    ended = made.check(tmp_path, quick=True)
    assert ended.exit_code == 3 and all(each in made.told(ended) for each in words)


def test_a_lying_length_of_a_cs_header_takes_no_memory(tmp_path):
    """D 12 and 17: 4 GB announced in 20 bytes."""
    (tmp_path / "a.cs").write_bytes(b"\x95CSDAT" + struct.pack("<I", 2**32 - 1) + b"{")
    ended = made.check(tmp_path, particles=tmp_path / "a.cs", quick=True)
    assert ended.exit_code == 3 and "a.cs" in made.told(ended)
