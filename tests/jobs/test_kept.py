"""Checkpoints as folders: whole or not there, verified, the right ones kept; and going on from one in another job."""

import json
import os

import numpy as np
import pytest

from halfmap.errors import InputError, ResourceError
from halfmap.io import atomic
from halfmap.jobs.running import checkpoint, growths, kept
from halfmap.refine.state import Snapshot
from halfmap.refine.stochastic import Course, Growth
from halfmap.types import Defocus, Map
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
    lambda place: (place / kept.MANIFEST).write_text(f'{{"layout": {kept.LAYOUT}, "files": 7}}'),
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


# ---- those of maps that grow


def grown(steps: int, band_A: float = 30.0) -> Snapshot:
    history = tuple({"step": n, "band_A": band_A, "evidence": 0.1 * n, "change": float("nan")} for n in range(steps))
    made_ = Map(np.full((2, 2, 2), steps, np.float32), 8.0)
    growth = Growth(steps, 6, (), (made_,), float("nan"), {}, np.zeros(1), np.zeros((1, 3)), np.zeros((1, 2)),
                    np.zeros((5, 2)), 8.0)
    return Snapshot(Course(0, growth, history), np.ones(5, np.int8), {}, (), {"state": 2**100}, {"reading": 0.1})


def test_growths_and_iterations_are_kept_side_by_side(tmp_path):
    keeper = growths.Growths(tmp_path, made.Heard())
    for steps, band_A in ((10, 40.0), (20, 20.0), (30, 40.0), (40, 40.0)):
        keeper.of(0).keep(grown(steps, band_A))
    written(tmp_path, [12, 9, 10, 11, 11])
    assert [kept.iteration_of(place) for place in kept.listed(tmp_path, kept.GROWTH)] == [20, 30, 40]
    assert [kept.iteration_of(place) for place in kept.listed(tmp_path)] == [2, 4, 5]
    assert kept.newest_name(tmp_path) == "it_005" and kept.chosen(tmp_path) == kept.path_of(tmp_path, 5)


def test_each_growth_of_a_job_goes_on_from_its_own_snapshot(tmp_path):
    keeper = growths.Growths(tmp_path, made.Heard())
    keeper.of(0).keep(grown(10))
    keeper.of(0).keep(grown(12))
    keeper.of(1).keep(grown(10, 20.0))
    again = growths.Growths(tmp_path, made.Heard())
    first, second, third = (again.of(number).newest() for number in range(3))
    assert (first.state.iteration, second.state.iteration, third) == (12, 10, None)
    assert second.rng == {"state": 2**100} and np.isnan(second.state.history[0]["change"])
    assert [kept.iteration_of(place) for place in kept.listed(tmp_path, kept.GROWTH)] == [12, 22]
    assert kept.newest_name(tmp_path) == "growth_022"


def test_a_job_without_growths_takes_those_of_the_job_it_goes_on_from(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    growths.Growths(tmp_path / "a", made.Heard()).of(0).keep(grown(10))
    written(tmp_path / "a", [12])
    taken = growths.Growths(tmp_path / "b", made.Heard(), origin=tmp_path / "a")
    assert taken.of(0).newest().state.iteration == 10
    with pytest.raises(InputError, match="a checkpoint of a map that grows"):
        kept.chosen(kept.listed(tmp_path / "a", kept.GROWTH)[0])
