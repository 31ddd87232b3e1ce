"""Jobs of the project as inputs: `J3`, `J3/map.mrc`, from any folder of the project."""

import json
import os
import shutil
import sys
import types
from pathlib import Path

import pytest

from halfmap.errors import InputError, UsageError
from halfmap.jobs import catalog
from halfmap.jobs.project import project, references
from halfmap.jobs.running import run
from halfmap.params.common import Job
from tests.jobs import projects


class Settings(Job):
    particles: Path | None = None
    volume: Path | None = None
    mask: str | None = None
    several: tuple[Path, ...] = ()
    images_root: Path | None = None
    takes_folders = Job.takes_folders | {"volume"}


ENTRY = catalog.Entry("try", "A try.", Settings, ("particles", "volume", "mask", "several"), "runner_of_a_test:run")


@pytest.fixture
def one(tmp_path, monkeypatch):
    """A project with two jobs that left files; the working folder is one below it."""
    made = projects.made(tmp_path / "a project", J1=[], J2=["J1/map.mrc"])
    for name in ("J1/particles.star", "J1/map.mrc", "J2/mask_refine.mrc", "J2/mask.mrc"):
        (made.root / name).write_text(name)
    (made.root / "sub" / "deep").mkdir(parents=True)
    monkeypatch.chdir(made.root / "sub" / "deep")
    return made


@pytest.fixture
def start(monkeypatch):
    """Runs a job that does nothing with these settings; returns (how it ended, what the runner got)."""
    got = []
    module = types.ModuleType("runner_of_a_test")
    module.run = lambda params, folder, rng, watch: got.append(params) or {}
    module.check = lambda params, watch: got.append(params) or {}
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(catalog, "JOBS", (ENTRY,))
    return lambda **settings: (run.run("try", Settings(**settings)), got)


def test_references_lead_to_files_in_every_kind_of_input(one):
    given = Settings(particles=Path("J1/particles.star"), mask="J2/mask_refine.mrc",
                     several=(Path("J2/mask.mrc"), Path("/x.mrc")), images_root=Path("J1"))  # fmt: skip
    found = references.followed(given, ENTRY)
    assert found.params.particles.read_text() == "J1/particles.star"
    assert isinstance(found.params.mask, str) and Path(found.params.mask).read_text() == "J2/mask_refine.mrc"
    assert found.params.several[0].read_text() == "J2/mask.mrc" and found.params.several[1] == Path("/x.mrc")
    assert found.params.images_root.samefile(one.root / "J1")
    assert found.given == {"particles": "J1/particles.star", "mask": "J2/mask_refine.mrc",
                           "several": ["J2/mask.mrc", "/x.mrc"], "images_root": "J1"}  # fmt: skip


def test_what_is_no_reference_stays_as_it_is(one):
    given = Settings(particles=Path("p.star"), mask="dynamic")
    assert references.followed(given, ENTRY).params is given


def test_a_file_of_that_name_comes_first_and_is_told_of(one):
    Path("J1").mkdir()
    Path("J1/map.mrc").write_text("mine")
    found = references.followed(Settings(volume=Path("J1/map.mrc")), ENTRY)
    assert found.params.volume == Path("J1/map.mrc") and found.given == {}
    assert "J1/map.mrc is the one in the working folder, not that of the project" in found.warnings[0]


def test_in_the_root_both_are_the_same_and_nothing_is_said(one, monkeypatch):
    monkeypatch.chdir(one.root)
    assert references.followed(Settings(volume=Path("J1/map.mrc")), ENTRY).warnings == []


def test_every_job_and_file_that_is_not_there_is_named(one):
    with pytest.raises(InputError) as caught:
        references.followed(Settings(particles=Path("J7"), several=(Path("J1/x.mrc"),)), ENTRY)
    assert ["has no job J7" in caught.value.faults[0], "J1 has no such file" in caught.value.faults[1]] == [True] * 2
    assert one.numbers() == [1, 2]


def test_outside_of_a_project_there_are_no_references(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert references.followed(Settings(volume=Path("J1")), ENTRY).params.volume == Path("J1")


def test_without_out_a_project_gives_the_next_folder(one, start):
    ended, _ = start(particles=Path("J1"))
    assert ended.folder == one.root / "J3" and ended.exit_code == 0


def test_outside_of_a_project_out_is_asked_for(tmp_path, monkeypatch, start):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="halfmap init"):
        start()
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused_leaves_no_folder(one, start):
    with pytest.raises(InputError):
        start(particles=Path("J1/nothing.star"), mask="J9")
    with pytest.raises(InputError):
        start(particles=Path("J2"))  # holds no particles
    with pytest.raises(UsageError, match="--resume"):
        start(resume=True)
    assert one.numbers() == [1, 2]


def test_a_rehearsal_names_the_next_folder_and_does_not_make_it(one, start):
    ended, _ = start(particles=Path("J1"), dry_run=True)
    assert ended.summary["params"]["out"] == str(one.root / "J3") and one.numbers() == [1, 2]


def test_the_record_holds_reference_file_and_place_in_the_project(one, start):
    start(particles=Path("J1"), volume=Path("J1"), several=(Path("J2/mask.mrc"), Path("J2")))
    record = json.loads((one.root / "J3" / "job.json").read_text())
    assert record["references"] == {"particles": "J1", "volume": "J1", "several": ["J2/mask.mrc", "J2"]}
    assert record["inputs"]["particles"]["in_project"] == "J1/particles.star"
    assert record["inputs"]["particles"]["path"] == str(one.root / "J1" / "particles.star")
    assert record["inputs"]["volume"]["in_project"] == "J1"  # taken as a whole
    assert record["inputs"]["several 1"]["in_project"] == "J2/mask.mrc"
    assert record["project"] == {"id": one.id, "root": str(one.root)}


def test_an_interrupted_job_is_resumed_after_the_project_was_renamed(one, start, monkeypatch):
    _, got = start(particles=Path("J1"), volume=one.root / "J1" / "map.mrc", seed=7)
    (one.root / "J3" / "summary.json").unlink()  # as if killed
    monkeypatch.chdir("/")
    new = one.root.with_name("renamed ö")
    shutil.move(one.root, new)
    ended = run.resume(new / "J3")
    assert ended.exit_code == 0 and ended.folder == new / "J3"
    assert os.path.samefile(got[-1].particles, new / "J1" / "particles.star")
    assert got[-1].volume == new / "J1" / "map.mrc" and got[-1].seed == 7
    record = json.loads((new / "J3" / "job.json").read_text())
    assert record["references"] == {"particles": "J1"} and record["project"]["root"] == str(new)
    assert [step["seed"] for step in record["resumed_from"] if "seed" in step] == []


def test_a_damaged_record_and_a_working_folder_that_is_gone_are_told_in_words(one, start, monkeypatch):
    start(particles=Path("J1"))
    path = one.root / "J3" / "job.json"
    (one.root / "J3" / "summary.json").unlink()
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, "working_folder": "/nowhere"}))
    with pytest.raises(UsageError, match="/nowhere, which is gone"):
        run.resume(one.root / "J3")
    path.write_text("{")
    with pytest.raises(UsageError, match="damaged"):
        run.resume(one.root / "J3")


def test_the_same_file_named_from_another_folder_is_no_change(one, start, monkeypatch):
    start(particles=Path("J1"), seed=1)
    (one.root / "J3" / "summary.json").unlink()
    monkeypatch.chdir(one.root)
    ended, _ = start(particles=Path("J1"), out=Path("J3"), resume=True)
    assert ended.exit_code == 0 and ended.summary["warnings"] == []


def test_a_resumed_job_that_dies_is_not_told_by_its_first_end(one, start, monkeypatch):
    start(particles=Path("J1"))
    summary = one.root / "J3" / "summary.json"
    summary.write_text('{"status": "interrupted"}')
    seen = []
    monkeypatch.setattr(sys.modules["runner_of_a_test"], "run", lambda *_: seen.append(summary.exists()) or {})
    run.resume(one.root / "J3")
    assert seen == [False]


def test_references_need_no_project_object_of_their_own(one):
    assert project.find().root == one.root
