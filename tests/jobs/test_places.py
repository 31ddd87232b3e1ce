"""The record of a job: read whatever happened to it, its paths where the project lies now."""

import json
import shutil

import pytest

from halfmap.jobs.project import places, project
from tests.jobs import projects

PARAMS = {"particles": "J1/particles.star", "volume": "J1/map.mrc", "mask": "dynamic", "symmetry": "D2", "threads": 2,
          "extra": ["J1/a.mrc", "/elsewhere/b.mrc"]}  # fmt: skip


def moved(tmp_path, working, params, name="new ö"):
    """The record of a job of a project that lay in tmp_path/D2 and was then renamed."""
    one = projects.made(tmp_path / "D2", J1=[])
    folder = projects.job(one, "J2", {"volume": "J1/map.mrc"}, params=params)
    record = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps({**record, "working_folder": str(working)}))
    shutil.move(one.root, tmp_path / name)
    return places.read(tmp_path / name / "J2"), tmp_path / name


def test_paths_from_a_folder_of_the_project_move_along_with_it(tmp_path):
    record, root = moved(tmp_path, tmp_path / "D2" / "sub", PARAMS)
    assert record["working_folder"] == str(root / "sub") and record["project"]["root"] == str(root)
    assert {name: record["params"][name] for name in PARAMS} == PARAMS
    assert record["inputs"]["volume"]["path"] == str(root / "J1" / "map.mrc")


def test_a_job_that_was_begun_in_the_root_of_the_project_works_in_the_root_where_it_is_now(tmp_path):
    record, root = moved(tmp_path, tmp_path / "D2", {**PARAMS, "images_root": str(tmp_path / "D2")})
    assert record["working_folder"] == record["params"]["images_root"] == str(root)
    assert (record["params"]["symmetry"], record["params"]["volume"]) == ("D2", "J1/map.mrc")


def test_absolute_paths_and_those_from_outside_lead_into_the_project_again(tmp_path):
    given = {**PARAMS, "volume": str(tmp_path / "D2" / "J1" / "map.mrc"), "particles": "D2/J1/particles.star"}
    record, root = moved(tmp_path, tmp_path, given)
    assert record["working_folder"] == str(tmp_path)
    assert record["params"]["volume"] == str(root / "J1" / "map.mrc")
    assert record["params"]["particles"] == str(root / "J1" / "particles.star")
    # the project had the name of a symmetry: it stays a word, and so do files elsewhere
    assert (record["params"]["symmetry"], record["params"]["mask"]) == ("D2", "dynamic")
    assert record["params"]["extra"][1] == "/elsewhere/b.mrc"


def test_a_job_copied_into_another_project_keeps_its_paths(tmp_path):
    one, other = projects.made(tmp_path / "a", J1=[], J2=["J1/map.mrc"]), project.create(tmp_path / "b")
    shutil.copytree(one.root / "J2", other.root / "J2")
    assert places.read(other.root / "J2") == places.read(one.root / "J2")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00" * 100, '{"a": ' * 5000, "[" * 200_000])
def test_what_cannot_be_read_is_an_empty_record(tmp_path, text):
    (tmp_path / "job.json").write_text(text)
    assert places.read(tmp_path) == {}


def test_of_a_record_that_was_cut_all_whole_lines_are_read(tmp_path):
    one = projects.made(tmp_path / "p", J1=[], J2=["J1/map.mrc"])
    path = one.root / "J2" / "job.json"
    whole = path.read_text()
    before = json.loads(whole)
    for end in range(len(whole)):
        path.write_text(whole[:end])
        found = places.read(path.parent)
        assert {name: value for name, value in found.items() if isinstance(value, str)}.items() <= before.items()
    path.write_text(whole[: whole.index('"references"')])
    assert places.read(path.parent)["params"] == before["params"]
