"""Micrographs: every particle is where the table says, boxes do not overlap, one micrograph has one focus."""

import numpy as np
import pytest

from halfmap import simulate
from halfmap.data import picks, relion
from halfmap.errors import UsageError
from halfmap.extract import boxes
from halfmap.io import mrc
from halfmap.simulate import micrographs

BOX, N = 24, 14


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(2)
    molecule = simulate.protein_like(BOX, 6.0, np.eye(3)[None], rng)
    return simulate.simulation(molecule, N, rng, simulate.Settings(snr=1e6, noise_rise=0.0))


@pytest.fixture(scope="module")
def made(drawn, tmp_path_factory):
    folder = tmp_path_factory.mktemp("micrographs")
    where = micrographs.layout(N, 3, BOX, None, np.random.default_rng(3))
    simulation = micrographs.in_one_focus(drawn, where)
    micrographs.write(folder, simulation, where)
    return folder, simulation, where


def test_a_box_cut_at_the_coordinates_is_the_image_of_the_particle_turned_dark(made):
    folder, simulation, _ = made
    clean = np.concatenate(list(simulation.clean()))
    found = picks.of_particles(folder / "truth.star", None, None)
    for row, (image, at) in enumerate(zip(clean, found.coordinates, strict=True)):
        field = mrc.read_images(found.particles.files[found.particles.file[row]], [0])[0]
        cut = boxes.cut(field, boxes.place(at[None]), BOX)[0]
        assert np.corrcoef(cut.ravel(), image.ravel())[0, 1] < -0.999  # next to no noise


@pytest.mark.parametrize("size", [None, 200])
def test_boxes_lie_inside_and_do_not_overlap(size):
    where = micrographs.layout(N, 2, BOX, size, np.random.default_rng(4))
    assert where.size == (size or micrographs.smallest(N, 2, BOX))
    sizes = np.full((N, 2), where.size)
    assert boxes.inside(where.centres, BOX, sizes).all()
    for micrograph in (0, 1):
        here = where.centres[where.micrograph == micrograph]
        apart = np.abs(here[:, None] - here).max(axis=2) + BOX * np.eye(len(here))
        assert len(here) == 7 and apart.min() >= BOX


def test_particles_of_a_micrograph_share_its_focus(made):
    folder, _, where = made
    truth = relion.read_table(folder / "truth.star")
    for micrograph in range(3):
        assert len(np.unique(truth.defocus.u_A[where.micrograph == micrograph])) == 1
    assert len(np.unique(truth.defocus.u_A)) == 3


def test_coordinates_and_micrographs_tell_what_the_truth_tells_but_for_poses(made):
    folder, _, _ = made
    told = picks.of_coordinates(folder / "coordinates.star", folder / "micrographs.star", None)
    truth = picks.of_particles(folder / "truth.star", None, None)
    np.testing.assert_array_equal(told.coordinates, truth.coordinates)
    np.testing.assert_allclose(told.particles.defocus.u_A, truth.particles.defocus.u_A)
    assert told.particles.poses is None and truth.particles.poses is not None
    assert told.particles.files == truth.particles.files
    assert told.particles.optics[0].pixel_size_A == truth.particles.optics[0].pixel_size_A == 6.0


def test_layouts_that_cannot_be_are_refused():
    with pytest.raises(UsageError, match="need"):
        micrographs.layout(N, 2, BOX, 64, np.random.default_rng(0))
    with pytest.raises(UsageError, match="give fewer"):
        micrographs.layout(N, N + 1, BOX, None, np.random.default_rng(0))
