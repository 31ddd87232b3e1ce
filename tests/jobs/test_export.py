"""What leaves the house: for RELION, cryoSPARC and the EMDB; whole or not at all, half-maps bit by bit."""

import csv
import hashlib
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from matplotlib.image import imread

from halfmap.cli import main as cli
from halfmap.data import cryosparc, cryosparc_files, relion, tables
from halfmap.errors import InputError
from halfmap.geometry import rotations
from halfmap.io import cs, mrc, star
from halfmap.jobs.export import bundle, export_emdb, export_images
from halfmap.jobs.pictures import painter, surface
from halfmap.jobs.running import record
from halfmap.types import Map
from tests.jobs import made


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Rays through fewer voxels and no plots: what pictures look like is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(painter.Painter, "__enter__", lambda self: self)
        patch.setattr(painter.Painter, "__exit__", lambda self, *_: None)
        patch.setattr(painter.Painter, "draw", lambda self: "")
        patch.setattr(surface, "BOX", 32)
        patch.setattr(surface, "OVERSAMPLED", 1)
        yield


@pytest.fixture(scope="module")
def refined(tmp_path_factory):
    return made.finished(tmp_path_factory.mktemp("export") / "J3")


@pytest.fixture
def copy(refined, tmp_path):
    """A refinement of the test's own, which it may spoil."""
    shutil.copy(refined.parent / "images.mrcs", tmp_path)
    return Path(shutil.copytree(refined, tmp_path / "J3"))


def export(job, to, out, *flags):
    return cli.main(["export", str(job), "--to", to, "--out", str(out), *map(str, flags)])


@pytest.fixture(scope="module")
def for_relion(refined):
    assert export(refined, "relion", refined.parent / "for_relion") == 0
    return refined.parent / "for_relion" / "relion"


@pytest.fixture(scope="module")
def for_cryosparc(refined):
    assert export(refined, "cryosparc", refined.parent / "for_cryosparc") == 0
    return refined.parent / "for_cryosparc" / "cryosparc"


@pytest.fixture(scope="module")
def deposition(refined):
    assert export(refined, "emdb", refined.parent / "deposition") == 0
    return refined.parent / "deposition" / "emdb"


@pytest.fixture(params=["relion", "cryosparc", "emdb"])
def place(request, for_relion, for_cryosparc, deposition):
    return {"relion": for_relion, "cryosparc": for_cryosparc, "emdb": deposition}[request.param]


def test_every_file_is_in_the_manifest_with_its_hash(place):
    told = json.loads((place / "manifest.json").read_text())
    own = {"manifest.json", "SHA256SUMS"}
    there = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file() and not path.is_symlink()}
    assert {file["name"] for file in told["files"]} == there - own
    for file in told["files"]:
        content = (place / file["name"]).read_bytes()
        assert (file["sha256"], file["bytes"]) == (hashlib.sha256(content).hexdigest(), len(content))
    assert told["origin"]["job"] == "refine homogeneous" and told["origin"]["seed"] == 1
    sums = dict(line.split("  ")[::-1] for line in (place / "SHA256SUMS").read_text().splitlines())
    assert sums == {file["name"]: file["sha256"] for file in told["files"]}


@pytest.mark.parametrize("kind, names", [
    ("relion", ("run_half1_class001_unfil.mrc", "run_half2_class001_unfil.mrc")),
    ("cryosparc", ("J3_001_volume_map_half_A.mrc", "J3_001_volume_map_half_B.mrc")),
    ("emdb", ("half_map_1.mrc", "half_map_2.mrc")),
])  # fmt: skip
def test_half_maps_leave_bit_by_bit(refined, for_relion, for_cryosparc, deposition, kind, names):
    folder = {"relion": for_relion, "cryosparc": for_cryosparc, "emdb": deposition}[kind]
    for half, name in zip(("half1.mrc", "half2.mrc"), names, strict=True):
        assert (folder / name).read_bytes() == (refined / half).read_bytes()


def test_maps_have_headers_that_others_understand(place):
    for path in place.glob("*.mrc"):
        header = mrc.read_header(path)
        assert (header.mode, header.axes, header.origin_A) == (2, (1, 2, 3), (0.0, 0.0, 0.0))
        assert header.cell_voxel_A == pytest.approx((made.VOXEL_A,) * 3, rel=1e-6)


# ---- RELION


def test_names_of_images_start_from_the_folder_and_lead_to_the_stacks(refined, for_relion, monkeypatch):
    monkeypatch.chdir(for_relion)
    names = star.read("particles.star")["particles"].strings("rlnImageName")
    assert names[0] == "000001@Particles/images.mrcs"
    assert Path("Particles/images.mrcs").resolve() == (refined.parent / "images.mrcs").resolve()
    told, before = relion.read("particles.star"), relion.read_table(refined / "particles.star")
    np.testing.assert_array_equal(told.half, before.half)
    np.testing.assert_allclose(told.poses.rotations, before.poses.rotations, atol=1e-9)


def test_the_folder_can_be_moved_with_its_images(refined, for_relion, tmp_path):
    home = tmp_path / "another place"
    shutil.copytree(refined.parent, home, symlinks=True)
    assert len(relion.read(home / "for_relion" / "relion" / "particles.star")) == made.N


def test_in_a_project_names_start_from_its_root_and_stacks_inside_need_no_link(refined, tmp_path, monkeypatch):
    (tmp_path / "default_pipeline.star").write_text("data_pipeline_general\n")
    shutil.copy(refined.parent / "images.mrcs", tmp_path)
    job = Path(shutil.copytree(refined, tmp_path / "J3"))
    relion.write(job / "particles.star", replace(relion.read_table(job / "particles.star"), columns={},
                                                 files=(tmp_path / "images.mrcs",)))  # fmt: skip
    assert export(job, "relion", tmp_path / "External" / "job007") == 0
    place = tmp_path / "External" / "job007" / "relion"
    names = star.read(place / "particles.star")["particles"].strings("rlnImageName")
    assert names[0] == "000001@images.mrcs" and not (place / "Particles").exists()


def test_a_project_that_is_named_is_where_names_start(refined, tmp_path):
    assert export(refined, "relion", tmp_path / "a" / "out", "--project", tmp_path) == 0
    names = star.read(tmp_path / "a" / "out" / "relion" / "particles.star")["particles"].strings("rlnImageName")
    assert names[0] == "000001@a/out/relion/Particles/images.mrcs"


def test_images_are_copied_when_asked_for(refined, tmp_path):
    assert export(refined, "relion", tmp_path / "out", "--copy-images") == 0
    stack = tmp_path / "out" / "relion" / "Particles" / "images.mrcs"
    assert not stack.is_symlink() and stack.read_bytes() == (refined.parent / "images.mrcs").read_bytes()


def test_images_are_looked_for_below_the_root_given(copy, tmp_path):
    (tmp_path / "moved").mkdir()
    (tmp_path / "images.mrcs").rename(tmp_path / "moved" / "images.mrcs")
    relion.write(copy / "particles.star", replace(relion.read_table(copy / "particles.star"), columns={},
                                                  files=(Path("images.mrcs"),)), root=Path.cwd())  # fmt: skip
    assert export(copy, "relion", tmp_path / "out") == 3
    assert export(copy, "relion", tmp_path / "out", "--images-root", tmp_path / "moved") == 0


def test_half_precision_images_are_warned_of(copy, tmp_path, capsys):
    stack = tmp_path / "images.mrcs"
    mrc.write_stack(stack, mrc.read_images(stack, range(made.N)), made.VOXEL_A, mode=12)
    relion.write(copy / "particles.star", replace(relion.read_table(copy / "particles.star"), files=(stack,)))
    assert export(copy, "relion", tmp_path / "out") == 0
    assert "RELION reads from version 4 on" in capsys.readouterr().err


def test_an_mtf_goes_along_and_is_checked(refined, tmp_path):
    good, bad = tmp_path / "mtf.star", tmp_path / "bad.star"
    good.write_text("data_mtf\n\nloop_\n_rlnResolutionInversePixel\n_rlnMtfValue\n0 1\n0.5 0.4\n")
    bad.write_text("data_mtf\n\nloop_\n_rlnResolutionInversePixel\n_rlnMtfValue\n0 1\n0.5 -1\n")
    assert export(refined, "relion", tmp_path / "out", "--mtf", good) == 0
    assert (tmp_path / "out" / "relion" / "mtf.star").read_bytes() == good.read_bytes()
    assert "--mtf mtf.star" in (tmp_path / "out" / "relion" / "README.txt").read_text()
    assert export(refined, "relion", tmp_path / "other", "--mtf", bad) == 3


def test_stacks_of_one_name_get_numbers():
    files = [Path("/a/s.mrcs"), Path("/b/s.mrcs"), Path("/b/t.mrc")]
    assert list(export_images.named(files, "P", ".mrcs").values()) == ["P/s.mrcs", "P/0002_s.mrcs", "P/t.mrcs"]


@pytest.mark.skipif(shutil.which("relion_postprocess") is None, reason="RELION is not installed")
def test_relion_runs_the_command_of_the_readme(for_relion, tmp_path):
    place = Path(shutil.copytree(for_relion, tmp_path / "relion"))
    lines = (place / "README.txt").read_text().replace("\\\n", "").splitlines()
    command = next(line for line in lines if "relion_postprocess" in line)
    command = command.replace("--auto_bfac --autob_lowres 10", "--adhoc_bfac -50")  # too coarse a map for a fit
    done = subprocess.run(command.split(), cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (place / "postprocess.mrc").is_file()


# ---- cryoSPARC


def test_particles_come_back_from_the_result_group(refined, for_cryosparc):
    group = yaml.safe_load((for_cryosparc / "J3_001_particles.csg").read_text())
    assert group["group"]["type"] == "particle"
    blob = group["results"]["blob"]
    assert (blob["type"], blob["num_items"], blob["metafile"][0]) == ("particle.blob", made.N, ">")
    told = tables.read(for_cryosparc / blob["metafile"][1:])
    before = relion.read_table(refined / "particles.star")
    assert rotations.angle_between(told.poses.rotations, before.poses.rotations).max() < 1e-5
    np.testing.assert_allclose(told.poses.shifts_A, before.poses.shifts_A, atol=1e-4)
    np.testing.assert_array_equal(told.half, before.half)
    assert told.files[0].resolve() == (refined.parent / "images.mrcs").resolve()


def test_each_slot_of_a_group_is_in_the_table_it_names(for_cryosparc):
    for path in for_cryosparc.glob("*.csg"):
        for slot, told in yaml.safe_load(path.read_text())["results"].items():
            table = cs.read(for_cryosparc / told["metafile"].removeprefix(">"))
            assert len(table) == told["num_items"]
            assert any(name.startswith(f"{slot}/") for name in table.dtype.names)


def test_the_volume_group_names_maps_that_are_there(for_cryosparc):
    table = cs.read(for_cryosparc / "J3_001_volume.cs")
    slots = [name.removesuffix("/path") for name in table.dtype.names if name.endswith("/path")]
    assert {"map", "map_half_A", "map_half_B", "mask_fsc"} <= set(slots)
    for slot in slots:
        name = table[f"{slot}/path"][0].decode()
        assert mrc.read_header(for_cryosparc / name.removeprefix(">")).nx == table[f"{slot}/shape"][0][0] == made.BOX
        assert table[f"{slot}/psize_A"][0] == pytest.approx(made.VOXEL_A)


def test_inherited_fields_stand_in_a_passthrough_file(tmp_path):
    particles = made.particles(tmp_path)
    places = {"location/center_x_frac": np.linspace(0, 1, made.N).astype(np.float32)}
    cryosparc_files.write(tmp_path / "all.cs", particles)
    whole = cs.read(tmp_path / "all.cs")
    fields = {**{name: whole[name] for name in whole.dtype.names}, **places}
    table = np.zeros(made.N, [(name, values.dtype, values.shape[1:]) for name, values in fields.items()])
    for name, values in fields.items():
        table[name] = values
    cs.write(tmp_path / "all.cs", table)
    split, rest = tmp_path / "x_particles.cs", tmp_path / "x_passthrough_particles.cs"
    slots = cryosparc_files.write_split(split, rest, cryosparc.read_table(tmp_path / "all.cs"), [">stacks/images.mrcs"])
    assert slots["location"] == rest and slots["alignments3D"] == slots["blob"] == slots["ctf"] == split
    assert set(cs.read(rest).dtype.names) == {"uid", "location/center_x_frac"}
    np.testing.assert_array_equal(cs.read(rest)["uid"], cs.read(split)["uid"])
    assert cs.read(split)["blob/path"][0] == b">stacks/images.mrcs"


# ---- EMDB


def test_a_deposition_has_what_the_emdb_asks_for(deposition):
    names = {path.name for path in deposition.iterdir()}
    assert {"primary_map.mrc", "half_map_1.mrc", "half_map_2.mrc", "mask_1.mrc", "fsc.xml", "image.png", "methods.txt",
            "references.bib", "table_1.csv", "table_1.md", "README.txt"} <= names  # fmt: skip
    picture = imread(deposition / "image.png")
    assert picture.shape[:2] == (500, 500) and picture[..., :3].min() < 0.6 and picture[0, 0, :3].min() == 1
    assert export_emdb.xml_fault(deposition / "fsc.xml") == ""


@pytest.mark.parametrize("text, fault", [
    ("<fsc", "no XML"), ('<curve title="a" xaxis="b" yaxis="c"/>', "no root"), ('<fsc title="a"/>', "no root"),
    ('<fsc title="a" xaxis="b" yaxis="c"><coordinate><x>1</x></coordinate></fsc>', "two numbers"),
    ('<fsc title="a" xaxis="b" yaxis="c"><coordinate><x>1</x><y>1</y></coordinate></fsc>', "three or more"),
])  # fmt: skip
def test_an_fsc_that_the_emdb_would_refuse_is_found(tmp_path, text, fault):
    (tmp_path / "fsc.xml").write_text(text)
    assert fault in export_emdb.xml_fault(tmp_path / "fsc.xml")


def test_table_one_has_the_numbers_of_the_job_and_leaves_the_rest_open(refined, deposition):
    table = {row["quantity"]: row["value"] for row in csv.DictReader((deposition / "table_1.csv").open())}
    summary = json.loads((refined / "summary.json").read_text())
    assert table["Voltage (kV)"] == "300" and table["Spherical aberration (mm)"] == "2.7"
    assert table["Defocus range (um)"] == "1.18 to 1.18" and table["Final particle images (no.)"] == str(made.N)
    assert table["Map resolution (A)"] == f"{summary['resolution_A']:.2f}" and table["FSC threshold"] == "0.143"
    assert table["Magnification"] == table["Electron exposure (e-/A^2)"] == table["Map resolution range (A)"] == ""
    assert all(f"| {name} | {value} |" in (deposition / "table_1.md").read_text() for name, value in table.items())


def test_a_local_resolution_job_gives_the_range(refined, tmp_path):
    locres = tmp_path / "locres"
    locres.mkdir()
    record.write_json(locres / "job.json", {"job": "local-resolution"})
    found = {"local_resolution_5_percent_A": 6.5, "local_resolution_95_percent_A": 9.25}
    record.write_json(locres / "summary.json", {"status": "finished", **found})
    assert export(refined, "emdb", tmp_path / "out", "--local-resolution", locres) == 0
    assert "6.50 to 9.25" in (tmp_path / "out" / "emdb" / "table_1.md").read_text()


def test_another_map_may_be_the_primary_one_and_the_level_may_be_given(refined, tmp_path):
    other = mrc.read(refined / "map.mrc")
    mrc.write(tmp_path / "other.mrc", replace(other, data=2 * other.data))
    assert export(refined, "emdb", tmp_path / "out", "--volume", tmp_path / "other.mrc", "--contour-level", 0.5) == 0
    place = tmp_path / "out" / "emdb"
    assert (place / "primary_map.mrc").read_bytes() == (tmp_path / "other.mrc").read_bytes()
    additional = {path.read_bytes() for path in place.glob("additional_map_*.mrc")}
    assert (refined / "map.mrc").read_bytes() in additional
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["contour_level"] == 0.5
    assert export(refined, "emdb", tmp_path / "no", "--contour-level", -1) == 2


def test_a_heavier_molecule_gets_a_lower_contour(refined, tmp_path):
    for weight in (20, 60):
        assert export(refined, "emdb", tmp_path / str(weight), "--molecular-weight", weight) == 0
    level = {w: json.loads((tmp_path / str(w) / "summary.json").read_text())["contour_level"] for w in (20, 60)}
    map = mrc.read(tmp_path / "20" / "emdb" / "primary_map.mrc")
    assert level[60] < level[20]
    # 0.81 Da/A^3: 20 kDa fill 24.7 nm^3, to half a voxel of 27 A^3
    assert (map.data > level[20]).sum() * map.voxel_size_A**3 == pytest.approx(20000 / 0.81, abs=27)


def test_every_map_has_a_contour_level_above_its_own_noise(refined, deposition):
    levels = json.loads((deposition.parent / "summary.json").read_text())["contour_levels"]
    assert set(levels) == {path.name for path in deposition.glob("*.mrc")}
    assert {level for name, level in levels.items() if name.startswith("mask")} == {0.5}
    corner = np.s_[:8, :8, :8]
    for name in ("primary_map.mrc", "half_map_1.mrc", "half_map_2.mrc"):
        data = mrc.read(deposition / name).data
        assert data[corner].mean() + 2 * data[corner].std() < levels[name] < data.max()
        assert f"{name}: " in (deposition / "README.txt").read_text()
        assert f"contour level {levels[name]:.4g}" in (deposition / "README.txt").read_text()


# ---- what is refused


def test_a_map_of_no_resolution_is_not_deposited(refined, tmp_path, capsys):
    shutil.copytree(refined, tmp_path / "job")
    told = json.loads((tmp_path / "job" / "summary.json").read_text())
    (tmp_path / "job" / "summary.json").write_text(json.dumps({**told, "resolution_A": None}))
    assert export(tmp_path / "job", "emdb", tmp_path / "out") == 3
    assert "claims no resolution" in capsys.readouterr().err


@pytest.mark.parametrize("to", ["relion", "cryosparc", "emdb"])
def test_a_job_that_is_not_finished_is_refused_and_nothing_is_left(copy, tmp_path, capsys, to):
    summary = json.loads((copy / "summary.json").read_text())
    record.write_json(copy / "summary.json", {**summary, "status": "interrupted"})
    assert export(copy, to, tmp_path / "out") == 3
    assert "interrupted, not finished" in capsys.readouterr().err
    assert not (tmp_path / "out" / to).exists() and not list((tmp_path / "out").glob(".*"))


def test_files_that_are_missing_are_all_named(copy, tmp_path, capsys):
    (copy / "half1.mrc").unlink()
    (copy / "fsc.xml").unlink()
    assert export(copy, "emdb", tmp_path / "out") == 3
    shown = capsys.readouterr().err
    assert "half1.mrc: missing" in shown and "fsc.xml: missing" in shown


def test_two_equal_half_maps_are_refused(copy, tmp_path, capsys):
    shutil.copy(copy / "half1.mrc", copy / "half2.mrc")
    assert export(copy, "emdb", tmp_path / "out") == 3
    assert "are the same" in capsys.readouterr().err


def test_maps_of_unlike_grids_are_refused(copy, tmp_path, capsys):
    mrc.write(copy / "half2.mrc", Map(np.ones((16,) * 3, np.float32), 2.0))
    assert export(copy, "relion", tmp_path / "out") == 3
    assert "a box of 16 voxels" in capsys.readouterr().err


def test_a_header_with_an_origin_is_a_fault(tmp_path):
    mrc.write(tmp_path / "a.mrc", made.halves()[0])
    with open(tmp_path / "a.mrc", "r+b") as file:
        file.seek(196)
        file.write(np.array([9.0, 0, 0], "<f4").tobytes())
    assert any("origin" in fault for fault in bundle.header_faults([tmp_path / "a.mrc"]))
    with pytest.raises(InputError, match="origin"):
        bundle.require_sound([tmp_path / "a.mrc"])


def test_a_dry_run_reads_and_checks_and_writes_nothing(refined, copy, tmp_path, capsys):
    before = sorted(tmp_path.rglob("*"))
    assert export(refined, "emdb", tmp_path / "out", "--dry-run") == 0
    (copy / "half2.mrc").unlink()
    assert export(copy, "emdb", tmp_path / "out", "--dry-run") == 3
    assert sorted(tmp_path.rglob("*")) == [path for path in before if path != copy / "half2.mrc"]
