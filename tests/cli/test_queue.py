"""`halfmap queue ...`: what it accepts, what it says, and a real job that outlives its terminal."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from halfmap.cli import main as cli
from halfmap.jobs.queue import queue_locks
from tests.jobs.queue_made import ROOT, queue_in, write_summary
from tests.jobs.slurm_stand_in import Slurm

SIMULATE = ("simulate", "-n", "4", "--box-size", "16", "--threads", "1", "--seed", "3")


@pytest.fixture
def queue(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    root = tmp_path / "a project"
    root.mkdir()
    monkeypatch.chdir(root)
    return queue_in(root)


def halfmap(*words):
    return cli.main(["queue", *words])


def test_a_job_without_a_folder_gets_the_next_of_the_project_and_later_ones_may_name_it(queue, capsys):
    assert halfmap("add", "--", *SIMULATE) == 0
    assert halfmap("add", "--", "refine", "homogeneous", "--particles", "J1", "--volume", "J1/map.mrc") == 0
    assert [(entry.out, entry.after) for entry in queue.entries()] == [("J1", ()), ("J2", ("J1",))]
    assert queue.find(2).words[-2:] == ("--out", "J2") and (queue.root / "J2").is_dir()
    told = capsys.readouterr().out
    assert "2: refine homogeneous: results go to J2, after J1" in told and "halfmap queue start" in told


def test_from_a_folder_inside_the_project_the_same_jobs_are_meant(queue, monkeypatch):
    halfmap("add", "--", *SIMULATE)
    (queue.root / "notes").mkdir()
    monkeypatch.chdir(queue.root / "notes")
    halfmap("add", "--", "reconstruct", "J1/particles.star")
    assert (queue.find(2).after, queue.find(2).folder, queue.find(2).words[-1]) == (("J1",), "notes", "../J2")


@pytest.mark.parametrize("words, code, said", [
    (["--", "simulate", "-n", "x"], 2, "-n"),
    (["--", "simulate", "--nn", "3"], 2, "--nn"),
    (["--", "simmulate"], 2, "simmulate"),
    (["--", "status"], 2, "is no job"),
    (["--", "queue", "add"], 2, "is no job"),
    ([], 2, "after --"),
    (["--", "reconstruct", "gone.star"], 3, "gone.star: there is no such file"),
    (["--", "reconstruct", "J7/particles.star"], 3, "J7/particles.star: there is no such file"),
    (["--", "simulate", "--dry-run"], 2, "--dry-run"),
    (["--", "simulate", "--out", "a\nb"], 2, "line break"),
    (["--", "simulate", "--out", "full"], 2, "not a halfmap job"),
    (["--variable", "ram_gb=3", "--", "simulate"], 2, "--cluster"),
    (["--cluster", "nowhere", "--", "simulate"], 2, "none is described"),
])  # fmt: skip
def test_what_cannot_run_is_refused_and_leaves_nothing(queue, capsys, words, code, said):
    (queue.root / "full").mkdir()
    (queue.root / "full" / "thesis.txt").touch()
    assert halfmap("add", *words) == code
    assert said in capsys.readouterr().err
    assert queue.entries() == [] and not (queue.root / "J1").exists()


def test_two_entries_do_not_write_into_one_folder(queue, capsys):
    assert halfmap("add", "--", *SIMULATE, "--out", "mine") == 0
    assert halfmap("add", "--", *SIMULATE, "--out", "mine") == 2
    assert "entry 1 of the queue writes there" in capsys.readouterr().err


def test_outside_of_a_project_there_is_no_queue(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert halfmap("list") == 2
    assert "halfmap init" in capsys.readouterr().err


def test_the_list_shows_states_and_reasons_and_nothing_that_acts_on_a_terminal(queue, capsys):
    assert halfmap("list") == 0 and "the queue is empty" in capsys.readouterr().out
    halfmap("add", "--", *SIMULATE)
    queue.update(1, state="failed", reason="bad \x1b]0;name\x07 file")
    halfmap("add", "--", "reconstruct", "J1/particles.star")
    capsys.readouterr()
    assert halfmap("list") == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told and "J1 failed" in told and "blocked" in told
    halfmap("list", "--json")
    assert [entry["state"] for entry in json.loads(capsys.readouterr().out)["entries"]] == ["failed", "blocked"]


def test_remove_and_retry(queue, capsys):
    halfmap("add", "--", *SIMULATE)
    assert halfmap("retry", "1") == 2
    queue.update(1, state="failed")
    assert halfmap("retry", "1") == 0 and queue.find(1).state == "waiting"
    assert halfmap("remove", "1") == 0 and halfmap("remove", "1") == 2
    assert "the queue has no entry 1" in capsys.readouterr().err
    assert queue.entries() == [] and not (queue.root / "J1").exists()


@pytest.mark.parametrize("jobs", ["0", "-1", "all", "1.5"])
def test_a_number_of_jobs_that_makes_no_sense_is_refused(queue, capsys, jobs):
    assert halfmap("start", f"--jobs={jobs}") == 2
    assert "above 0" in capsys.readouterr().err


def test_stopping_a_queue_that_does_not_run_is_no_fault(queue):
    assert halfmap("stop") == 0
    assert not queue.stop_request.exists()


def test_a_wrong_description_of_a_cluster_is_told_of_at_the_start(queue, capsys):
    (queue.root / "clusters.yaml").write_text("site: {}\n")
    assert halfmap("start") == 2
    assert "site: template" in capsys.readouterr().err and not queue_locks.held(queue.runner_lock)


def test_a_queue_that_runs_is_not_started_again(queue, capsys):
    lock = queue_locks.claim(queue.runner_lock)
    assert halfmap("start") == 2 and halfmap("run") == 2
    assert "running already" in capsys.readouterr().err
    os.close(lock)


def test_a_real_job_runs_on_when_the_shell_that_started_it_is_gone(queue):
    halfmap("add", "--", *SIMULATE)
    program = [sys.executable, "-P", "-m", "halfmap.cli.main", "queue", "start"]
    # a session of its own that ends at once, as at the end of an SSH connection
    subprocess.run(program, cwd=queue.root, check=True, start_new_session=True, stdout=subprocess.DEVNULL)
    with queue_locks.waiting(queue.runner_lock):
        pass
    assert [entry.number for entry in queue.ended()] == [1], (queue.folder / "runner.log").read_text()
    assert (queue.root / "J1" / "particles.star").is_file()


def test_a_cluster_takes_a_job_and_gives_it_back(queue, tmp_path, monkeypatch, capsys):
    slurm = Slurm(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{slurm.bin}{os.pathsep}{os.environ['PATH']}")
    (queue.root / "clusters.yaml").write_text("site: {template: t.sh}\n")
    (queue.root / "t.sh").write_text("#!/bin/sh\n#SBATCH --mem={{ ram_gb }}G\nexec {{ run_cmd }}\n")
    assert halfmap("add", "--cluster", "site", "--variable", "ram_gb=7", "--", *SIMULATE) == 0
    assert halfmap("submit") == 0
    assert "pending as 100 on site" in capsys.readouterr().out or queue.find(1).cluster_job == "100"
    assert "--mem=7G" in queue.file(1, ".sh").read_text()
    assert halfmap("remove", "1") == 0 and slurm.jobs()[0][2] == "CANCELLED"


def blocks(kind):
    """Fenced blocks of docs/QUEUE.md."""
    page = (ROOT / "docs" / "QUEUE.md").read_text()
    return [text for of, text in re.findall(r"^```(\w*)\n(.*?)^```\n", page, re.MULTILINE | re.DOTALL) if of == kind]


def test_the_page_about_the_queue_does_what_it_says(queue, tmp_path, monkeypatch, capsys):
    slurm = Slurm(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{slurm.bin}{os.pathsep}{os.environ['PATH']}")
    (queue.root / "slurm.sh").write_text(blocks("bash")[0])
    here, cluster_too = blocks("")
    assert [cli.main(shlex.split(line)[1:]) for line in here.splitlines() if "start" not in line] == [0] * 4
    assert [(entry.out, entry.after) for entry in queue.entries()] == [("J1", ()), ("J2", ("J1",)), ("J3", ("J2",))]
    write_summary(queue.root / "J1", "finished")
    for number, described in enumerate(blocks("yaml")):  # the short description, and the one with all commands
        text = described if "variables" in described else described + "  variables: {queue: gpu, extra1: 1-00}\n"
        (queue.root / "clusters.yaml").write_text(text)
        assert [cli.main(shlex.split(line)[1:]) for line in cluster_too.splitlines()] == [0] * 3
        assert f"pending as {100 + number} on site" in capsys.readouterr().out
        assert "--mem=128000M" in queue.file(4 + number, ".sh").read_text()


def test_a_template_that_lacks_a_variable_is_told_of_before_the_job_is_taken(queue, capsys):
    (queue.root / "clusters.yaml").write_text("site: {template: t.sh}\n")
    (queue.root / "t.sh").write_text("XXXextra1XXX XXXcommandXXX")
    assert halfmap("add", "--cluster", "site", "--", *SIMULATE) == 2
    assert "--variable extra1=VALUE" in capsys.readouterr().err and queue.entries() == []


def test_what_a_finished_job_made_is_not_waited_for(queue):
    write_summary(queue.root / "J1", "finished")
    (queue.root / "J1" / "particles.star").touch()
    assert halfmap("add", "--", "reconstruct", "J1/particles.star") == 0
    assert queue.ready()[0].after == ()


def test_no_numerics_are_read_for_the_queue(queue):
    code = """import sys; from halfmap.cli.main import main
main(["queue", "add", "--", "simulate"]); main(["queue", "list"])
print([name for name in ("numpy", "scipy", "numba", "jinja2", "matplotlib") if name in sys.modules])"""
    done = subprocess.run([sys.executable, "-c", code], cwd=queue.root, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_locks_are_gone_with_the_process(queue):
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys; from pathlib import Path; from halfmap.jobs.queue import queue_locks\n"
         "queue_locks.claim(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()", str(queue.runner_lock)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    holder.stdout.readline()
    assert queue_locks.held(queue.runner_lock)
    holder.kill()
    holder.communicate()
    assert not queue_locks.held(queue.runner_lock)
