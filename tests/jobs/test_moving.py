"""`halfmap volume flip`, `recenter` and `align`: maps, masks and poses stay together, whatever the change of frame."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap import simulate
from halfmap.cli import main as cli
from halfmap.data import relion
from halfmap.geometry import frames, rotations, symmetry
from halfmap.geometry.frames import Frame
from halfmap.io import mrc
from halfmap.jobs import catalog
from halfmap.jobs.pictures import plots
from halfmap.jobs.running import events
from halfmap.maps import masks, turn
from halfmap.params.points import point
from halfmap.physics.projection import Projector
from halfmap.types import Map, Poses
from tests.jobs import made

BOX, VOXEL_A = 32, 4.0
GROUP = symmetry.group("D2")


@pytest.fixture(scope="module")
def molecule():
    return simulate.protein_like(BOX, VOXEL_A, GROUP, np.random.default_rng(1))


@pytest.fixture
def folder(tmp_path, molecule):
    """A job folder: map, half-maps, mask; and particles with poses."""
    mask = np.roll(masks.sphere(BOX, 6, 3), (2, -3, 4), axis=(0, 1, 2))
    for name, map in {"map": molecule, "half1": molecule, "half2": molecule, "mask_fsc": Map(mask, VOXEL_A)}.items():
        mrc.write(tmp_path / f"{name}.mrc", map)
    table = made.particles(tmp_path)
    poses = Poses(table.poses.rotations, np.random.default_rng(2).normal(0, 3, (len(table), 2)))
    relion.write(tmp_path / "particles.star", replace(table, poses=poses))
    return tmp_path


def done(folder, job, **settings) -> tuple[dict, dict]:
    """(summary, maps by name) of a job on the folder and its particles; results in out/, no plots."""
    out, entry, watch = folder / "out", catalog.find(f"volume {job}"), events.Passing()
    out.mkdir(exist_ok=True)
    params = entry.params(**{"out": out, "volume": folder, "particles": folder / "particles.star", **settings})
    summary = entry.load()(params, out, np.random.default_rng(0), watch)
    return summary | {"warnings": watch.warnings}, {path.stem: mrc.read(path) for path in out.glob("*.mrc")}


def images(map: Map, poses: Poses) -> np.ndarray:
    """Projections, half planes (n, 2K+1, K+1), shifts put in."""
    projector = Projector.of(map, 10, map.box)
    slices = projector.slices(poses.rotations)
    k = np.arange(-10, 11) / (map.box * map.voxel_size_A)
    # a particle lies at minus its shift
    waves = poses.shifts_A[:, 1, None, None] * k[:, None] + poses.shifts_A[:, 0, None, None] * k[10:]
    return slices * np.exp(2j * np.pi * waves)


def same_images(folder, summary, volumes):
    """Relative difference of the images that the old poses show of the old map and the new ones of the new."""
    before = images(mrc.read(folder / "map.mrc"), relion.read_table(folder / "particles.star").poses)
    after = images(volumes["map"], relion.read_table(folder / "out" / "particles.star").poses)
    return np.linalg.norm(after - before) / np.linalg.norm(before)


@pytest.mark.parametrize("job, settings", [("flip", {}), ("recenter", {"shift": "2.5,-1,3"})])
def test_poses_moved_along_show_the_moved_map(folder, job, settings):
    # trilinear interpolation of the projector errs by a per cent; a shift moves its grid against the map
    assert same_images(folder, *done(folder, job, **settings)) < 0.03


def test_a_flipped_map_and_its_mask_are_mirrored_at_the_plane_z_0(folder, molecule):
    summary, volumes = done(folder, "flip")
    assert summary["frame"]["mirrored"] and set(volumes) == {"map", "half1", "half2", "mask_fsc"}
    np.testing.assert_allclose(volumes["half2"].data[1:], molecule.data[1:][::-1], atol=1e-6)
    mask = mrc.read(folder / "mask_fsc.mrc").data
    np.testing.assert_allclose(volumes["mask_fsc"].data[1:], mask[1:][::-1], atol=1e-6)


def test_flipping_twice_is_the_map_and_the_poses_as_they_were(folder, molecule):
    done(folder, "flip")
    once = folder / "out"
    (once / "out").mkdir()
    _, volumes = done(once, "flip")
    np.testing.assert_allclose(volumes["map"].data, molecule.data, atol=1e-6)
    before, after = (relion.read_table(path / "particles.star").poses for path in (folder, once / "out"))
    assert rotations.angle_between(before.rotations, after.rotations).max() < 1e-6
    np.testing.assert_allclose(after.shifts_A, before.shifts_A, atol=1e-6)


def test_the_three_ways_of_naming_a_centre_agree(folder):
    # the mask's centre: rolled by z 2, y -3, x 4 from voxel 16
    ways = ({"centre": "20, 13, 18"}, {"centre": "80 52 72 A"}, {"shift": "-4,3,-2px"},
            {"to_mask": folder / "mask_fsc.mrc"})  # fmt: skip
    found = [done(folder, "recenter", **way) for way in ways]
    for summary, volumes in found:
        np.testing.assert_allclose(summary["frame"]["centre_px_from_corner"], [20, 13, 18], atol=1e-3)
        np.testing.assert_allclose(volumes["map"].data, found[0][1]["map"].data, atol=1e-3)
    ball = found[0][1]["mask_fsc"].data
    np.testing.assert_allclose(ball, masks.sphere(BOX, 6, 3), atol=1e-4)


def test_a_map_and_its_particles_come_onto_their_axes(folder, molecule):
    turned = turn.turned(molecule, rotations.exp_so3(np.array([0.3, -0.2, 0.1])), np.array([5.0, -3.0, 4.0]))
    for name in ("map", "half1", "half2"):
        mrc.write(folder / f"{name}.mrc", turned)
    summary, volumes = done(folder, "align", to_symmetry="D2")
    assert summary["correlation_after"] > 0.97 > summary["correlation_before"]
    assert same_images(folder, summary, volumes) < 0.05


def test_a_map_its_masks_and_particles_come_onto_a_reference_of_the_other_hand(folder, molecule):
    frame = Frame(rotations.random(1, np.random.default_rng(3))[0], np.array([6.0, -4.0, 9.0])).after(frames.mirror())
    reference = turn.placed(molecule, frame)
    mrc.write(folder / "reference.mrc", reference)
    summary, volumes = done(folder, "align", reference=folder / "reference.mrc", test_hand=True)
    assert summary["hand"] == "mirrored" and summary["rotation_error_deg"] < 0.5
    assert any("other hand" in text for text in summary["warnings"])
    error = np.linalg.norm(volumes["map"].data - reference.data) / np.linalg.norm(reference.data)
    # 0.2 voxels off at the edge of detail of 2 voxels would be 0.6
    assert error < 0.1
    assert same_images(folder, summary, volumes) < 0.05
    assert volumes["mask_fsc"].data.min() >= 0 and volumes["mask_fsc"].data.max() <= 1
    shown = [plot.name for plot in plots.drawable(plots.View(folder / "out"))]
    assert {"slices", "masks", "alignment", "agreement"} <= set(shown)
    plots.draw("alignment", plots.View(folder / "out"))
    plots.draw("agreement", plots.View(folder / "out"))
    assert len(list((folder / "out" / "plots").glob("*.png"))) == 2


@pytest.mark.parametrize("words, code, said", [
    (["recenter", "--centre", "40,0,0"], 2, "outside the box of 32"),
    (["recenter", "--shift", "0,a,0"], 2, "three numbers"),
    (["recenter", "--shift", "1,0,0", "--centre", "1,0,0"], 2, "give one of"),
    (["recenter", "--to-mask", "{0}/empty.mrc"], 3, "mask is empty"),
    (["recenter", "--to-mask", "{0}/small.mrc"], 3, "volume resample"),
    (["align", "--to-symmetry", "Q7"], 2, "not a point group"),
    (["align", "--to-symmetry", "C1"], 2, "any axis"),
    (["align", "--reference", "{0}/map.mrc", "--reference-mask", "{0}/small.mrc"], 3, "volume resample"),
    (["align", "--reference", "{0}/nowhere.mrc"], 3, "nowhere.mrc"),
    (["align"], 2, "--to-symmetry and --reference"), (["align", "--to-symmetry", "D2", "--test-hand"], 2, "go with"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused_in_words(folder, capsys, words, code, said):
    mrc.write(folder / "empty.mrc", Map(np.zeros((BOX,) * 3, np.float32), VOXEL_A))
    mrc.write(folder / "small.mrc", Map(np.ones((16,) * 3, np.float32), VOXEL_A))
    flags = ["--volume", str(folder), "--out", str(folder / "out")]
    assert cli.main(["volume", *(word.format(folder) for word in words), *flags]) == code
    assert said in capsys.readouterr().err


def test_particles_without_poses_are_refused_before_anything_is_written(folder, capsys):
    table = made.particles(folder)
    relion.write(folder / "bare.star", replace(table, poses=None))
    flags = ["--volume", folder, "--particles", folder / "bare.star", "--out", folder / "out"]
    assert cli.main([*map(str, ("volume", "flip", *flags))]) == 3
    assert "no poses" in capsys.readouterr().err and not list((folder / "out").glob("*.mrc"))


@pytest.mark.parametrize("text, values, unit", [("1,2,3", (1, 2, 3), "px"), ("1.5 -2, 3e1 A", (1.5, -2, 30), "A"),
                                                (" 4; 5;6px ", (4, 5, 6), "px")])  # fmt: skip
def test_three_numbers_and_their_unit_are_read(text, values, unit):
    assert point(text) == (values, unit)
