"""The Ewald-sphere correction as a part of recipes: reconstruction and refinement from files."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.errors import InputError
from halfmap.refine import loop
from halfmap.types import Optics
from halfmap.validate import fsc
from tests import atoms, blobs
from tests.refine import made

BOX, VOXEL_A = 48, 1.0
ONE = Optics("one", 20.0, 0.0, 0.1, VOXEL_A, BOX)  # so low that 20 A matter: see tests/reconstruct/test_ewald.py
GROUPS = (ONE, replace(ONE, name="two", voltage_kV=30.0))
OBJECT = blobs.scattered(40, 20.0, 0.7, np.random.default_rng(1))
MAP = OBJECT.map(BOX, VOXEL_A)


@pytest.fixture(scope="module")
def particles(tmp_path_factory):
    """Two voltages in one table; the curvature is negative."""
    stack = tmp_path_factory.mktemp("sphere") / "thick.mrcs"
    return atoms.written(stack, OBJECT, 300, GROUPS, (3000, 9000), -1, 0.6, np.random.default_rng(2))


def run(recipe, particles, reference=None):
    return loop.run(recipe, particles, reference, None, np.random.default_rng(1), made.Heard())


def reconstructed(particles, sphere: str, **settings):
    return run(made.reconstruction(symmetry="C1", ewald_sphere=sphere, **settings), particles)


@pytest.fixture(scope="module")
def outcomes(particles):
    return {name: reconstructed(particles, name) for name in ("off", "positive", "negative")}


def high(outcome) -> float:
    """Mean FSC of the map of all particles with the truth, 3 to 2.1 A."""
    return fsc.curve(outcome.map, MAP).values[16:23].mean()


def test_the_sign_of_the_images_gives_the_best_map_and_the_other_the_worst(outcomes):
    values = {name: high(outcome) for name, outcome in outcomes.items()}
    # 0.875, 0.862, 0.754: few images, where what the other sheet adds has not averaged out yet
    assert values["negative"] > values["off"] + 0.005
    assert values["off"] > values["positive"] + 0.05


def test_the_halves_agree_more_with_the_right_sign(outcomes):
    agree = {name: fsc.curve(o.half1, o.half2).values[16:23].mean() for name, o in outcomes.items()}
    assert agree["negative"] > agree["off"] > agree["positive"]


def test_any_size_of_batch_gives_the_same_map(particles, outcomes):
    found = reconstructed(particles, "negative", minibatch_size=37)
    np.testing.assert_array_equal(found.half1.data, outcomes["negative"].half1.data)
    np.testing.assert_array_equal(found.map.data, outcomes["negative"].map.data)


def test_poses_are_found_without_it(particles):
    found = []
    for sphere in ("off", "negative"):
        recipe = made.homogeneous(symmetry="C1", initial_lowpass=8.0, particle_diameter_A=44.0, ewald_sphere=sphere)
        job = made.prepared(recipe, particles[:60], MAP)
        found.append(loop.iterate(job, *recipe.start.begin(job, MAP)))
    (flat, from_planes, _), (curved, from_sheets, _) = found
    np.testing.assert_array_equal(curved.poses.rotations, flat.poses.rotations)
    np.testing.assert_array_equal(curved.poses.shifts_A, flat.poses.shifts_A)
    apart = from_sheets.halves[0].data - from_planes.halves[0].data
    assert abs(apart).max() > 0.01 * abs(from_planes.halves[0].data).max()


def test_images_multiplied_by_their_ctf_are_refused_before_any_is_read(particles):
    mixed = replace(particles, optics=(ONE, replace(GROUPS[1], premultiplied=True)), files=("not-there",))
    with pytest.raises(InputError, match="optics group two: .*--ewald-sphere off"):
        made.prepared(made.reconstruction(ewald_sphere="positive"), mixed)


def test_a_group_without_particles_does_not_matter(particles):
    alone = replace(particles[particles.group == 0], optics=(ONE, replace(GROUPS[1], premultiplied=True)))
    job = made.prepared(made.reconstruction(ewald_sphere="positive"), alone)
    assert len(job.rows(1)) + len(job.rows(2)) == len(alone)  # accepted, with all its particles
