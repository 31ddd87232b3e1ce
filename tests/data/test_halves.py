"""Half-sets: fair, reproducible, independent, and never changed behind the user's back."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from halfmap.data import halves
from halfmap.data.particles import Particles
from halfmap.errors import InputError
from halfmap.types import Defocus, Optics


def particles(n, group=None, index=None, half=None):
    group = np.zeros(n, np.int32) if group is None else group
    return Particles(
        files=(Path("a.mrcs"),),
        file=np.zeros(n, np.int32),
        index=np.arange(n, dtype=np.int64) if index is None else index,
        optics=tuple(Optics(str(i), 300, 2.7e7, 0.1, 1.0, 8) for i in range(int(group.max(initial=0)) + 1)),
        group=group.astype(np.int32),
        defocus=Defocus(*(np.zeros(n) for _ in range(6))),
        poses=None,
        half=np.zeros(n, np.int8) if half is None else np.asarray(half, np.int8),
        scale=np.ones(n),
    )


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("n", [2, 3, 100, 1001])
def test_a_split_is_balanced_and_complete(n):
    counts = np.bincount(halves.assign(particles(n), rng()).half, minlength=3)
    assert counts[0] == 0 and abs(counts[1] - counts[2]) == n % 2


def test_a_split_is_balanced_within_each_optics_group():
    group = np.arange(999) % 3
    half = halves.assign(particles(999, group), rng()).half
    for number in range(3):
        assert abs(np.sum(half[group == number] == 1) - np.sum(half[group == number] == 2)) <= 1


def test_the_seed_decides_the_split():
    table = particles(100)
    first, same, other = (halves.assign(table, rng(seed)).half for seed in (1, 1, 2))
    assert np.array_equal(first, same) and not np.array_equal(first, other)
    assert not table.half.any()  # the argument is untouched


def test_a_split_is_not_tied_to_the_order_of_the_file():
    half = halves.assign(particles(10_000), rng()).half
    # Correlation of neighbours in random order has a standard deviation of 1/sqrt(n) = 0.01.
    assert abs(np.corrcoef(half[:-1], half[1:])[0, 1]) < 0.05


def test_rows_of_one_image_share_a_half():
    index = np.arange(300) // 3
    half = halves.assign(particles(300, index=index), rng()).half
    assert np.array_equal(half[0::3], half[1::3]) and np.array_equal(half[0::3], half[2::3])


def test_a_complete_split_is_kept_unless_a_new_one_is_asked_for():
    given = [1, 1, 1, 2] * 10
    assert halves.assign(particles(40, half=given), rng()).half.tolist() == given
    assert np.sum(halves.assign(particles(40, half=given), rng(), resplit=True).half == 1) == 20


@pytest.mark.parametrize(
    "given, part", [([1, 2, 0, 0], "2 of 4 particles have no half-set"), ([2] * 4, "the same one")]
)
def test_an_incomplete_split_is_refused(given, part):
    with pytest.raises(InputError, match=part):
        halves.assign(particles(4, half=given), rng())
    assert halves.assign(particles(4, half=given), rng(), resplit=True).half.all()


def test_a_fair_split_gives_no_warnings():
    assert halves.audit(halves.assign(particles(1000), rng())) == []
    assert halves.audit(particles(7, half=[1, 1, 1, 1, 2, 2, 2])) == []


def test_warnings_name_unequal_halves_and_shared_images():
    unequal = halves.audit(particles(1000, half=[1] * 800 + [2] * 200))
    assert len(unequal) == 1 and "800 and 200" in unequal[0]
    index = np.arange(100)
    index[1] = 0
    shared = halves.audit(particles(100, index=index, half=[1, 2] * 50))
    assert "1 rows repeat" in shared[0] and "1 images are in both half-sets" in shared[1]
    apart = halves.audit(particles(100, index=index, half=[1, 1] + [2, 1] * 49))
    assert len(apart) == 1


def test_the_same_number_in_two_files_is_not_the_same_image():
    table = particles(100, half=[1, 2] * 50, index=np.arange(100) // 2)
    table = dataclasses.replace(table, files=(Path("a"), Path("b")), file=(np.arange(100) % 2).astype(np.int32))
    assert halves.audit(table) == []


def test_with_optics_of_its_own_no_half_has_a_group_in_common_with_the_other():
    table = particles(60, np.arange(60) % 3, half=1 + np.arange(60) // 30)
    table = dataclasses.replace(table, optics_columns={"gain": np.array([5, 6, 7])})
    apart = halves.with_own_optics(table)
    assert not set(apart.group[:30]) & set(apart.group[30:]) and len(apart.optics) == len(apart.optics_columns["gain"])
    names = [apart.optics[group].name for group in apart.group]
    assert len(set(names)) == 6 and all(name.endswith("half 1") for name in names[:30])
    for row in (0, 1, 31, 59):
        one, other = apart.optics[apart.group[row]], table.optics[table.group[row]]
        assert dataclasses.replace(one, name="") == dataclasses.replace(other, name="")
        assert apart.optics_columns["gain"][apart.group[row]] == table.optics_columns["gain"][table.group[row]]
    back = halves.with_optics_of(apart, table)
    assert back.optics == table.optics and back.group.dtype == table.group.dtype
    np.testing.assert_array_equal(back.group, table.group)
