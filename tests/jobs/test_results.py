"""Result files: complete, readable by others, and what the summary says is what they hold."""

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from halfmap.data import relion
from halfmap.io import mrc, star
from halfmap.jobs.running import diagnostics, events, record, results
from halfmap.params.homogeneous import Homogeneous
from halfmap.params.nonuniform import Nonuniform
from tests.jobs import made

# the keys of a refinement that the interface promises; job, status, seconds_total, peak memory come from jobs/run.py
KEYS = set(
    "resolution_A resolution_unmasked_A resolution_05_A nyquist_A bfactor_A2 symmetry n_particles n_rejected "
    "iterations "
    "cfar precision_ratio poses_per_image n_junk "
    "seconds_reading seconds_search seconds_poses seconds_reconstruct accuracy_rotation_deg accuracy_shift_A "
    "warnings".split()
)


def written(folder, rejected=(), **settings):
    params = Homogeneous(particles=Path("p"), volume=Path("v"), out=folder, **settings)
    outcome = made.outcome(folder, rejected)
    return outcome, results.write(outcome, made.particles(folder), params, folder, events.Watch(folder))


def test_every_promised_file_and_key_is_there(tmp_path):
    _, summary = written(tmp_path)
    for name in "map map_sharp half1 half2 mask_refine mask_fsc".split():
        header = mrc.read_header(tmp_path / f"{name}.mrc")
        assert (header.mode, header.nx) == (2, made.BOX)
    for name in "particles.star fsc.json fsc.star fsc.xml guinier.json noise.json".split():
        assert (tmp_path / name).stat().st_size > 0
    assert set(summary) == KEYS
    assert not (tmp_path / "rejected.star").exists()
    assert not (tmp_path / "local_filter.mrc").exists()


def test_a_local_filter_is_written_where_there_is_one(tmp_path):
    filtered = replace(made.outcome(tmp_path), local_filter=made.outcome(tmp_path).map)
    params = Nonuniform(particles=Path("p"), volume=Path("v"), out=tmp_path)
    results.write(filtered, made.particles(tmp_path), params, tmp_path, events.Watch(tmp_path))
    np.testing.assert_array_equal(mrc.read(tmp_path / "local_filter.mrc").data, filtered.local_filter.data)


def test_half_maps_are_written_as_they_are(tmp_path):
    outcome, _ = written(tmp_path)
    np.testing.assert_array_equal(mrc.read(tmp_path / "half1.mrc").data, outcome.half1.data)


def test_a_given_bfactor_is_used_and_the_fitted_one_still_recorded(tmp_path):
    outcome, summary = written(tmp_path, bfactor=0.0)
    assert summary["bfactor_A2"] == 0.0
    # B = 0 multiplies every coefficient by one: rounding of two float32 transforms remains
    np.testing.assert_allclose(mrc.read(tmp_path / "map_sharp.mrc").data, outcome.map.data, atol=1e-6)
    assert json.loads((tmp_path / "guinier.json").read_text())["bfactor_used_A2"] == 0.0


def test_a_negative_bfactor_sharpens(tmp_path):
    outcome, _ = written(tmp_path, bfactor=-300.0)
    power = [np.abs(np.fft.rfftn(m)[0, 0, -1]) for m in (mrc.read(tmp_path / "map_sharp.mrc").data, outcome.map.data)]
    # exp(-B k^2 / 4) at Nyquist, k = 1 / (2 voxels)
    assert power[0] / power[1] == pytest.approx(np.exp(300 / 4 / (2 * made.VOXEL_A) ** 2), rel=1e-3)


def test_rejected_particles_are_listed_with_the_reason(tmp_path):
    _, summary = written(tmp_path, rejected=((3, "image holds NaN"), (5, "image is constant")))
    assert (summary["n_particles"], summary["n_rejected"]) == (made.N - 2, 2)
    rejected = relion.read_table(tmp_path / "rejected.star")
    assert rejected.index.tolist() == [3, 5]
    assert "image holds NaN" in (tmp_path / "rejected.star").read_text()
    assert len(relion.read_table(tmp_path / "particles.star")) == made.N - 2


def test_poses_and_halves_survive_the_table(tmp_path):
    outcome, _ = written(tmp_path)
    table = relion.read_table(tmp_path / "particles.star")
    # angles are written with at least 6 decimals of a degree
    np.testing.assert_allclose(table.poses.rotations, outcome.particles.poses.rotations, atol=1e-6)
    np.testing.assert_array_equal(table.half, outcome.particles.half)


def test_the_curves_are_the_same_in_all_three_files(tmp_path):
    outcome, _ = written(tmp_path)
    values = outcome.curves["corrected"].values
    content = json.loads((tmp_path / "fsc.json").read_text())
    np.testing.assert_allclose(content["corrected"], values, rtol=1e-12)
    block = star.read(tmp_path / "fsc.star")["fsc"]
    np.testing.assert_allclose(block.columns["corrected"].astype(float), values, rtol=1e-11)
    points = ElementTree.parse(tmp_path / "fsc.xml").getroot().findall("coordinate")
    np.testing.assert_allclose([float(point.find("y").text) for point in points], values, atol=1e-6)
    frequency = np.arange(len(values)) / (made.BOX * made.VOXEL_A)
    np.testing.assert_allclose([float(point.find("x").text) for point in points], frequency, atol=1e-6)


def test_what_an_iteration_shows_survives_its_file(tmp_path):
    shown = made.iteration()
    diagnostics.write(tmp_path, shown)
    arrays, facts = diagnostics.read(tmp_path, shown.name)
    assert arrays.keys() == shown.arrays.keys() and facts == shown.facts
    for name, values in shown.arrays.items():
        np.testing.assert_array_equal(arrays[name], values)
    assert diagnostics.iterations(tmp_path) == ["iteration_001"]


def test_an_iteration_that_left_nothing_reads_as_empty(tmp_path):
    assert diagnostics.read(tmp_path, "iteration_001") == ({}, {}) and diagnostics.iterations(tmp_path) == []


def test_every_curve_is_described_and_the_start_of_random_phases_told(tmp_path):
    outcome, _ = written(tmp_path)
    content = json.loads((tmp_path / "fsc.json").read_text())
    assert set(content["descriptions"]) == set(outcome.curves)
    assert content["descriptions"]["tight"] == outcome.fsc.descriptions["tight"]
    shell = content["randomised_from_shell"]
    assert shell == outcome.fsc.randomised_from
    assert content["randomised_from_A"] == pytest.approx(made.BOX * made.VOXEL_A / shell)


def test_masks_are_written_under_the_names_of_the_report(tmp_path):
    outcome, _ = written(tmp_path)
    for name in ("mask_fsc", "mask_fsc_auto"):
        path = tmp_path / f"{name}.mrc"
        assert path.is_file() == (name in outcome.fsc.masks)
        if path.is_file():
            np.testing.assert_array_equal(mrc.read(path).data, outcome.fsc.masks[name].data)


def test_the_range_of_the_guinier_fit_is_the_one_asked_for(tmp_path):
    for low, high in ((30.0, None), (40.0, 12.0)):
        folder = tmp_path / f"{low:g}"
        folder.mkdir()
        outcome, _ = written(folder, bfactor_fit_low_A=low, bfactor_fit_high_A=high)
        x = json.loads((folder / "guinier.json").read_text())["fit"]["x"]
        finest = high or results.describe_curves(outcome.curves)["resolution_A"]
        length = made.BOX * made.VOXEL_A
        # the first shell inside either end: shells are 1 / length apart
        assert 0 <= length * x[0] ** 0.5 - length / low < 1 + 1e-6
        assert 0 <= length / finest - length * x[-1] ** 0.5 < 1 + 1e-6


def test_a_job_that_is_replaced_leaves_none_of_its_files(tmp_path):
    outcome = made.outcome(tmp_path, ((3, "image holds NaN"),))
    tightened = replace(outcome.fsc, masks={**outcome.fsc.masks, "mask_fsc_auto": outcome.mask_refine})
    params = Homogeneous(particles=Path("p"), volume=Path("v"), out=tmp_path, write_cs=True)
    results.write(replace(outcome, fsc=tightened), made.particles(tmp_path), params, tmp_path, events.Watch(tmp_path))
    names = {path.name for path in tmp_path.iterdir()}
    assert {"mask_fsc_auto.mrc", "rejected.star", "particles.cs"} <= names
    assert names <= {*record.FILES, *record.FOLDERS}
