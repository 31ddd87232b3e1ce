"""Jobs on a cluster: handing over, and what becomes of them; SLURM's programs are stand-ins."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from halfmap.jobs.project import signs
from halfmap.jobs.queue import cluster, cluster_queue, queue_local, queue_worker
from halfmap.jobs.queue import queue as queues
from halfmap.jobs.running import lock as lock_of_jobs
from tests.jobs.queue_made import add, process, queue_in, write_summary
from tests.jobs.slurm_stand_in import Slurm

SLURM = """#!/bin/bash
#SBATCH --partition=XXXqueueXXX
#SBATCH --cpus-per-task=XXXthreadsXXX
#SBATCH --signal=B:USR1@120
#SBATCH --output=XXXoutfileXXX
exec XXXcommandXXX
"""
DESCRIBED = "site:\n  template: slurm.sh\n  variables: {queue: gpu, num_cpu: 8}\n"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    found = Slurm(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{found.bin}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    return found


@pytest.fixture
def queue(tmp_path, monkeypatch):
    root = tmp_path / "a project"
    root.mkdir()
    monkeypatch.chdir(root)
    (root / cluster.FILE).write_text(DESCRIBED)
    (root / "slurm.sh").write_text(SLURM)
    return queue_in(root)


def tend(queue, **how):
    cluster_queue.Handed(cluster.read(queue.root), **how).tend(queue)


def handed_over(queue, slurm, *more, **how):
    """An entry that the cluster has."""
    add(queue, *more, cluster="site", **how)
    tend(queue)
    return queue.find(1)


def look(queue, times=1):
    for _ in range(times):
        cluster_queue.Handed(cluster.read(queue.root)).reconcile(queue)
    return next((entry for entry in queue.entries() if entry.number == 1), None)


def test_a_job_is_handed_over_once_with_its_script_and_its_name(queue, slurm):
    entry = handed_over(queue, slurm)
    tend(queue)
    assert (entry.state, entry.cluster_job) == ("submitted", "100")
    assert [call[0] for call in slurm.calls()].count("sbatch") == 1
    assert slurm.calls()[0][-2:] == [f"--job-name=J1-{entry.token}", str(queue.file(1, ".sh"))]
    assert "--partition=gpu" in queue.file(1, ".sh").read_text()


def test_a_refused_job_shows_the_reason_and_keeps_its_script(queue, slurm):
    slurm.fails("sbatch", "sbatch: error: invalid partition specified: gpu")
    entry = handed_over(queue, slurm)
    assert entry.state == "failed" and "sbatch: sbatch: error: invalid partition" in entry.reason
    assert str(queue.name(queue.file(1, ".sh"))) in entry.reason and queue.file(1, ".sh").is_file()
    slurm.mend("sbatch")
    queue.retry(1)
    tend(queue)
    assert queue.find(1).state == "submitted"


def test_a_node_from_which_nothing_may_be_handed_over_leaves_jobs_waiting(queue, slurm):
    slurm.fails("sbatch", "not from here")
    add(queue, cluster="site")
    tend(queue, refused=queues.WAITING)
    assert queue.find(1).state == "waiting" and "not from here" in queue.find(1).reason


def test_a_cluster_that_is_not_described_any_more_is_the_reason(queue, slurm):
    add(queue, cluster="old")
    tend(queue)
    assert queue.find(1).state == "failed" and "described are: site" in queue.find(1).reason


def test_the_state_on_the_cluster_is_shown(queue, slurm):
    handed_over(queue, slurm)
    assert look(queue).reason == "pending as 100 on site (Priority)"
    slurm.set("100", "RUNNING", "None")
    assert look(queue).reason == "running as 100 on site"


def test_an_unanswered_question_changes_nothing_but_the_reason(queue, slurm):
    handed_over(queue, slurm)
    slurm.fails("squeue", "Unable to contact slurm controller")
    entry = look(queue, 5)
    assert entry.state == "submitted" and "Unable to contact" in entry.reason
    slurm.mend("squeue")
    assert look(queue).reason.startswith("pending")


@pytest.mark.parametrize("said, state, reason", [
    ("CANCELLED by 1000", "interrupted", "CANCELLED of job 100 on site"),
    ("OUT_OF_MEMORY", "failed", "ram_gb"),
    ("NODE_FAIL", "waiting", "the node failed: NODE_FAIL"),
    ("TIMEOUT", "interrupted", "without a new checkpoint"),
])  # fmt: skip
def test_an_end_that_the_job_had_no_time_to_tell_is_learnt_from_the_accounting(queue, slurm, said, state, reason):
    handed_over(queue, slurm)
    slurm.set("100", said)
    entry = look(queue)
    assert entry.state == state and reason in entry.reason


def test_a_failed_node_is_forgiven_once(queue, slurm):
    handed_over(queue, slurm)
    slurm.set("100", "NODE_FAIL")
    tend(queue)
    assert (queue.find(1).state, queue.find(1).cluster_job) == ("submitted", "101")
    assert queue.find(1).command == ["finished", "--resume"]
    slurm.set("101", "NODE_FAIL")
    assert look(queue).state == "interrupted" and "a second time" in look(queue).reason


def test_time_that_ran_out_is_forgiven_as_long_as_there_is_progress(queue, slurm):
    handed_over(queue, slurm)
    for n in (1, 2, 3):
        (queue.path("J1") / "checkpoints" / f"it_00{n}").mkdir(parents=True)
        slurm.set(queue.find(1).cluster_job, "TIMEOUT")
        tend(queue)
        assert queue.find(1).state == "submitted"
        queue.update(1, checkpoint=queue.newest_checkpoint("J1"))  # as its process does when it begins
    slurm.set(queue.find(1).cluster_job, "TIMEOUT")
    assert look(queue).state == "interrupted"


def test_a_vanished_job_is_missed_only_after_several_looks(queue, slurm):
    handed_over(queue, slurm)
    slurm.forget()
    states = [look(queue).state for _ in range(cluster_queue.PATIENCE)]
    assert states == ["submitted"] * (cluster_queue.PATIENCE - 1) + ["waiting"]
    assert look(queue).reason == "site knows nothing of it any more" and look(queue).resume


def test_a_job_that_is_seen_again_was_not_missed(queue, slurm):
    handed_over(queue, slurm)
    kept = (slurm.folder / "jobs").read_text()
    slurm.forget()
    look(queue, 2)
    (slurm.folder / "jobs").write_text(kept)
    assert look(queue).unseen == 0


def test_a_number_that_was_given_to_another_job_is_not_taken_for_ours(queue, slurm):
    handed_over(queue, slurm)
    slurm.set("100", "RUNNING", "None", name="somebody-elses")
    assert look(queue).unseen == 1
    slurm.set("100", "OUT_OF_MEMORY", name="somebody-elses")
    assert look(queue).state == "submitted" and look(queue, 3).state == "waiting"


def test_a_job_whose_number_was_never_learnt_is_found_by_its_name(queue, slurm):
    entry = handed_over(queue, slurm)
    queue.update(1, cluster_job="")  # the machine went down between sbatch and its answer
    assert look(queue).cluster_job == entry.cluster_job == "100"


def test_a_job_that_failed_before_it_began_tells_the_last_line_of_its_output(queue, slurm):
    handed_over(queue, slurm)
    slurm.set("100", "FAILED", "127:0")
    queue.file(1, ".out").write_text("bash: module: command not found\n")
    entry = look(queue, cluster_queue.PATIENCE)
    assert entry.state == "failed" and "module: command not found" in entry.reason


def test_a_job_that_finished_unheard_is_finished(queue, slurm):
    handed_over(queue, slurm)
    slurm.set("100", "COMPLETED")
    write_summary(queue.path("J1"), "finished")
    assert look(queue, cluster_queue.PATIENCE) is None and queue.ended()[0].number == 1


# a cluster without accounting, which has forgotten the job


def begun(queue, slurm, status="", lock=None, **process):
    """An entry that its process took up on the node, and what that left in the folder; the cluster knows no more."""
    handed_over(queue, slurm)
    queue.update(1, state="running", host="node7", pid=7)
    slurm.forget()
    slurm.fails("sacct", "Slurm accounting storage is disabled")
    folder = queue.path("J1")
    folder.mkdir(exist_ok=True)
    (folder / "job.json").write_text(json.dumps({"process": {"host": "node7", "pid": 7, **process}}))
    if status:
        write_summary(folder, status, faults=["particles.star: row 3: no such image"])
    if lock is not None:
        (folder / lock_of_jobs.FILE).write_text(json.dumps({"host": "node7", "pid": 7, "beats": lock}))


@pytest.mark.parametrize("status, state, reason", [
    ("failed", "failed", "particles.star: row 3"),
    ("interrupted", "interrupted", "asked to stop"),
    ("", "waiting", "knows nothing of it any more"),  # killed: gone on with, once
])  # fmt: skip
def test_what_a_forgotten_job_left_in_its_folder_tells_what_became_of_it(queue, slurm, status, state, reason):
    begun(queue, slurm, status)
    entry = look(queue, cluster_queue.PATIENCE)
    assert entry.state == state and reason in entry.reason


def test_a_forgotten_job_that_finished_is_not_handed_over_again(queue, slurm):
    begun(queue, slurm, "finished")
    for _ in range(cluster_queue.PATIENCE):
        tend(queue)
    assert queue.ended()[0].number == 1 and not slurm.jobs()


def test_what_an_earlier_run_left_is_not_taken_for_the_end_of_this_one(queue, slurm):
    begun(queue, slurm, "failed", pid=6)
    assert look(queue, cluster_queue.PATIENCE).state == "waiting"


def test_an_old_summary_is_not_the_end_of_a_job_that_never_began(queue, slurm):
    begun(queue, slurm, "interrupted")
    queue.update(1, state="submitted")
    assert look(queue, cluster_queue.PATIENCE).state == "waiting"


def test_a_forgotten_job_whose_process_counts_is_left_alone_until_it_counts_no_more(queue, slurm, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(signs, "_now", lambda: now[0])
    begun(queue, slurm, lock=1)
    entry = look(queue, cluster_queue.PATIENCE)
    assert entry.state == "running" and "process 7 on node7 may still work in J1" in entry.reason
    (queue.path("J1") / lock_of_jobs.FILE).write_text(json.dumps({"host": "node7", "pid": 7, "beats": 2}))
    assert "process 7 on node7 works in J1" in look(queue).reason
    now[0] += signs.GONE_S + 1
    assert look(queue).state == "waiting"


@pytest.mark.parametrize("line, state, reason", [
    ("slurmstepd: error: *** JOB 100 ON n7 CANCELLED AT 2026-11-21T23:00:00 DUE TO TIME LIMIT ***", "waiting",
     "out of time"),
    ("slurmstepd: error: *** STEP 100.0 ON n7 CANCELLED AT 2026-11-21T23:00:00 DUE TO TIME LIMIT ***", "waiting",
     "out of time"),
    ("slurmstepd: error: *** JOB 100 ON n7 CANCELLED AT 2026-11-21T23:00:00 DUE TO PREEMPTION ***", "waiting",
     "out of time"),
    ("slurmstepd: error: *** JOB 100 ON n7 CANCELLED AT 2026-11-21T23:00:00 ***", "interrupted", "CANCELLED of job"),
    ("slurmstepd: error: *** JOB 100 ON n7 CANCELLED AT 2026-11-21T23:00:00 DUE TO NODE FAILURE, SEE SLURMCTLD LOG "
     "FOR DETAILS ***", "waiting", "the node failed"),
    ("slurmstepd: error: Detected 1 oom_kill event in StepId=100.batch. Some of the step tasks have been OOM Killed.",
     "failed", "ram_gb"),
    ("slurmstepd: error: *** JOB 99 ON n7 CANCELLED AT 2026-11-21T23:00:00 DUE TO TIME LIMIT ***", "running",
     "asked again"),
])  # fmt: skip
def test_the_last_words_of_slurm_in_the_output_of_a_forgotten_job_are_its_end(queue, slurm, line, state, reason):
    begun(queue, slurm, "interrupted")
    (queue.path("J1") / "checkpoints" / "it_001").mkdir(parents=True)
    queue.file(1, ".out").write_text(f"iteration 3\n{line}\nslurmstepd: error: and more\n")
    entry = look(queue)
    assert entry.state == state and reason in entry.reason


def test_a_forgotten_script_that_never_came_to_the_job_tells_the_last_line_of_its_output(queue, slurm):
    handed_over(queue, slurm)
    slurm.forget()
    queue.file(1, ".out").write_text("bash: module: command not found\n")
    assert "module: command not found" in look(queue, cluster_queue.PATIENCE).reason


def test_a_job_waits_for_the_one_that_makes_its_input_on_the_cluster_too(queue, slurm):
    handed_over(queue, slurm)
    add(queue, after=["J1"], cluster="site")
    tend(queue)
    assert queue.find(2).state == "waiting"
    queue_worker.work(queue, 1, queue.find(1).token, lambda words: write_summary(queue.path("J1"), "finished") or 0)
    tend(queue)
    assert queue.find(2).state == "submitted"


def test_taking_a_job_back_cancels_it(queue, slurm):
    entry = handed_over(queue, slurm)
    assert cluster_queue.Handed(cluster.read(queue.root)).cancel(queue, entry) == ""
    assert slurm.jobs()[0][2] == "CANCELLED"


# the node


def on_node(queue, code):
    """The process that the script of entry 1 would run, at work."""
    entry = queue.find(1)
    command = process(code, locked=False)(queue, entry)
    running = subprocess.Popen(["bash", "-c", f"exec {shlex.join(command)}"], cwd=queue.root)
    while not (queue.path("J1") / "begun").is_file():
        assert running.poll() is None
        time.sleep(0.01)
    return running


LISTENS = ("signal.signal(signal.SIGTERM, lambda *_: None)\n(folder / 'checkpoints' / 'it_001').mkdir("
           "parents=True)\n(folder / 'begun').touch()\nsignal.pause()\nreturn 5")  # fmt: skip


def test_the_warning_that_time_runs_out_leads_to_a_checkpoint_and_back_into_the_queue(queue, slurm):
    handed_over(queue, slurm)
    node = on_node(queue, LISTENS)
    assert queue.find(1).state == "running"
    node.send_signal(signal.SIGUSR1)
    assert node.wait() == 5
    assert (queue.find(1).state, queue.find(1).reason, queue.find(1).resume) == ("waiting", "out of time", True)
    tend(queue)
    assert queue.find(1).cluster_job == "101" and queue.find(1).command == ["finished", "--resume"]


@pytest.mark.parametrize("said, state, jobs", [
    ("CANCELLED by 1000", "interrupted", 1),
    ("TIMEOUT", "submitted", 2),  # SLURM sends SIGTERM here, too: only its word tells the one from the other
    ("PREEMPTED", "submitted", 2),
    ("FAILED", "running", 1),  # somebody sent SIGTERM to the process itself
])  # fmt: skip
def test_after_sigterm_the_word_of_the_cluster_decides_whether_a_job_comes_back(queue, slurm, said, state, jobs):
    handed_over(queue, slurm)
    node = on_node(queue, LISTENS)
    node.send_signal(signal.SIGTERM)
    assert node.wait() == 5 and "asked to stop" in queue.find(1).reason
    slurm.set("100", "COMPLETING")
    assert look(queue).state == "running"
    slurm.set("100", said)
    tend(queue)
    assert (queue.find(1).state, len(slurm.jobs())) == (state, jobs)


def test_a_process_that_was_asked_to_stop_and_of_which_the_cluster_tells_no_more_does_not_come_back(queue, slurm):
    handed_over(queue, slurm)
    node = on_node(queue, LISTENS)
    node.send_signal(signal.SIGTERM)
    assert node.wait() == 5
    write_summary(queue.path("J1"), "interrupted")
    slurm.forget()
    entry = look(queue, cluster_queue.PATIENCE)
    assert entry.state == "interrupted" and "was asked to stop" in entry.reason


def test_a_job_that_slurm_puts_back_after_sigterm_goes_on_with_what_is_there(queue, slurm):
    entry = handed_over(queue, slurm)
    on_node(queue, LISTENS).send_signal(signal.SIGTERM)
    while queue.find(1).reason == "":
        time.sleep(0.01)
    slurm.set(entry.cluster_job, "PENDING", "BeginTime")
    assert look(queue).reason == "begun, and put back: pending as 100 on site (BeginTime)"
    performed = []
    queue_worker.work(queue, 1, entry.token, lambda words: performed.append(words) or 0)
    assert performed == [["finished", "--resume"]]


# stopping


def test_stopping_asks_what_runs_by_a_file_and_takes_back_what_has_not_begun(queue, slurm):
    handed_over(queue, slurm)
    add(queue, cluster="site")
    tend(queue)
    queue.update(1, state="running", pid=1)
    queue.path("J1").mkdir()
    slurm.set("100", "RUNNING", "None")
    said = []
    cluster_queue.Handed(cluster.read(queue.root)).stop(queue, False, said.append)
    assert (queue.path("J1") / "stop").is_file() and "next batch" in said[0]
    assert [(entry.state, entry.resume) for entry in queue.entries()] == [("running", False), ("waiting", False)]
    assert [job[2] for job in slurm.jobs()] == ["RUNNING", "CANCELLED"]


def test_stopping_at_once_cancels_what_runs_and_it_waits_to_be_gone_on_with(queue, slurm):
    handed_over(queue, slurm)
    queue.update(1, state="running", pid=1)
    cluster_queue.Handed(cluster.read(queue.root)).stop(queue, True, print)
    entry = queue.find(1)
    assert (entry.state, entry.resume, entry.stopping) == ("waiting", True, False)


def test_while_the_queue_is_held_nothing_is_handed_over(queue, slurm):
    add(queue, cluster="site")
    queue.hold(True)
    tend(queue)
    assert queue.find(1).state == "waiting" and not slurm.jobs()
    queue.hold(False)
    tend(queue)
    assert queue.find(1).state == "submitted"


# what a script asks for


def test_where_nobody_says_how_much_memory_a_dry_run_does_once(queue, slurm):
    (queue.root / "slurm.sh").write_text("#SBATCH --mem={{ ram_gb }}G --cpus={{ num_cpu }}\n{{ run_cmd }}\n")
    asked = []
    add(queue, cluster="site")
    queue.update(1, words=("refine", "homogeneous", "--threads", "3"))
    tend(queue, memory_GB=lambda made, entry: asked.append(entry.number) or 10.1)
    assert "--mem=16G --cpus=3" in queue.file(1, ".sh").read_text() and asked == [1]
    add(queue, cluster="site", variables={"ram_gb": "5", "num_cpu": "2"})
    tend(queue, memory_GB=lambda made, entry: asked.append(entry.number))
    assert "--mem=5G --cpus=2" in queue.file(2, ".sh").read_text() and asked == [1]


def test_a_job_that_is_handed_over_from_a_node_gets_nothing_of_the_job_before_it(monkeypatch):
    given = {"SLURM_JOB_ID": "7", "SLURM_MEM_PER_NODE": "500", "SLURM_CONF": "/etc/one", "SBATCH_ACCOUNT": "a",
             "HOME": "/"}  # fmt: skip
    assert cluster_queue.outside(given) == {"SLURM_CONF": "/etc/one", "SBATCH_ACCOUNT": "a", "HOME": "/"}
    by_hand = {"SLURM_MEM_PER_NODE": "500"}  # a person's, as there is no job around
    assert cluster_queue.outside(by_hand) == by_hand
    monkeypatch.setattr(os, "environ", {**os.environ, **given})
    assert "SLURM_MEM_PER_NODE" not in cluster_queue.ask(["env"]).text


def test_a_job_that_the_cluster_begins_anew_goes_on_with_what_is_there(queue, slurm):
    entry = handed_over(queue, slurm)
    queue.update(1, entry.token, state="running", pid=1)  # on a node that failed
    performed = []
    queue_worker.work(queue, 1, entry.token, lambda words: performed.append(words) or 0)
    assert performed == [["finished", "--resume"]]


def test_the_script_runs_the_entry(queue, slurm):
    handed_over(queue, slurm)
    queue.update(1, words=("fsc", "--no-such-flag"))
    done = subprocess.run(["bash", str(queue.file(1, ".sh"))], cwd=queue.root, capture_output=True, text=True)
    assert done.returncode == 2 and "--no-such-flag" in done.stderr
    assert queue_local.PROGRAM[0] == sys.executable and queue.find(1).state == "failed"
