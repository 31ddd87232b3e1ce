"""Where a project begins and how its jobs are numbered."""

from concurrent.futures import ThreadPoolExecutor

from halfmap.jobs import project
from halfmap.jobs.project import Project


def test_a_project_is_found_from_any_folder_in_it(tmp_path):
    (tmp_path / project.MARKER).write_text("{}")
    deep = tmp_path / "J1" / "plots"
    deep.mkdir(parents=True)
    assert project.find(deep) == project.find(tmp_path) == Project(tmp_path)


def test_outside_there_is_no_project(tmp_path):
    assert project.find(tmp_path) is None


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
