"""Jobs on a real SLURM, where one answers: its default partition must let this user run for two minutes.

Without one, each test says so and is left out; tests/jobs/one_node_slurm.sh starts one on this machine.
"""

import filecmp
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from halfmap.cli import main as cli
from halfmap.jobs.queue import cluster, cluster_queue
from halfmap.jobs.queue.queue_local import PROGRAM
from tests.jobs.queue_made import ROOT, queue_in

CRYOSPARC = """#!/bin/bash
#SBATCH --job-name cryosparc_{{ project_uid }}_{{ job_uid }}
#SBATCH -n {{ num_cpu }}
#SBATCH --mem={{ (ram_gb * 1000) | int }}MB
#SBATCH --time={{ minutes }}
#SBATCH --output={{ job_log_path_abs }}
#SBATCH --open-mode=append
exec {{ run_cmd }}
"""
RELION = """#!/bin/bash
#SBATCH --ntasks=XXXmpinodesXXX
#SBATCH --cpus-per-task=XXXthreadsXXX
#SBATCH --time=XXXminutesXXX
#SBATCH --error=XXXerrfileXXX
#SBATCH --output=XXXoutfileXXX
#SBATCH --open-mode=append
XXXlineXXX
srun XXXcommandXXX
"""
DESCRIBED = """
cryosparc: {template: cryosparc.sh, variables: {num_cpu: 1, ram_gb: 1, minutes: 2}}
relion: {template: relion.sh, variables: {num_cpu: 1, minutes: 2, line: ""}}
"""
PATIENCE_S = 180.0
FORGETS_S = 60  # MinJobAge of a SLURM whose forgetting is worth waiting for
SIMULATE = ("simulate", "-n", "200", "--box-size", "24", "--pixel-size", "5", "--seed", "1", "--threads", "1")
REFINE = ("refine", "homogeneous", "--particles", "J1", "--volume", "J1/map.mrc", "--initial-lowpass", "40",
          "--seed", "2", "--threads", "1")  # fmt: skip


def why_not():
    if shutil.which("sbatch") is None:
        return "no SLURM on this machine: there is no sbatch"
    asked = subprocess.run(["sinfo", "--noheader"], capture_output=True, text=True)
    why = (asked.stderr.strip().splitlines() or ["no partition"])[0]
    return "" if asked.returncode == 0 and asked.stdout.strip() else f"no SLURM answers: {why}"


MISSING = why_not()
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture
def queue(tmp_path, monkeypatch):
    root = tmp_path / "a project"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))  # sbatch hands the environment to the job
    (root / cluster.FILE).write_text(DESCRIBED)
    (root / "cryosparc.sh").write_text(CRYOSPARC)
    (root / "relion.sh").write_text(RELION)
    found = queue_in(root)
    yield found
    for entry in found.entries():
        subprocess.run(["scancel", *filter(None, [entry.cluster_job])], capture_output=True)


def halfmap(*words):
    assert cli.main(["queue", *words]) == 0


def entries(queue):
    """What `queue list` says now, by number."""
    told = subprocess.run([*PROGRAM, "queue", "list", "--all", "--json"], capture_output=True, text=True, check=True)
    return {entry["number"]: entry for entry in json.loads(told.stdout)["entries"]}


def until(queue, number, *states):
    """Wait for an entry to be in one of the states; returns it."""
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE_S:
        found = entries(queue)[number]
        if found["state"] in states:
            return found
        time.sleep(1)
    raise AssertionError(f"after {PATIENCE_S:g} s: {found}")


def test_jobs_of_both_kinds_of_template_follow_each_other_from_node_to_node(queue):
    halfmap("add", "--cluster", "cryosparc", "--", *SIMULATE)
    halfmap("add", "--cluster", "relion", "--", "reconstruct", "J1/truth.star", "--threads", "1")
    halfmap("submit")  # once: the job that ends hands over the next, with memory of its own
    assert until(queue, 2, "finished", "failed")["state"] == "finished"
    assert (queue.root / "J2" / "map.mrc").is_file()


def test_a_job_that_fails_tells_why_and_holds_up_what_needs_it(queue):
    (queue.root / "empty.star").write_text("data_particles\n")
    halfmap("add", "--cluster", "cryosparc", "--", "reconstruct", "empty.star")
    halfmap("add", "--cluster", "cryosparc", "--", "sharpen", "J1")
    halfmap("submit")
    assert "empty.star" in until(queue, 1, "failed", "finished")["reason"]
    assert until(queue, 2, "blocked")["reason"] == "J1 failed"


def test_a_script_that_never_comes_to_the_job_tells_the_last_line_of_its_output(queue):
    line = "module-that-is-not-there || exit 1"
    (queue.root / "relion.sh").write_text(RELION.replace("XXXlineXXX", line))
    halfmap("add", "--cluster", "relion", "--", *SIMULATE)
    halfmap("submit")
    assert "module-that-is-not-there" in until(queue, 1, "failed", "finished", "waiting")["reason"]


def test_stopping_takes_back_what_has_not_begun(queue):
    (queue.root / "relion.sh").write_text(RELION.replace("#SBATCH --ntasks", "#SBATCH --hold\n#SBATCH --ntasks"))
    halfmap("add", "--cluster", "relion", "--", *SIMULATE)
    halfmap("submit")
    assert "pending" in until(queue, 1, "submitted")["reason"]
    halfmap("stop")
    assert until(queue, 1, "waiting")["reason"] == "taken back on request"
    listed = subprocess.run(["squeue", "--noheader", "--me", "--format=%j"], capture_output=True, text=True).stdout
    assert queue.find(1).token not in listed


@pytest.mark.parametrize("way, state", [("warned", "finished"), ("stopped", "waiting"), ("cancelled", "interrupted")])
def test_a_refinement_that_is_broken_off_comes_to_the_same_result(queue, way, state):
    assert cli.main([*SIMULATE, "--out", "J1"]) == cli.main([*REFINE, "--out", "whole"]) == 0
    halfmap("add", "--cluster", "cryosparc", "--", *REFINE, "--out", "J2")
    halfmap("submit")
    first = queue.find(1).cluster_job
    begun = time.monotonic()
    while not any((queue.root / "J2" / "checkpoints").glob("it_*[0-9]")):
        assert time.monotonic() - begun < PATIENCE_S, entries(queue)
        time.sleep(0.05)
    if way == "warned":  # as --signal=B:USR1@120 does
        subprocess.run(["scancel", "--batch", "--signal=USR1", first], check=True)
    elif way == "cancelled":
        subprocess.run(["scancel", first], check=True)
    else:
        halfmap("stop")
    assert until(queue, 1, state)["state"] == state
    if state == "interrupted":
        halfmap("retry", "1")
    if state != "finished":
        halfmap("submit")
    assert until(queue, 1, "finished", "failed")["state"] == "finished"
    assert entries(queue)[1]["cluster_job"] != first  # it was handed over twice
    same, differ, missing = filecmp.cmpfiles("whole", "J2", ["map.mrc", "half1.mrc", "half2.mrc"], shallow=False)
    assert (differ, missing) == ([], []) and len(same) == 3
    assert (queue.root / "J2" / "particles.star").read_bytes() == (queue.root / "whole" / "particles.star").read_bytes()


def forgets_soon():
    told = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True).stdout
    found = re.search(r"MinJobAge\s*=\s*(\d+)", told)
    return found is not None and int(found[1]) <= FORGETS_S and "accounting_storage/none" in told


def forgotten(number):
    """Wait until SLURM has forgotten a job; nobody of ours looks at it meanwhile."""
    begun = time.monotonic()
    while number in subprocess.run(["squeue", "--noheader", "--me", "--states=all", "--format=%i"],
                                   capture_output=True, text=True).stdout.split():  # fmt: skip
        assert time.monotonic() - begun < PATIENCE_S
        time.sleep(1)


@pytest.mark.skipif(not MISSING and not forgets_soon(), reason="this SLURM keeps accounts, or remembers for minutes")
@pytest.mark.parametrize("way, state", [("killed", "waiting"), ("cancelled", "interrupted")])
def test_what_became_of_a_job_that_slurm_has_forgotten_is_told_by_what_it_left(queue, way, state):
    assert cli.main([*SIMULATE, "--out", "J1"]) == 0
    halfmap("add", "--cluster", "cryosparc", "--", *REFINE, "--out", "J2")
    halfmap("submit")
    number, begun = queue.find(1).cluster_job, time.monotonic()
    while not any((queue.root / "J2" / "checkpoints").glob("it_*[0-9]")):
        assert time.monotonic() - begun < PATIENCE_S
        time.sleep(0.05)
    if way == "killed":
        os.kill(queue.find(1).pid, signal.SIGKILL)
    else:
        subprocess.run(["scancel", number], check=True)
    forgotten(number)
    for _ in range(cluster_queue.PATIENCE):
        found = entries(queue)[1]
    assert found["state"] == state, found
    assert ("knows nothing of it" if way == "killed" else "CANCELLED of job") in found["reason"]
    if way == "cancelled":
        halfmap("retry", "1")
    halfmap("submit")
    assert until(queue, 1, "finished", "failed")["state"] == "finished"
