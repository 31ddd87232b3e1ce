"""Clusters: scripts from templates of RELION and cryoSPARC, hostile values, and what becomes of jobs that are there."""

import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from halfmap.errors import UsageError
from halfmap.jobs import cluster, cluster_queue, cluster_script, queue_local, queue_worker
from halfmap.jobs import queue as queues
from halfmap.jobs.queue import Queued
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


# scripts


def described(queue, text, **variables):
    (queue.root / "slurm.sh").write_text(text)
    made = replace(Queued(7, ("fsc",), "fsc", "J7", cluster="site"), variables=variables, token="abc")
    return cluster_script.script(queue, made, cluster.read(queue.root).named("site"))


def test_the_variables_of_relion_are_filled_in(queue, slurm):
    names = "name queue mpinodes threads cores dedicated nodes outfile errfile extra1 extra2 command".split()
    text = described(queue, "\n".join(f"{name}=XXX{name}XXX" for name in names), extra1="2-00:00:00", extra2="")
    lines = dict(line.split("=", 1) for line in text.splitlines())
    assert {name: lines[name] for name in names[:7]} == {
        "name": "J7-abc", "queue": "gpu", "mpinodes": "1", "threads": "8", "cores": "8", "dedicated": "8",
        "nodes": "1"}  # fmt: skip
    assert lines["extra1"] == "2-00:00:00" and lines["extra2"] == ""
    assert shlex.split(lines["outfile"]) == [str(queue.file(7, ".out"))]
    assert shlex.split(lines["command"])[-5:] == ["work", "7", "abc", "--project", str(queue.root)]


def test_the_variables_of_cryosparc_are_filled_in(queue, slurm):
    names = ("run_cmd num_cpu num_gpu ram_gb job_dir_abs project_dir_abs job_log_path_abs worker_bin_path run_args "
             "project_uid job_uid job_creator cryosparc_username job_type").split()  # fmt: skip
    text = described(queue, "{# a comment #}" + "\n".join(f"{name}={{{{ {name} }}}}" for name in names)
                     + "\nMB={{ (ram_gb*1000)|int }}M", num_gpu="2", ram_gb="1.5")  # fmt: skip
    lines = dict(line.split("=", 1) for line in text.splitlines())
    assert (lines["num_cpu"], lines["num_gpu"], lines["ram_gb"], lines["MB"]) == ("8", "2", "1.5", "1500M")
    assert (lines["job_uid"], lines["project_uid"], lines["job_type"]) == ("J7", "a_project", "fsc")
    assert shlex.split(lines["job_dir_abs"]) == [str(queue.root / "J7")]
    assert lines["run_cmd"] == f"{lines['worker_bin_path']} {lines['run_args']}"


def test_a_template_of_relion_may_hold_what_jinja_would_take_for_its_own(queue, slurm):
    assert described(queue, "n=${#list[@]} XXXqueueXXX {%d}\n".replace("{%d}", "{d}")) == "n=${#list[@]} gpu {d}\n"


@pytest.mark.parametrize("template", ["-p XXXpartitionXXX", "-p {{ partition }}", "{{ num_cpu }} XXXpartitionXXX"])
def test_a_variable_that_nobody_gave_is_named_with_what_to_do(queue, slurm, template):
    with pytest.raises(UsageError, match="slurm.sh.*partition.*--variable"):
        described(queue, template)


def test_values_are_not_read_again_as_a_template(queue, slurm):
    assert described(queue, "XXXextra1XXX", extra1="XXXqueueXXX") == "XXXqueueXXX"


@pytest.mark.parametrize("value", ["a\nrm -rf x", "a;b", "$(id)", "`id`", "a|b", "a&b", "a>b", "'", '"', "\\", "a\rb",
                                   "{{ 7*7 }}", "a\u2028b", "\x1b[2J", "\0"])  # fmt: skip
def test_values_that_a_shell_would_act_on_are_refused(queue, slurm, value):
    with pytest.raises(UsageError, match="extra1: .* a shell would act on"):
        described(queue, "XXXextra1XXX", extra1=value)


@pytest.mark.parametrize("attack", [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ cycler.__init__.__globals__.os.system('id') }}",
    "{{ self.__init__.__globals__ }}", "{% include '/etc/passwd' %}", "{% for x in range(10**9) %}{% endfor %}",
    "{{ ''.format_map }}{{ '{0.__class__}'.format(name) }}", "{{ 1/0 }}", "{{ unclosed", "{% if %}",
])  # fmt: skip
def test_a_hostile_or_broken_template_gets_nothing(queue, slurm, attack):
    try:
        text = described(queue, attack + "{{ name }}")
    except UsageError as fault:
        assert "slurm.sh" in str(fault)
    else:
        assert "class" not in text.replace("format_map", "")


@pytest.mark.parametrize("name", ["J1; touch hacked", "$(touch hacked)", "`touch hacked`", "a'b", 'a"b', "-rf", "ü"])
def test_hostile_names_of_jobs_and_folders_reach_no_shell(queue, slurm, name):
    made = replace(Queued(7, ("fsc", name), "fsc", name, cluster="site"), token="abc")
    assert cluster_script.job_name(made).isascii() and not set(cluster_script.job_name(made)) & set(" ;$`'\"()")
    (queue.root / "slurm.sh").write_text("true {{ run_cmd }}\n# {{ name }} {{ job_uid }} {{ job_type }}\n")
    if set(name) & set("$`;'\""):
        with pytest.raises(UsageError, match="job_dir_abs"):
            cluster_script.script(queue, made, cluster.read(queue.root).named("site"))
        return
    text = cluster_script.script(queue, made, cluster.read(queue.root).named("site"))
    assert subprocess.run(["sh", "-c", text], cwd=queue.root, capture_output=True).returncode == 0
    assert not (queue.root / "hacked").exists() and name not in text.splitlines()[0]


def test_words_of_a_command_stay_one_word_each(queue, slurm):
    found = {"script_path_abs": "/a b/c;d", "name": "J1-abc"}
    words = ("sbatch", "--job-name={{ name }}", "{{ script_path_abs }}")
    assert cluster_script.words(words, found) == ["sbatch", "--job-name=J1-abc", "/a b/c;d"]


@pytest.mark.parametrize("text, complaint", [
    ("site: {}", "site: template: field required"), ("site: {template: t, sumbit: [a]}", "sumbit: extra inputs"),
    ("site: {template: t, submit: []}", "names no program"), ("site: {template: t, submit: sbatch x}", "submit"),
    ("site: {template: t, variables: {'a b': 1}}", "cannot be the name"), ("- site", "describes no cluster"),
    ("site: [", "cannot be read"), ("!!python/object/apply:os.system [id]", "cannot be read"),
])  # fmt: skip
def test_a_wrong_description_is_named_with_its_file(queue, slurm, text, complaint):
    (queue.root / cluster.FILE).write_text(text)
    with pytest.raises(UsageError) as fault:
        cluster.read(queue.root)
    assert complaint.lower() in str(fault.value).lower() and cluster.FILE in str(fault.value)


def test_the_description_of_the_project_counts_before_that_of_the_user(queue, slurm, tmp_path):
    (tmp_path / "settings" / "halfmap").mkdir(parents=True)
    (tmp_path / "settings" / "halfmap" / cluster.FILE).write_text("site: {template: x}\nother: {template: ~/o.sh}\n")
    found = cluster.read(queue.root)
    assert found.named("site").template == queue.root / "slurm.sh"
    assert found.named("other").template == found.named("other").template.expanduser()
    with pytest.raises(UsageError, match="described are: other, site"):
        found.named("sight")


# what becomes of jobs


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
        (queue.path("J1") / "checkpoints" / f"iteration_00{n}.npz").mkdir(parents=True)
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
    running = subprocess.Popen(command, cwd=queue.root)
    while not (queue.path("J1") / "begun").is_file():
        assert running.poll() is None
        time.sleep(0.01)
    return running


LISTENS = ("signal.signal(signal.SIGTERM, lambda *_: None)\n(folder / 'checkpoints' / 'iteration_001.npz').mkdir("
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


def test_a_job_that_was_cancelled_by_hand_does_not_come_back(queue, slurm):
    handed_over(queue, slurm)
    node = on_node(queue, LISTENS)
    node.send_signal(signal.SIGTERM)
    assert node.wait() == 5
    tend(queue)
    assert queue.find(1).state == "interrupted" and len(slurm.jobs()) == 1


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
