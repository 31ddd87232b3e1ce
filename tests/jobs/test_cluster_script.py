"""Scripts for clusters: templates of RELION and cryoSPARC, and values that would like to do harm."""

import shlex
import subprocess
from dataclasses import replace

import pytest

from halfmap.errors import UsageError
from halfmap.jobs.queue import cluster, cluster_script
from halfmap.jobs.queue.queue import Queued
from tests.jobs.queue_made import queue_in

DESCRIBED = "site:\n  template: slurm.sh\n  variables: {queue: gpu, num_cpu: 8}\n"


@pytest.fixture
def queue(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    root = tmp_path / "a project"
    root.mkdir()
    (root / cluster.FILE).write_text(DESCRIBED)
    return queue_in(root)


def described(queue, text, **variables):
    (queue.root / "slurm.sh").write_text(text)
    made = replace(Queued(7, ("fsc",), "fsc", "J7", cluster="site"), variables=variables, token="abc")
    return cluster_script.script(queue, made, cluster.read(queue.root).named("site"))


def test_the_variables_of_relion_are_filled_in(queue):
    names = "name queue mpinodes threads cores dedicated nodes outfile errfile extra1 extra2 command".split()
    text = described(queue, "\n".join(f"{name}=XXX{name}XXX" for name in names), extra1="2-00:00:00", extra2="")
    lines = dict(line.split("=", 1) for line in text.splitlines())
    assert {name: lines[name] for name in names[:7]} == {
        "name": "J7-abc", "queue": "gpu", "mpinodes": "1", "threads": "8", "cores": "8", "dedicated": "8",
        "nodes": "1"}  # fmt: skip
    assert lines["extra1"] == "2-00:00:00" and lines["extra2"] == ""
    assert shlex.split(lines["outfile"]) == [str(queue.file(7, ".out"))]
    assert shlex.split(lines["command"])[-5:] == ["work", "7", "abc", "--project", str(queue.root)]


def test_the_variables_of_cryosparc_are_filled_in(queue):
    names = ("run_cmd num_cpu num_gpu ram_gb job_dir_abs project_dir_abs job_log_path_abs worker_bin_path run_args "
             "project_uid job_uid job_creator cryosparc_username job_type").split()  # fmt: skip
    text = described(queue, "{# a comment #}" + "\n".join(f"{name}={{{{ {name} }}}}" for name in names)
                     + "\nMB={{ (ram_gb*1000)|int }}M", num_gpu="2", ram_gb="1.5")  # fmt: skip
    lines = dict(line.split("=", 1) for line in text.splitlines())
    assert (lines["num_cpu"], lines["num_gpu"], lines["ram_gb"], lines["MB"]) == ("8", "2", "1.5", "1500M")
    assert (lines["job_uid"], lines["project_uid"], lines["job_type"]) == ("J7", "a_project", "fsc")
    assert shlex.split(lines["job_dir_abs"]) == [str(queue.root / "J7")]
    assert lines["run_cmd"] == f"{lines['worker_bin_path']} {lines['run_args']}"


def test_a_template_of_relion_may_hold_what_jinja_would_take_for_its_own(queue):
    assert described(queue, "n=${#list[@]} XXXqueueXXX {%d}\n".replace("{%d}", "{d}")) == "n=${#list[@]} gpu {d}\n"


@pytest.mark.parametrize("template", ["-p XXXpartitionXXX", "-p {{ partition }}", "{{ num_cpu }} XXXpartitionXXX"])
def test_a_variable_that_nobody_gave_is_named_with_what_to_do(queue, template):
    with pytest.raises(UsageError, match="slurm.sh.*partition.*--variable"):
        described(queue, template)


def test_values_are_not_read_again_as_a_template(queue):
    assert described(queue, "XXXextra1XXX", extra1="XXXqueueXXX") == "XXXqueueXXX"


@pytest.mark.parametrize("value", ["a\nrm -rf x", "a;b", "$(id)", "`id`", "a|b", "a&b", "a>b", "'", '"', "\\", "a\rb",
                                   "{{ 7*7 }}", "a\u2028b", "\x1b[2J", "\0"])  # fmt: skip
def test_values_that_a_shell_would_act_on_are_refused(queue, value):
    with pytest.raises(UsageError, match="extra1: .* a shell would act on"):
        described(queue, "XXXextra1XXX", extra1=value)


@pytest.mark.parametrize("attack", [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ cycler.__init__.__globals__.os.system('id') }}",
    "{{ self.__init__.__globals__ }}", "{% include '/etc/passwd' %}", "{% for x in range(10**9) %}{% endfor %}",
    "{{ ''.format_map }}{{ '{0.__class__}'.format(name) }}", "{{ 1/0 }}", "{{ unclosed", "{% if %}",
])  # fmt: skip
def test_a_hostile_or_broken_template_gets_nothing(queue, attack):
    try:
        text = described(queue, attack + "{{ name }}")
    except UsageError as fault:
        assert "slurm.sh" in str(fault)
    else:
        assert "class" not in text.replace("format_map", "")


@pytest.mark.parametrize("name", ["J1; touch hacked", "$(touch hacked)", "`touch hacked`", "a'b", 'a"b', "-rf", "ü"])
def test_hostile_names_of_jobs_and_folders_reach_no_shell(queue, name):
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


def test_words_of_a_command_stay_one_word_each(queue):
    found = {"script_path_abs": "/a b/c;d", "name": "J1-abc"}
    words = ("sbatch", "--job-name={{ name }}", "{{ script_path_abs }}")
    assert cluster_script.words(words, found) == ["sbatch", "--job-name=J1-abc", "/a b/c;d"]


@pytest.mark.parametrize("text, complaint", [
    ("site: {}", "site: template: field required"), ("site: {template: t, sumbit: [a]}", "sumbit: extra inputs"),
    ("site: {template: t, submit: []}", "names no program"), ("site: {template: t, submit: sbatch x}", "submit"),
    ("site: {template: t, variables: {'a b': 1}}", "cannot be the name"), ("- site", "describes no cluster"),
    ("site: [", "cannot be read"), ("!!python/object/apply:os.system [id]", "cannot be read"),
])  # fmt: skip
def test_a_wrong_description_is_named_with_its_file(queue, text, complaint):
    (queue.root / cluster.FILE).write_text(text)
    with pytest.raises(UsageError) as fault:
        cluster.read(queue.root)
    assert complaint.lower() in str(fault.value).lower() and cluster.FILE in str(fault.value)


def test_the_description_of_the_project_counts_before_that_of_the_user(queue, tmp_path):
    (tmp_path / "settings" / "halfmap").mkdir(parents=True)
    (tmp_path / "settings" / "halfmap" / cluster.FILE).write_text("site: {template: x}\nother: {template: ~/o.sh}\n")
    found = cluster.read(queue.root)
    assert found.named("site").template == queue.root / "slurm.sh"
    assert found.named("other").template == found.named("other").template.expanduser()
    with pytest.raises(UsageError, match="described are: other, site"):
        found.named("sight")
