"""Checkpoints as folders: whole or not there, verified, the right ones kept; and going on from one in another job."""

import json
import os

import numpy as np
import pytest

from halfmap.errors import InputError, ResourceError
from halfmap.io import atomic
from halfmap.jobs.running import checkpoint, kept
from halfmap.refine.state import Snapshot
from halfmap.types import Defocus
from tests.refine import made


def snapshot(iteration: int, resolution_A: float = 10.0, area: float = 5.0, n: int = 6) -> Snapshot:
    row = {"resolution_A": resolution_A, "fsc_area": area}
    state = made.state(n, iteration=iteration, history=(row,) * iteration, defocus=Defocus(*np.zeros((6, n))))
    return Snapshot(state, np.ones(n, np.int8), {2: "constant"}, ("few particles",), {"state": 1}, {"reading": 1.0})


def written(folder, resolutions, every=False):
    keeper = checkpoint.Checkpoints(folder, every=every)
    for iteration, resolution in enumerate(resolutions, start=1):
        keeper.keep(snapshot(iteration, resolution))
    return [kept.iteration_of(place) for place in kept.listed(folder)]


def test_the_last_two_and_the_best_stay(tmp_path):
    assert written(tmp_path, [12, 9, 10, 11, 11]) == [2, 4, 5]


def test_among_equal_resolutions_the_larger_fsc_area_is_best(tmp_path):
    keeper = checkpoint.Checkpoints(tmp_path)
    for iteration, area in enumerate([4.0, 6.0, 5.0, 5.0, 5.0], start=1):
        keeper.keep(snapshot(iteration, area=area))
    assert [kept.iteration_of(place) for place in kept.listed(tmp_path)] == [2, 4, 5]


def test_every_checkpoint_stays_where_all_are_wanted(tmp_path):
    assert written(tmp_path, [12, 9, 10, 11, 11], every=True) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("spoil", [
    lambda place: os.truncate(place / checkpoint.STATE, 100),
    lambda place: (place / checkpoint.STATE).unlink(),
    lambda place: (place / kept.MANIFEST).unlink(),
    lambda place: (place / kept.MANIFEST).write_text("{"),
    lambda place: (place / kept.MANIFEST).write_text('{"layout": 3, "files": 7}'),
    lambda place: (place / kept.MANIFEST).write_text('{"layout": 99, "files": {}}'),
])  # fmt: skip
def test_the_newest_checkpoint_that_verifies_is_taken(spoil, tmp_path):
    heard = made.Heard()
    written(tmp_path, [12, 11])
    spoil(kept.path_of(tmp_path, 2))
    found = checkpoint.Checkpoints(tmp_path, heard).newest()
    assert found.state.iteration == 1
    assert "it_002" in heard.of("warning")[0]["message"]
    assert kept.chosen(tmp_path) == kept.path_of(tmp_path, 1)


def test_one_flipped_bit_is_noticed(tmp_path):
    written(tmp_path, [12])
    path = kept.path_of(tmp_path, 1) / checkpoint.STATE
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="state.npz: not what manifest.json says"):
        checkpoint.read(path.parent)


def test_a_checkpoint_of_another_layout_names_the_version_that_reads_it(tmp_path):
    written(tmp_path, [12])
    path = kept.path_of(tmp_path, 1) / kept.MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "layout": 99, "halfmap": "9.1"}))
    with pytest.raises(InputError, match="layout 99.*halfmap 9.1"):
        checkpoint.read(path.parent)


def test_a_full_disk_leaves_the_earlier_checkpoints_and_no_part(tmp_path, monkeypatch):
    written(tmp_path, [12, 11])

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(ResourceError, match="it_003: no space left on the disk: .* bytes are needed"):
        checkpoint.Checkpoints(tmp_path).keep(snapshot(3))
    assert sorted(place.name for place in (tmp_path / kept.FOLDER).iterdir()) == ["it_001", "it_002"]


def test_what_a_killed_writer_left_is_swept_away(tmp_path):
    written(tmp_path, [12])
    part = tmp_path / kept.FOLDER / "it_002.part"
    part.mkdir()
    (part / checkpoint.STATE).write_bytes(b"half")
    atomic.sweep(tmp_path)
    assert not part.exists() and kept.path_of(tmp_path, 1).is_dir()


def test_a_checkpoint_of_the_same_iteration_takes_the_place_of_a_damaged_one(tmp_path):
    written(tmp_path, [12, 11])
    (kept.path_of(tmp_path, 2) / checkpoint.STATE).unlink()
    checkpoint.Checkpoints(tmp_path).keep(snapshot(2))
    assert checkpoint.read(kept.path_of(tmp_path, 2)).state.iteration == 2


def test_a_run_without_checkpoints_goes_on_from_its_origin_and_then_from_its_own(tmp_path):
    (tmp_path / "a").mkdir()
    written(tmp_path / "a", [12, 11, 10], every=True)
    (tmp_path / "b").mkdir()
    branch = checkpoint.Checkpoints(tmp_path / "b", origin=kept.chosen(tmp_path / "a", 2))
    assert branch.newest().state.iteration == 2
    branch.keep(snapshot(3))
    assert branch.newest().state.iteration == 3
    assert len(kept.listed(tmp_path / "a")) == 3


@pytest.mark.parametrize("name", ["", "checkpoints/it_002", "checkpoints/it_002/manifest.json"])
def test_a_checkpoint_is_named_by_job_folder_or_manifest(name, tmp_path):
    written(tmp_path, [12, 11])
    assert kept.chosen(tmp_path / name) == kept.path_of(tmp_path, 2)


def test_a_checkpoint_that_is_not_there_is_answered_with_those_that_are(tmp_path):
    written(tmp_path, [12, 11])
    with pytest.raises(InputError, match="it_007: no checkpoint in there; there are it_001, it_002"):
        kept.chosen(tmp_path, 7)
    with pytest.raises(InputError, match="name a job that has some"):
        kept.chosen(tmp_path / "nowhere")
