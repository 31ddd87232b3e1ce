"""Picks: each gets the CTF of its micrograph, and what does not fit together is named before an image is read."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.data import picks, relion, relion_micrographs, stack
from halfmap.errors import InputError
from halfmap.io import mrc, star
from tests.data.test_relion import OPTICS, PARTICLES, block, changed, project

MICROGRAPHS = {
    "rlnMicrographName": ["a.mrc", "b.mrc"], "rlnOpticsGroup": [1, 2], "rlnDefocusU": [11000, 22000],
    "rlnDefocusV": [10000, 21000], "rlnDefocusAngle": [10, 20],
}  # fmt: skip
OF_MICROGRAPHS = changed(OPTICS, rlnImagePixelSize=None, rlnImageSize=None, rlnMicrographPixelSize=[1.0, 2.0])
PICKED = {"rlnMicrographName": ["b.mrc", "a.mrc", "b.mrc"], "rlnCoordinateX": [5, 6.5, 7], "rlnCoordinateY": [1, 2, 3]}


def field(folder, picked=PICKED, micrographs=MICROGRAPHS, optics=OF_MICROGRAPHS, sections=1):
    """(table of picks, table of micrographs), the micrographs themselves beside them."""
    for name in ("a.mrc", "b.mrc"):
        mrc.write_stack(folder / name, np.random.default_rng(0).normal(size=(sections, 12, 16)), 1.0)
    star.write(folder / "picks.star", [block("", picked)])
    star.write(folder / "micrographs.star", [block("optics", optics), block("micrographs", micrographs)])
    return folder / "picks.star", folder / "micrographs.star"


def fault_of(do):
    with pytest.raises(InputError) as caught:
        do()
    return "\n".join(caught.value.faults)


def test_a_pick_has_the_defocus_and_pixel_size_of_its_micrograph(tmp_path):
    found = picks.of_coordinates(*field(tmp_path), None)
    assert found.particles.defocus.u_A.tolist() == [22000, 11000, 22000]
    sizes = [found.particles.optics[group].pixel_size_A for group in found.particles.group]
    assert sizes == [2.0, 1.0, 2.0]
    assert found.coordinates.tolist() == [[5, 1], [6.5, 2], [7, 3]]
    np.testing.assert_array_equal(picks.sizes(found), [[16, 12], [16, 12]])


def test_tables_of_picks_and_micrographs_come_back_as_they_were_written(tmp_path):
    found = picks.of_coordinates(*field(tmp_path), None)
    one_each = found.particles[np.unique(found.particles.file, return_index=True)[1]]
    relion_micrographs.write_micrographs(tmp_path / "m.star", one_each)
    relion_micrographs.write_picks(tmp_path / "p.star", found.particles.files, found.particles.file, found.coordinates)
    again = picks.of_coordinates(tmp_path / "p.star", tmp_path / "m.star", None)
    assert again.particles.files == found.particles.files
    np.testing.assert_array_equal(again.particles.defocus.u_A, found.particles.defocus.u_A)
    np.testing.assert_array_equal(again.coordinates, found.coordinates)


def test_a_micrograph_without_an_entry_is_named_with_its_picks(tmp_path):
    paths = field(tmp_path, changed(PICKED, rlnMicrographName=["gone.mrc", "a.mrc", "gone.mrc"]))
    assert "'gone.mrc' is not in" in fault_of(lambda: picks.of_coordinates(*paths, None))
    assert "remove its 2 particles" in fault_of(lambda: picks.of_coordinates(*paths, None))


def test_a_table_without_coordinates_and_one_without_micrographs_say_what_is_wanted(tmp_path):
    paths = field(tmp_path)
    assert "no table with rlnMicrographName, rlnCoordinateX" in fault_of(lambda: picks.of_coordinates(paths[1], *paths))
    assert "give the table of a CTF job" in fault_of(lambda: picks.of_coordinates(paths[0], paths[0], None))
    table = project(tmp_path)
    assert "give a STAR file with these columns" in fault_of(lambda: picks.of_particles(table, None, None))


def test_a_movie_and_a_damaged_micrograph_are_named_each(tmp_path):
    found = picks.of_coordinates(*field(tmp_path, sections=3), None)
    (tmp_path / "b.mrc").write_bytes(b"no image")
    told = fault_of(lambda: picks.sizes(found))
    assert "a.mrc: 3 sections; this is no micrograph but a movie or a stack" in told
    assert "b.mrc: only 8 bytes, an MRC header has 1024" in told


def test_micrographs_of_two_pixel_sizes_in_one_optics_group_are_refused(tmp_path):
    _, micrographs = field(tmp_path)
    places = {"rlnMicrographName": ["a.mrc", "b.mrc", "a.mrc", "b.mrc"], "rlnCoordinateX": [1, 2, 3, 4],
              "rlnCoordinateY": [1, 2, 3, 4]}  # fmt: skip
    table = project(tmp_path, changed(PARTICLES, **places))
    assert "split the group" in fault_of(lambda: picks.of_particles(table, micrographs, None))


def test_a_pixel_size_of_micrographs_that_is_none_is_named(tmp_path):
    places = {"rlnMicrographName": ["a.mrc"] * 4, "rlnCoordinateX": [1] * 4, "rlnCoordinateY": [1] * 4}
    table = project(tmp_path, changed(PARTICLES, **places), changed(OPTICS, rlnMicrographPixelSize=[1, 0]))
    assert "rlnMicrographPixelSize: row 2: 0 A is no pixel size" in fault_of(
        lambda: relion_micrographs.positions(relion.read_table(table)))  # fmt: skip


# ---- files that are not what they were


def test_a_damaged_stack_whose_table_tells_no_box_is_a_fault_of_the_table(tmp_path):
    table = project(tmp_path, PARTICLES, changed(OPTICS, rlnImageSize=None))
    (tmp_path / "b.mrcs").write_bytes(b"no images")
    assert "b.mrcs: only 9 bytes" in fault_of(lambda: relion.read(table))


@pytest.mark.parametrize("shape, said", [((4, 6, 6), "images of 6 x 6 pixels, expected 8 x 8"),
                                         ((2, 8, 8), "image 3 asked for, the file has 2")])  # fmt: skip
def test_a_stack_that_changed_since_it_was_checked_is_named(shape, said, tmp_path):
    particles = relion.read(project(tmp_path))
    assert stack.check(particles) == []
    mrc.write_stack(tmp_path / "a.mrcs", np.zeros(shape, np.float32), 1.5)
    first = np.flatnonzero(particles.group == 0)
    assert said in fault_of(lambda: stack.Stack(particles).images(first))


def test_a_name_of_an_image_with_both_kinds_of_quotes_cannot_be_written(tmp_path):
    particles = relion.read_table(project(tmp_path))
    files = tuple(tmp_path / "it's \"that\".mrcs" for _ in particles.files)
    told = fault_of(lambda: relion.write(tmp_path / "o.star", replace(particles, files=files)))
    assert "both kinds of quotes" in told and not (tmp_path / "o.star").exists()
