import numpy as np
import pytest

from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.jobs.volume import volumes
from halfmap.params.volumes import VolumeInput
from halfmap.types import Map


def written(folder, names, box=8, voxel_size_A=2.0):
    folder.mkdir(exist_ok=True)
    for value, name in enumerate(names, start=1):
        mrc.write(folder / f"{name}.mrc", Map(np.full((box,) * 3, value, np.float32), voxel_size_A))
    return folder


def asked(tmp_path, **settings):
    return VolumeInput(out=tmp_path / "out", **settings)


def test_a_job_folder_gives_all_its_volumes(tmp_path):
    folder = written(tmp_path / "J1", ["map", "half1", "half2", "mask_refine", "mask_fsc", "mask_fsc_auto", "other"])
    group = volumes.read(asked(tmp_path, volume=folder))
    assert set(group.volumes) == {"map", "half1", "half2", "mask_refine", "mask_fsc", "mask_fsc_auto"}
    assert [half.data[0, 0, 0] for half in group.halves] == [2, 3]
    assert group.mask.data[0, 0, 0] == 6


def test_given_files_come_before_those_of_the_folder(tmp_path):
    folder = written(tmp_path / "J1", ["map", "half1", "half2", "mask_fsc"])
    mine = written(tmp_path / "mine", ["a", "b", "c", "d", "e"])
    group = volumes.read(asked(tmp_path, volume=folder, half2=mine / "c.mrc", mask=mine / "e.mrc"))
    assert [half.data[0, 0, 0] for half in group.halves] == [2, 3]
    assert group.mask.data[0, 0, 0] == 5


def test_a_folder_of_half_maps_has_their_mean_as_map(tmp_path):
    folder = written(tmp_path / "J1", ["half1", "half2"])
    assert volumes.read(asked(tmp_path, volume=folder)).map.data[0, 0, 0] == 1.5


def test_half_maps_are_asked_for_in_words_where_there_are_none(tmp_path):
    folder = written(tmp_path / "J1", ["map"])
    group = volumes.read(asked(tmp_path, volume=folder / "map.mrc"))
    assert group.mask is None
    with pytest.raises(InputError, match="--half1 and --half2"):
        group.halves  # noqa: B018


def test_another_grid_is_refused_with_both_names_and_a_way_out(tmp_path):
    folder = written(tmp_path / "J1", ["map"])
    other = written(tmp_path / "J2", ["small"], box=6)
    with pytest.raises(InputError, match="small.mrc: a box of 6 .*map.mrc has a box of 8 .* volume resample"):
        volumes.read(asked(tmp_path, volume=folder, mask=other / "small.mrc"))


def test_a_folder_without_a_map_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no map.mrc"):
        volumes.read(asked(tmp_path, volume=tmp_path))


def test_masks_are_changed_in_their_own_way(tmp_path):
    group = volumes.Group({"map": Map(np.ones((2, 2, 2)), 1.0), "mask_fsc": Map(np.ones((2, 2, 2)), 1.0)})
    changed = group.each(lambda map: Map(map.data * 3, 1.0), of_masks=lambda map: map)
    assert (changed.volumes["map"].data[0, 0, 0], changed.volumes["mask_fsc"].data[0, 0, 0]) == (3, 1)
    volumes.write(tmp_path, changed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.mrc", "mask_fsc.mrc"]
