"""A file is written whole or not at all."""

import errno
import os

import pytest

from halfmap.errors import ResourceError
from halfmap.io import atomic


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    with atomic.writing(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["x"]


def test_an_exception_leaves_nothing_behind(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic.writing(tmp_path / "x") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_a_resource_error(tmp_path):
    with pytest.raises(ResourceError, match="no space left"), atomic.writing(tmp_path / "x"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_the_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "plain").write_text("")
    with atomic.writing(tmp_path / "x"):
        pass
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_killed_writers_left_is_swept_and_nothing_else(tmp_path):
    (tmp_path / "deeper").mkdir()
    kept = [tmp_path / "map.mrc", tmp_path / ".hidden", tmp_path / "notes.tmp"]
    left = [tmp_path / ".map.mrc.1a2b3c4d.tmp", tmp_path / "deeper" / ".half1.mrc.00ff00ff.tmp"]
    for path in kept + left:
        path.touch()
    atomic.sweep(tmp_path)
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in left)
