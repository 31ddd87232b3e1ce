"""RELION files: what the columns mean, what survives, and that every fault of a file is named at once."""

import dataclasses
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from halfmap.data import relion, relion_columns, stack
from halfmap.errors import InputError
from halfmap.geometry import rotations
from halfmap.io import mrc, star
from halfmap.types import Poses

DATA = Path(os.environ.get("HALFMAP_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
TABLES = (
    "empiar-10204/particles.star",
    "metadata/aspire_starfile_3796.star",
    "metadata/relion_empiar10017_ap_s_c2d.star",
    "small_stacks/relion31.star",
    "small_stacks/empiar_10076_7.star",
    "small_stacks/sample_relion_data.star",
)
OPTICS = {
    "rlnOpticsGroup": [1, 2],
    "rlnOpticsGroupName": ["one", "two"],
    "rlnVoltage": [300, 200],
    "rlnSphericalAberration": [2.7, 1.4],
    "rlnAmplitudeContrast": [0.1, 0.07],
    "rlnImagePixelSize": [1.5, 2.0],
    "rlnImageSize": [8, 8],
}
PARTICLES = {
    "rlnImageName": ["000001@a.mrcs", "000003@a.mrcs", "000002@b.mrcs", "2@a.mrcs"],
    "rlnOpticsGroup": [1, 1, 2, 1],
    "rlnDefocusU": [10000.5, 11000, 12000, 13000],
    "rlnDefocusV": [9000, 9500, 10000, 10500],
    "rlnDefocusAngle": [10, 20, 30, 180],
    "rlnAngleRot": [10, -20, 30, 40],
    "rlnAngleTilt": [50, 60, 70, 80],
    "rlnAnglePsi": [90, 100, -110, 120],
    "rlnOriginXAngst": [1.5, -1.5, 0, 3],
    "rlnOriginYAngst": [0.25, 0.5, 0.75, 1],
    "rlnRandomSubset": [1, 2, 1, 2],
    "someNote": ["x", "two words", "1e-9", "0.100"],
}


def real(name):
    if not (DATA / name).exists():
        pytest.skip(f"no {DATA / name}; set HALFMAP_TEST_DATA")
    return DATA / name


def block(name, columns):
    return star.Block(name, {tag: np.array(values, dtype=object) for tag, values in columns.items()})


def project(folder, particles=PARTICLES, optics=OPTICS, name="particles.star"):
    """A folder with two stacks of 8 px and a STAR file."""
    images = np.random.default_rng(0).normal(size=(4, 8, 8)).astype(np.float32)
    for stack_name in ("a.mrcs", "b.mrcs"):
        mrc.write_stack(folder / stack_name, images, 1.5)
    blocks = [block("optics", optics)] if optics else []
    star.write(folder / name, [*blocks, block("particles" if optics else "", particles)])
    return folder / name


def changed(columns, **changes):
    """``None`` removes a column."""
    return {tag: values for tag, values in {**columns, **changes}.items() if values is not None}


def faults_of(path):
    with pytest.raises(InputError) as caught:
        relion.read(path)
    return caught.value.faults


# ---- meaning


def test_columns_of_31_get_their_units(tmp_path):
    table = relion.read(project(tmp_path))
    assert len(table) == 4 and table.files == (tmp_path / "a.mrcs", tmp_path / "b.mrcs")
    assert table.file.tolist() == [0, 0, 1, 0] and table.index.tolist() == [0, 2, 1, 1]
    assert table.group.tolist() == [0, 0, 1, 0] and table.half.tolist() == [1, 2, 1, 2]
    first, second = table.optics
    assert (first.name, first.voltage_kV, first.pixel_size_A, first.box) == ("one", 300, 1.5, 8)
    assert second.spherical_aberration_A == pytest.approx(1.4e7) and not second.premultiplied
    np.testing.assert_array_equal(table.defocus.u_A, [10000.5, 11000, 12000, 13000])
    np.testing.assert_allclose(table.defocus.angle_rad, np.deg2rad([10, 20, 30, 180]))
    np.testing.assert_array_equal(table.poses.shifts_A[:, 0], [1.5, -1.5, 0, 3])
    expected = rotations.euler_to_matrix(*(PARTICLES[tag] for tag in relion_columns.EULER))
    np.testing.assert_array_equal(table.poses.rotations, expected)
    assert table.scale.tolist() == [1, 1, 1, 1] and table.file.dtype == np.int32 and table.half.dtype == np.int8


def test_absent_columns_get_relions_defaults(tmp_path):
    gone = dict.fromkeys(["rlnDefocusV", "rlnDefocusAngle", "rlnAnglePsi", *relion_columns.ORIGIN_A, "rlnRandomSubset"])
    table = relion.read(project(tmp_path, changed(PARTICLES, **gone)))
    np.testing.assert_array_equal(table.defocus.v_A, table.defocus.u_A)
    assert not table.defocus.angle_rad.any() and not table.defocus.phase_shift_rad.any()
    assert not table.defocus.bfactor_A2.any() and np.all(table.defocus.scale == 1)
    assert not table.poses.shifts_A.any() and not table.half.any()
    assert np.allclose(rotations.matrix_to_euler(table.poses.rotations)[2], 0)


def test_psi_alone_is_no_pose(tmp_path):
    assert relion.read(project(tmp_path, changed(PARTICLES, rlnAngleRot=None, rlnAngleTilt=None))).poses is None


def test_ctf_values_come_from_the_particle_table_first(tmp_path):
    both = changed(OPTICS, rlnPhaseShift=[90, 45], rlnCtfBfactor=[5, 7])
    table = relion.read(project(tmp_path, changed(PARTICLES, rlnCtfBfactor=[1, 2, 3, 4]), both))
    np.testing.assert_allclose(np.rad2deg(table.defocus.phase_shift_rad), [90, 90, 45, 90])
    assert table.defocus.bfactor_A2.tolist() == [1, 2, 3, 4]


def test_a_voltage_in_the_particle_table_wins_and_must_agree_within_a_group(tmp_path):
    table = relion.read(project(tmp_path, changed(PARTICLES, rlnVoltage=[120, 120, 80, 120])))
    assert [entry.voltage_kV for entry in table.optics] == [120, 80]
    found = faults_of(project(tmp_path, changed(PARTICLES, rlnVoltage=[120, 100, 80, 120])))
    assert len(found) == 1 and "row 2: 100 differs from 120" in found[0]


@pytest.mark.parametrize("tag", ["rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize"])
def test_the_pixel_size_is_the_first_of_three_columns(tag, tmp_path):
    optics = changed(OPTICS, rlnImagePixelSize=None, **{tag: [3, 4]})
    assert [entry.pixel_size_A for entry in relion.read(project(tmp_path, optics=optics)).optics] == [3, 4]


def test_a_missing_image_size_comes_from_the_stack(tmp_path):
    table = relion.read(project(tmp_path, optics=changed(OPTICS, rlnImageSize=None)))
    assert [entry.box for entry in table.optics] == [8, 8]


def test_group_numbers_need_not_be_in_order(tmp_path):
    particles = changed(PARTICLES, rlnOpticsGroup=[7, 7, 3, 7])
    table = relion.read(project(tmp_path, particles, changed(OPTICS, rlnOpticsGroup=[7, 3])))
    assert table.group.tolist() == [0, 0, 1, 0]
    relion.write(tmp_path / "out.star", table)
    assert star.read(tmp_path / "out.star")["particles"].strings("rlnOpticsGroup") == ["7", "7", "3", "7"]


def test_premultiplied_images_are_noticed_and_the_flag_survives(tmp_path):
    table = relion.read(project(tmp_path, optics=changed(OPTICS, rlnCtfDataAreCtfPremultiplied=[0, 1])))
    assert [entry.premultiplied for entry in table.optics] == [False, True]
    relion.write(tmp_path / "out.star", table)
    assert [entry.premultiplied for entry in relion.read(tmp_path / "out.star").optics] == [False, True]


OLD = {
    **changed(PARTICLES, rlnOpticsGroup=None, rlnOriginXAngst=None, rlnOriginYAngst=None),
    "rlnVoltage": [300, 300, 200, 300],
    "rlnSphericalAberration": [2.7] * 4,
    "rlnAmplitudeContrast": [0.1] * 4,
    "rlnDetectorPixelSize": [5.0] * 4,
    "rlnMagnification": [25000.0] * 4,
    "rlnOriginX": [1, 2, 3, -4],
    "rlnOriginY": [0.5, 0, 0, 0],
}


def test_30_files_have_origins_in_pixels_and_a_magnification(tmp_path):
    table = relion.read(project(tmp_path, OLD, optics=None))
    assert [(entry.voltage_kV, entry.pixel_size_A, entry.box) for entry in table.optics] == [(300, 2, 8), (200, 2, 8)]
    assert table.group.tolist() == [0, 0, 1, 0]
    assert table.poses.shifts_A.tolist() == [[2, 1], [4, 0], [6, 0], [-8, 0]]


def test_30_becomes_31_on_writing(tmp_path):
    before = relion.read(project(tmp_path, OLD, optics=None))
    relion.write(tmp_path / "out.star", before)
    columns = star.read(tmp_path / "out.star")["particles"].columns
    assert not {"rlnOriginX", "rlnVoltage", "rlnMagnification", "rlnDetectorPixelSize"} & set(columns)
    after = relion.read(tmp_path / "out.star")
    assert after.optics == before.optics
    np.testing.assert_allclose(after.poses.shifts_A, before.poses.shifts_A, rtol=1e-11)
    np.testing.assert_allclose(after.poses.rotations, before.poses.rotations, atol=1e-12)


# ---- what survives


def test_what_was_not_changed_stays_character_by_character(tmp_path):
    particles = changed(PARTICLES, rlnCtfScalefactor=["1.000", "1.0", "1", "1.00"], rlnDefocusV=["1e4"] * 4)
    source = project(tmp_path, particles, changed(OPTICS, rlnVoltage=["300.000", "2e2"], strange=["a", "b"]))
    relion.write(tmp_path / "out.star", relion.read(source))
    before, after = star.read(source), star.read(tmp_path / "out.star")
    for name in ("optics", "particles"):
        assert list(after[name].columns)[: len(before[name].columns)] == list(before[name].columns)
        for tag, column in before[name].columns.items():
            if tag != relion_columns.IMAGE:
                assert after[name].columns[tag].tolist() == column.tolist(), tag


def test_what_was_changed_is_written(tmp_path):
    table = relion.read(project(tmp_path))
    rng = np.random.default_rng(0)
    poses = Poses(rotations.random(4, rng), rng.normal(size=(4, 2)))
    new = dataclasses.replace(table, poses=poses, half=np.array([2, 2, 1, 1], np.int8), scale=np.array([1, 2, 0.5, 1]))
    relion.write(tmp_path / "out.star", new, extra={"max_probability": np.arange(4) / 4})
    after = relion.read(tmp_path / "out.star")
    # 12 significant digits of up to 180 degrees are 5e-10 degrees, 1e-11 rad
    np.testing.assert_allclose(after.poses.rotations, poses.rotations, atol=2e-11)
    np.testing.assert_allclose(after.poses.shifts_A, poses.shifts_A, rtol=1e-11)
    assert after.half.tolist() == [2, 2, 1, 1]
    np.testing.assert_allclose(after.defocus.scale * after.scale, new.defocus.scale * new.scale)
    text = after.columns["rlnMaxValueProbDistribution"].astype(float)
    np.testing.assert_allclose(text, np.arange(4) / 4)


def test_poses_are_added_to_a_file_that_has_none(tmp_path):
    table = relion.read(project(tmp_path, changed(PARTICLES, rlnAngleRot=None, rlnAngleTilt=None)))
    posed = dataclasses.replace(table, poses=Poses(np.tile(np.eye(3), (4, 1, 1)), np.zeros((4, 2))))
    relion.write(tmp_path / "out.star", posed)
    np.testing.assert_allclose(relion.read(tmp_path / "out.star").poses.rotations, posed.poses.rotations, atol=1e-12)


def test_a_part_of_a_table_is_the_table_of_these_rows(tmp_path):
    table = relion.read(project(tmp_path))
    for rows in (slice(1, 3), np.array([2, 0]), table.half == 2):
        part = table[rows]
        assert part.index.tolist() == table.index[rows].tolist() and len(part) == len(part.defocus) == len(part.poses)
        relion.write(tmp_path / "part.star", part)
        back = relion.read(tmp_path / "part.star")
        assert [back.image_name(i) for i in range(len(back))] == [part.image_name(i) for i in range(len(part))]
        assert back.columns["someNote"].tolist() == table.columns["someNote"][rows].tolist()


@pytest.mark.parametrize("name", TABLES)
def test_real_tables_survive_writing_and_reading(name, tmp_path):
    before = relion.read_table(real(name))
    relion.write(tmp_path / "out.star", before)
    after = relion.read_table(tmp_path / "out.star")
    assert len(after) == len(before) and after.index.tolist() == before.index.tolist()
    assert len(after.optics) == len(before.optics)
    for field in dataclasses.fields(before.defocus):
        ours, theirs = (getattr(table.defocus, field.name) for table in (after, before))
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)
    if before.poses is not None:
        np.testing.assert_allclose(after.poses.rotations, before.poses.rotations, atol=2e-8)  # text: 6 decimals
        np.testing.assert_allclose(after.poses.shifts_A, before.poses.shifts_A, atol=1e-9)
    foreign = [tag for tag in before.columns if tag in after.columns and tag != relion_columns.IMAGE]
    assert len(foreign) >= len(before.columns) - 10
    for tag in set(foreign) - set(relion_columns.EULER) - {relion_columns.GROUP}:
        assert after.columns[tag].tolist() == before.columns[tag].tolist(), tag


@pytest.mark.parametrize("name", [name for name in TABLES if "metadata" not in name])
def test_real_images_are_found_and_whole(name):
    assert stack.check(relion.read(real(name))) == []


@pytest.mark.skipif(shutil.which("relion_star_printtable") is None, reason="RELION is not installed")
def test_relion_reads_what_we_write(tmp_path):
    relion.write(tmp_path / "out.star", relion.read(real("small_stacks/sample_relion_data.star")))
    tags = ["rlnOriginXAngst", "rlnAngleTilt", "rlnOpticsGroup"]
    command = ["relion_star_printtable", "out.star", "data_particles", *tags]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    printed = np.array([line.split() for line in done.stdout.splitlines() if line.strip()], dtype=float)
    written = star.read(tmp_path / "out.star")["particles"]
    expected = np.stack([written.numbers(tag) for tag in tags], axis=1)
    np.testing.assert_allclose(printed, expected, rtol=1e-5)  # RELION prints six digits


# ---- where images are looked for


def test_images_are_found_from_the_current_folder_the_star_file_or_a_given_root(tmp_path, monkeypatch):
    (tmp_path / "project" / "Refine3D" / "job012").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    source = project(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "elsewhere")
    beside = relion.read(source)
    assert beside.files[0] == tmp_path / "project" / "a.mrcs"
    job = shutil.copy(source, tmp_path / "project" / "Refine3D" / "job012" / "run_data.star")
    assert relion.read(job).files == beside.files
    alone = shutil.copy(source, tmp_path / "elsewhere" / "particles.star")
    assert any("no file a.mrcs, used by 3 particles" in fault for fault in faults_of(alone))
    assert relion.read(alone, images_root=tmp_path / "project").files == beside.files
    monkeypatch.chdir(tmp_path / "project")
    assert relion.read(alone).files == beside.files


def test_a_given_root_comes_before_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "fast").mkdir()
    source = project(tmp_path)
    project(tmp_path / "fast")
    monkeypatch.chdir(tmp_path)
    assert relion.read(source).files[0] == tmp_path / "a.mrcs"
    assert relion.read(source, images_root=Path("fast")).files[0] == tmp_path / "fast" / "a.mrcs"


def test_image_names_are_relative_below_the_current_folder_and_absolute_elsewhere(tmp_path, monkeypatch):
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    table = relion.read(project(tmp_path / "here"))
    names = {}
    for folder in ("here", "there"):
        monkeypatch.chdir(tmp_path / folder)
        relion.write("out.star", table)
        names[folder] = star.read("out.star")["particles"].strings(relion_columns.IMAGE)[0]
        assert relion.read("out.star").files == table.files
    assert names == {"here": "000001@a.mrcs", "there": f"000001@{tmp_path / 'here' / 'a.mrcs'}"}


def test_folders_with_blanks_survive(tmp_path):
    folder = tmp_path / "my data"
    folder.mkdir()
    table = relion.read(project(folder))
    relion.write(tmp_path / "out.star", table)
    assert relion.read(tmp_path / "out.star").files == table.files


def test_a_name_without_a_number_is_the_first_image(tmp_path):
    table = relion.read(project(tmp_path, changed(PARTICLES, rlnImageName=["a.mrcs"] * 4)))
    assert table.index.tolist() == [0, 0, 0, 0]


# ---- faults


def test_every_fault_of_a_file_is_named_at_once(tmp_path):
    broken = changed(
        PARTICLES,
        rlnImageName=["1@a.mrcs", "x@a.mrcs", "0@b.mrcs", "1@nowhere.mrcs"],
        rlnDefocusU=["10000", "text", "nan", "1"],
        rlnOpticsGroup=[1, 9, 1, 1],
        rlnRandomSubset=[1, 2, 3, 1.5],
        rlnAngleTilt=["1", "2", "3", "four"],
    )
    found = "\n".join(faults_of(project(tmp_path, broken, changed(OPTICS, rlnVoltage=None))))
    for part in (
        "rlnImageName: row 2: 'x@a.mrcs' is not of the form number@stack",
        "rlnImageName: row 3: '0@b.mrcs'",
        "rlnImageName: row 4: no file nowhere.mrcs",
        "rlnDefocusU: row 2: 'text' is not a number",
        "rlnOpticsGroup: row 2: group 9 is not in data_optics",
        "rlnRandomSubset: row 4: 1.5 is not a whole number",
        "rlnAngleTilt: row 4: 'four' is not a number",
        "rlnVoltage: column missing in data_optics",
    ):
        assert f"particles.star: {part}" in found, part


def test_missing_files_are_named_once_with_their_first_row(tmp_path):
    source = project(tmp_path)
    (tmp_path / "a.mrcs").unlink()
    (tmp_path / "b.mrcs").unlink()
    found = faults_of(source)
    assert len(found) == 2
    assert "row 1: no file a.mrcs, used by 3 particles" in found[0]
    assert "row 3: no file b.mrcs, used by 1 particles" in found[1]


def test_hundreds_of_missing_files_are_counted(tmp_path):
    names = [f"1@{i}.mrcs" for i in range(300)]
    columns = {"rlnImageName": names, "rlnOpticsGroup": [1] * 300, "rlnDefocusU": [1e4] * 300}
    found = faults_of(project(tmp_path, columns))
    assert len(found) == 21 and "280 more" in found[-1]


@pytest.mark.parametrize(
    "particles, optics, part",
    [
        (PARTICLES, changed(OPTICS, rlnImagePixelSize=None), "rlnImagePixelSize: column missing in data_optics"),
        (PARTICLES, changed(OPTICS, rlnImagePixelSize=[0, 1]), "rlnImagePixelSize: row 1: 0 A is no pixel size"),
        (PARTICLES, changed(OPTICS, rlnOpticsGroup=[1, 1]), "rlnOpticsGroup: row 2: group 1 stands twice"),
        (PARTICLES, changed(OPTICS, rlnImageDimensionality=[2, 3]), "row 2: 3D images"),
        (changed(PARTICLES, rlnDefocusU=None), OPTICS, "rlnDefocusU: column missing in data_particles"),
        (changed(PARTICLES, rlnOpticsGroup=None), OPTICS, "rlnOpticsGroup: column missing in data_particles"),
        (changed(PARTICLES, rlnImageName=None), OPTICS, "rlnImageName: column missing in data_particles"),
        (changed(PARTICLES, rlnDefocusU=["inf"] * 4), OPTICS, "rlnDefocusU: row 1: inf is not a finite number"),
        (changed(OLD, rlnMagnification=None), None, "rlnMagnification: column missing"),
        (changed(OLD, rlnImageName=None), None, "rlnImageName: no table with this column"),
        ({tag: [] for tag in PARTICLES}, OPTICS, "data_particles has no rows"),
    ],
)
def test_each_kind_of_fault_is_named_by_file_column_and_row(particles, optics, part, tmp_path):
    assert any(part in fault for fault in faults_of(project(tmp_path, particles, optics)))


# ---- the lens

LENS = {
    "rlnBeamTiltX": ["0.300000", "0"],
    "rlnBeamTiltY": ["-0.1", "0"],
    "rlnOddZernike": ["[0,0,1.5,0,-2e-1,3]", "[]"],
    "rlnEvenZernike": ["[0,0.5]", "[0,0]"],
    "rlnMagMat00": ["1.010000", "1"],
    "rlnMagMat01": ["0.002", "0"],
    "rlnMagMat10": ["0.003", "0"],
    "rlnMagMat11": ["0.990000", "1"],
}


def test_the_columns_of_the_lens_get_their_units(tmp_path):
    first, second = relion.read(project(tmp_path, optics={**OPTICS, **LENS})).optics
    assert first.beam_tilt_rad == pytest.approx((3e-4, -1e-4))
    assert first.odd_zernike == (0, 0, 1.5, 0, -0.2, 3) and first.even_zernike == (0, 0.5)
    assert first.magnification == ((1.01, 0.002), (0.003, 0.99))
    assert second == dataclasses.replace(second, beam_tilt_rad=(0, 0), odd_zernike=(), even_zernike=(0, 0),
                                         magnification=((1, 0), (0, 1)))  # fmt: skip


def test_without_columns_the_lens_is_perfect(tmp_path):
    for entry in relion.read(project(tmp_path)).optics:
        assert (entry.beam_tilt_rad, entry.odd_zernike, entry.even_zernike) == ((0, 0), (), ())
        assert entry.magnification == ((1, 0), (0, 1))


def test_a_tilt_in_the_particle_table_counts_where_the_optics_table_has_none(tmp_path):
    tilted = changed(PARTICLES, rlnBeamTiltX=[0.5, 0.5, 0, 0.5])
    first, second = relion.read(project(tmp_path, tilted)).optics
    assert first.beam_tilt_rad == pytest.approx((5e-4, 0)) and second.beam_tilt_rad == (0, 0)
    both = relion.read(project(tmp_path, tilted, {**OPTICS, **LENS})).optics
    assert both[0].beam_tilt_rad == pytest.approx((3e-4, -1e-4))


def test_particles_of_30_with_another_tilt_are_another_group(tmp_path):
    table = relion.read(project(tmp_path, changed(OLD, rlnBeamTiltX=[0.5, 0.5, 0, 0.5]), None))
    assert table.group.tolist() == [0, 0, 1, 0]
    assert [entry.beam_tilt_rad[0] for entry in table.optics] == pytest.approx([5e-4, 0])
    relion.write(tmp_path / "out.star", table)
    assert [o.beam_tilt_rad[0] for o in relion.read(tmp_path / "out.star").optics] == pytest.approx([5e-4, 0])


def test_the_lens_is_written_as_it_was_read(tmp_path):
    table = relion.read(project(tmp_path, optics={**OPTICS, **LENS}))
    relion.write(tmp_path / "out.star", table)
    written = star.read(tmp_path / "out.star")["optics"]
    for tag, values in LENS.items():
        assert written.strings(tag) == values  # character by character
    assert relion.read(tmp_path / "out.star").optics == table.optics


def test_a_lens_that_was_computed_is_written_and_comes_back(tmp_path):
    table = relion.read(project(tmp_path))
    lens = dataclasses.replace(table.optics[1], beam_tilt_rad=(1.5e-3, 0.25e-3), odd_zernike=(0, 0, 123.456789),
                               even_zernike=(0.5,), magnification=((1.015, 1e-3), (2e-3, 0.985)))  # fmt: skip
    relion.write(tmp_path / "out.star", dataclasses.replace(table, optics=(table.optics[0], lens)))
    first, second = relion.read(tmp_path / "out.star").optics
    assert first.odd_zernike == () and first.magnification == ((1, 0), (0, 1))
    assert second.beam_tilt_rad == pytest.approx(lens.beam_tilt_rad)
    assert second.odd_zernike == pytest.approx(lens.odd_zernike) and second.even_zernike == (0.5,)
    np.testing.assert_allclose(second.magnification, lens.magnification, rtol=1e-9)


def test_a_lens_that_was_ignored_is_written_as_perfect(tmp_path):
    table = relion.read(project(tmp_path, optics={**OPTICS, **LENS}))
    quiet = [dataclasses.replace(entry, beam_tilt_rad=(0.0, 0.0), odd_zernike=(0.0,) * 6) for entry in table.optics]
    relion.write(tmp_path / "out.star", dataclasses.replace(table, optics=tuple(quiet)))
    first = relion.read(tmp_path / "out.star").optics[0]
    assert first.beam_tilt_rad == (0, 0) and not any(first.odd_zernike)
    assert first.even_zernike == (0, 0.5) and first.magnification == ((1.01, 0.002), (0.003, 0.99))


def test_a_perfect_lens_adds_no_columns(tmp_path):
    relion.write(tmp_path / "out.star", relion.read(project(tmp_path)))
    assert not set(LENS) & set(star.read(tmp_path / "out.star")["optics"].columns)


@pytest.mark.parametrize(
    "changes, part",
    [
        ({"rlnOddZernike": ["[0,x]", "[]"]}, "rlnOddZernike: row 1: '[0,x]' is no list of numbers like [0,0.5]"),
        ({"rlnOddZernike": ["[0,1]", "0.5"]}, "rlnOddZernike: row 2: '0.5' is no list"),
        ({"rlnEvenZernike": ["[0,nan]", "[]"]}, "rlnEvenZernike: row 1: '[0,nan]' is no list"),
        ({"rlnBeamTiltX": ["a", "0"]}, "rlnBeamTiltX: row 1"),
        ({"rlnMagMat00": ["0", "1"], "rlnMagMat11": ["0", "1"]}, "rlnMagMat00 to 11: row 1: [[0.0, 0.002], [0.003, 0"),
        ({"rlnMagMat01": ["1.2", "0"]}, "rlnMagMat00 to 11: row 1"),
    ],
)
def test_faults_of_the_lens_are_named_by_row(changes, part, tmp_path):
    found = faults_of(project(tmp_path, optics={**OPTICS, **LENS, **changes}))
    assert any(part in fault for fault in found), found


def test_tilts_that_differ_within_a_group_are_refused(tmp_path):
    found = faults_of(project(tmp_path, changed(PARTICLES, rlnBeamTiltY=[0.5, 0.4, 0, 0.5])))
    assert any("rlnBeamTiltY: row 2: 0.4 differs from 0.5 of its optics group; split the group" in f for f in found)


# ---- what is not modelled


def test_what_the_model_ignores_is_said(tmp_path):
    once = {"rlnOddZernike": ["[1,2,1.5,0,0,3]", "[0,0,0,1]"]}  # coma of the first group is tilt, of the second a term
    plain = {**OPTICS, **LENS, **once, "rlnMtfFileName": ["", ""]}
    assert relion.unmodelled(relion.read(project(tmp_path, optics=plain))) == []
    loud = changed(plain, rlnMtfFileName=["", "mtf.star"], rlnCtfDataArePhaseFlipped=[0, 1])
    warnings = relion.unmodelled(relion.read(project(tmp_path, optics=loud)))
    assert len(warnings) == 2 and "flipped phases" in warnings[0] and "MTF" in warnings[1]


def test_coma_that_is_told_twice_is_said(tmp_path):
    (warning,) = relion.unmodelled(relion.read(project(tmp_path, optics={**OPTICS, **LENS})))
    assert "coma twice" in warning


# ---- MTF


def write_mtf(path, frequency, value):
    columns = {"rlnResolutionInversePixel": np.array(frequency), "rlnMtfValue": np.array(value)}
    star.write(path, [star.Block("mtf", columns)])
    return path


def test_an_mtf_is_read_as_it_stands(tmp_path):
    frequency, value = relion.read_mtf(write_mtf(tmp_path / "mtf.star", [0, 0.25, 0.5], [1, 0.6, 0.2]))
    assert frequency.tolist() == [0, 0.25, 0.5] and value.tolist() == [1, 0.6, 0.2]


def test_rows_of_an_mtf_that_cannot_be_are_named(tmp_path):
    with pytest.raises(InputError) as fault:
        relion.read_mtf(write_mtf(tmp_path / "mtf.star", [0, 0.3, 0.2], [1, 0, 0.2]))
    assert "rlnResolutionInversePixel" in str(fault.value) and "rlnMtfValue" in str(fault.value)


def test_a_file_without_an_mtf_is_refused(tmp_path):
    star.write(tmp_path / "a.star", [star.Block("a", {"rlnVoltage": np.array([300.0])})])
    with pytest.raises(InputError, match="give an MTF file"):
        relion.read_mtf(tmp_path / "a.star")


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no test data in {DATA}")
def test_the_mtf_of_a_k2_falls_from_one():
    frequency, value = relion.read_mtf(DATA / "empiar-10204" / "mtf_k2_200kV.star")
    assert (frequency[0], value[0], frequency[-1]) == (0, 1, 0.5) and np.all(np.diff(value) < 0)
