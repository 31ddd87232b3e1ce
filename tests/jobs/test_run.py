"""Running a job: folder, record, exit codes. The numerics are replaced by small functions."""

import errno
import json
import os
import signal
import sys
import types
from pathlib import Path

import pytest
import threadpoolctl

from halfmap import device
from halfmap.errors import InputError, ResourceError, UsageError
from halfmap.jobs import catalog
from halfmap.jobs.running import run
from halfmap.params.common import Job


class Settings(Job):
    data: Path | None = None


@pytest.fixture
def job(monkeypatch):
    """Makes a job of a function: ``job(function, **settings)`` runs it and returns how it ended."""

    def start(function, folder, **settings):
        module = types.ModuleType("runner_of_a_test")
        module.run = function
        monkeypatch.setitem(sys.modules, module.__name__, module)
        entry = catalog.Entry("try", "A try.", Settings, ("data",), f"{module.__name__}:run")
        monkeypatch.setattr(catalog, "JOBS", (entry,))
        return run.run("try", Settings(out=folder, **settings), ["halfmap", "try"])

    return start


def nothing(params, folder, rng, watch):
    return {}


def events(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_a_finished_job_leaves_record_events_log_summary_and_report(job, tmp_path):
    ended = job(lambda params, folder, rng, watch: {"resolution_A": 7.5}, tmp_path / "a")
    assert ended.exit_code == 0
    for name in ("job.json", "events.jsonl", "log.txt", "summary.json", "report.html"):
        assert (tmp_path / "a" / name).stat().st_size > 0
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert summary == ended.summary
    assert summary["status"] == "finished" and summary["resolution_A"] == 7.5
    assert [event["kind"] for event in events(tmp_path / "a")] == ["started", "finished"]


def test_the_record_tells_settings_inputs_versions_and_command(job, tmp_path):
    data = tmp_path / "particles.star"
    data.write_text("data_\n")
    job(nothing, tmp_path / "a", data=data, seed=7)
    record = json.loads((tmp_path / "a" / "job.json").read_text())
    assert record["seed"] == 7 and record["params"]["seed"] == 7 and record["command"] == ["halfmap", "try"]
    assert record["inputs"]["data"]["bytes"] == 6 and len(record["inputs"]["data"]["sha256_of_first_bytes"]) == 64
    assert {"halfmap", "python", "numpy", "numba"} <= set(record["versions"])


def test_the_recorded_seed_gives_the_same_random_numbers_again(job, tmp_path):
    drawn = []

    def draw(params, folder, rng, watch):
        drawn.append(rng.random())
        return {}

    job(draw, tmp_path / "a")
    seed = json.loads((tmp_path / "a" / "job.json").read_text())["seed"]
    job(draw, tmp_path / "b", seed=seed)
    job(draw, tmp_path / "c")
    assert drawn[0] == drawn[1] != drawn[2]


def test_resuming_in_a_new_folder_begins_anew(job, tmp_path):
    ended = job(nothing, tmp_path / "a", resume=True)
    assert ended.exit_code == 0
    assert json.loads((tmp_path / "a" / "job.json").read_text())["resumed_from"] == []


def test_warnings_of_runner_and_events_are_listed_once(job, tmp_path):
    def warn(params, folder, rng, watch):
        watch("warning", message="few particles")
        return {"warnings": ["few particles", "other"]}

    assert job(warn, tmp_path / "a").summary["warnings"] == ["few particles", "other"]


@pytest.mark.parametrize(
    "fault, code, text",
    [
        (InputError(["a.star: row 3: short", "b.mrcs: truncated"]), 3, "b.mrcs: truncated"),
        (UsageError("--symmetry Q7: unknown"), 2, "--symmetry Q7"),
        (ResourceError("disk"), 4, "disk"),
        (MemoryError(), 4, "--minibatch-size"),
        (OSError(errno.ENOSPC, "No space left on device"), 4, "no space left"),
        (ZeroDivisionError("division by zero"), 70, "bug in halfmap"),
    ],
)
def test_a_fault_has_its_exit_code_and_all_its_lines(job, tmp_path, fault, code, text):
    def fail(params, folder, rng, watch):
        raise fault

    ended = job(fail, tmp_path / "a")
    assert ended.exit_code == code
    assert any(text in line for line in ended.summary["faults"])
    assert events(tmp_path / "a")[-1]["faults"] == ended.summary["faults"]
    assert json.loads((tmp_path / "a" / "summary.json").read_text())["status"] == "failed"
    log = (tmp_path / "a" / "log.txt").read_text()
    assert ("Traceback" in log) == (code == 70)


def test_ctrl_c_interrupts_a_job_that_reports_progress(job, tmp_path):
    def slow(params, folder, rng, watch):
        os.kill(os.getpid(), signal.SIGINT)
        watch("progress", stage="poses", done=1, total=2)

    ended = job(slow, tmp_path / "a")
    assert ended.exit_code == 5 and ended.summary["status"] == "interrupted"


def test_a_second_ctrl_c_ends_a_job_that_does_not_listen(job, tmp_path):
    def deaf(params, folder, rng, watch):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    assert job(deaf, tmp_path / "a").exit_code == 5


def test_a_folder_with_other_files_is_refused_even_with_overwrite(job, tmp_path):
    (tmp_path / "thesis.txt").write_text("do not touch")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="not a halfmap job"):
            job(nothing, tmp_path, overwrite=overwrite)


def test_a_finished_job_is_replaced_only_when_told_to(job, tmp_path):
    folder = tmp_path / "a"
    job(nothing, folder)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="--overwrite"):
        job(nothing, folder)
    assert job(nothing, folder, overwrite=True).exit_code == 0
    assert (folder / "notes.txt").read_text() == "mine"
    assert [event["kind"] for event in events(folder)] == ["started", "finished"]


def test_a_job_that_failed_without_a_map_is_replaced(job, tmp_path):
    def fail(params, folder, rng, watch):
        raise InputError("p.star: missing")

    job(fail, tmp_path / "a")
    assert job(nothing, tmp_path / "a").exit_code == 0


def test_a_file_in_the_place_of_the_folder_is_refused(job, tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        job(nothing, tmp_path / "a")


def test_threads_reach_kernels_and_matrix_products(job, tmp_path, monkeypatch):
    def count(params, folder, rng, watch):
        pools = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        return {"blas": pools, "kernels": device.threads()}

    monkeypatch.setattr(device, "_threads", None)
    with threadpoolctl.threadpool_limits():  # puts the limits back afterwards
        summary = job(count, tmp_path / "a", threads=1).summary
    assert summary["kernels"] == 1 and set(summary["blas"]) == {1}
