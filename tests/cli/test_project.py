"""Commands for projects: what they print, what they change, how they end."""

import json
import os
import subprocess
import sys

import pytest

from halfmap.cli import main as full
from halfmap.cli import start
from halfmap.jobs.project import project, remarks
from halfmap.jobs.queue.queue import Queue
from halfmap.jobs.running import run as runner
from halfmap.jobs.running.run import Ended
from tests.jobs import projects

HOSTILE = "good\n\x1b[2J; rm -rf / [red]$(x)\u202e"


@pytest.fixture
def one(tmp_path, monkeypatch):
    """A project with three jobs, one made from the other, and the working folder in it."""
    made = projects.made(tmp_path / "proj", J1=[], J2=["J1/map.mrc"], J3=["J2/map.mrc"])
    monkeypatch.chdir(made.root)
    return made


def said(capsys, *words, code=0):
    """Standard output of a command; it must end with this code."""
    assert start.main(list(words)) == code, capsys.readouterr()
    return capsys.readouterr().out


def complaint(capsys, *words):
    assert start.main(list(words)) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and "Traceback" not in shown.err
    return shown.err


def test_init_makes_a_project_and_says_where(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / "p") in said(capsys, "init", "p", "--name", "Apo")
    assert project.find(tmp_path / "p").marker["name"] == "Apo"
    assert "already" in complaint(capsys, "init", "p")
    assert "--nested" in complaint(capsys, "init", "p/q")
    said(capsys, "init", "p/q", "--nested")
    said(capsys, "init")  # the working folder itself
    assert project.find(tmp_path).root == tmp_path


def test_status_lists_jobs_with_what_matters(one, capsys):
    remarks.tag(one.root / "J2", ["good"])
    remarks.note(one.root / "J2", "keep")
    projects.job(one, "J4", status=None)
    lines = said(capsys, "status").splitlines()
    assert lines[1].split() == ["job", "type", "state", "resolution", "particles", "time", "remarks"]
    assert lines[3].split() == "J2 refine homogeneous finished 4.00 A 100 12 s #good 1 note".split()
    assert "crashed" in lines[5] and lines[-1] == "4 jobs: 3 finished, 1 crashed"


def test_status_lists_the_newest_as_asked_for(one, capsys):
    assert [line.split()[0] for line in said(capsys, "status", "--last", "2").splitlines()[2:5]] == ["J2", "J3", "..."]
    assert "J1" in said(capsys, "status", "--last", "0")
    remarks.tag(one.root / "J2", ["good"])
    shown = said(capsys, "status", "--tag", "good")
    assert "J2" in shown and "J1" not in shown


def test_status_as_a_tree_hangs_jobs_below_those_they_were_made_from(one, capsys):
    lines = said(capsys, "status", "--tree").splitlines()
    assert [line.split("refine")[0].rstrip() for line in lines[2:5]] == ["J1", "  J2", "    J3"]


def test_status_for_programs_is_json(one, capsys):
    rows = json.loads(said(capsys, "status", "--json"))
    assert [(row["number"], row["state"], row["parents"]) for row in rows] == [
        (1, "finished", []), (2, "finished", [1]), (3, "finished", [2])]  # fmt: skip


def test_status_of_a_job_is_what_show_tells(one, capsys):
    assert said(capsys, "status", "J2") == said(capsys, "show", "J2")


def test_outside_of_a_project_status_says_what_to_do(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "halfmap init" in complaint(capsys, "status")


def test_an_index_that_cannot_be_used_is_told_and_done_without(one, capsys):
    one.private.write_text("")
    assert start.main(["status"]) == 0
    shown = capsys.readouterr()
    assert "3 jobs: 3 finished" in shown.out and "job folders" in shown.err


def test_show_tells_settings_inputs_lineage_result_remarks_and_files(one, capsys):
    remarks.tag(one.root / "J2", ["good"])
    remarks.note(one.root / "J2", "keep this one")
    projects.job(one, "J2", {"volume": "J1/map.mrc"}, warnings=["few particles"], params={"symmetry": "D2"})
    shown = said(capsys, "show", "J2")
    for part in ("J2: refine homogeneous, finished", "made from  J1", "used by    J3", "4.00 A", "symmetry  D2",
                 "J1/map.mrc, gone since", "few particles", "good", "keep this one", "job.json"):  # fmt: skip
        assert part in shown
    assert "max_iterations" not in shown  # at its default
    told = json.loads(said(capsys, "show", "J3", "--json"))
    assert told["ancestors"] == ["J2", "J1"] and told["used_by"] == []


def test_show_tells_how_far_a_job_without_an_end_came(one, capsys):
    folder = projects.job(one, "J4", status=None)
    lines = [{"kind": "iteration", "iteration": 3, "resolution_A": 5.25}, {"kind": "progress"}]
    (folder / "events.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"kind": "itera')
    shown = said(capsys, "show", "J4")
    assert "crashed" in shown and "iteration 3, resolution 5.25 A" in shown


def test_a_job_folder_outside_of_a_project_is_shown_too(one, tmp_path, capsys, monkeypatch):
    folder = projects.job(one, "J4").rename(tmp_path / "refined")
    monkeypatch.chdir(tmp_path)
    assert "refined: refine homogeneous, finished" in said(capsys, "show", str(folder))
    assert "no halfmap job" in complaint(capsys, "show", str(tmp_path))


def test_tags_and_notes_are_kept_in_the_job_folder(one, capsys):
    assert said(capsys, "tag", "J2", "good", "best") == "J2: good, best\n"
    assert said(capsys, "tag", "J2", "best", "--remove") == said(capsys, "tag", "J2") == "J2: good\n"
    assert "first" in said(capsys, "note", "J2", "first") and "first" in said(capsys, "note", "J2")
    assert remarks.read(one.root / "J2").tags == ("good",)
    assert "no tags" in said(capsys, "tag", "J1") and "no notes" in said(capsys, "note", "J1")
    (one.root / "J9").mkdir()
    assert "no halfmap job" in complaint(capsys, "tag", "J9", "good")
    assert "J77" in complaint(capsys, "note", "J77", "x")


@pytest.mark.parametrize("words", [["status"], ["status", "--tree"], ["show", "J2"], ["diff", "J1", "J2"],
                                   ["tag", "J2"], ["note", "J2"]])  # fmt: skip
def test_nothing_that_others_wrote_acts_on_the_terminal(one, capsys, words):
    said(capsys, "tag", "J2", HOSTILE)
    said(capsys, "note", "J2", HOSTILE)
    folder = projects.job(one, "J2", {HOSTILE: "J1/\x1b]0;x\x07.mrc"}, warnings=[HOSTILE], job=HOSTILE,
                          params={HOSTILE: HOSTILE}, resolution_A=HOSTILE, verdict=HOSTILE)  # fmt: skip
    told = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps({**told, "job": HOSTILE, "started": HOSTILE, "command": [HOSTILE]}))
    (folder / "a\nb\x1b.mrc").write_text("")
    shown = said(capsys, *words)
    assert all(letter.isprintable() for letter in shown.replace("\n", "")) and "[2J" in shown.replace("\n", "") + "[2J"
    assert not any(line.startswith("; rm") for line in shown.splitlines())


@pytest.fixture
def started(monkeypatch, one):
    """Replaces the runner by one that makes the folder of a job; returns the list of settings it was called with."""
    calls = []

    def fake(name, params, command, listeners):
        calls.append((name, params))
        if params.dry_run:
            return Ended(0, params.out or one.root, {"dry_run": True})
        folder = params.out or one.new_folder()
        projects.job(one, folder.name)
        return Ended(0, folder, {})

    monkeypatch.setattr(runner, "run", fake)
    return calls


def real(one):
    """J2 to J4 as jobs of the catalogue: a refinement, a filter of its map, a mask of that."""
    jobs = {
        "J2": ("refine homogeneous", {"particles": "p.star", "volume": "J1/map.mrc", "symmetry": "D2", "seed": 5,
                                      "bfactor": -90.0, "write_cs": True, "reestimate_greyscale": False}),
        "J3": ("volume filter", {"volume": "J2", "lowpass": 9.0, "seed": 6}),
        "J4": ("mask combine", {"mask": ["J3/mask.mrc", "J2/mask_refine.mrc"], "operation": "union", "seed": 7}),
    }  # fmt: skip
    for name, (job, params) in jobs.items():
        inputs = {"volume": params["volume"]} if "volume" in params else dict(zip("ab", params["mask"], strict=True))
        folder = projects.job(one, name, inputs)
        told = json.loads((folder / "job.json").read_text())
        (folder / "job.json").write_text(json.dumps({**told, "job": job, "params": params}))
    for path in ("p.star", "J1/map.mrc", "J3/mask.mrc", "J2/mask_refine.mrc"):
        (one.root / path).write_text("")


def test_a_clone_has_the_settings_and_the_seed_of_the_job_and_those_that_were_changed(one, started, capsys):
    real(one)
    said(capsys, "clone", "J2", "--set", "symmetry=C2", "candidates=4", "write-cs=false", "bfactor=")
    name, params = started[0]
    assert name == "refine homogeneous" and params.out is None
    assert (params.symmetry, params.candidates, params.seed, params.bfactor) == ("C2", 4, 5, None)
    assert not params.write_cs and not params.reestimate_greyscale
    assert str(params.volume) == "J1/map.mrc" and params.max_iterations == type(params)(
        particles="p", volume="v").max_iterations  # fmt: skip


def test_the_command_of_a_clone_can_be_printed_and_typed_again(one, started, capsys, monkeypatch):
    real(one)
    (one.root / "sub").mkdir()
    monkeypatch.chdir(one.root / "sub")
    shown = said(capsys, "clone", "J2", "--print")
    assert started == [] and shown.startswith("halfmap refine homogeneous ")
    words = shown.split()[1:]
    assert start.main(words) == 0
    params = started[0][1]
    assert os.path.samefile(params.particles, one.root / "p.star") and str(params.volume) == "J1/map.mrc"
    assert (params.bfactor, params.write_cs, params.reestimate_greyscale) == (-90, True, False)


def test_a_chain_is_made_anew_from_the_new_jobs(one, started, capsys):
    real(one)
    said(capsys, "clone", "J2", "--chain", "--set", "symmetry=C2", "J3.lowpass=12")
    assert [name for name, _ in started] == ["refine homogeneous", "volume filter", "mask combine"]
    first, second, third = (params for _, params in started)
    assert (first.symmetry, second.lowpass) == ("C2", 12)
    assert str(second.volume) == "J5" and [str(mask) for mask in third.mask] == ["J6/mask.mrc", "J5/mask_refine.mrc"]
    assert [params.out.name for _, params in started] == ["J5", "J6", "J7"]


def test_a_printed_chain_is_the_one_that_would_be_run(one, started, capsys):
    real(one)
    printed = said(capsys, "clone", "J2", "--chain", "--print")
    assert one.numbers() == [1, 2, 3, 4] and len(printed.splitlines()) == 3
    ran = said(capsys, "clone", "J2", "--chain")
    assert [line for line in ran.splitlines() if line.startswith("halfmap ")] == printed.splitlines()


def test_a_dry_run_of_a_clone_tells_what_would_run_and_starts_all_of_it_dry(one, started, capsys):
    real(one)
    printed = said(capsys, "clone", "J2", "--chain", "--print", "--set", "symmetry=C2")
    shown = said(capsys, "clone", "J2", "--chain", "--dry-run", "--queue", "--set", "symmetry=C2")
    assert [line for line in shown.splitlines() if line.startswith("halfmap ")] == printed.splitlines()
    assert [params.dry_run for _, params in started] == [True] * 3 and started[0][1].symmetry == "C2"
    assert [params.out.name for _, params in started] == ["J5", "J6", "J7"]
    assert str(started[1][1].volume) == "J2" and shown.count("of the job it replaces") == 2  # J5 is not there yet
    said(capsys, "clone", "J2", "--dry-run", "--print")
    assert started[3][1].dry_run and started[3][1].out is None
    assert one.numbers() == [1, 2, 3, 4] and Queue(one).entries() == []


def test_a_dry_run_of_a_chain_looks_through_all_of_it_whatever_it_finds(one, capsys, monkeypatch):
    real(one)
    codes = iter((0, 3, 0))
    monkeypatch.setattr(runner, "run", lambda name, params, *_: Ended(next(codes), params.out, {}))
    assert start.main(["clone", "J2", "--chain", "--dry-run"]) == 3
    assert next(codes, None) is None and one.numbers() == [1, 2, 3, 4]


def test_a_chain_ends_with_the_first_job_that_fails_and_leaves_no_empty_folder(one, capsys, monkeypatch):
    real(one)
    monkeypatch.setattr(runner, "run", lambda name, params, *_: Ended(3, params.out, {"faults": ["p.star: short"]}))
    assert start.main(["clone", "J2", "--chain"]) == 3
    assert one.numbers() == [1, 2, 3, 4]


@pytest.mark.parametrize("words, part", [
    (["J2", "--set", "symetry=C2"], "did you mean symmetry?"), (["J2", "--set", "symmetry"], "key=value"),
    (["J2", "--set", "out=J9"], "out"), (["J2", "--set", "dry_run=true"], "to be run with --dry-run"),
    (["J2", "--chain", "--set", "J9.symmetry=C2"], "J9"),
    (["J2", "--chain", "--set", "J4.symmetry=C2"], "mask combine has no such setting"),
    (["J2", "--chain", "--out", "x"], "next numbers"), (["J1"], "symmetry"), (["J88"], "J88"),
])  # fmt: skip
def test_a_clone_that_makes_no_sense_starts_nothing(one, started, capsys, words, part):
    real(one)
    told = json.loads((one.root / "J1" / "job.json").read_text())
    (one.root / "J1" / "job.json").write_text(json.dumps({**told, "job": "unheard of: symmetry"}))
    assert part in complaint(capsys, "clone", *words)
    assert started == [] and one.numbers() == [1, 2, 3, 4]


def test_without_a_record_there_is_nothing_to_clone(one, capsys):
    (one.root / "J2" / "job.json").write_text("")
    assert "job.json" in complaint(capsys, "clone", "J2")


def test_jobs_go_by_their_names_in_resume_and_report_too(one, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(runner, "resume", lambda folder, *_: seen.append(folder) or Ended(0, folder, {}))
    said(capsys, "resume", "J2")
    assert seen == [one.root / "J2"] or os.path.samefile(seen[0], one.root / "J2")


def test_a_list_cut_short_by_its_reader_is_no_fault(one):
    code = "import sys; from halfmap.cli import start; sys.exit(start.main(['show', 'J2']))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 0


@pytest.mark.parametrize("words", [["--help"], ["status", "--help"], ["clone", "--help"], ["fsc", "--help"]])
def test_both_entrances_know_every_command(words, capsys):
    assert start.main(words) == 0 and capsys.readouterr().out
    assert full.main(words) == 0 and capsys.readouterr().out


def test_a_job_that_is_only_queued_is_listed_as_that_with_what_it_waits_for(one, capsys):
    said(capsys, "queue", "add", "--", "simulate", "-n", "4")
    said(capsys, "queue", "add", "--", "reconstruct", "J4/particles.star")
    *_, fourth, fifth, counted = said(capsys, "status").splitlines()
    assert fourth.split() == ["J4", "simulate", "queued"]
    assert fifth.split() == ["J5", "reconstruct", "queued", "waits", "for", "J4"]
    assert counted == "5 jobs: 3 finished, 2 queued"
    told = json.loads(said(capsys, "status", "--json"))[-1]
    assert (told["job"], told["state"], told["queue"]) == ("reconstruct", "queued", "waits for J4")
    shown = said(capsys, "show", "J5")
    assert shown.startswith("J5: reconstruct, queued\n") and "waits for J4" in shown


def test_the_queue_says_of_a_listed_job_why_it_does_not_come_and_that_it_will_go_on(one, capsys):
    said(capsys, "queue", "add", "--", "simulate", "-n", "4")
    said(capsys, "queue", "add", "--", "reconstruct", "J4/particles.star")
    queue = Queue(one)
    queue.update(1, state="failed", reason="sbatch: no such partition")
    *_, fourth, fifth, _ = said(capsys, "status").splitlines()
    assert fourth.split(None, 3) == ["J4", "simulate", "failed", "sbatch: no such partition"]
    assert fifth.split(None, 3) == ["J5", "reconstruct", "blocked", "J4 failed"]
    projects.job(one, "J4", status="interrupted")
    queue.update(1, state="waiting", reason="")
    *_, fourth, _, _ = said(capsys, "status").splitlines()
    assert "interrupted" in fourth and fourth.endswith("queued to go on")


def test_the_list_of_the_queue_reads_no_settings(one, capsys):
    said(capsys, "queue", "add", "--", "simulate", "-n", "4")
    code = (
        "import sys; from halfmap.cli import start; code = start.main(['queue', 'list', '--json'])\n"
        "code = code or start.main(['status'])\n"
        "heavy = {'pydantic', 'cyclopts', 'numpy', 'numba', 'yaml', 'jinja2'} & set(sys.modules)\n"
        "sys.exit(f'{heavy} {code}' if heavy or code else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=one.root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "simulate" in done.stdout


def test_a_clone_and_a_chain_can_be_put_in_the_queue(one, started, capsys):
    real(one)
    out = said(capsys, "clone", "J2", "--chain", "--queue", "--set", "symmetry=C2")
    assert started == [] and out.splitlines() == [
        "1: refine homogeneous: results go to J5", "2: volume filter: results go to J6, after J5",
        "3: mask combine: results go to J7, after J6, J5"]  # fmt: skip
    first, second, third = Queue(one).entries()
    assert first.words[first.words.index("--symmetry") + 1] == "C2" and third.after == ("J6", "J5")
    said(capsys, "clone", "J2", "--queue")
    assert [entry.out for entry in Queue(one).entries()] == ["J5", "J6", "J7", "J8"]
    for number in (1, 2, 3, 4):
        said(capsys, "queue", "remove", str(number))
    assert one.numbers() == [1, 2, 3, 4]  # folders made for them went with them


def test_a_clone_for_a_cluster_that_is_not_described_leaves_nothing_behind(one, started, capsys):
    real(one)
    assert "no-such: none is described" in complaint(capsys, "clone", "J2", "--chain", "--cluster", "no-such")
    assert one.numbers() == [1, 2, 3, 4] and Queue(one).entries() == []
