"""The cache of image stacks: shared, bounded, and never in the way. Table D: 5, 19."""

import errno
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from halfmap.cli import main
from halfmap.data import cache, stack
from halfmap.io import mrc
from tests.faults import made


@pytest.fixture
def kept(tmp_path):
    """A cache in tmp_path/ssd that remembers its warnings."""
    warned = []
    found = cache.Cache(cache.at(tmp_path / "ssd"), warn=warned.append)
    found.warned = warned
    return found


def stacks(folder, count=3):
    """Stacks of 10 kB, the first the oldest."""
    paths = []
    for number in range(count):
        paths.append(folder / f"{number}.mrcs")
        mrc.write_stack(paths[-1], np.full((9, 16, 16), number, np.float32), 1.0)
    return paths


def copies(folder):
    return sorted(path for path in cache.at(folder / "ssd").iterdir() if path.suffix == cache.COPY)


def test_a_copy_is_made_once_and_is_the_stack(kept, tmp_path, monkeypatch):
    source = stacks(tmp_path, 1)[0]
    copy = kept.path(source)
    assert copy != source and copy.read_bytes() == source.read_bytes()
    monkeypatch.setattr(cache, "_copied", None)
    assert kept.path(source) == copy


def test_a_job_reads_its_stacks_through_the_cache(tmp_path):
    made.particle_set(tmp_path)
    ended = made.check(tmp_path, cache_dir=tmp_path / "ssd", cache_reserve_GB=0)
    assert ended.summary["counts"]["images_read"] == 12 and ended.summary["counts"]["bad_images"] == 0
    (copy,) = copies(tmp_path)
    with open(copy, "r+b") as file:  # now the copy has a constant image, the source none
        file.seek(mrc.HEADER_BYTES)
        file.write(bytes(1024))
    again = made.check(tmp_path, cache_dir=tmp_path / "ssd", cache_reserve_GB=0, out=tmp_path / "again")
    assert again.summary["rows"]["bad_images"] == [1]
    assert cache.current() is None


def test_a_changed_stack_is_copied_anew(kept, tmp_path):
    source = stacks(tmp_path, 1)[0]
    before = kept.path(source)
    mrc.write_stack(source, np.ones((9, 16, 16), np.float32), 1.0)
    assert kept.path(source) != before and kept.path(source).read_bytes() == source.read_bytes()


def test_the_least_recently_used_gives_way_to_the_quota(kept, tmp_path):
    """D 5"""
    a, b, c = stacks(tmp_path)
    earlier = cache.Cache(kept.place)
    kept.quota_bytes = 2.5 * a.stat().st_size
    of_a, of_b = earlier.path(a), earlier.path(b)
    os.utime(of_b, (1, 1))
    of_c = kept.path(c)
    assert of_a.exists() and of_c.exists() and not of_b.exists() and kept.warned == []


def test_of_a_set_larger_than_the_quota_a_part_is_copied_and_the_rest_read_where_it_is(kept, tmp_path, monkeypatch):
    """D 5: not thrown out and copied anew in every pass."""
    made, copied = cache._copied, []
    monkeypatch.setattr(cache, "_copied", lambda source, *rest: (copied.append(source), made(source, *rest)))
    a, b, c = stacks(tmp_path)
    kept.quota_bytes = 2.5 * a.stat().st_size
    passes = [[kept.path(source) for source in (a, b, c)] for _ in range(3)]
    assert copied == [a, b] and passes[0] == passes[1] == passes[2] and passes[0][2] == c
    assert len(kept.warned) == 1 and "quota or reserve" in kept.warned[0]


def test_jobs_that_throw_out_each_others_stacks_do_so_once(kept, tmp_path):
    """D 19"""
    a, b, _ = stacks(tmp_path)
    other = cache.Cache(kept.place, quota_bytes=1.5 * a.stat().st_size)
    kept.quota_bytes = other.quota_bytes
    kept.path(a)
    of_b = other.path(b)
    assert kept.path(a) == a and other.path(b) == of_b != b
    assert len(kept.warned) == 1 and "another job" in kept.warned[0]


def test_a_stack_larger_than_the_quota_is_read_where_it_is_with_one_warning(kept, tmp_path):
    """D 5"""
    a, b, _ = stacks(tmp_path)
    kept.quota_bytes = 100
    assert [kept.path(a), kept.path(b), kept.path(a)] == [a, b, a]
    assert len(kept.warned) == 1 and "quota or reserve" in kept.warned[0]


def test_the_reserve_of_the_disk_is_left_alone(kept, tmp_path):
    """D 5"""
    (a, *_) = stacks(tmp_path)
    kept.reserve_bytes = 1e18
    assert kept.path(a) == a and len(kept.warned) == 1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS], ids=errno.errorcode.get)
def test_a_cache_disk_that_fails_while_copying_leaves_no_half_and_the_source_is_read(code, kept, tmp_path, monkeypatch):
    """D 5"""
    a, b, _ = stacks(tmp_path)

    def full(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    assert [kept.path(a), kept.path(b)] == [a, b]
    assert len(kept.warned) == 1 and os.strerror(code) in kept.warned[0]
    assert [path.name for path in cache.at(tmp_path / "ssd").iterdir() if path.suffix != cache.LOCK] == []


def test_a_cache_folder_that_cannot_be_made_is_warned_of(tmp_path):
    (tmp_path / "file").write_text("")
    warned = []
    (a, *_) = stacks(tmp_path)
    assert cache.Cache(cache.at(tmp_path / "file"), warn=warned.append).path(a) == a and len(warned) == 1


COPIES = """
import sys
from pathlib import Path
from halfmap.data import cache
real = cache._copied
def told(*arguments):
    print("copied", flush=True)
    real(*arguments)
cache._copied = told
cache.Cache(cache.at(Path(sys.argv[1]))).path(Path(sys.argv[2]))
"""


def test_two_processes_copy_a_stack_once(tmp_path):
    """D 19"""
    (a, *_) = stacks(tmp_path, 1)
    command = [sys.executable, "-c", COPIES, tmp_path / "ssd", a]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert sorted(said) == ["", "copied\n"]
    assert copies(tmp_path)[0].read_bytes() == a.read_bytes()


def test_half_a_copy_of_a_killed_process_is_never_read_and_goes(kept, tmp_path):
    """D 19: killed between the copy and its name."""
    a, b, _ = stacks(tmp_path)
    code = COPIES.replace("    real(*arguments)", "    import os; os.replace = lambda *_: os.kill(os.getpid(), 9)\n"
                          "    real(*arguments)")  # fmt: skip
    killed = subprocess.run([sys.executable, "-c", code, tmp_path / "ssd", a], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert any(path.suffix == cache.PART for path in cache.at(tmp_path / "ssd").iterdir())
    kept.path(b)
    assert not any(path.suffix == cache.PART for path in cache.at(tmp_path / "ssd").iterdir())
    assert kept.path(a).read_bytes() == a.read_bytes()


def test_a_copy_thrown_out_while_it_is_read_is_read_on(kept, tmp_path):
    """D 19: by another job that needs the room; afterwards it is made again, or the source read."""
    particles = made.particle_set(tmp_path)
    with cache.used(kept):
        batches = stack.Stack(particles).batches(np.arange(12), 4)
        seen = [next(batches)]
        for path in copies(tmp_path):
            path.unlink()
        seen += list(batches)
    assert sorted(np.concatenate([rows for rows, _ in seen])) == list(range(12))


def test_what_the_cache_did_not_write_is_never_deleted(kept, tmp_path, capsys):
    (a, *_) = stacks(tmp_path, 1)
    place = cache.at(tmp_path / "ssd")
    copy = kept.path(a)
    mine = [place / "thesis.txt", place / "x.mrcs", place.parent / "other.mrcs", place / ("0" * 40)]
    for path in mine:
        path.write_text("mine")
    (place / f"{'1' * 40}.mrcs").symlink_to(mine[0])
    assert main.main(["cache", "list", str(tmp_path / "ssd")]) == 0
    assert "1 stacks" in capsys.readouterr().out
    assert main.main(["cache", "clear", str(tmp_path / "ssd")]) == 0
    assert "1 stacks removed" in capsys.readouterr().out
    assert not copy.exists() and all(path.read_text() == "mine" for path in mine)
