from pathlib import Path

import pytest

from halfmap.errors import InputError
from halfmap.jobs import catalog
from halfmap.jobs.running import folders
from halfmap.params.homogeneous import Homogeneous
from halfmap.params.mask_tools import CombineMasks
from halfmap.params.volumes import VolumeInput


def job(folder, *files):
    folder.mkdir()
    for name in files:
        (folder / name).write_text("")
    return folder


def asked(tmp_path, **settings):
    return Homogeneous(**{"out": tmp_path / "out", "particles": Path("p.star"), "volume": Path("v.mrc"), **settings})


INPUTS = catalog.find("refine homogeneous").inputs


def test_a_job_folder_stands_for_the_file_that_is_meant(tmp_path):
    folder = job(tmp_path / "J1", "particles.star", "map.mrc", "mask_refine.mrc", "mask_fsc.mrc", "mask_fsc_auto.mrc")
    params = folders.resolved(
        asked(tmp_path, particles=folder, volume=folder, mask=str(folder), fsc_mask=folder), INPUTS
    )
    assert (params.particles, params.volume) == (folder / "particles.star", folder / "map.mrc")
    assert (params.mask, params.fsc_mask) == (str(folder / "mask_refine.mrc"), folder / "mask_fsc_auto.mrc")


def test_files_and_words_stay_as_they_are(tmp_path):
    params = asked(tmp_path, mask="none")
    assert folders.resolved(params, INPUTS) is params


def test_a_folder_without_the_file_is_refused_and_all_are_named(tmp_path):
    empty, other = job(tmp_path / "J1"), job(tmp_path / "J2", "map.mrc")
    with pytest.raises(InputError) as caught:
        folders.resolved(asked(tmp_path, particles=other, volume=empty), INPUTS)
    assert caught.value.faults == (
        f"{other}: holds no particles.star or particles.cs; name a file, or the folder of a job that has ended",
        f"{empty}: holds no map.mrc; name a file, or the folder of a job that has ended",
    )


def test_a_job_that_takes_a_folder_as_a_whole_gets_it(tmp_path):
    folder = job(tmp_path / "J1", "map.mrc")
    params = VolumeInput(out=tmp_path / "out", volume=folder)
    assert folders.resolved(params, ("volume", "mask")).volume == folder


def test_of_several_masks_each_may_be_a_folder(tmp_path):
    folder, file = job(tmp_path / "J1", "mask.mrc"), tmp_path / "m.mrc"
    params = CombineMasks(out=tmp_path / "out", mask=(folder, file), operation="union")
    assert folders.resolved(params, catalog.find("mask combine").inputs).mask == (folder / "mask.mrc", file)


@pytest.mark.parametrize("entry", [entry for entry in catalog.JOBS if "half1" in entry.inputs and entry.name != "fsc"],
                         ids=lambda entry: entry.name)
def test_a_job_that_takes_half_maps_takes_them_from_the_folder_of_the_map(entry):
    assert "volume" in entry.params.takes_folders
