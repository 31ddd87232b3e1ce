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


def test_a_folder_appears_whole_with_links_that_hold(tmp_path):
    (tmp_path / "outside").write_text("x")
    with atomic.folder(tmp_path / "new") as place:
        (place / "a").mkdir()
        (place / "a" / "file").write_text("1")
        (place / "link").symlink_to("../outside")
        assert not (tmp_path / "new").exists()
    assert (tmp_path / "new" / "a" / "file").read_text() == "1" and (tmp_path / "new" / "link").read_text() == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "outside"]


def test_a_folder_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="stop"), atomic.folder(tmp_path / "new") as place:
        (place / "file").write_text("1")
        raise ValueError("stop")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_on_a_full_disk_is_a_lack_of_resources(tmp_path):
    with pytest.raises(ResourceError, match="no space"), atomic.folder(tmp_path / "new"):
        raise OSError(errno.ENOSPC, "full")
    assert list(tmp_path.iterdir()) == []


def test_sweeping_removes_folders_that_were_never_finished(tmp_path):
    (tmp_path / "emdb.part" / "inside").mkdir(parents=True)
    (tmp_path / "emdb.part" / ".map.mrc.89.tmp").write_text("half")
    atomic.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []
