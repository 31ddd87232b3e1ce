"""Optics groups of different pixel size and box in one refinement, from files to poses."""

import dataclasses

import numpy as np
import pytest

from halfmap import simulate
from halfmap.data import relion
from halfmap.data.particles import Particles
from halfmap.geometry import symmetry
from halfmap.maps import resample
from halfmap.params.homogeneous import Homogeneous
from halfmap.refine import loop, recipes
from halfmap.types import Defocus, Poses

SAMPLINGS = ((48, 3.0), (40, 3.6), (56, 2.7))  # box lengths 144, 144 and 151 A
EACH = 120


def joined(parts: list[Particles]) -> Particles:
    """One table of several, an optics group each."""
    rows = {f: np.concatenate([getattr(p, f) for p in parts]) for f in ("index", "half", "scale")}
    place = np.repeat(np.arange(len(parts)), [len(p) for p in parts]).astype(np.int32)
    defocus = Defocus(*(np.concatenate([getattr(p.defocus, f) for p in parts]) for f in Defocus.__dataclass_fields__))
    poses = Poses(*(np.concatenate([getattr(p.poses, f) for p in parts]) for f in ("rotations", "shifts_A")))
    return dataclasses.replace(
        parts[0], files=sum((p.files for p in parts), ()), file=place, group=place, defocus=defocus, poses=poses,
        optics=sum((p.optics for p in parts), ()), columns={}, optics_columns={}, **rows,
    )


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    rng = np.random.default_rng(5)
    truth = simulate.protein_like(48, 3.0, symmetry.group("D2"), rng, 95.0)
    parts = []
    for box, pixel in SAMPLINGS:
        folder = tmp_path_factory.mktemp(f"box{box}")
        seen = resample.to_grid(truth, box, pixel)
        simulate.write(folder, simulate.simulation(seen, EACH, rng, simulate.Settings(snr=0.5, groups=1)))
        parts.append(relion.read(folder / "truth.star"))
    return truth, joined(parts)


def test_every_group_is_aligned_to_the_same_map(mixed, tmp_path):
    truth, particles = mixed
    params = Homogeneous(out=tmp_path, particles="p", volume="v", symmetry="D2", max_iterations=3)
    outcome = loop.run(
        recipes.homogeneous(params), particles, truth, None, np.random.default_rng(1), lambda kind, **data: None
    )
    assert outcome.map.voxel_size_A == pytest.approx(2.7)  # the finest pixel
    assert outcome.map.box * 2.7 == pytest.approx(56 * 2.7)  # the longest box
    apart = symmetry.distance(outcome.particles.poses.rotations, particles.poses.rotations, symmetry.group("D2"))
    moved = np.linalg.norm(outcome.particles.poses.shifts_A - particles.poses.shifts_A, axis=1)
    for group in range(3):
        own = particles.group == group
        # the program predicts about 1.5 degrees; a group scaled or shifted wrongly is many times further off
        assert np.rad2deg(np.median(apart[own])) < 4
        assert np.median(moved[own]) < 1.0
