"""Jobs that make masks."""

import json

import numpy as np
import pydantic
import pytest

from halfmap.cli import main as cli
from halfmap.errors import InputError, UsageError
from halfmap.io import mrc
from halfmap.jobs.pictures import plots
from halfmap.jobs.pictures.views import View
from halfmap.jobs.running import events, run
from halfmap.jobs.volume import mask_combine, mask_from_map, masking, volume_mask
from halfmap.maps import filters, mask_making, masks
from halfmap.maps.mask_making import Steps
from halfmap.params.mask_tools import CombineMasks, MaskFromMap, MaskVolume
from halfmap.types import Map

BOX, VOXEL_A = 40, 4.0
RNG = np.random.default_rng(1)


def hollow():
    """A hollow ball off centre and a speck, on a grey noisy background."""
    z, y, x = np.indices((BOX,) * 3)
    r = np.sqrt((x - 21) ** 2 + (y - 19) ** 2 + (z - 18) ** 2)
    data = ((r < 8) & (r > 4)).astype(np.float32)
    data[36:38, 36:38, 36] = 1
    return Map(data, VOXEL_A)


@pytest.fixture
def source(tmp_path):
    """A job folder with a map of 6 A."""
    folder = tmp_path / "J1"
    folder.mkdir()
    noise = 0.05 * np.random.default_rng(1).standard_normal((BOX,) * 3)
    mrc.write(folder / "map.mrc", Map((hollow().data + noise).astype(np.float32), VOXEL_A))
    (folder / "summary.json").write_text(json.dumps({"resolution_A": 6.0}))
    return folder


def done(module, params):
    """(summary, mask, warnings and notes)."""
    params.out.mkdir()
    heard = []
    watch = events.Passing([lambda event: heard.append(event.get("message") or event.get("text"))])
    found = module.run(params, params.out, RNG, watch)
    return found, mrc.read(params.out / "mask.mrc").data, " | ".join(map(str, heard))


def masked(source, tmp_path, **settings):
    return done(volume_mask, MaskVolume(volume=source, out=tmp_path / "J2", **settings))


STEPS = [
    ({}, Steps(0, 12)),
    ({"dilation_radius": 3.0, "soft_padding": 5.0}, Steps(3, 5)),
    ({"dilation_radius": 6.0, "soft_padding": 10.0, "unit": "A"}, Steps(1.5, 2.5)),
    ({"soft_padding": 0.0}, Steps(0, 0)),
    ({"fill_holes": True, "soft_padding": 4.0}, Steps(0, 4, fill_holes=True)),
    ({"smallest_island": 0.02, "soft_padding": 4.0}, Steps(0, 4, smallest_island=0.02)),
]


@pytest.mark.parametrize("settings, steps", STEPS)
def test_a_mask_is_made_by_the_steps_asked_for(source, tmp_path, settings, steps):
    found, mask, _ = masked(source, tmp_path, threshold=0.5, **settings)
    region = mrc.read(source / "map.mrc").data > 0.5
    np.testing.assert_array_equal(mask, mask_making.made(region, steps))
    assert found["threshold"] == 0.5 and not found["inverted"]


def test_the_inverse_is_one_less_the_mask_and_inverting_it_gives_the_mask_back(source, tmp_path):
    _, mask, told = masked(source, tmp_path, threshold=0.5, soft_padding=4.0)
    params = MaskVolume(volume=source, threshold=0.5, soft_padding=4.0, invert=True, out=tmp_path / "J3")
    found, inverse, told_inverse = done(volume_mask, params)
    np.testing.assert_array_equal(inverse, 1 - mask)
    assert found["inverted"] and "fills" not in told_inverse
    _, back, _ = done(volume_mask, MaskVolume(volume=params.out, invert=True, out=tmp_path / "J4"))
    np.testing.assert_allclose(back, mask, atol=6e-8)


def test_a_hard_mask_threshold_gives_itself_back(source, tmp_path):
    _, first, _ = masked(source, tmp_path, threshold=0.5, soft_padding=0.0)
    _, again, _ = done(volume_mask, MaskVolume(volume=tmp_path / "J2", threshold=0.5, soft_padding=0.0,
                                               out=tmp_path / "J3"))
    np.testing.assert_array_equal(again, first)


def test_the_centre_of_a_mask_is_told_as_a_fulcrum_is_given(source, tmp_path):
    found, _, told = masked(source, tmp_path, threshold=0.5, smallest_island=1.0, soft_padding=3.0)
    np.testing.assert_allclose(found["centre_of_mass_px"], (21, 19, 18), atol=0.05)
    np.testing.assert_allclose(found["centre_of_mass_A"], np.multiply((21, 19, 18), VOXEL_A), atol=0.2)
    assert "21.0,19.0,18.0 px = 84.0,76.0,72.0 A" in told


@pytest.mark.parametrize("settings", [{}, {"invert": True, "dilation_radius": 2.0}, {"fill_holes": True},
                                      {"invert": True, "soft_padding": 3.0}])  # fmt: skip
def test_steps_without_a_threshold_are_refused(tmp_path, settings):
    with pytest.raises(pydantic.ValidationError, match="give --threshold"):
        MaskVolume(volume=tmp_path, out=tmp_path / "J2", **settings)


def test_the_resolution_given_or_of_the_folder_judges_the_edge(source, tmp_path):
    _, _, told = masked(source, tmp_path, threshold=0.5, soft_padding=5.0)
    assert "8 voxels or more, 5 times a resolution of 6 A" in told
    _, _, told = done(volume_mask, MaskVolume(volume=source, threshold=0.5, soft_padding=5.0, resolution_A=4.0,
                                              out=tmp_path / "J3"))
    assert "voxels wide" not in told


def from_map(source, tmp_path, **settings):
    return done(mask_from_map, MaskFromMap(volume=source, out=tmp_path / "J2", **settings))


def test_a_mask_from_a_map_holds_the_particle_without_noise_holes_or_specks(source, tmp_path):
    found, mask, told = from_map(source, tmp_path)
    r = np.sqrt(((np.indices((BOX,) * 3) - np.array([18, 19, 21])[:, None, None, None]) ** 2).sum(axis=0))
    # dilation 6 A and soft edge 30 A; the threshold lies up to a voxel and a half outside the ball
    assert np.all(mask[r <= 8 + 1.5] == 1)
    assert np.all(mask[r >= 8 + 1.5 + 7.5 + 2] == 0)
    assert mask[36, 36, 36] == 0 or found["smallest_island"] == 0
    assert found["dilation_px"] == 1.5 and found["soft_px"] == 7.5 and found["lowpass_A"] == 15
    assert found["edge_width_px"] == pytest.approx(7.5, rel=0.1)
    assert "noise" in found["threshold_from"] and "threshold" in told


FROM_MAP = [
    ({"dilation_radius": 2.0}, 15.0, Steps(2, 7.5, True, 0.01)),
    ({"dilation_radius": 8.0, "soft_padding": 24.0, "unit": "A"}, 15.0, Steps(2, 6, True, 0.01)),
    ({"soft_padding": 3.0, "fill_holes": False}, 15.0, Steps(1.5, 3, False, 0.01)),
    ({"smallest_island": 0.0, "lowpass": 10.0}, 10.0, Steps(1.5, 7.5, True, 0.0)),
    ({"resolution_A": 18.0}, 18.0, Steps(1.5, 22.5, True, 0.01)),
]


@pytest.mark.parametrize("settings, lowpass_A, steps", FROM_MAP)
def test_settings_of_a_mask_from_a_map_reach_their_step(source, tmp_path, settings, lowpass_A, steps):
    found, mask, _ = from_map(source, tmp_path, threshold=0.2, **settings)
    smooth = filters.coarser(mrc.read(source / "map.mrc"), lowpass_A, filters.gaussian_rolloff).data
    np.testing.assert_array_equal(mask, mask_making.made(smooth > 0.2, steps))
    assert found["threshold"] == 0.2


def test_without_a_resolution_it_is_asked_for(source, tmp_path):
    with pytest.raises(UsageError, match="--resolution"):
        mask_from_map.planned(MaskFromMap(volume=source / "map.mrc", out=tmp_path / "J2"))


def test_a_folder_without_a_map_is_refused(tmp_path):
    (tmp_path / "J1").mkdir()
    with pytest.raises(InputError, match="holds no map.mrc"):
        masking.volume(tmp_path / "J1")


@pytest.fixture
def pair(tmp_path):
    regions = np.zeros((2, BOX, BOX, BOX), dtype=bool)
    regions[0, 12:22, 12:22, 10:22], regions[1, 14:26, 14:26, 18:28] = True, True
    paths = tuple(tmp_path / f"{name}.mrc" for name in "ab")
    for path, region in zip(paths, regions, strict=True):
        mrc.write(path, Map(masks.soft(region, 0.0, 10.0), VOXEL_A))
    return paths, [mrc.read(path).data for path in paths]


@pytest.mark.parametrize("operation, expected", [
    ("union", lambda a, b: np.maximum(a, b)), ("intersection", lambda a, b: np.minimum(a, b)),
    ("difference", lambda a, b: a * (1 - b)),
])  # fmt: skip
def test_masks_are_combined_as_asked(pair, tmp_path, operation, expected):
    paths, data = pair
    _, mask, _ = done(mask_combine, CombineMasks(mask=paths, operation=operation, out=tmp_path / "J2"))
    np.testing.assert_array_equal(mask, expected(*data))


def test_the_resolution_of_a_combination_judges_its_edge(pair, tmp_path):
    paths, _ = pair
    wide = CombineMasks(mask=paths, operation="union", resolution_A=6.0, out=tmp_path / "J2")
    assert "voxels wide" not in done(mask_combine, wide)[2]
    coarse = wide.model_copy(update={"resolution_A": 16.0, "out": tmp_path / "J3"})
    assert "5 times a resolution of 16 A" in done(mask_combine, coarse)[2]


def test_a_complement_of_a_complement_is_the_mask(pair, tmp_path):
    (path, _), (a, _) = pair
    _, mask, told = done(mask_combine, CombineMasks(mask=(path,), operation="complement", out=tmp_path / "J2"))
    np.testing.assert_array_equal(mask, 1 - a)
    assert "fills" not in told and "border" not in told
    again = CombineMasks(mask=(tmp_path / "J2" / "mask.mrc",), operation="complement", out=tmp_path / "J3")
    np.testing.assert_allclose(done(mask_combine, again)[1], a, atol=6e-8)


@pytest.mark.parametrize("operation, number", [("complement", 2), ("union", 1), ("difference", 0)])
def test_operations_on_the_wrong_number_of_masks_are_refused(pair, tmp_path, operation, number):
    with pytest.raises(pydantic.ValidationError, match=f"--operation {operation} takes"):
        CombineMasks(mask=pair[0][:number], operation=operation, out=tmp_path / "J2")


def test_masks_of_other_grids_values_or_places_are_refused(pair, tmp_path):
    paths, _ = pair
    mrc.write(tmp_path / "small.mrc", Map(np.ones((8,) * 3, np.float32), VOXEL_A))
    mrc.write(tmp_path / "map.mrc", Map(np.full((BOX,) * 3, 7.0, np.float32), VOXEL_A))
    wrong = CombineMasks(mask=(*paths, tmp_path / "small.mrc", tmp_path / "map.mrc"), operation="union",
                         out=tmp_path / "J2")
    with pytest.raises(InputError) as caught:
        mask_combine.read(wrong)
    assert len(caught.value.faults) == 2
    assert "small.mrc: a box of 8" in caught.value.faults[0] and "values from 7 to 7" in caught.value.faults[1]
    same = CombineMasks(mask=(paths[0], tmp_path / "hard.mrc"), operation="difference", out=tmp_path / "J3")
    mrc.write(tmp_path / "hard.mrc", Map(np.ones((BOX,) * 3, np.float32), VOXEL_A))
    with pytest.raises(InputError, match="empty"):
        done(mask_combine, same)


def test_a_chain_of_commands_leaves_complete_jobs_with_their_plots(source, tmp_path, capsys):
    def command(name, out, *flags):
        words = [*name.split(), "--out", str(tmp_path / out), *map(str, flags)]
        assert cli.main([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    command("volume filter", "F", "--volume", source, "--gaussian-sdev", 1)
    command("volume mask", "M", "--volume", tmp_path / "F", "--threshold", 0.3, "--soft-padding", 8)
    command("mask from-map", "N", "--volume", source)
    summary = command("mask combine", "C", "--mask", tmp_path / "M" / "mask.mrc", "--mask",
                      tmp_path / "N" / "mask.mrc", "--operation", "union")
    record = json.loads((tmp_path / "C" / "job.json").read_text())
    assert len(record["inputs"]) == 2 and len(summary["centre_of_mass_px"]) == 3
    assert not any("plots" in warning for warning in summary["warnings"])
    shown = {"F": {"slices"}, "N": {"masks", "mask_on_map", "mask_edge"}, "C": {"masks", "mask_edge"}}
    for folder, names in shown.items():
        assert {plot.name for plot in plots.drawable(View(tmp_path / folder))} == names
        assert all((tmp_path / folder / "plots" / f"{name}.png").is_file() for name in names)
    assert "Centre of mass" in (tmp_path / "N" / "report.html").read_text()


def test_a_map_alone_brought_in_is_drawn(source, tmp_path):
    from halfmap.params.volume_tools import ImportVolume

    ended = run.run("import volume", ImportVolume(volume=source / "map.mrc", kind="half1", out=tmp_path / "J2"))
    assert ended.exit_code == 0 and (tmp_path / "J2" / "plots" / "volumes.png").is_file()
