"""Symmetry expansion: copies are the same image at equivalent poses, know their parent and stay in its half-set."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.data import cryosparc, cryosparc_files, cryosparc_uids, expansion, halves, relion
from halfmap.geometry import symmetry
from halfmap.io import cs
from tests.jobs import made

D2 = symmetry.group("D2")


@pytest.fixture
def parents(tmp_path):
    return made.particles(tmp_path)


def test_copies_are_the_equivalent_poses_of_one_image(parents):
    found = expansion.expanded(parents, D2)
    assert len(found) == 4 * len(parents)
    poses = found.poses.rotations.reshape(-1, 4, 3, 3)
    np.testing.assert_allclose(poses, parents.poses.rotations[:, None] @ D2, atol=1e-12)
    for name in ("file", "index", "half", "scale", "group"):
        values = getattr(found, name).reshape(-1, 4)
        assert (values == getattr(parents, name)[:, None]).all(), name
    np.testing.assert_array_equal(found.poses.shifts_A[::4], parents.poses.shifts_A)


def test_a_table_that_was_not_expanded_has_no_parents(parents):
    assert expansion.parents(parents) is None and expansion.copies(parents) == 0


def test_copies_know_their_parent_and_are_no_one_else(parents, tmp_path):
    found = expansion.expanded(parents, D2)
    told = expansion.parents(found)
    np.testing.assert_array_equal(told.reshape(-1, 4), np.repeat(cryosparc_uids.uids(parents)[:, None], 4, axis=1))
    assert expansion.copies(found) == 3 * len(parents)
    own = cryosparc_uids.uids(found)
    assert len(set(own.tolist()) | set(told.tolist())) == 5 * len(parents)


def test_parents_survive_a_star_file_and_a_cs_file(parents, tmp_path):
    found = expansion.expanded(parents, D2)
    relion.write(tmp_path / "a.star", found)
    cryosparc_files.write(tmp_path / "a.cs", found)
    table = cs.read(tmp_path / "a.cs")
    np.testing.assert_array_equal(table["sym_expand/src_uid"], expansion.parents(found))
    assert table["sym_expand/idx"].tolist()[:5] == [0, 1, 2, 3, 0] and len(np.unique(table["uid"])) == len(found)
    for kind, name in ((relion, "a.star"), (cryosparc, "a.cs")):
        again = kind.read_table(tmp_path / name)
        np.testing.assert_array_equal(expansion.parents(again), expansion.parents(found))


def test_a_cs_table_gets_new_uids_and_its_own_as_parents(parents, tmp_path):
    cryosparc_files.write(tmp_path / "a.cs", parents)
    uid = cs.read(tmp_path / "a.cs")["uid"]
    cryosparc_files.write(tmp_path / "b.cs", expansion.expanded(cryosparc.read_table(tmp_path / "a.cs"), D2))
    table = cs.read(tmp_path / "b.cs")
    np.testing.assert_array_equal(table["sym_expand/src_uid"][::4], uid)
    assert len(np.unique(table["uid"])) == 4 * len(uid) and not set(table["uid"].tolist()) & set(uid.tolist())


def test_an_expansion_of_an_expansion_keeps_the_first_parent(parents):
    twice = expansion.expanded(expansion.expanded(parents, D2), symmetry.group("C3"))
    assert len(np.unique(expansion.parents(twice))) == len(parents)


def test_a_new_split_keeps_the_copies_of_a_parent_together_even_with_images_of_their_own(parents):
    found = expansion.expanded(parents, D2)
    found = replace(found, index=np.arange(len(found)))  # extracted again: an image for each copy
    for seed in range(5):
        half = halves.assign(found, np.random.default_rng(seed), resplit=True).half.reshape(-1, 4)
        assert (half == half[:, :1]).all() and set(half[:, 0].tolist()) == {1, 2}


def test_copies_of_a_parent_in_both_halves_are_told(parents):
    found = expansion.expanded(parents, D2)
    split = replace(found, index=np.arange(len(found)), half=(1 + np.arange(len(found)) % 2).astype(np.int8))
    assert any("both half-sets" in warning for warning in halves.audit(split))
    assert not any("both half-sets" in warning for warning in halves.audit(found))
