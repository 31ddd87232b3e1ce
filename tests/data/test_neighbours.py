"""Particles picked twice: who lies next to whom in a micrograph, against all pairs counted one by one."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.data import neighbours
from halfmap.errors import InputError
from halfmap.types import Poses
from tests.refine import made

N, PIXEL_A = 60, 2.0


@pytest.fixture(scope="module")
def picked(tmp_path_factory):
    """Particles of three micrographs, their coordinates in pixels of 2 A, with the shifts they were found with."""
    folder = tmp_path_factory.mktemp("picked")
    particles = made.experiment(folder, N).truth
    rng = np.random.default_rng(2)
    places = rng.uniform(0, 100, (2, N))
    columns = {"rlnMicrographName": np.array([f"{i % 3}.mrc" for i in range(N)], "S"),
               "rlnCoordinateX": np.array([f"{x:.6f}" for x in places[0]], "S"),
               "rlnCoordinateY": np.array([f"{y:.6f}" for y in places[1]], "S")}  # fmt: skip
    poses = Poses(particles.poses.rotations, rng.normal(0, 10, (N, 2)))
    optics = {"rlnMicrographOriginalPixelSize": np.array([b"%g" % PIXEL_A])}
    return replace(particles, columns=columns, optics_columns=optics, poses=poses)


def one_by_one(particles, distance_A):
    """The pairs, by all distances."""
    places = np.stack([particles.columns[f"rlnCoordinate{axis}"].astype(float) for axis in "XY"], -1) * PIXEL_A
    places -= particles.poses.shifts_A
    near = np.linalg.norm(places[:, None] - places, axis=-1) < distance_A
    alike = particles.columns["rlnMicrographName"][:, None] == particles.columns["rlnMicrographName"]
    return {tuple(pair) for pair in np.argwhere(np.triu(near & alike, 1)).tolist()}


@pytest.mark.parametrize("distance_A", [3.0, 10.0, 40.0])
def test_all_pairs_of_a_micrograph_are_found_and_no_others(picked, distance_A):
    wanted = one_by_one(picked, distance_A)
    assert distance_A < 40 or len(wanted) > 5
    assert {tuple(pair) for pair in neighbours.pairs(picked, distance_A).tolist()} == wanted


def test_rows_of_one_image_are_no_pair_and_count_once(picked):
    twice = picked[np.concatenate([np.arange(N), np.arange(N)])]
    assert neighbours.pairs(twice, 10.0).tolist() == neighbours.pairs(picked, 10.0).tolist()


def test_coordinates_that_nobody_can_read_are_a_fault_of_the_table(picked):
    x = picked.columns["rlnCoordinateX"].copy()
    x[5] = b"none"
    with pytest.raises(InputError, match="rlnCoordinateX"):
        neighbours.pairs(replace(picked, columns=picked.columns | {"rlnCoordinateX": x}), 10.0)


def test_nobody_knows_the_neighbours_where_the_table_tells_no_places(picked):
    columns = {name: values for name, values in picked.columns.items() if name != "rlnCoordinateX"}
    assert neighbours.pairs(replace(picked, columns=columns), 10.0) is None
