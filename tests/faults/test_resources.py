"""Disk and memory that are not enough. Table D: 4, 17, 21."""

import errno
import json
import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from halfmap import device
from halfmap.errors import ResourceError
from halfmap.io import atomic, mrc
from halfmap.jobs.running import checkpoint, events, kept, resources
from halfmap.types import Map
from tests.faults import made
from tests.jobs.test_kept import snapshot

# Writes one after the other with files limited to 200 kB; tells what happened
LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from halfmap.errors import ResourceError
from halfmap.io import mrc
from halfmap.jobs.running import checkpoint, record
from halfmap.types import Map
from tests.jobs.test_kept import snapshot

folder = Path(sys.argv[1])
keeper = checkpoint.Checkpoints(folder)
keeper.keep(snapshot(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
large = Map(np.zeros((64,) * 3), 1.0)
for write in (lambda: keeper.keep(snapshot(2, n=5_000)), lambda: mrc.write(folder / "map.mrc", large),
              lambda: record.write_text(folder / "particles.star", "x" * 300_000)):
    try:
        write()
    except ResourceError as fault:
        print(fault)
"""


def test_no_room_for_checkpoint_map_and_table_is_told_and_nothing_half_is_left(tmp_path):
    """D 4: the file-size limit of the process stands for the full disk; the checkpoint before stays."""
    done = subprocess.run([sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert len(told) == 3
    assert all("ulimit -f" in line and "bytes are free" in line for line in told)
    assert "it_002" in told[0] and "bytes are needed" in told[0] and "bytes are needed" in told[1]
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(
        ["checkpoints", "it_001", checkpoint.STATE, kept.MANIFEST])  # fmt: skip
    assert checkpoint.Checkpoints(tmp_path).newest().state.iteration == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_is_really_full(tmp_path):
    """D 4: a disk of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        keeper = checkpoint.Checkpoints(disk)
        keeper.keep(snapshot(1))
        watch = events.Watch(disk)
        with pytest.raises(ResourceError, match="no space left on the disk"):
            keeper.keep(snapshot(2, n=10_000))
        with pytest.raises(ResourceError, match="map.mrc: no space left"):
            mrc.write(disk / "map.mrc", Map(np.zeros((80, 80, 80), np.float32), 1.0))
        (disk / "filler").write_bytes(b"x" * os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize)
        for _ in range(300):
            watch("warning", message="x" * 1000)
        assert events.LOST in watch.warnings
        watch.close()
        assert keeper.newest().state.iteration == 1
        assert not list(disk.rglob("*.part")) and not list(disk.rglob("*.tmp"))
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG], ids=errno.errorcode.get)
def test_a_job_that_finds_the_disk_full_ends_with_exit_4(code, monkeypatch, tmp_path):
    """D 4: disk, quota, file-size limit."""
    def runner(params, folder, rng, watch):
        raise OSError(code, os.strerror(code))

    ended = made.job(monkeypatch, runner, tmp_path / "a")
    assert ended.exit_code == 4 and "bytes are free" in made.told(ended) and "run again" in made.told(ended)


def test_logs_never_end_a_job(monkeypatch, tmp_path):
    """D 4: lines are lost and counted, the result is not."""
    def full(descriptor, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    heard = []
    watch = events.Watch(tmp_path, [heard.append])
    monkeypatch.setattr(os, "write", full)
    watch("iteration", iteration=1)
    watch("iteration", iteration=2)
    monkeypatch.undo()
    watch("iteration", iteration=3)
    assert watch.warnings == [events.LOST]
    assert [event["kind"] for event in heard] == ["iteration", "warning", "iteration", "iteration"]
    assert [event["iteration"] for event in made.events(tmp_path)] == [3]


def test_the_cut_last_line_of_an_earlier_run_does_not_spoil_the_next(tmp_path):
    """D 21: what a killed process wrote half is left alone, and what follows begins on a line of its own."""
    (tmp_path / "events.jsonl").write_text('{"kind": "started"}\n{"kind": "itera')
    watch = events.Watch(tmp_path)
    watch("iteration", iteration=3)
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert lines[1] == '{"kind": "itera' and json.loads(lines[2])["iteration"] == 3


def test_events_cannot_be_opened_and_the_job_goes_on(tmp_path):
    """D 4: not even the empty file has room."""
    (tmp_path / "events.jsonl").mkdir()  # cannot be opened for writing, whoever one is
    watch = events.Watch(tmp_path)
    watch("iteration", iteration=1)
    watch.close()
    assert watch.warnings == [events.LOST]


def test_a_file_that_did_not_fit_leaves_the_older_one(tmp_path, monkeypatch):
    """D 4"""
    mrc.write(tmp_path / "map.mrc", Map(np.ones((4, 4, 4), np.float32), 1.0))

    def full(*_):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match="the quota of the disk is used up"):
        mrc.write(tmp_path / "map.mrc", Map(np.zeros((4, 4, 4), np.float32), 1.0))
    monkeypatch.undo()
    assert mrc.read(tmp_path / "map.mrc").data.all()
    assert [path.name for path in tmp_path.iterdir()] == ["map.mrc"]


def test_memory_that_a_limit_forbids_is_refused_before_the_start(monkeypatch):
    """D 17: ulimit -v and the control group of a queue."""
    monkeypatch.setattr(device, "headroom_GB", lambda: 2.0)
    with pytest.raises(ResourceError, match="needs about 3.0 GB of memory, and this process may take 2.0 GB more"):
        resources.warn_of_memory(3.0, events.Passing())


def test_a_refinement_that_a_memory_limit_forbids_does_not_begin(monkeypatch, tmp_path):
    """D 17: and a dry run of it says the same."""
    made.particle_set(tmp_path)
    monkeypatch.setattr(device, "headroom_GB", lambda: 1e-6)
    for folder, dry in (("a", False), ("b", True)):
        ended = made.refinement(tmp_path, out=tmp_path / folder, dry_run=dry)
        assert ended.exit_code == 4 and "--box-size" in made.told(ended) and "ask for more" in made.told(ended)
        assert not list(tmp_path.glob(f"{folder}/*.mrc")) and not (tmp_path / folder / "checkpoints").exists()
    assert not (tmp_path / "b").exists()


def test_the_address_limit_of_the_process_is_seen():
    """D 17"""
    code = ("import resource; from halfmap import device; print(device.headroom_GB()); "
            "resource.setrlimit(resource.RLIMIT_AS, (1 << 32, resource.RLIM_INFINITY)); print(device.headroom_GB())")
    before, after = map(float, subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                                              check=True).stdout.split())  # fmt: skip
    assert 0 < after < 4.3 and after <= before


def test_a_job_that_runs_out_of_memory_ends_with_exit_4_and_can_go_on(monkeypatch, tmp_path):
    """D 17: as the estimate cannot know all."""
    def runner(params, folder, rng, watch):
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + (1 << 28), hard))
        try:
            np.ones(1 << 28)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

    ended = made.job(monkeypatch, runner, tmp_path / "a")
    assert ended.exit_code == 4
    assert "--box-size" in made.told(ended) and f"halfmap resume {tmp_path / 'a'}" in made.told(ended)


def test_a_full_disk_is_told_with_the_bytes_needed_and_free(tmp_path):
    """D 4"""
    expected = r"map.mrc: no space left .*: [\d,]+ bytes are free .* 1,234 bytes are needed"
    with pytest.raises(ResourceError, match=expected):
        with atomic.writing(tmp_path / "map.mrc", 1234):
            raise OSError(errno.ENOSPC, "No space left on device")
