"""Two jobs side by side."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from halfmap.data import image_names, relion
from halfmap.geometry import rotations, symmetry
from halfmap.jobs.project import comparing, project
from halfmap.types import Poses
from tests.jobs import made, projects


@pytest.fixture
def one(tmp_path):
    return projects.made(tmp_path / "p", J1=[], J2=["J1/map.mrc"])


def curve(folder, last_1_A, values, crossing):
    frequency = np.linspace(0, last_1_A, len(values)).tolist()
    told = {"frequency_1_A": frequency, "corrected": values, "crossings_A": {"corrected": {"0.143": crossing}}}
    (folder / "fsc.json").write_text(json.dumps(told))


def particles(one, name, table):
    relion.write(one.root / name / "particles.star", table)


def test_settings_and_inputs_that_differ_are_told_and_others_not(one):
    projects.job(one, "J3", {"volume": "J2/map.mrc"}, params={"symmetry": "C2", "mask": "dynamic", "only_here": 1})
    found = comparing.compared(one.root / "J2", one.root / "J3")
    assert found["settings"] == {"symmetry": ["D2", "C2"]}
    assert found["inputs"] == {"input0": ["J1/map.mrc", None], "volume": [None, "J2/map.mrc"]}
    assert found["numbers"]["Particles"] == ["100", "100"]  # also where they agree
    assert found["fsc"] is None and found["particles"] is None


def test_a_job_does_not_differ_from_itself(one):
    particles(one, "J1", made.particles(one.root / "J1"))
    curve(one.root / "J1", 0.2, [1, 0.9, 0.5, 0.1], 6.0)
    found = comparing.compared(one.root / "J1", one.root / "J1")
    assert found["settings"] == found["inputs"] == {}
    assert found["particles"]["in_both"] == made.N and found["particles"]["in_one"] == [0, 0]
    assert found["particles"]["rotation_deg"] == pytest.approx([0, 0], abs=1e-4)  # arccos near 1
    assert found["fsc"]["area_1_A"][0] == found["fsc"]["area_1_A"][1]


def test_areas_are_taken_over_the_frequencies_that_both_have(one):
    curve(one.root / "J1", 0.2, [1.0, 1.0, 1.0], 5.0)
    curve(one.root / "J2", 0.3, [1.0, 0.0], 7.5)  # 1 - f / 0.3
    found = comparing.compared(one.root / "J1", one.root / "J2")["fsc"]
    assert found["to_A"] == pytest.approx(5) and found["resolution_A"] == {"0.143": [5.0, 7.5]}
    assert found["area_1_A"] == pytest.approx([0.2, 0.2 - 0.2**2 / 0.6])


def test_particles_are_told_apart_by_their_images_and_compared_by_their_poses(one):
    table = made.particles(one.root / "J1")
    turned = rotations.exp_so3(np.tile([0, 0, np.deg2rad(3)], (made.N, 1))) @ table.poses.rotations
    mates = turned @ symmetry.group("D2")[1]  # the same pose for a particle of D2
    other = replace(table, poses=Poses(mates, table.poses.shifts_A + [3.0, 4.0]))
    particles(one, "J1", table[:9])
    particles(one, "J2", other[4:][::-1])
    found = comparing.compared(one.root / "J1", one.root / "J2")["particles"]
    assert (found["images"], found["in_both"], found["in_one"]) == ([9, made.N - 4], 5, [4, made.N - 9])
    assert found["symmetry"] == "D2"
    assert found["rotation_deg"] == pytest.approx([3, 3], abs=1e-3)  # six decimals in degrees in the file
    assert found["shift_A"] == pytest.approx([5, 5], abs=1e-3)


def test_a_turn_of_one_map_against_the_other_is_told_and_taken_out(one):
    table = made.particles(one.root / "J1")
    turn = rotations.exp_so3(np.array([[0.3, -1.0, 0.5]]))[0]
    noise = rotations.exp_so3(np.tile([np.deg2rad(2), 0, 0], (made.N, 1)))
    particles(one, "J1", table)
    particles(one, "J2", replace(table, poses=Poses(noise @ table.poses.rotations @ turn, table.poses.shifts_A)))
    for name in ("J1", "J2"):
        record = json.loads((one.root / name / "job.json").read_text())
        (one.root / name / "job.json").write_text(json.dumps({**record, "params": {"symmetry": "C1"}}))
    found = comparing.compared(one.root / "J1", one.root / "J2")["particles"]
    # the turn is taken from one image, whose own 2 degrees are in it
    assert found["turned_deg"] == pytest.approx(np.rad2deg(np.linalg.norm([0.3, -1.0, 0.5])), abs=2.1)
    assert found["rotation_deg"][0] < 4.1


def test_an_image_that_a_table_has_several_times_counts_once(one):
    table = made.particles(one.root / "J1")
    particles(one, "J1", table[np.repeat(np.arange(made.N), 4)])
    particles(one, "J2", table)
    found = comparing.compared(one.root / "J1", one.root / "J2")["particles"]
    assert (found["images"], found["in_both"]) == ([made.N] * 2, made.N)
    assert found["rotation_deg"] == pytest.approx([0, 0], abs=1e-4)


def test_names_of_images_are_compared_as_the_files_they_mean(one, tmp_path, monkeypatch):
    """A job run outside of the project names images from its working folder, one inside from the root."""
    stack = one.root / "images.mrcs"
    table = replace(made.particles(one.root), files=(stack,))
    (one.root / "deep").mkdir()
    monkeypatch.chdir(one.root / "deep")
    particles(one, "J1", table)
    record = json.loads((one.root / "J1" / "job.json").read_text())
    (one.root / "J1" / "job.json").write_text(json.dumps({**record, "working_folder": str(one.root / "deep")}))
    monkeypatch.chdir(tmp_path)
    particles(one, "J2", table)
    record = json.loads((one.root / "J2" / "job.json").read_text())
    (one.root / "J2" / "job.json").write_text(json.dumps({**record, "working_folder": str(tmp_path)}))
    texts = [(one.root / name / "particles.star").read_text() for name in ("J1", "J2")]
    assert "@images.mrcs" in texts[0] and "@p/images.mrcs" in texts[1]
    assert comparing.compared(one.root / "J1", one.root / "J2")["particles"]["in_both"] == made.N


def test_a_table_that_cannot_be_read_is_told_and_all_else_compared(one):
    particles(one, "J1", made.particles(one.root / "J1"))
    (one.root / "J2" / "particles.star").write_text("data_particles\nloop_\n_rlnImageName #1\n")
    found = comparing.compared(one.root / "J1", one.root / "J2")
    assert str(one.root / "J2" / "particles.star") in found["particles"]["fault"] and found["numbers"]


@pytest.mark.parametrize("text", ["", "[]", '{"frequency_1_A": [0], "corrected": [1]}', '{"crossings_A": 3}',
                                  '{"frequency_1_A": [0, null, "x"], "corrected": [1, 2, 3], "crossings_A": 7}'])
def test_damaged_curves_are_no_curves(one, text):
    curve(one.root / "J1", 0.2, [1, 0], 5.0)
    (one.root / "J2" / "fsc.json").write_text(text)
    assert comparing.compared(one.root / "J1", one.root / "J2")["fsc"] is None


def test_damaged_crossings_leave_the_areas(one):
    curve(one.root / "J1", 0.2, [1, 0], 5.0)
    (one.root / "J2" / "fsc.json").write_text('{"frequency_1_A": [0, 0.2], "corrected": [1, 0], "crossings_A": 7}')
    found = comparing.compared(one.root / "J1", one.root / "J2")["fsc"]
    assert found["resolution_A"] == {"0.143": [5.0, None]} and found["area_1_A"] == pytest.approx([0.1, 0.1])


def test_image_names_of_a_project_start_at_its_root_wherever_the_job_ran(one, monkeypatch):
    (one.root / "deep").mkdir()
    (one.root / "J1" / "particles.mrcs").write_bytes(b"")
    monkeypatch.chdir(one.root / "deep")
    particles(one, "J2", replace(made.particles(one.root), files=(one.root / "J1" / "particles.mrcs",)))
    assert "@J1/particles.mrcs" in (one.root / "J2" / "particles.star").read_text()
    one.root.rename(one.root.with_name("renamed"))
    root = project.find(one.root.with_name("renamed")).root
    monkeypatch.chdir(Path("/"))
    table = relion.read_table(root / "J2" / "particles.star")
    files, faults = image_names.resolve(table, root / "J2" / "particles.star", None, "")
    assert files == (root / "J1" / "particles.mrcs",) and not faults
