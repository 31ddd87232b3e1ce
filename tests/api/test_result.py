"""A result as an object: what it reads from its folder, how a notebook shows it, what it refuses."""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import halfmap
from halfmap.io import mrc
from halfmap.jobs.running import record
from tests.jobs import made


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = made.finished(tmp_path_factory.mktemp("result") / "refined")
    summary = json.loads((folder / "summary.json").read_text())
    record.write_json(folder / "summary.json", {**summary, "warnings": ["few <particles>"]})
    return halfmap.open(folder)


def test_numbers_are_those_of_the_folder(result):
    told = json.loads((result.folder / "summary.json").read_text())
    assert result.summary == told and result.resolution_A == told["resolution_A"]
    assert result.job == "refine homogeneous" and result.settings["symmetry"] == "C1"
    assert repr(result) == f"<halfmap refine homogeneous, {result.resolution_A:.2f} A: {result.folder}>"
    assert "map.mrc" in result.files and f"{made.N} particle images" in result.methods


def test_maps_are_those_of_the_folder(result):
    pairs = {"map.mrc": result.map, "map_sharp.mrc": result.sharpened, "half1.mrc": result.half_maps[0],
             "half2.mrc": result.half_maps[1], "mask_fsc.mrc": result.volume("mask_fsc.mrc")}  # fmt: skip
    for name, map in pairs.items():
        np.testing.assert_array_equal(map.data, mrc.read(result.folder / name).data)
    assert result.map is result.map  # read once
    judge = "mask_fsc_auto.mrc" if "mask_fsc_auto.mrc" in result.files else "mask_fsc.mrc"
    np.testing.assert_array_equal(result.mask.data, mrc.read(result.folder / judge).data)


def test_curves_are_arrays_over_the_same_frequencies(result):
    curves = result.fsc
    told = json.loads((result.folder / "fsc.json").read_text())
    np.testing.assert_allclose(curves["frequency_1_A"], told["frequency_1_A"])
    np.testing.assert_allclose(curves["corrected"], np.array(told["corrected"], float))
    assert {len(values) for values in curves.values()} == {made.BOX // 2 + 1}
    assert {"no_mask", "spherical", "randomised"} <= set(curves) and "shell" not in curves


def test_particles_are_the_table_without_their_images(result):
    assert len(result.particles) == made.N and result.particles.poses is not None


def test_a_plot_is_a_picture_that_a_notebook_shows(result):
    picture = result.plot("guinier")
    assert picture._repr_png_().startswith(b"\x89PNG") and picture.path == result.folder / "plots" / "guinier.png"
    assert ElementTree.parse(picture.svg).getroot().tag.endswith("svg")


def test_a_figure_can_be_changed_and_saved(result, tmp_path):
    figure = result.figure("fsc")
    figure.suptitle("mine")
    figure.savefig(tmp_path / "mine.png")
    assert len(figure.axes) == 1 and (tmp_path / "mine.png").stat().st_size > 1000


def test_a_plot_that_the_job_does_not_have_is_named_with_those_it_has(result):
    with pytest.raises(halfmap.UsageError, match="did you mean fsc.*slices"):
        result.plot("fscs")


def test_a_notebook_shows_numbers_warnings_curve_and_slices(result):
    page = result._repr_html_()
    root = ElementTree.fromstring(_closed(page))
    assert [image.get("alt") for image in root.iter("img")] == ["fsc", "slices"]
    assert all(image.get("src").startswith("data:image/png;base64,") for image in root.iter("img"))
    cells = [cell.text for cell in root.iter("td")]
    assert f"{result.resolution_A:.2f} A" in cells and "few <particles>" in [item.text for item in root.iter("li")]


def _closed(page):
    """The page as XML, in which an image ends itself."""
    head, *rest = page.split("<img ")
    return head + "".join("<img " + part.replace(">", "/>", 1) for part in rest)


def test_what_a_job_does_not_have_is_refused_with_what_it_has(tmp_path):
    record.write_json(tmp_path / "job.json", {"job": "check particles", "params": {}})
    record.write_json(tmp_path / "summary.json", {"status": "finished", "counts": {}})
    checked = halfmap.open(tmp_path)
    told = {"map": "holds no map.mrc; its maps: none", "fsc": "no FSC curves", "particles": "writes no particles",
            "resolution_A": "no resolution_A; its summary has: status, counts"}  # fmt: skip
    for name, words in told.items():
        with pytest.raises(halfmap.InputError, match=words):
            getattr(checked, name)
    assert checked.plots == [] and checked.methods == "" and "<img" not in checked._repr_html_()


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_job_that_has_not_ended_well_is_no_result(tmp_path, status):
    record.write_json(tmp_path / "job.json", {"job": "refine homogeneous"})
    record.write_json(tmp_path / "summary.json", {"status": status})
    with pytest.raises(halfmap.InputError, match=f"{status}, not finished"):
        halfmap.open(tmp_path)
