"""What is said after a refinement of particles that were picked twice, once in each half-set."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.refine import loop
from tests.refine import made

N = 60


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return made.experiment(tmp_path_factory.mktemp("twice"), N)


def warnings_of(data, x, heard=None):
    """Of one reconstruction from particles with these coordinates in one micrograph, pixels of 1 A, as texts."""
    particles = data.truth
    y = np.array([b"%g" % shift for shift in particles.poses.shifts_A[:, 1]])
    columns = {"rlnMicrographName": np.full(N, b"1.mrc"), "rlnCoordinateX": x, "rlnCoordinateY": y}
    optics = {"rlnMicrographOriginalPixelSize": np.array([b"1"])}
    told = replace(particles, columns=columns, optics_columns=optics, half=(1 + np.arange(N) % 2).astype(np.int8))
    heard = made.Heard() if heard is None else heard
    done = loop.run(made.reconstruction(), told, data.map, None, np.random.default_rng(1), heard)
    return [text for text in done.warnings if "picked twice" in text]


def picked(data, places) -> np.ndarray:
    """Coordinates along x of particles that lie at ``places``, as texts."""
    return np.array([b"%.3f" % x for x in places + data.truth.poses.shifts_A[:, 0]])


def test_picks_that_meet_across_the_half_sets_are_told_with_their_number(data):
    places = 1000.0 * np.arange(N)
    assert warnings_of(data, picked(data, places)) == []
    places[3], places[6] = places[2] + 5, places[4]  # rows 2 and 3 are in different half-sets, rows 4 and 6 in one
    (text,) = warnings_of(data, picked(data, places))
    assert text.startswith("1 pair of particles")


def test_coordinates_that_nobody_can_read_cost_no_result(data):
    x = picked(data, 1000.0 * np.arange(N))
    x[5] = b"none"
    heard = made.Heard()
    assert warnings_of(data, x, heard) == []
    (note,) = [event["text"] for event in heard.of("note") if "picked twice" in event["text"]]
    assert "rlnCoordinateX" in note  # nor is it passed over in silence
