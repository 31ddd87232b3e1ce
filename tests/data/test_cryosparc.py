"""cryoSPARC tables: what fields mean, what survives the way through a STAR file and back, which faults are named."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from halfmap.data import carried, cryosparc, cryosparc_files, relion, relion_columns, tables
from halfmap.errors import InputError
from halfmap.io import cs, mrc, star
from halfmap.types import Optics, Poses

DATA = Path(os.environ.get("HALFMAP_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
CS_TABLES = ("metadata/cryodrgn_P12_J24_particles.cs", "metadata/t20s_P9_J209_000_particles.cs")
STAR_TABLES = (
    "empiar-10204/particles.star",
    "metadata/aspire_starfile_3796.star",
    "metadata/relion_empiar10017_ap_s_c2d.star",
    "small_stacks/relion31.star",
    "small_stacks/empiar_10076_7.star",
    "small_stacks/sample_relion_data.star",
)
N = 6
TYPES = [
    ("uid", "<u8"), ("blob/path", "S20"), ("blob/idx", "<u4"), ("blob/shape", "<u4", (2,)), ("blob/psize_A", "<f4"),
    ("blob/sign", "<f4"), ("ctf/type", "S8"), ("ctf/exp_group_id", "<u4"), ("ctf/accel_kv", "<f4"),
    ("ctf/cs_mm", "<f4"), ("ctf/amp_contrast", "<f4"), ("ctf/df1_A", "<f4"), ("ctf/df2_A", "<f4"),
    ("ctf/df_angle_rad", "<f4"), ("ctf/phase_shift_rad", "<f4"), ("ctf/scale", "<f4"), ("ctf/tilt_A", "<f4", (2,)),
    ("ctf/trefoil_A", "<f4", (2,)), ("ctf/tetra_A", "<f4", (4,)), ("ctf/anisomag", "<f4", (4,)), ("ctf/bfactor", "<f4"),
    ("alignments3D/split", "<u4"), ("alignments3D/shift", "<f4", (2,)), ("alignments3D/pose", "<f4", (3,)),
    ("alignments3D/psize_A", "<f4"), ("alignments3D/error", "<f4"), ("alignments3D/alpha", "<f4"),
    ("own/double", "<f8"), ("own/flag", "?"), ("own/note", "S12"), ("own/grid", "<i2", (2, 3)),
]  # fmt: skip


def made(seed=0):
    """Six particles in two stacks and two exposure groups; every number random in its own range."""
    rng = np.random.default_rng(seed)
    table = np.zeros(N, TYPES)
    table["uid"] = rng.integers(2**63, 2**64 - 1, N, dtype=np.uint64)
    table["blob/path"] = [b">J1/a.mrc", b">J1/b.mrc", b">J1/a.mrc", b">J1/a.mrc", b">J1/b.mrc", b">J1/a.mrc"]
    table["blob/idx"] = [0, 1, 2, 3, 0, 1]
    table["blob/shape"], table["blob/psize_A"], table["blob/sign"] = 8, 1.5, -1
    table["ctf/type"], table["ctf/exp_group_id"] = b"spline", [7, 3, 7, 7, 3, 7]
    table["ctf/accel_kv"], table["ctf/cs_mm"], table["ctf/amp_contrast"] = 300, 2.7, 0.1
    table["ctf/df1_A"], table["ctf/df2_A"] = rng.uniform(1e4, 2e4, (2, N))
    table["ctf/df_angle_rad"], table["ctf/phase_shift_rad"] = rng.uniform(-np.pi, np.pi, N), 0.3
    table["ctf/scale"], table["ctf/bfactor"] = rng.uniform(0.8, 1.2, N), 12.5
    table["ctf/tilt_A"][table["ctf/exp_group_id"] == 3] = (5400.0, -2700.0)
    table["ctf/anisomag"][table["ctf/exp_group_id"] == 3] = (0.01, 0.002, 0.003, -0.02)
    table["alignments3D/split"], table["alignments3D/psize_A"] = [0, 1, 0, 1, 1, 0], 3.0
    table["alignments3D/shift"] = rng.normal(0, 3, (N, 2))
    table["alignments3D/pose"] = rng.normal(0, 1.2, (N, 3))
    table["alignments3D/error"], table["alignments3D/alpha"] = rng.normal(size=N), rng.uniform(0.5, 1.5, N)
    table["own/double"], table["own/flag"] = rng.normal(size=N), [True, False] * 3
    table["own/note"] = [b"two words", b"", b"#no", b"'q", b"_x", b"plain"]
    table["own/grid"] = rng.integers(-9, 9, (N, 2, 3))
    return table


def project(folder, table=None, name="J2_particles.cs"):
    """A project folder with the stacks of J1 and the table in J2."""
    (folder / "J1").mkdir(exist_ok=True)
    (folder / "J2").mkdir(exist_ok=True)
    for stack_name in ("a.mrc", "b.mrc"):
        images = np.random.default_rng(0).normal(size=(4, 8, 8)).astype(np.float32)
        mrc.write_stack(folder / "J1" / stack_name, images, 1.5)
    cs.write(folder / "J2" / name, made() if table is None else table)
    return folder / "J2" / name


def fields(table, *slots):
    return table[["uid", *(name for name in table.dtype.names if name.split("/")[0] in slots)]].copy()


def packed(table):
    """A copy without gaps between the fields."""
    out = np.zeros(len(table), [(n, table.dtype[n].base, table.dtype[n].shape) for n in table.dtype.names])
    for name in table.dtype.names:
        out[name] = table[name]
    return out


def faults_of(path, **options):
    with pytest.raises(InputError) as caught:
        cryosparc.read(path, **options)
    return caught.value.faults


def real(name):
    if not (DATA / name).exists():
        pytest.skip(f"no {DATA / name}; set HALFMAP_TEST_DATA")
    return DATA / name


def assert_same_fields(after, before):
    for name in before.dtype.names:
        assert after.dtype[name] == before.dtype[name], name
        assert after[name].tobytes() == before[name].tobytes(), name


# ---- meaning


def test_fields_get_their_units(tmp_path):
    table, found = made(), cryosparc.read(project(tmp_path))
    assert found.files == (tmp_path / "J1" / "a.mrc", tmp_path / "J1" / "b.mrc")
    assert found.file.tolist() == [0, 1, 0, 0, 1, 0] and found.index.tolist() == [0, 1, 2, 3, 0, 1]
    assert found.half.tolist() == [1, 2, 1, 2, 2, 1]
    np.testing.assert_array_equal(found.defocus.u_A, table["ctf/df1_A"].astype(float))
    np.testing.assert_array_equal(found.defocus.angle_rad, table["ctf/df_angle_rad"].astype(float))
    np.testing.assert_array_equal(found.defocus.bfactor_A2, 12.5)
    np.testing.assert_array_equal(found.scale, table["alignments3D/alpha"].astype(float))


def test_exposure_groups_are_optics_groups_in_the_order_of_their_numbers(tmp_path):
    found = cryosparc.read(project(tmp_path))
    assert [entry.name for entry in found.optics] == ["exp_group_3", "exp_group_7"]
    assert found.group.tolist() == [1, 0, 1, 1, 0, 1]
    assert found.optics[1] == Optics("exp_group_7", 300.0, 2.7e7, 0.1, 1.5, 8)


def test_particles_of_one_exposure_group_with_other_optics_are_another_optics_group(tmp_path):
    table = made()
    table["ctf/cs_mm"][0] = 1.4
    found = cryosparc.read(project(tmp_path, table))
    assert len(found.optics) == 3 and found.group[0] != found.group[2]


def test_a_pose_is_the_rotation_vector_of_the_transposed_matrix(tmp_path):
    expected = Rotation.from_rotvec(made()["alignments3D/pose"].astype(float)).as_matrix().transpose(0, 2, 1)
    # 32 bits enter on both sides; what is left is the rounding of double precision
    np.testing.assert_allclose(cryosparc.read(project(tmp_path)).poses.rotations, expected, atol=1e-12)


def test_euler_angles_of_a_star_file_are_those_of_the_rotation_vector(tmp_path):
    relion.write(tmp_path / "out.star", cryosparc.read(project(tmp_path)))
    block = star.read(tmp_path / "out.star")["particles"]
    angles = np.stack([block.numbers(tag) for tag in relion_columns.EULER], axis=1)
    # intrinsic z y z turns of R, independent of our matrices; 12 printed digits of 180 degrees are 1e-9
    expected = Rotation.from_rotvec(made()["alignments3D/pose"].astype(float)).as_euler("ZYZ", degrees=True)
    expected = np.where(expected[:, 1:2] < 0, expected + np.array([180, 0, -180]), expected) * [1, 1, 1]
    turned = Rotation.from_euler("ZYZ", angles, degrees=True).inv() * Rotation.from_euler("ZYZ", expected, degrees=True)
    np.testing.assert_allclose(turned.magnitude(), 0, atol=1e-8)


def test_shifts_are_in_pixels_of_their_own_size(tmp_path):
    expected = 3.0 * made()["alignments3D/shift"].astype(float)
    np.testing.assert_allclose(cryosparc.read(project(tmp_path)).poses.shifts_A, expected, rtol=1e-12)
    old = packed(made()[[name for name in made().dtype.names if name != "alignments3D/psize_A"]])
    found = cryosparc.read(project(tmp_path, old))  # before there was such a field: pixels of the image
    np.testing.assert_allclose(found.poses.shifts_A, expected / 2, rtol=1e-12)


def test_dark_protein_is_a_negative_scale_of_the_ctf(tmp_path):
    table = made()
    table["blob/sign"][:3] = 1
    signs = np.sign(cryosparc.read(project(tmp_path, table)).defocus.scale)
    assert signs.tolist() == [1, 1, 1, -1, -1, -1]


def test_tilt_is_a_length_and_magnification_lacks_the_identity(tmp_path):
    tilted, plain = cryosparc.read(project(tmp_path)).optics
    # sin t = t - t^3 / 6: at 0.2 mrad the difference is 1e-12
    np.testing.assert_allclose(tilted.beam_tilt_rad, (5400 / 2.7e7, -2700 / 2.7e7), atol=1e-11)
    np.testing.assert_allclose(tilted.magnification, [[1.01, 0.002], [0.003, 0.98]], atol=1e-8)  # 32 bits
    assert plain.beam_tilt_rad == (0, 0) and plain.magnification == ((1, 0), (0, 1))


def test_without_poses_and_split_there_are_none(tmp_path):
    found = cryosparc.read(project(tmp_path, packed(fields(made(), "blob", "ctf"))))
    assert found.poses is None and not found.half.any() and np.all(found.scale == 1)


def test_what_the_model_ignores_is_said(tmp_path):
    assert tables.unmodelled(cryosparc.read(project(tmp_path))) == []
    table = made()
    table["ctf/trefoil_A"][2] = 100
    loud = cryosparc.read(project(tmp_path, table))
    assert len(tables.unmodelled(loud)) == 1 and "trefoil" in tables.unmodelled(loud)[0]


def test_lengths_of_the_lens_are_told_by_optics_group(tmp_path):
    table = made()
    tilted = table["ctf/exp_group_id"] == 3
    table["ctf/trefoil_A"][tilted], table["ctf/tetra_A"][~tilted] = (100, -50), (1, 2, 3, 4)
    first, second = cryosparc.lens_lengths(cryosparc.read(project(tmp_path, table)))
    assert [values.tolist() for values in first] == [[5400, -2700], [100, -50], [0, 0, 0, 0]]
    assert [values.tolist() for values in second] == [[0, 0], [0, 0], [1, 2, 3, 4]]


# ---- joining


def test_a_passthrough_file_is_joined_on_uid_whatever_its_order(tmp_path):
    table = made()
    other = packed(fields(table, "blob", "ctf", "own"))[[3, 1, 0, 5, 4, 2]]
    more = np.concatenate([other, other[:1]])
    more["uid"][-1] = 1  # a particle that is not in the table
    path = project(tmp_path, packed(fields(table, "alignments3D")))
    (tmp_path / "elsewhere").mkdir()
    cs.write(tmp_path / "elsewhere" / "any.cs", more)
    found = cryosparc.read(path, passthrough=tmp_path / "elsewhere" / "any.cs")
    whole = cryosparc.read(project(tmp_path, table))
    assert found.index.tolist() == whole.index.tolist() and found.files == whole.files
    np.testing.assert_array_equal(found.defocus.u_A, whole.defocus.u_A)
    assert_same_fields(rewritten(found, tmp_path), table)


def rewritten(particles, folder):
    cryosparc_files.write(folder / "again.cs", particles)
    return cs.read(folder / "again.cs")


def test_a_passthrough_file_beside_the_table_is_found_by_its_name(tmp_path):
    table = made()
    path = project(tmp_path, packed(fields(table, "alignments3D")))
    cs.write(path.with_name("J2_passthrough_particles.cs"), packed(fields(table, "blob", "ctf")))
    cs.write(path.with_name("J2_passthrough_particles_class_1.cs"), packed(fields(table, "own"))[:3])
    found = cryosparc.read(path)
    assert len(found) == N and not any("own" in tag for tag in found.columns)


def test_fields_of_the_table_itself_come_before_those_of_the_passthrough_file(tmp_path):
    table, old = made(), packed(fields(made(), "ctf"))
    old["ctf/df1_A"] = 1
    path = project(tmp_path, table)
    cs.write(path.with_name("J2_passthrough_particles.cs"), old)
    np.testing.assert_array_equal(cryosparc.read(path).defocus.u_A, table["ctf/df1_A"].astype(float))


def test_a_given_passthrough_file_must_hold_all_particles(tmp_path):
    path = project(tmp_path)
    cs.write(tmp_path / "few.cs", packed(fields(made(), "own"))[:4])
    (fault,) = faults_of(path, passthrough=tmp_path / "few.cs")
    assert "few.cs: uid: 2 of 6 particles" in fault and "row 5" in fault


def test_a_passthrough_file_beside_a_star_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="belongs to a .cs table"):
        tables.read(tmp_path / "a.star", passthrough=tmp_path / "b.cs")


# ---- what survives


def test_what_was_not_changed_stays_bit_by_bit(tmp_path):
    assert_same_fields(rewritten(cryosparc.read(project(tmp_path)), tmp_path), made())


def test_a_cs_file_survives_the_way_through_a_star_file(tmp_path):
    relion.write(tmp_path / "way.star", cryosparc.read(project(tmp_path)))
    back = tables.read(tmp_path / "way.star")
    assert_same_fields(rewritten(back, tmp_path), made())


def test_results_replace_their_fields_and_no_others(tmp_path):
    before = cryosparc.read(project(tmp_path))
    rng = np.random.default_rng(5)
    turned = Rotation.random(N, random_state=5)
    new = dataclasses.replace(
        before,
        poses=Poses(turned.as_matrix(), rng.normal(size=(N, 2))),
        half=(3 - before.half).astype(np.int8),
        scale=np.linspace(0.5, 2, N),
    )
    cryosparc_files.write(tmp_path / "out.cs", new, {"max_probability": np.arange(N) / N})
    after = cs.read(tmp_path / "out.cs")
    changed = {f"alignments3D/{name}" for name in ("pose", "shift", "split", "alpha")}
    assert_same_fields(after, packed(made()[[name for name in made().dtype.names if name not in changed]]))
    assert after["alignments3D/split"].tolist() == [1, 0, 1, 0, 0, 1]
    # 32 bits: 6e-8 of a number; a rotation vector is at most 3.2 long
    np.testing.assert_allclose(after["alignments3D/alpha"], new.scale, rtol=1e-7)
    np.testing.assert_allclose(after["alignments3D/shift"] * 3.0, new.poses.shifts_A, rtol=2e-7)
    vectors = Rotation.from_rotvec(after["alignments3D/pose"].astype(float))
    assert (vectors * turned).magnitude().max() < 4e-7
    np.testing.assert_array_equal(after["halfmap/max_probability"], np.arange(N) / N)
    again = cryosparc.read_table(tmp_path / "out.cs")
    np.testing.assert_allclose(again.poses.rotations, new.poses.rotations, atol=4e-7)


def test_the_scale_of_a_particle_goes_through_a_star_file_into_alpha(tmp_path):
    before = cryosparc.read(project(tmp_path))
    relion.write(tmp_path / "way.star", dataclasses.replace(before, scale=np.linspace(0.5, 2, N)))
    after = rewritten(tables.read(tmp_path / "way.star"), tmp_path)
    np.testing.assert_allclose(after["alignments3D/alpha"], np.linspace(0.5, 2, N), rtol=2e-7)
    assert after["ctf/scale"].tobytes() == made()["ctf/scale"].tobytes() and np.all(after["blob/sign"] == -1)


def test_a_stack_that_was_moved_gets_its_new_name(tmp_path):
    before = cryosparc.read(project(tmp_path))
    moved = dataclasses.replace(before, files=(tmp_path / "new.mrc", before.files[1]))
    paths = rewritten(moved, tmp_path)["blob/path"].tolist()
    assert paths[0].endswith(b"new.mrc") and paths[1] == b">J1/b.mrc"


@pytest.mark.parametrize("name", CS_TABLES)
def test_real_cs_files_survive_the_way_through_a_star_file(name, tmp_path):
    source = cs.read(real(name))
    first = cryosparc.read_table(real(name))
    assert_same_fields(rewritten(first, tmp_path), source)
    relion.write(tmp_path / "way.star", first)
    assert_same_fields(rewritten(relion.read_table(tmp_path / "way.star"), tmp_path), source)


@pytest.mark.parametrize("name", CS_TABLES)
def test_real_poses_are_those_of_an_independent_formula(name):
    table = cs.read(real(name))
    expected = Rotation.from_rotvec(table["alignments3D/pose"].astype(float)).inv().as_matrix()
    np.testing.assert_allclose(cryosparc.read_table(real(name)).poses.rotations, expected, atol=1e-12)


@pytest.mark.parametrize("name", STAR_TABLES)
def test_real_star_files_survive_the_way_through_a_cs_file(name, tmp_path):
    before = relion.read_table(real(name))
    relion.write(tmp_path / "direct.star", before)
    cryosparc_files.write(tmp_path / "way.cs", before)
    back = cryosparc.read_table(tmp_path / "way.cs")
    relion.write(tmp_path / "back.star", back)
    assert back.optics == tuple(dataclasses.replace(entry, name=entry.name) for entry in before.optics)
    direct, after = star.read(tmp_path / "direct.star"), star.read(tmp_path / "back.star")
    for block in ("optics", "particles"):
        for tag, column in direct[block].columns.items():
            assert after[block].columns[tag].tolist() == column.tolist(), tag


def test_uids_of_a_star_file_are_the_same_each_time_and_differ_where_images_repeat(tmp_path):
    before = cryosparc.read(project(tmp_path))
    bare = dataclasses.replace(before, columns={}, index=np.array([0, 1, 0, 0, 0, 1]))
    uids = [rewritten(bare, tmp_path)["uid"].tolist() for _ in range(2)]
    assert uids[0] == uids[1] and len(set(uids[0])) == N


@pytest.mark.parametrize("seed", range(5))
def test_carried_fields_come_back_as_they_were_whether_they_became_text_or_not(seed):
    table = made(seed)
    whole = {name: table[name] for name in table.dtype.names}
    columns = carried.columns_of(whole)
    text = {tag: star.cells(values) for tag, values in columns.items()}
    for way in (columns, text):
        for name, values in carried.fields_of(way).items():
            assert values.dtype == whole[name].dtype and values.tobytes() == whole[name].tobytes(), name


def test_a_carried_array_that_lost_a_column_is_a_fault():
    columns = carried.columns_of({"a/b": np.zeros((3, 2), "f4")})
    columns.popitem()
    with pytest.raises(InputError, match="number 1 of 2 is missing"):
        carried.fields_of(columns)


@pytest.mark.parametrize("text", [b"text", b"-1", b"99999999999999999999", b"1.5"])
def test_a_carried_number_that_was_edited_is_a_fault(text):
    with pytest.raises(InputError, match="a.star: cs:uid:u8: .* edited"):
        carried.fields_of({"cs:uid:u8": np.array([b"1", text])}, "a.star")


# ---- faults


def test_every_missing_field_is_named_with_what_it_tells(tmp_path):
    found = faults_of(project(tmp_path, packed(fields(made(), "own"))))
    assert len(found) == 10 and all("--passthrough" in fault for fault in found)
    assert any("blob/path: field missing, it tells where the image is" in fault for fault in found)
    assert any("ctf/df1_A" in fault for fault in found)


def test_a_pose_without_a_shift_is_a_fault(tmp_path):
    table = packed(made()[[name for name in made().dtype.names if name != "alignments3D/shift"]])
    assert any("alignments3D/shift: field missing" in fault for fault in faults_of(project(tmp_path, table)))


def test_numbers_that_make_no_sense_are_named_by_field_and_row(tmp_path):
    table = made()
    table["ctf/df1_A"][1], table["alignments3D/split"][2], table["blob/psize_A"][3] = np.nan, 2, 0
    table["alignments3D/pose"][4, 1], table["ctf/tilt_A"][:, 0], table["blob/path"][5] = np.inf, 1e9, b">"
    found = "\n".join(faults_of(project(tmp_path, table)))
    for part in ("ctf/df1_A: row 2: nan", "split: row 3: 2 is no half-set", "psize_A: row 4: 0 A", "pose: row 5",
                 "tilt_A: row", "blob/path: row 6: no file is named"):  # fmt: skip
        assert part in found, part


def test_missing_stacks_are_named_once(tmp_path):
    path = project(tmp_path)
    (tmp_path / "J1" / "a.mrc").unlink()
    (fault,) = faults_of(path)
    assert "blob/path: row 1: no file J1/a.mrc, used by 4 particles" in fault


def test_half_a_split_cannot_be_written(tmp_path):
    before = cryosparc.read(project(tmp_path))
    some = dataclasses.replace(before, half=np.array([0, 1, 2, 1, 2, 1], np.int8))
    with pytest.raises(InputError, match="cannot say"):
        cryosparc_files.write(tmp_path / "o.cs", some)


def test_a_description_of_results_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "J2_particles.csg").write_text("group: {}\n")
    with pytest.raises(InputError, match="give the particle table"):
        tables.read(tmp_path / "J2_particles.csg")
