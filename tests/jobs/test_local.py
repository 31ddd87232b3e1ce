"""`halfmap refine local`: its inputs, what it refuses, and what it leaves."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from halfmap.cli import main as cli
from halfmap.data import relion
from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.jobs.refinement import local
from halfmap.jobs.running import events
from halfmap.params.local import Local
from halfmap.types import Map
from tests.maps import test_sharpness
from tests.refine import hinged, made


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Particles with poses and half-sets; a job folder with map and half-maps; masks."""
    folder = tmp_path_factory.mktemp("local")
    data = hinged.experiment(folder, n=60)
    relion.write(folder / "particles.star", data.particles)
    relion.write(folder / "no_halves.star", hinged.without_halves(data.particles))
    relion.write(folder / "no_poses.star", replace(data.particles, poses=None))
    (folder / "job").mkdir()
    rng = np.random.default_rng(1)
    for name in ("map", "half1", "half2"):
        noise = rng.normal(0, 0.002, data.whole.data.shape).astype(np.float32)
        mrc.write(folder / "job" / f"{name}.mrc", Map(data.whole.data + noise, made.VOXEL_A))
    mrc.write(folder / "mask.mrc", data.mask)
    mrc.write(folder / "hard.mrc", Map((data.mask.data > 0.5).astype(np.float32), made.VOXEL_A))
    return folder


def settings(inputs: Path, **changes) -> Local:
    given = {"particles": inputs / "particles.star", "volume": inputs / "job", "mask": str(inputs / "mask.mrc")}
    return Local(out=inputs / "out", **given | changes)


def read(inputs, **changes):
    heard = events.Passing()
    return *local.read(settings(inputs, **changes), heard), heard


def refine(inputs, out, *flags) -> int:
    files = {"particles": "particles.star", "volume": "job", "mask": "mask.mrc"}
    words = [word for name, file in files.items() for word in (f"--{name}", str(inputs / file))]
    return cli.main(["refine", "local", *words, "--out", str(out), *flags])


@pytest.fixture(scope="module")
def done(inputs, tmp_path_factory):
    out = tmp_path_factory.mktemp("done") / "job"
    flags = ("--fulcrum", hinged.at(hinged.HINGE_A), "--max-iterations", "2", "--seed", "3", "--initial-lowpass", "20")
    assert refine(inputs, out, *flags) == 0
    return out


def test_a_job_leaves_the_files_of_a_refinement_and_keeps_the_half_sets(inputs, done):
    for name in ("map", "half1", "half2", "mask_refine", "mask_fsc"):
        assert mrc.read(done / f"{name}.mrc").box == made.BOX
    given, found = (relion.read(folder / "particles.star") for folder in (inputs, done))
    np.testing.assert_array_equal(found.half, given.half[found.index])
    assert json.loads((done / "summary.json").read_text())["status"] == "finished"


@pytest.mark.parametrize("plot", ["slices", "masks", "changes", "fsc"])
def test_its_plots_are_drawn(plot, done):
    assert (done / "plots" / f"{plot}.png").stat().st_size > 5000


def test_the_events_tell_how_many_poses_the_extents_hold_back(done):
    lines = [json.loads(line) for line in (done / "events.jsonl").read_text().splitlines()]
    rows = [line for line in lines if line["kind"] == "iteration"]
    assert rows and all(0 <= row["at_rotation_extent"] <= 1 and 0 <= row["at_shift_extent"] <= 1 for row in rows)


def test_a_result_is_what_the_next_local_refinement_begins_with(inputs, done):
    recipe, particles, reference, _ = read(inputs, particles=done / "particles.star", volume=done,
                                           initialize_from_halfmaps=True)  # fmt: skip
    assert particles.poses is not None and reference.box == made.BOX
    assert not np.array_equal(recipe.start.half1.data, recipe.start.half2.data)


def test_a_dry_run_foretells_and_writes_nothing(inputs, tmp_path, capsys):
    assert refine(inputs, tmp_path / "job", "--dry-run", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["forecast"]["seconds"] > 0 and told["forecast"]["stages"]["search"] > 0
    assert list(tmp_path.iterdir()) == []


def test_particles_without_poses_are_refused(inputs):
    with pytest.raises(InputError, match="no poses"):
        read(inputs, particles=inputs / "no_poses.star")


def test_particles_without_half_sets_are_refused_and_the_way_out_is_named(inputs):
    with pytest.raises(InputError, match="--force-resplit"):
        read(inputs, particles=inputs / "no_halves.star")
    _, particles, _, _ = read(inputs, particles=inputs / "no_halves.star", force_resplit=True)
    assert len(particles) == 60


def test_a_mask_is_a_file_or_dynamic(inputs):
    static, dynamic = (read(inputs, mask=mask)[0] for mask in (str(inputs / "mask.mrc"), "dynamic"))
    assert static.judge is not None and dynamic.judge is None
    assert type(static.mask.mask) is not type(dynamic.mask.mask)
    for word in ("none", "static"):
        with pytest.raises(ValueError, match="--mask"):
            settings(inputs, mask=word)


def test_a_hard_edge_is_warned_of_and_a_soft_one_is_not(inputs):
    assert "hard edge" in read(inputs, mask=str(inputs / "hard.mrc"))[3].warnings[0]
    assert read(inputs)[3].warnings == []


@pytest.mark.parametrize("centres, warned", [((34,), False), ((14, 34), True)], ids=["of the part", "of both"])
def test_a_mask_with_what_rests_in_it_is_warned_of(centres, warned):
    heard = events.Passing()
    local.warn_of_rest("mask.mrc", test_sharpness.around(*centres), test_sharpness.second_blurred(), 12.0, heard)
    assert ["mask.mrc: " in text and "will hold the poses" in text for text in heard.warnings] == [True] * warned


def test_half_maps_may_be_files_of_their_own(inputs):
    halves = {name: inputs / "job" / f"{name}.mrc" for name in ("half1", "half2")}
    alone = {"volume": inputs / "job" / "map.mrc", "initialize_from_halfmaps": True}
    by_file, by_folder = read(inputs, **alone, **halves)[0], read(inputs, initialize_from_halfmaps=True)[0]
    np.testing.assert_array_equal(by_file.start.half1.data, by_folder.start.half1.data)
    np.testing.assert_array_equal(by_file.start.half2.data, by_folder.start.half2.data)
    with pytest.raises(InputError, match="both half-maps"):
        read(inputs, **alone)


def test_the_faults_of_all_files_are_told_at_once(inputs):
    with pytest.raises(InputError) as fault:
        read(inputs, particles="a.star", volume=Path("b.mrc"), mask="c.mrc")
    assert len(fault.value.faults) == 3
