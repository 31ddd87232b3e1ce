"""A job in a RELION project: listed while it runs and after, whatever becomes of it; the project is never harmed."""

import json
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from halfmap.data import relion_project as tables
from halfmap.errors import InputError, Interrupted
from halfmap.io import star
from halfmap.jobs.refinement import relion_project
from halfmap.jobs.running import events, record
from halfmap.params.auto import Auto
from tests.data.test_relion_project import EMPTY, OF_3, OF_5

PROGRAM = "relion_pipeliner"


@pytest.fixture
def project(tmp_path):
    (tmp_path / "default_pipeline.star").write_text(OF_3)
    for name in ("Extract/job003/particles.star", "Class3D/map.mrc"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
    return tmp_path


def job(root, name="Refine3D/job004", **settings):
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    record.write_json(folder / record.RECORD, {"command": ["halfmap", "refine", "auto", "--sym", "D 2"]})
    params = Auto(particles=root / "Extract/job003/particles.star", volume=root / "Class3D/map.mrc", out=folder,
                  symmetry="D2", particle_diameter_A=200, **settings)  # fmt: skip
    return folder, relion_project.of(folder, params, events.Watch(folder))


def state(root, row=-1):
    pipeline = tables.read(root / "default_pipeline.star")
    return pipeline.names("pipeline_processes", "rlnPipeLineProcessStatus")[row]


def test_a_job_is_running_then_succeeded(project):
    folder, listed = job(project)
    with listed:
        assert state(project) == "0"
        (folder / "run_data.star").write_text("")
    assert state(project) == "2"
    assert (folder / "RELION_JOB_EXIT_SUCCESS").exists()
    assert (project / ".Nodes/3/Refine3D/job004/run_data.star").exists()
    assert (project / "default_pipeline.star.bak").exists()
    assert not (project / ".relion_lock").exists()


@pytest.mark.parametrize("fault, word, mark", [(InputError("bad"), "3", "FAILURE"),
                                               (Interrupted("stop"), "4", "ABORTED"),
                                               (KeyboardInterrupt(), "4", "ABORTED")])  # fmt: skip
def test_a_job_that_ends_otherwise_says_how(project, fault, word, mark):
    folder, listed = job(project)
    with pytest.raises(type(fault)), listed:
        raise fault
    assert state(project) == word
    assert [path.name for path in folder.glob("RELION_JOB_EXIT_*")] == [f"RELION_JOB_EXIT_{mark}"]


def test_a_second_run_takes_back_how_the_first_one_ended(project):
    folder, listed = job(project)
    with pytest.raises(InputError), listed:
        raise InputError("bad")
    with job(project)[1]:
        assert not list(folder.glob("RELION_JOB_EXIT_*"))
    assert state(project) == "2"
    assert (folder / "note.txt").read_text().count("++++ Executing new job on") == 2


def test_note_and_job_file_tell_command_and_settings(project):
    folder, listed = job(project, finer_sampling_faster=True)
    with listed:
        pass
    assert "halfmap refine auto --sym 'D 2'" in (folder / "note.txt").read_text()
    values = star.read(folder / "job.star")["joboptions_values"]
    told = dict(zip(values.strings("rlnJobOptionVariable"), values.strings("rlnJobOptionValue"), strict=True))
    assert told["sym_name"] == "D2" and told["particle_diameter"] == "200" and told["auto_faster"] == "Yes"
    assert told["sampling"] == "7.5 degrees" and told["fn_cont"] == ""


def test_a_folder_that_relion_would_not_make_is_told_and_not_listed(project):
    before = (project / "default_pipeline.star").read_text()
    folder, listed = job(project, "refined")
    with listed:
        pass
    assert "name its folder Refine3D/job004" in (folder / "log.txt").read_text()
    assert (project / "default_pipeline.star").read_text() == before


def test_without_relion_files_a_project_is_left_alone(project):
    assert not isinstance(job(project, relion_files="off")[1], relion_project.InProject)


def test_outside_of_a_project_there_is_nothing_to_do(tmp_path):
    assert not isinstance(job(tmp_path)[1], relion_project.InProject)


def test_a_broken_pipeline_is_a_warning_and_stays_as_it_is(project):
    (project / "default_pipeline.star").write_text("data_\nloop_\n_a #1\n_b #2\n1\n")
    folder, listed = job(project)
    with listed:
        pass
    assert (project / "default_pipeline.star").read_text().startswith("data_\nloop_")
    assert "does not list this job" in (folder / "log.txt").read_text()
    assert (folder / "RELION_JOB_EXIT_SUCCESS").exists()


def test_the_lock_of_relion_is_waited_for(project):
    lock = project / ".relion_lock"
    lock.mkdir()
    threading.Timer(0.3, lock.rmdir).start()
    with relion_project.locked(project):
        assert lock.is_dir()
    assert not lock.exists()


def test_a_lock_that_nobody_takes_away_is_named(project):
    (project / ".relion_lock").mkdir()
    began = time.monotonic()
    with pytest.raises(InputError, match="remove this folder"), relion_project.locked(project, 0.2):
        pass
    assert time.monotonic() - began < 5
    assert (project / ".relion_lock").is_dir()


def test_jobs_at_the_same_time_are_all_listed(project):
    def one(number):
        with job(project, f"Refine3D/job{number:03d}")[1]:
            pass

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4, 9)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    pipeline = tables.read(project / "default_pipeline.star")
    assert sorted(pipeline.names("pipeline_processes", tables.PROCESS))[-5:] == [
        f"Refine3D/job{number:03d}/" for number in range(4, 9)]
    assert pipeline.counter == 9


@pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is not installed: no look at its project")
def test_live_relion_takes_the_project_and_a_copy_of_the_job(project):
    folder, listed = job(project)
    with listed:
        for name in relion_project.OUTPUTS:
            (folder / name).write_text("")
    before = tables.read(project / "default_pipeline.star")
    for command in (["--check_job_completion"], ["--addJobFromStar", "Refine3D/job004/job.star"]):
        done = subprocess.run([PROGRAM, *command], cwd=project, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and "ERROR" not in done.stdout + done.stderr
    after = tables.read(project / "default_pipeline.star")
    names = after.names("pipeline_processes", tables.PROCESS)
    assert names == [*before.names("pipeline_processes", tables.PROCESS), "Refine3D/job005/"]
    assert state(project, -2) == "2"
    assert (project / "Refine3D/job005/job.star").exists()


@pytest.mark.parametrize("text", [EMPTY, OF_5])
def test_projects_of_other_versions_are_listed_in_too(project, text):
    (project / "default_pipeline.star").write_text(text)
    folder, listed = job(project)
    with listed:
        pass
    assert f"{Path(folder).parent.name}/{folder.name}/" in (project / "default_pipeline.star").read_text()
    assert "warning" not in (folder / "events.jsonl").read_text()
    assert json.loads((folder / record.RECORD).read_text())
