"""Where a project begins, how its jobs are numbered and named."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from halfmap.errors import UsageError
from halfmap.jobs.project import project
from halfmap.jobs.project.project import Project


def test_a_project_is_found_from_any_folder_in_it(tmp_path):
    (tmp_path / project.MARKER).write_text("{}")
    deep = tmp_path / "J1" / "plots"
    deep.mkdir(parents=True)
    assert project.find(deep) == project.find(tmp_path) == Project(tmp_path)


def test_outside_there_is_no_project(tmp_path, monkeypatch):
    assert project.find(tmp_path) is None
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="halfmap init"):
        project.here()


def test_jobs_are_numbered_by_their_folders_and_nothing_else_counts(tmp_path):
    for name in ("J2", "J10", "J010", "J0", "jobs", "J1x"):
        (tmp_path / name).mkdir()
    (tmp_path / "J7").write_text("a file")
    assert Project(tmp_path).numbers() == [2, 10]
    assert Project(tmp_path).new_folder() == tmp_path / "J11"


def test_two_at_once_get_different_folders(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: Project(tmp_path).new_folder(), range(40)))
    assert len(set(made)) == 40


def test_a_new_project_says_what_it_is(tmp_path):
    made = project.create(tmp_path / "a protein ö")
    told = json.loads((made.root / project.MARKER).read_text())
    assert set(told) == {"name", "id", "created", "version", "layout"}
    assert (told["name"], told["layout"]) == ("a protein ö", project.LAYOUT) and made.id == told["id"]
    assert project.create(tmp_path / "b", name="other").marker["name"] == "other"


def test_a_project_is_made_only_once_and_inside_another_only_when_asked_for(tmp_path):
    project.create(tmp_path)
    with pytest.raises(UsageError, match="already"):
        project.create(tmp_path, nested=True)
    with pytest.raises(UsageError, match="--nested"):
        project.create(tmp_path / "inner")
    assert not (tmp_path / "inner").exists()
    assert project.find(project.create(tmp_path / "inner", nested=True).root).root == tmp_path / "inner"


def test_a_project_of_a_newer_halfmap_is_left_alone(tmp_path):
    (tmp_path / project.MARKER).write_text('{"layout": 99, "version": "9.0"}')
    with pytest.raises(UsageError, match="layout 99"):
        project.find(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00\xff"])
def test_a_damaged_marker_still_marks_the_root(tmp_path, text):
    (tmp_path / project.MARKER).write_text(text)
    found = project.find(tmp_path)
    assert (found.root, found.marker, found.id) == (tmp_path, {}, "")


@pytest.mark.parametrize("text, inside", [
    ("J3", "J3"), ("J3/map.mrc", "J3/map.mrc"), ("J3/plots/a b.png", "J3/plots/a b.png"), ("J3/", "J3"),
    ("J03", None), ("J3x", None), ("j3", None), ("J3/../../secret", None), ("/J3", None), ("J3\n", None), ("", None),
])  # fmt: skip
def test_a_reference_names_a_job_or_a_file_in_it_and_nothing_else(tmp_path, text, inside):
    expected = None if inside is None else tmp_path / inside
    assert Project(tmp_path).named(text) == expected


def test_a_job_goes_by_its_name_or_its_path(tmp_path, monkeypatch):
    one = project.create(tmp_path)
    for folder in ("J1", "sub/J1", "refined"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "refined")
    assert project.job_folder("J1") == one.root / "J1"
    assert project.job_folder(tmp_path / "refined") == tmp_path / "refined"
    monkeypatch.chdir(tmp_path / "sub")
    assert project.job_folder("J1").resolve() == tmp_path / "sub" / "J1"  # what is there comes first
    with pytest.raises(UsageError, match="J2"):
        project.job_folder("J2")
