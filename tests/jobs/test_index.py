"""The index of a project: always what the folders say, whatever happens to its file."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from halfmap.jobs.project import index, remarks
from halfmap.jobs.running import processes
from tests.jobs import projects


@pytest.fixture
def one(tmp_path):
    made = projects.made(tmp_path / "a project", J1=[], J2=["J1/map.mrc"], J3=["J2/map.mrc"])
    remarks.tag(made.root / "J2", ["good"])
    return made


def file(one):
    return one.private / index.FILE


def from_folders(one):
    """The rows as they are read without an index; stamps come with it only."""
    return {number: index.read(one, number)._replace(stamp=0) for number in one.numbers()}


def without_stamps(found):
    return {number: row._replace(stamp=0) for number, row in found.rows.items()}


def reads(one, monkeypatch):
    """How many jobs are read from their folders by one look."""
    counted, read = [], index.read
    with monkeypatch.context() as patched:
        patched.setattr(index, "read", lambda *args: counted.append(args[1]) or read(*args))
        index.jobs(one)
    return counted


def test_a_row_tells_what_the_files_of_a_job_say(one):
    row = index.jobs(one).rows[2]
    assert (row.job, row.status, row.resolution_A, row.n_particles, row.seconds) == (
        "refine homogeneous", "finished", 4.0, 100, 12.0)  # fmt: skip
    assert (row.parents, row.tags, row.n_notes) == ([1], ["good"], 0)


def test_the_second_look_reads_no_job_again(one, monkeypatch):
    assert reads(one, monkeypatch) == [1, 2, 3] and reads(one, monkeypatch) == []
    assert without_stamps(index.jobs(one)) == from_folders(one)


@pytest.mark.parametrize("name", ["job.json", "summary.json", "notes.json"])
def test_a_changed_file_is_seen_whether_replaced_or_written_in_place(one, monkeypatch, name):
    index.jobs(one)
    path = one.root / "J2" / name
    path.write_text(path.read_text() + " ")
    assert reads(one, monkeypatch) == [2]
    shutil.copy(path, f"{path}.new")
    os.replace(f"{path}.new", path)
    assert reads(one, monkeypatch) == [2] and reads(one, monkeypatch) == []


def test_a_clock_that_runs_backwards_does_not_hide_a_change(one, monkeypatch):
    index.jobs(one)
    path = one.root / "J2" / "summary.json"
    path.write_text(json.dumps({"status": "failed", "job": "x"}))
    os.utime(path, (0, 0))  # 1970
    assert index.jobs(one).rows[2].status == "failed"


def test_jobs_come_and_go(one):
    index.jobs(one)
    shutil.rmtree(one.root / "J2")
    projects.job(one, "J9", {"volume": "J3/map.mrc"})
    rows = index.jobs(one).rows
    assert list(rows) == [1, 3, 9] and rows[3].parents == [2]  # J3 still knows where it came from
    with closing(sqlite3.connect(file(one))) as base:
        assert base.execute("SELECT number FROM jobs ORDER BY number").fetchall() == [(1,), (3,), (9,)]


def cut(path):
    path.write_bytes(path.read_bytes()[:1500])


def emptied(path):
    path.write_bytes(b"")


def random(path):
    path.write_bytes(os.urandom(8192))


def another_layout(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        base.execute("DROP TABLE jobs")
        base.execute("CREATE TABLE jobs (a, b)")
        base.execute("PRAGMA user_version = 77")


def another_table(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        base.execute("DROP TABLE jobs")


def lying(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        base.execute("UPDATE jobs SET row = replace(row, '4.0', '1.1')")


@pytest.mark.parametrize("harm", [os.unlink, cut, emptied, random, another_layout, another_table, lying])
def test_a_damaged_index_is_made_again_and_tells_nothing_wrong(one, monkeypatch, harm):
    index.jobs(one)
    expected = from_folders(one)
    harm(file(one))
    assert without_stamps(index.jobs(one)) == expected
    again = index.jobs(one)
    assert without_stamps(again) == expected and again.trouble == "" and reads(one, monkeypatch) == []


def test_bytes_changed_anywhere_in_the_index_never_change_what_is_told(one):
    index.jobs(one)
    whole, expected = file(one).read_bytes(), from_folders(one)
    for place in range(0, len(whole), 37):
        for leftover in one.private.iterdir():
            leftover.unlink()
        file(one).write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        assert without_stamps(index.jobs(one)) == expected


def test_a_locked_index_is_done_without(one):
    index.jobs(one)
    with closing(sqlite3.connect(file(one), isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("DELETE FROM jobs")
        found = index.jobs(one)
    assert without_stamps(found) == from_folders(one) and "locked" in found.trouble


def test_a_writer_beside_does_not_stand_in_the_way_of_a_look(one):
    index.jobs(one)
    projects.job(one, "J4")
    with closing(sqlite3.connect(file(one), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert list(index.jobs(one).rows) == [1, 2, 3, 4]


READER = """
import os, sys
from pathlib import Path
from halfmap.jobs.project import index
from halfmap.jobs.project.project import Project
if os.geteuid() == 0:  # who may write everywhere
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
found = index.jobs(Project(Path(sys.argv[1])))
print(sorted(found.rows), found.rows[2].tags, found.trouble == "")
"""


@pytest.fixture
def open_folder():
    """A folder that every user can look into, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.parametrize("kept", [True, False])
def test_a_project_that_may_only_be_read_is_listed(open_folder, kept):
    one = projects.made(open_folder / "p", J1=[], J2=["J1/map.mrc"])
    remarks.tag(one.root / "J2", ["good"])
    if kept:
        index.jobs(one)
    before = {path: path.stat().st_mtime_ns for path in one.root.rglob("*")}
    folders = [path for path in (one.root, *one.root.rglob("*")) if path.is_dir()]
    for path in folders:
        path.chmod(0o555)
    done = subprocess.run([sys.executable, "-c", READER, str(one.root)], capture_output=True, text=True)
    assert done.stdout.strip() == f"[1, 2] ['good'] {kept}", done.stderr
    assert {path: path.stat().st_mtime_ns for path in one.root.rglob("*")} == before
    for path in folders:
        path.chmod(0o755)


def test_where_no_index_can_be_written_the_folders_are_read(one):
    one.private.write_text("a file in its place")
    found = index.jobs(one)
    assert without_stamps(found) == from_folders(one) and found.trouble


def test_a_file_system_of_a_network_gets_a_plain_journal(one, monkeypatch):
    monkeypatch.setattr(index, "_is_local", lambda folder: False)
    index.jobs(one)
    with closing(sqlite3.connect(file(one))) as base:
        assert base.execute("PRAGMA journal_mode").fetchone() != ("wal",)
    file(one).unlink()
    monkeypatch.setattr(index, "_is_local", lambda folder: True)
    index.jobs(one)
    with closing(sqlite3.connect(file(one))) as base:
        assert base.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("mounts, local", [
    ("/dev/sda / ext4 rw 0 0\n", True), ("/dev/sda / ext4 rw 0 0\nnas:/x /data nfs4 rw 0 0\n", False),
    ("nas:/x / nfs rw 0 0\n/dev/sdb /data/my\\040disk xfs rw 0 0\n", True), ("", False),
])  # fmt: skip
def test_a_disk_is_local_where_the_system_says_so(monkeypatch, mounts, local):
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: mounts)
    assert index._is_local(Path("/data/my disk/project")) is local


def test_many_looks_at_once_agree(one):
    code = ("import sys; from pathlib import Path; from halfmap.jobs.project import index; "
            "from halfmap.jobs.project.project import Project\n"
            "print(sorted(index.jobs(Project(Path(sys.argv[1]))).rows))")  # fmt: skip
    looks = [subprocess.Popen([sys.executable, "-c", code, str(one.root)], stdout=subprocess.PIPE) for _ in range(6)]
    assert {look.communicate()[0] for look in looks} == {b"[1, 2, 3]\n"}


@pytest.mark.parametrize("status, process, state", [
    ("finished", None, "finished"), ("failed", None, "failed"), ("interrupted", None, "interrupted"),
    ("dancing", None, "crashed"), (None, None, "crashed"), (None, processes.this(), "running"),
    (None, {**processes.this(), "boot": "before"}, "crashed"), (None, {**processes.this(), "host": "b"}, "unknown"),
    ("finished", processes.this(), "finished"), (None, "; rm", "crashed"),
])  # fmt: skip
def test_the_state_of_a_job_needs_no_clock(one, status, process, state):
    projects.job(one, "J5", status=status, process=process)
    assert index.state(index.jobs(one).rows[5]) == state


def test_a_folder_without_a_job_is_empty(one):
    (one.root / "J5").mkdir()
    assert index.state(index.jobs(one).rows[5]) == "empty"


@pytest.mark.parametrize("name", ["job.json", "summary.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "\x00", '{"job": 3, "inputs": [], "params": "x"}',
                                  '{"job": "x", "inputs": {"a": 3, "b": {"path": 4}}, "project": 7, "process": "p"}',
                                  '{"status": [], "resolution_A": "x", "n_particles": 1e400, "warnings": 1}',
                                  '{"resolution_A": NaN, "seconds_total": -Infinity, "n_particles": true}'])
def test_hostile_files_make_a_row_all_the_same(one, name, text):
    (one.root / "J2" / name).write_text(text)
    assert list(index.jobs(one).rows) == [1, 2, 3] and index.jobs(one).trouble == ""
    index.state(index.jobs(one).rows[2])


def test_a_job_without_a_record_is_named_by_its_events(one):
    folder = one.root / "J4"
    folder.mkdir()
    (folder / "events.jsonl").write_text('{"kind": "started", "job": "reconstruct"}\n{"kind": "progr')
    row = index.jobs(one).rows[4]
    assert row.job == "reconstruct" and index.state(row) == "crashed"
