"""Inputs that do not belong together, and half-sets that are not independent. Table D: 14, 15."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.data import expansion, halves, relion
from halfmap.errors import InputError
from halfmap.geometry import symmetry
from halfmap.io import mrc
from halfmap.jobs.running import events, inputs
from halfmap.maps import masks
from halfmap.types import Map
from tests.faults import made


def put(folder, name, data, voxel_A=made.VOXEL_A):
    mrc.write(folder / name, Map(np.asarray(data, np.float32), voxel_A))


@pytest.mark.parametrize("data, words", [
    (np.zeros((16, 16, 16)), "values from 0 to 0"),
    (np.full((16, 16, 16), 7.0), "values from 7 to 7, a mask has 0 to 1"),
    (np.linspace(-1, 1, 4096).reshape(16, 16, 16), "values from -1 to 1"),
    (np.ones((8, 8, 8)), "the mask's box is 40.0 A wide, that of the particles 80.0 A"),
], ids=["empty", "a map", "negative", "another box"])  # fmt: skip
def test_a_mask_that_is_none_is_refused_before_the_run(data, words, tmp_path):
    """D 14"""
    made.particle_set(tmp_path)
    put(tmp_path, "bad.mrc", data)
    ended = made.refinement(tmp_path, mask=str(tmp_path / "bad.mrc"))
    assert ended.exit_code == 3 and "bad.mrc" in made.told(ended) and words in made.told(ended)


@pytest.mark.parametrize("data, words", [
    (masks.sphere(32, 1.0, 0.0), "less than any particle"),
    (masks.sphere(32, 6.0, 0.0), "hard edge"),
    (np.ones((32, 32, 32)), "fills 100% of the box"),
], ids=["tiny", "hard", "everything"])  # fmt: skip
def test_a_mask_that_is_unfit_is_warned_of(data, words):
    """D 14"""
    heard = events.Passing()
    inputs.warn_of_mask("bad.mrc", Map(np.asarray(data, np.float32), 2.5), heard)
    assert any("bad.mrc" in sentence and words in sentence for sentence in heard.warnings)


@pytest.mark.parametrize("voxel_A, told", [(5.0, False), (50.0, True), (0.2, True)])
def test_a_starting_map_of_the_wrong_voxel_size_is_warned_of(voxel_A, told, tmp_path):
    """D 14: ten times too large or too small; a map in another box or sampling is fine."""
    particles = made.particle_set(tmp_path)
    heard = events.Passing()
    inputs.warn_of_size("map.mrc", replace(mrc.read(tmp_path / "map.mrc"), voxel_size_A=voxel_A), particles, heard)
    assert bool(heard.warnings) == told
    assert not told or "is its voxel size of" in heard.warnings[0]


def test_a_map_that_is_no_cube_or_has_nan_is_refused(tmp_path):
    """D 14"""
    made.particle_set(tmp_path)
    data = np.zeros((16, 16, 16))
    data[3, 3, 3] = np.nan
    put(tmp_path, "map.mrc", data)
    ended = made.refinement(tmp_path)
    assert ended.exit_code == 3 and "1 voxels are NaN" in made.told(ended)
    mrc.write_stack(tmp_path / "map.mrc", np.ones((3, 16, 16), np.float32), 5.0)
    assert "a map must be a cube" in made.told(made.refinement(tmp_path, out=tmp_path / "b"))


def test_the_same_particle_in_both_halves_refuses_the_gold_standard(tmp_path):
    """D 15: the message says what to do, and that does it."""
    particles = made.particle_set(tmp_path, index=np.array([0, 0, *range(2, 12)]))
    ended = made.refinement(tmp_path)
    assert ended.exit_code == 3
    assert "1 images are in both" in made.told(ended) and "--force-resplit" in made.told(ended)
    again = halves.assign(particles, np.random.default_rng(0), resplit=True)
    assert again.half[0] == again.half[1]


def test_symmetry_copies_in_both_halves_refuse_the_gold_standard(tmp_path):
    """D 15"""
    expanded = expansion.expanded(made.particle_set(tmp_path), symmetry.group("C2"))
    leaking = replace(expanded, half=(1 + np.arange(len(expanded)) % 2).astype(np.int8))
    with pytest.raises(InputError, match="symmetry copies"):
        halves.assign(leaking, np.random.default_rng(0))
    halves.assign(expanded, np.random.default_rng(0))


def test_a_refinement_of_symmetry_copies_in_both_halves_is_refused(tmp_path):
    """D 15: as a table of another program tells them, the same image in several rows."""
    expanded = expansion.expanded(made.particle_set(tmp_path), symmetry.group("C2"))
    relion.write(tmp_path / "particles.star", replace(expanded, half=(1 + np.arange(24) % 2).astype(np.int8)))
    ended = made.refinement(tmp_path)
    assert ended.exit_code == 3 and not list((tmp_path / "job").glob("*.mrc"))
    assert "in both" in made.told(ended) and "--force-resplit" in made.told(ended)
    again = made.refinement(tmp_path, out=tmp_path / "again", force_resplit=True, max_iterations=1)
    assert again.exit_code == 0, made.told(again)
    table = relion.read_table(tmp_path / "again" / "particles.star")
    assert all(len(set(table.half[table.index == image])) == 1 for image in range(made.N))


def test_the_check_of_particles_finds_the_leak(tmp_path):
    """D 15"""
    made.particle_set(tmp_path, index=np.array([0, 0, *range(2, 12)]))
    ended = made.check(tmp_path)
    assert ended.exit_code == 3 and "are in both" in made.told(ended)


@pytest.mark.parametrize("half, words", [(np.ones(12, np.int8), "all 12 particles are in the same one"),
                                         (np.array([0, 1, 2] * 4, np.int8), "4 of 12 particles have no half-set")])
def test_half_of_a_split_is_refused(half, words, tmp_path):
    """D 15"""
    made.particle_set(tmp_path, half=half)
    ended = made.refinement(tmp_path)
    assert ended.exit_code == 3 and words in made.told(ended)


def test_an_odd_box_and_boxes_that_differ_are_named(tmp_path):
    """D 11 and 14"""
    made.particle_set(tmp_path)
    mrc.write_stack(tmp_path / "images.mrcs", np.random.default_rng(0).normal(size=(12, 15, 15)), 5.0)
    told = made.told(made.refinement(tmp_path))
    assert "odd box of 15 pixels" in told and "box 15 pixels, its optics group says 16" in told


def test_an_unknown_symmetry_is_a_usage_fault(tmp_path):
    """D 14"""
    made.particle_set(tmp_path)
    done = made.halfmap(tmp_path, "refine", "homogeneous", "--particles", "particles.star", "--volume", "map.mrc",
                        "--symmetry", "Q7", "--out", "a")  # fmt: skip
    assert done.returncode == 2 and "Q7" in done.stderr and not (tmp_path / "a" / "map.mrc").exists()


