"""How particles come apart: two molecules of 160 A in a box of 32, one with half of it missing; poses known."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap import simulate
from halfmap.geometry import rotations as so3
from halfmap.geometry import symmetry
from halfmap.geometry.frames import Frame
from halfmap.maps import filters, masks, resample, turn
from halfmap.refine import parting, setup, stochastic
from halfmap.types import Map, Poses
from tests.refine import made

N = 150  # of each kind
AT_A = 20.0


def stack(folder, kinds: int, n: int = N, seed=3):
    """(particles with poses, their kinds, maps of those): the molecule whole, or without one ball of it or another."""
    rng = np.random.default_rng(seed)
    whole = simulate.protein_like(made.BOX, made.VOXEL_A, symmetry.group("C1"), rng)
    balls = [np.roll(masks.sphere(made.BOX, 6, 2), steps, (0, 1, 2)) for steps in ((0, 0, 5), (0, 0, -5))]
    maps = [whole, *(Map((whole.data * (1 - ball)).astype(np.float32), whole.voxel_size_A) for ball in balls)][:kinds]
    drawn = [simulate.simulation(map, n, rng, simulate.Settings(snr=0.3)) for map in maps]
    images = np.concatenate([block for one in drawn for block in one.images()])
    poses = Poses(*(np.concatenate([getattr(one.particles.poses, name) for one in drawn])
                    for name in ("rotations", "shifts_A")))
    first = drawn[0].particles[np.arange(n).repeat(kinds)]
    defocus = type(first.defocus)(*(np.concatenate([getattr(one.particles.defocus, name) for one in drawn])
                                    for name in first.defocus.__dataclass_fields__))
    table = replace(first, poses=poses, defocus=defocus, half=np.arange(len(images)) % 2 + 1,
                    scale=np.ones(len(images)))
    return made.stacked(folder / "images.mrcs", images, table), np.arange(len(images)) // n, maps


def job(particles, seed=1):
    recipe = made.homogeneous(symmetry="C1", particle_diameter_A=140.0)
    return setup.prepare(recipe, particles, None, np.random.default_rng(seed), made.Heard())


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    particles, kind, maps = stack(tmp_path_factory.mktemp("two"), 2)
    return particles, kind, parting.split(job(particles), 2, AT_A), maps


def same(found, kind):
    """Part of the particles in the right class, the names of the classes being a matter of chance."""
    table = np.zeros((found.max() + 1, kind.max() + 1))
    np.add.at(table, (found, kind), 1)
    return table.max(1).sum() / len(kind)


def test_two_kinds_are_told_apart(two):
    _, kind, found, _ = two
    assert same(found.shares.argmax(1), kind) > 0.95
    assert found.significance > 10 and "better explained by 2 maps" in found.verdict
    assert np.allclose(found.shares.sum(1), 1)


def test_their_maps_differ_where_the_kinds_do(two):
    _, kind, found, maps = two
    first = found.shares[kind == 0].mean(0).argmax()
    whole, part = (filters.lowpass(resample.to_grid(found.maps[c], made.BOX, made.VOXEL_A), AT_A).data
                   for c in (first, 1 - first))
    truth = filters.lowpass(maps[0], AT_A).data - filters.lowpass(maps[1], AT_A).data
    assert np.corrcoef((whole - part).ravel(), truth.ravel())[0, 1] > 0.8


def test_of_one_kind_it_says_so(tmp_path):
    particles, *_ = stack(tmp_path, 1, 2 * N)
    found = parting.split(job(particles), 2, AT_A)
    assert found.significance < 4 and "ONE KIND" in found.verdict


def test_of_more_classes_than_kinds_it_says_so_and_which_are_one(two):
    particles, kind, *_ = two
    found = parting.split(job(particles), 3, AT_A)
    assert same(found.shares.argmax(1), kind) > 0.95
    assert found.kinds == 2 and found.significance > 10
    assert any("one within the noise" in text or "is empty" in text for text in found.doubts)
    assert "take --classes 2" in found.doubts[-1]
    for group in found.alike:  # those that are one are of one kind
        assert len({np.bincount(kind[found.shares.argmax(1) == c]).argmax() for c in group}) == 1


def test_of_as_many_classes_as_kinds_there_is_no_doubt(two):
    assert two[2].kinds == 2 and two[2].doubts == ()


def test_three_kinds_are_told_apart(tmp_path):
    particles, kind, _ = stack(tmp_path, 3)
    found = parting.split(job(particles), 3, AT_A)
    assert same(found.shares.argmax(1), kind) > 0.9
    assert found.kinds == 3 and not found.doubts and not found.alike


def test_independent_classes_that_grew_one_map_are_told(two, monkeypatch):
    particles, *_, maps = two
    other = simulate.protein_like(made.BOX, made.VOXEL_A, symmetry.group("C1"), np.random.default_rng(9))
    again = turn.placed(maps[0], Frame(so3.exp_so3(np.array([0.3, -0.5, 0.2])), np.array([3.0, -2.0, 4.0])))
    grown = tuple(filters.lowpass(one, AT_A) for one in (maps[0], other, again))
    found = stochastic.Found(grown, (), 5.0, 2.0, 9.0, "", (), (), AT_A, 6.0)
    monkeypatch.setattr(stochastic, "shares", lambda job, method, found, rows: np.eye(3)[rows % 3])
    parted = parting.Competing(3).parted(job(particles), None, found, np.arange(2 * N))
    assert parted.alike == ((0, 2),) and parted.kinds == 2 and parted.verdict == ""
    assert parted.doubts[0].startswith("classes 1 and 3 have the same map")


def test_particles_beyond_those_that_make_the_maps_are_sorted_too(two, monkeypatch):
    particles, kind, *_ = two
    monkeypatch.setattr(parting, "MOST", 3 * N // 2)
    found = parting.split(job(particles), 2, AT_A)
    assert same(found.shares.argmax(1), kind) > 0.9 and len(found.shares) == 2 * N


def test_a_class_that_nobody_belongs_to_starts_anew():
    shares = np.eye(3)[np.repeat([0, 1], [60, 40])]
    again = parting.revived(shares, np.random.default_rng(1))
    assert again[:60, 2].sum() == pytest.approx(30, abs=12) and np.array_equal(again[60:], shares[60:])
    assert np.array_equal(parting.revived(again, np.random.default_rng(1)), again)
