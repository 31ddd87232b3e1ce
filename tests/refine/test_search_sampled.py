"""Searches of `refine auto`: on the grid that the schedule tells, everywhere or near the known pose."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.align import nearby, polar
from halfmap.geometry import rotations as so3
from halfmap.geometry import symmetry
from halfmap.physics.projection import Projector
from halfmap.refine import start
from halfmap.refine.batches import Frame
from halfmap.refine.sampling import Sampling
from halfmap.refine.schedules import Marching
from halfmap.refine.search import Everywhere, Sampled, _Each
from halfmap.types import Poses
from tests.refine import made

FRAME = Frame(made.BOX, made.VOXEL_A, 150.0)
N = 60


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return made.experiment(tmp_path_factory.mktemp("sampled"), N)


@pytest.fixture(scope="module")
def images(sample):
    """Prepared images, their noise as strong as it is."""
    job = made.prepared(made.auto(), sample.truth, sample.map)
    models = start.first_models(job)
    models = start.with_grey_scale_of_poses(job, sample.map, models, plan(5, False))
    return next(job.source.batches(np.arange(N), N, 12, models, sample.truth.poses.shifts_A, np.ones(N)))


def plan(order: int, local: bool, astray=None):
    first = Marching(30.0, None, 0, 20).first(FRAME, N, 15.0)
    return replace(first, band=12, search_radius=8, sampling=Sampling(order, local, min(order, 3), 15.0, 10.0),
                   astray=astray)  # fmt: skip


def search_of(sample, order, local, astray=None, known: Poses | None = None):
    projector = Projector.of(sample.map, 12, made.BOX)
    part = Sampled()
    return part.ready(projector, plan(order, local, astray), FRAME, made.GROUP, part.near(None, known))


def errors(found, sample) -> np.ndarray:
    return np.rad2deg(symmetry.distance(found.rotations[:, 0], sample.truth.poses.rotations, made.GROUP))


def beside(sample, degrees: float) -> Poses:
    turn = so3.exp_so3(np.tile(np.deg2rad([[0.0, degrees, 0.0]]), (N, 1)))
    return Poses(turn @ sample.truth.poses.rotations, sample.truth.poses.shifts_A)


def test_a_search_everywhere_is_on_the_order_that_is_told(sample):
    coarse, fine = (search_of(sample, order, False) for order in (2, 3))
    assert isinstance(coarse, polar.PolarSearch) and len(fine.grid.matrices) > 3 * len(coarse.grid.matrices)


def test_a_local_search_finds_a_pose_two_steps_away_to_half_a_step(sample, images):
    known = beside(sample, 15.0)  # two steps of order 3
    found = search_of(sample, 3, True, known=known).candidates(images, np.zeros((N, 2)), 4)
    assert np.median(errors(found, sample)) < 4
    assert np.isfinite(found.log_likelihood[:, 0]).all() and np.isinf(found.log_likelihood[:, 1:]).all()


def test_particles_whose_pose_is_not_believed_are_searched_everywhere_and_others_near_theirs(sample, images):
    astray = np.arange(N) % 3 == 0
    both = search_of(sample, 5, True, astray, beside(sample, 90.0))
    assert isinstance(both, _Each) and isinstance(both.close, nearby.LocalSearch)
    found = errors(both.candidates(images, sample.truth.poses.shifts_A, 4), sample)
    assert np.median(found[astray]) < 8 < np.median(found[~astray])


@pytest.mark.parametrize("part", [Everywhere(), Sampled()])
def test_particles_whose_pose_is_not_believed_are_searched_over_all_shifts(sample, part):
    wanted = replace(plan(2, False, np.arange(N) < 3), offset_A=10.0, astray_A=30.0)
    wanted = replace(wanted, sampling=replace(wanted.sampling, offset_range_A=10.0))
    projector = Projector.of(sample.map, 12, made.BOX)
    both = part.ready(projector, wanted, FRAME, made.GROUP, part.near(None, beside(sample, 0.0)))
    reach = [np.linalg.norm(search.grid.shifts_A, axis=1).max() for search in (both.everywhere, both.close)]
    assert reach == pytest.approx([30.0, 10.0])
    assert both.everywhere.harmonics is both.close.harmonics  # the reference is on its rings once
