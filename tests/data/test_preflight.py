"""The check before a refinement: every fault it is made for is found, and sound particles are left in peace."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from halfmap.data import preflight, relion
from halfmap.data.particles import Particles
from halfmap.io import mrc
from halfmap.types import Defocus, Optics, Poses

DATA = Path(os.environ.get("HALFMAP_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
N, BOX = 60, 16


def pictures(rng, sign=1.0):
    """Noise of standard deviation 1 with a disc of 0.5 in the middle."""
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    disc = 0.5 * sign * (np.hypot(x, y) < 4)
    return (rng.normal(size=(N, BOX, BOX)) + disc).astype(np.float32)


@pytest.fixture
def sound(tmp_path):
    """Particles without any fault, in two stacks, with half-sets, poses and positions far from each other."""
    rng = np.random.default_rng(3)
    images = pictures(rng)
    for number in range(2):
        mrc.write_stack(tmp_path / f"{number}.mrcs", images[number::2], 2.0)
    names = np.array([b"m%d.mrc" % (row // 20) for row in range(N)])
    u = rng.uniform(1e4, 2e4, N)
    zeros = np.zeros(N)
    return Particles(
        files=tuple(tmp_path / f"{number}.mrcs" for number in range(2)),
        file=(np.arange(N) % 2).astype(np.int32),
        index=np.arange(N) // 2,
        optics=(Optics("one", 300.0, 2.7e7, 0.1, 2.0, BOX),),
        group=np.zeros(N, np.int32),
        defocus=Defocus(u, u - 100, zeros, zeros, zeros, zeros + 1),
        poses=Poses(np.tile(np.eye(3), (N, 1, 1)) * 1.0, np.zeros((N, 2))),
        half=(1 + np.arange(N) // 2 % 2).astype(np.int8),
        scale=np.ones(N),
        columns={
            "rlnMicrographName": names,
            "rlnCoordinateX": np.array([b"%d" % (100 * (row % 20)) for row in range(N)]),
            "rlnCoordinateY": np.array([b"50"] * N),
        },
    )


def of_table(particles, distance_A=5.0):
    found = preflight.Findings()
    preflight.table(found, particles, distance_A)
    return found


def of_images(particles, batch=7):
    found = preflight.Findings()
    rows = preflight.files(found, particles)
    preflight.images(found, particles, rows, batch, lambda done, total: None)
    return found


def without_poses(particles):
    return dataclasses.replace(particles, poses=None)


def with_defocus(particles, **changes):
    return dataclasses.replace(particles, defocus=dataclasses.replace(particles.defocus, **changes))


# ---- the table


def test_a_sound_table_gives_nothing(sound):
    found = of_table(without_poses(sound))
    assert found.faults == [] and found.warnings == []
    assert (found.counts["half1"], found.counts["half2"], found.counts["close_pairs"]) == (30, 30, 0)
    assert found.counts["micrographs"] == 3


@pytest.mark.parametrize(
    "factor, word", [(1e-4, "micrometres"), (1e-2, "nanometres"), (-1.0, "change the sign"), (0.0, "estimate the CTF")]
)
def test_a_defocus_in_another_unit_is_a_fault(sound, factor, word):
    scaled = with_defocus(sound, u_A=factor * sound.defocus.u_A, v_A=factor * sound.defocus.v_A)
    (fault,) = of_table(scaled).faults
    assert word in fault


def test_single_strange_defoci_are_warnings_that_name_the_row(sound):
    u, v = sound.defocus.u_A.copy(), sound.defocus.v_A.copy()
    u[3], v[3] = -5000, -5000
    v[4] = u[4] - 8000
    u[5], v[5] = 2e5, 2e5
    found = of_table(without_poses(with_defocus(sound, u_A=u, v_A=v)))
    assert found.faults == [] and len(found.warnings) == 3
    assert [found.rows[name].tolist() for name in ("overfocus", "large_astigmatism", "defocus_out_of_range")] == [
        [3], [4], [5],
    ]  # fmt: skip
    assert all(f"row {row}" in line for row, line in zip((4, 5, 6), found.warnings, strict=True))


def test_phase_shifts_that_look_like_radians_are_a_warning(sound):
    found = of_table(without_poses(with_defocus(sound, phase_shift_rad=np.deg2rad(np.full(N, 1.5708)))))
    assert len(found.warnings) == 1 and "radians" in found.warnings[0]


@pytest.mark.parametrize(
    "change", [{"voltage_kV": 3e5}, {"spherical_aberration_A": 2.7e10}, {"amplitude_contrast": 10.0},
               {"pixel_size_A": 0.02}]
)  # fmt: skip
def test_optics_in_another_unit_are_a_warning(sound, change):
    optics = dataclasses.replace(sound.optics[0], **change)
    found = of_table(without_poses(dataclasses.replace(sound, optics=(optics,))))
    assert any(next(iter(change)) in line for line in found.warnings)


def test_half_sets_that_are_incomplete_or_all_one_are_a_fault(sound):
    some = sound.half.copy()
    some[:5] = 0
    for half in (some, np.ones(N, np.int8)):
        assert len(of_table(dataclasses.replace(sound, half=half)).faults) == 1


def test_without_half_sets_nothing_is_wrong(sound):
    found = of_table(dataclasses.replace(without_poses(sound), half=np.zeros(N, np.int8)))
    assert found.faults == [] and found.warnings == [] and found.counts["without_half"] == N


def test_an_image_in_both_halves_is_a_warning(sound):
    index = sound.index.copy()
    index[2] = index[0]  # the same stack; rows 1 and 3 are in different halves
    found = of_table(without_poses(dataclasses.replace(sound, index=index)))
    assert any("both half-sets" in line for line in found.warnings)


@pytest.mark.parametrize("apart_px, distance_A, pairs", [(2, 5.0, 1), (2, 3.9, 0), (3, 5.0, 0)])
def test_neighbours_in_a_micrograph_are_counted_by_their_distance(sound, apart_px, distance_A, pairs):
    x = sound.columns["rlnCoordinateX"].copy()
    x[2] = b"%d" % apart_px  # row 0 is at 0, pixels of 2 A; rows 0 and 2 are in different halves
    moved = dataclasses.replace(without_poses(sound), columns={**sound.columns, "rlnCoordinateX": x})
    found = of_table(moved, distance_A)
    assert found.counts["close_pairs"] == found.counts["close_pairs_across_halves"] == pairs
    assert len(found.warnings) == pairs


def test_the_same_place_in_two_micrographs_is_no_neighbour(sound):
    assert sound.columns["rlnCoordinateX"][0] == sound.columns["rlnCoordinateX"][20]
    assert of_table(sound).counts["close_pairs"] == 0


def test_shifts_count_for_where_a_particle_is(sound):
    shifts = np.zeros((N, 2))
    shifts[1] = (198.0, 0.0)  # row 1 is picked at 200 A, so it lies at 2 A
    found = of_table(dataclasses.replace(sound, poses=Poses(sound.poses.rotations, shifts)))
    assert found.rows["close_to_another"].tolist() == [0, 1]
    assert found.counts["close_pairs_across_halves"] == 0
    assert found.rows["shifted_out_of_box"].tolist() == [1]  # half the box is 16 A


def test_one_rotation_for_all_is_a_warning(sound):
    assert any("same rotation" in line for line in of_table(sound).warnings)


# ---- files and images


def test_sound_images_give_nothing_but_numbers(sound):
    found = of_images(sound)
    assert found.faults == [] and found.warnings == []
    assert found.counts["images_read"] == N and found.counts["protein_looks"] == "white"
    # 16^2 pixels: the sd of an image is known to 4 %, the median of 60 of them to 1 %; the disc adds 0.02
    assert found.counts["image_sd_median"] == pytest.approx(1.0, abs=0.05)


def test_the_size_of_a_batch_changes_nothing(sound):
    first, second = of_images(sound, 1), of_images(sound, 100)
    assert first.warnings == second.warnings and first.counts == second.counts


def test_a_truncated_stack_is_a_fault_and_the_others_are_still_read(sound):
    whole = sound.files[0].read_bytes()
    sound.files[0].write_bytes(whole[: len(whole) // 2])
    found = of_images(sound)
    assert len(found.faults) == 1 and str(sound.files[0]) in found.faults[0]
    assert found.counts["files_faulty"] == 1 and found.counts["images_read"] == N // 2


def test_a_missing_stack_leaves_its_rows_out(sound):
    sound.files[1].unlink()
    found = of_images(sound)
    assert found.counts["files_missing"] == 1 and found.counts["images_read"] == N // 2


@pytest.mark.parametrize("value", [np.nan, np.inf, "constant"])
def test_bad_images_are_listed_by_row(sound, value):
    images = pictures(np.random.default_rng(3))
    images[7] = 1.25 if value == "constant" else images[7]
    if value != "constant":
        images[7, 3, 4] = value
    with np.errstate(invalid="ignore"):  # the statistics in the header
        mrc.write_stack(sound.files[1], images[1::2], 2.0)
    found = of_images(sound)
    assert found.rows["bad_images"].tolist() == [7] and len(found.warnings) == 1 and "row 8" in found.warnings[0]


def test_images_of_another_mean_or_spread_are_listed(sound):
    images = pictures(np.random.default_rng(3))
    images[10] += 3
    images[12] *= 4
    mrc.write_stack(sound.files[0], images[0::2], 2.0)
    found = of_images(sound)
    assert found.rows["mean_outliers"].tolist() == [10] and found.rows["sd_outliers"].tolist() == [12]


def test_a_contrast_other_than_told_is_a_warning(sound):
    dark = with_defocus(sound, scale=-sound.defocus.scale)
    assert any("looks white" in line for line in of_images(dark).warnings)
    images = pictures(np.random.default_rng(4), sign=-1.0)
    for number in range(2):
        mrc.write_stack(sound.files[number], images[number::2], 2.0)
    assert any("looks dark" in line for line in of_images(sound).warnings)
    assert of_images(dark).warnings == []


def test_noise_alone_tells_no_contrast(sound):
    rng = np.random.default_rng(5)
    for path in sound.files:
        mrc.write_stack(path, rng.normal(size=(N // 2, BOX, BOX)).astype(np.float32), 2.0)
    found = of_images(sound)
    assert found.counts["protein_looks"] == "unknown" and found.warnings == []


def test_a_pixel_size_other_than_in_the_header_is_a_warning(sound):
    optics = dataclasses.replace(sound.optics[0], pixel_size_A=2.5)
    found = of_images(dataclasses.replace(sound, optics=(optics,)))
    assert len(found.warnings) == 1 and "2.5 A in the table, 2 A in" in found.warnings[0]


# ---- real data


@pytest.mark.parametrize(
    "name, looks", [("empiar-10204/particles.star", "white"), ("small_stacks/empiar_10076_7.star", "dark")]
)
def test_contrast_of_real_particles(name, looks):
    if not (DATA / name).exists():
        pytest.skip(f"no {DATA / name}; set HALFMAP_TEST_DATA")
    found = of_images(relion.read(DATA / name), 500)
    assert found.faults == [] and found.counts["protein_looks"] == looks


def test_real_particles_are_sound():
    if not (DATA / "empiar-10204").exists():
        pytest.skip(f"no {DATA / 'empiar-10204'}; set HALFMAP_TEST_DATA")
    particles = relion.read(DATA / "empiar-10204" / "particles.star")
    found = of_table(particles)
    assert found.faults == [] and found.warnings == [] and found.counts["micrographs"] == 10
    assert of_images(particles, 500).warnings == []
