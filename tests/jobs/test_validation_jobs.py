"""fsc, sharpen, local-resolution, local-filter and orientation, as a user starts them on small maps."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from halfmap.data import relion
from halfmap.geometry import rotations
from halfmap.io import mrc, star
from halfmap.jobs.pictures import plots
from halfmap.jobs.pictures.views import View
from halfmap.jobs.running import run
from halfmap.maps import filters, masks, resample, sharpening
from halfmap.params.fsc import Fsc
from halfmap.params.local_resolution import LocalFilter, LocalResolution
from halfmap.params.orientation import Orientation
from halfmap.params.sharpen import Sharpen
from halfmap.types import Map, Poses
from halfmap.validate import fsc, guinier, orientation
from tests.jobs import made as jobs_made
from tests.validate import made

pytestmark = pytest.mark.usefixtures("no_plots")

BOX, VOXEL_A = 40, made.VOXEL_A
SD = 3.0  # of the noise: the halves agree to 8 A or so, Nyquist is 6 A


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Half-maps of a small body, a mask, and what they show without noise (truth.mrc)."""
    folder = tmp_path_factory.mktemp("validation") / "J1"
    folder.mkdir()
    truth = made.particle(BOX)
    half1, half2 = made.halves(np.random.default_rng(4), truth, SD)
    mean = Map((half1.data + half2.data) / 2, VOXEL_A)
    mask = Map(masks.sphere(BOX, 13, 4), VOXEL_A)
    for name, map in (("truth", truth), ("half1", half1), ("half2", half2), ("map", mean), ("mask_fsc", mask)):
        mrc.write(folder / f"{name}.mrc", map)
    return folder


def done(name, params):
    ended = run.run(name, params)
    assert ended.exit_code == 0, ended.summary
    return ended.summary


def failed(name, params):
    ended = run.run(name, params)
    assert ended.exit_code in (2, 3), ended.summary
    return " ".join(ended.summary["faults"])


def data(folder, name):
    return mrc.read(folder / f"{name}.mrc").data


def amplitude(folder, name):
    return guinier.profile(mrc.read(folder / f"{name}.mrc")).values


# ---- any two maps


def compared(folder, out, **settings):
    return done("fsc", Fsc(volume=folder / "map.mrc", against=folder / "truth.mrc", out=out, **settings))


def test_two_maps_are_judged_at_0_5_and_agree_with_the_halves_at_0143(folder, tmp_path):
    mask = folder / "mask_fsc.mrc"
    whole = compared(folder, tmp_path / "a", mask=mask)
    halves = done("fsc", Fsc(half1=folder / "half1.mrc", half2=folder / "half2.mrc", mask=mask, out=tmp_path / "b"))
    assert (whole["fsc_threshold"], halves["fsc_threshold"]) == (0.5, 0.143)
    length = BOX * VOXEL_A  # one shell of the map: that is how well 0.143 and 0.5 are the same claim
    assert length / whole["resolution_A"] == pytest.approx(length / halves["resolution_A"], abs=1.0)
    curves = json.loads((tmp_path / "a" / "fsc.json").read_text())
    assert curves["threshold"] == 0.5 and set(curves["crossings_A"]["corrected"]) == {"0.143", "0.5"}
    assert "mask_free" not in curves  # it takes both maps to hold the same noise


def test_the_grey_scale_of_the_other_map_does_not_matter(folder, tmp_path):
    truth = mrc.read(folder / "truth.mrc")
    mrc.write(tmp_path / "scaled.mrc", Map(truth.data * np.float32(1000), VOXEL_A))
    one = compared(folder, tmp_path / "a")
    other = done("fsc", Fsc(volume=folder / "map.mrc", against=tmp_path / "scaled.mrc", out=tmp_path / "b"))
    assert other["resolution_A"] == pytest.approx(one["resolution_A"], rel=1e-4)


def test_a_threshold_of_the_users_own_is_where_the_resolution_is_read(folder, tmp_path):
    found = compared(folder, tmp_path / "a", threshold=0.8)
    curves = json.loads((tmp_path / "a" / "fsc.json").read_text())
    assert found["resolution_A"] == curves["crossings_A"]["corrected"]["0.8"]
    assert found["resolution_A"] > found["resolution_05_A"]


def test_a_corrected_voxel_size_stretches_all_frequencies(folder, tmp_path):
    mask = folder / "mask_fsc.mrc"
    one, other = (compared(folder, tmp_path / str(v), voxel_size_A=v, mask=mask) for v in (VOXEL_A, 1.03 * VOXEL_A))
    assert other["resolution_A"] == pytest.approx(1.03 * one["resolution_A"], rel=1e-3)
    assert mrc.read(tmp_path / str(1.03 * VOXEL_A) / "mask_fsc.mrc").voxel_size_A == pytest.approx(1.03 * VOXEL_A)


@pytest.mark.parametrize("names", [{}, {"half1": "a"}, {"volume": "a"}, {"half1": "a", "half2": "b", "against": "c"}])
def test_one_pair_of_maps_is_wanted(names, tmp_path):
    with pytest.raises(ValueError, match="--half1 and --half2, or any two maps"):
        Fsc(out=tmp_path, **names)


def test_maps_on_other_grids_are_refused(folder, tmp_path):
    mrc.write(tmp_path / "small.mrc", resample.fourier_crop(mrc.read(folder / "truth.mrc"), 32))
    assert "differ" in failed("fsc", Fsc(volume=folder / "map.mrc", against=tmp_path / "small.mrc", out=tmp_path / "a"))


# ---- sharpen


def sharpened(folder, out, **settings):
    return done("sharpen", Sharpen(volume=folder, out=out, **settings))


def test_a_job_folder_is_sharpened_by_its_guinier_fit(folder, tmp_path):
    found = sharpened(folder, tmp_path / "a")
    assert found["bfactor_A2"] < 0 and found["lowpass_A"] == pytest.approx(found["resolution_A"], rel=1e-6)
    ratio = amplitude(tmp_path / "a", "map_sharp") / amplitude(tmp_path / "a", "map")
    k = np.arange(BOX // 2 + 1) / (BOX * VOXEL_A)
    wanted = np.exp(-found["bfactor_A2"] / 4 * k**2)
    np.testing.assert_allclose(ratio[1:-1], wanted[1:-1], rtol=0.02)  # a shell has a width
    content = json.loads((tmp_path / "a" / "guinier.json").read_text())
    assert {"ln_amplitude", "ln_amplitude_map", "ln_amplitude_map_sharp", "fit"} <= set(content)
    assert (tmp_path / "a" / "mask_fsc.mrc").is_file() and (tmp_path / "a" / "fsc.xml").is_file()


def test_a_b_factor_given_is_the_one_used(folder, tmp_path):
    assert sharpened(folder, tmp_path / "a", bfactor=-77)["bfactor_A2"] == -77


@pytest.mark.parametrize("kind", ["cref", "full", "half", "off"])
def test_weights_are_those_asked_for(folder, tmp_path, kind):
    found = sharpened(folder, tmp_path / "a", bfactor=0, fsc_weighting=kind, lowpass="none")
    curve = np.array(json.loads((tmp_path / "a" / "fsc.json").read_text())["corrected"])
    ratio = amplitude(tmp_path / "a", "map") / amplitude(folder, "map")
    last = int(BOX * VOXEL_A / found["resolution_A"]) - 1
    np.testing.assert_allclose(
        ratio[1:last], sharpening.weights(curve, sharpening.WEIGHTS[kind])[1:last], rtol=0.05)  # linear within a shell
    assert found["lowpass_A"] is None


def test_the_low_pass_is_where_and_as_steep_as_asked_for(folder, tmp_path):
    plain = {"bfactor": 0, "fsc_weighting": "off"}
    for name, order in (("a", 8), ("b", 2)):
        sharpened(folder, tmp_path / name, lowpass=12.0, lowpass_order=order, **plain)
        wanted = filters.coarser(mrc.read(folder / "map.mrc"), 12.0, partial(filters.butterworth, order=order))
        np.testing.assert_allclose(data(tmp_path / name, "map"), wanted.data, atol=1e-5)


def test_an_offset_moves_the_corner_by_shells(folder, tmp_path):
    one, other = (sharpened(folder, tmp_path / str(n), lowpass_offset=n)["lowpass_A"] for n in (0, 2))
    assert BOX * VOXEL_A / other == pytest.approx(BOX * VOXEL_A / one + 2)


def test_an_mtf_is_divided_by_at_its_own_pixel(folder, tmp_path):
    columns = {"rlnResolutionInversePixel": np.array([0, 0.5]), "rlnMtfValue": np.array([1, 0.2])}
    star.write(tmp_path / "mtf.star", [star.Block("mtf", columns)])
    settings = {"mtf": tmp_path / "mtf.star", "bfactor": 0, "fsc_weighting": "off", "lowpass": "none"}
    for name, pixel, at_nyquist in (("a", None, 0.2), ("b", VOXEL_A / 2, 0.6)):
        sharpened(folder, tmp_path / name, mtf_pixel_size_A=pixel, **settings)
        ratio = amplitude(tmp_path / name, "map") / amplitude(folder, "map")
        assert ratio[-1] == pytest.approx(1 / at_nyquist, rel=0.03)  # half a shell


def test_a_single_map_is_sharpened_without_an_fsc(folder, tmp_path):
    settings = {"volume": folder / "map.mrc", "fsc_weighting": "off", "lowpass": 6.5}
    found = done("sharpen", Sharpen(out=tmp_path / "a", **settings))
    assert "resolution_A" not in found and found["bfactor_A2"] is not None
    assert "--fsc-weighting off" in failed("sharpen", Sharpen(out=tmp_path / "b", volume=folder / "map.mrc"))


def test_another_mask_judges_when_it_is_given(folder, tmp_path):
    mrc.write(tmp_path / "wide.mrc", Map(masks.sphere(BOX, 17, 2), VOXEL_A))
    one, other = sharpened(folder, tmp_path / "a"), sharpened(folder, tmp_path / "b", mask=tmp_path / "wide.mrc")
    assert other["resolution_A"] > one["resolution_A"]


# ---- local resolution and filter


@pytest.fixture(scope="module")
def located(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("local") / "J2"
    return out, done("local-resolution", LocalResolution(volume=folder, out=out))


def test_local_resolution_is_a_map_of_angstrom_in_the_mask(folder, located):
    out, found = located
    values, mask = data(out, "locres"), data(folder, "mask_fsc")
    assert np.all((values > 0) == (mask >= 0.5))
    assert found["local_resolution_median_A"] == pytest.approx(np.median(values[values > 0]), rel=1e-5)
    assert sum(json.loads((out / "locres.json").read_text())["voxels"]) == np.count_nonzero(values)


def test_settings_of_the_local_resolution_reach_it(folder, located, tmp_path):
    def median(**settings):
        out = tmp_path / "".join(settings)
        found = done("local-resolution", LocalResolution(volume=folder, out=out, **settings))
        return found["local_resolution_median_A"]

    before = located[1]["local_resolution_median_A"]
    assert median(fsc_threshold=0.3) < 0.95 * before
    assert median(window_factor=12.0) != before
    assert median(step=2) == pytest.approx(before, rel=0.05) and median(step=2, fsc_threshold=0.5) != before


def test_a_mask_is_made_where_none_is_given(folder, tmp_path):
    halves = {"half1": folder / "half1.mrc", "half2": folder / "half2.mrc"}
    done("local-resolution", LocalResolution(volume=folder / "map.mrc", out=tmp_path / "a", **halves))
    assert 0.01 < (data(tmp_path / "a", "locres") > 0).mean() < 0.6


def test_much_without_resolution_is_told(folder, tmp_path):
    for seed, name in enumerate(("half1", "half2")):
        mrc.write(tmp_path / f"{name}.mrc", made.noise(np.random.default_rng(seed), BOX))
    settings = {"half1": tmp_path / "half1.mrc", "half2": tmp_path / "half2.mrc"}
    found = done("local-resolution", LocalResolution(volume=folder, out=tmp_path / "a", **settings))
    assert found["unresolved"] == 1 and "agree nowhere" in found["warnings"][0]


def filtered(folder, located, out, **settings):
    done("local-filter", LocalFilter(volume=folder, local_resolution=located[0], out=out, **settings))
    return data(out, "map_local_filtered")


def test_a_map_is_filtered_to_its_local_resolution(folder, located, tmp_path):
    low, sharp = (filtered(folder, located, tmp_path / str(b), bfactor=b) for b in (0, -150))
    limited = filtered(folder, located, tmp_path / "limited", bfactor=-150, max_resolution=20.0)
    assert low.std() < data(folder, "map").std() and low.std() < limited.std() < sharp.std()


def test_outside_a_mask_the_coarsest_resolution_is_taken(folder, located, tmp_path):
    mrc.write(tmp_path / "small.mrc", Map(masks.sphere(BOX, 6, 2), VOXEL_A))
    filtered(folder, located, tmp_path / "a", mask=tmp_path / "small.mrc")
    kept = data(tmp_path / "a", "locres")
    assert 0 < np.count_nonzero(kept) < np.count_nonzero(data(located[0], "locres"))


def test_a_resolution_of_another_grid_is_refused(folder, tmp_path):
    mrc.write(tmp_path / "other.mrc", Map(np.full((20,) * 3, 8, np.float32), VOXEL_A))
    settings = {"volume": folder, "local_resolution": tmp_path / "other.mrc"}
    assert "local resolution of this map" in failed("local-filter", LocalFilter(out=tmp_path / "a", **settings))


# ---- orientation


@pytest.fixture(scope="module")
def viewed(folder, tmp_path_factory):
    """Particles seen from the side only, and a folder with them and the half-maps."""
    place = tmp_path_factory.mktemp("viewed")
    table = jobs_made.particles(place)
    n = len(table)
    sides = rotations.euler_to_matrix(np.linspace(0, 180, n, endpoint=False), np.full(n, 90.0), np.zeros(n))
    relion.write(place / "sides.star", replace(table, poses=Poses(sides, np.zeros((n, 2)))))
    return place / "sides.star"


def judged(folder, out, **settings):
    return done("orientation", Orientation(volume=folder, out=out, **settings))


def test_maps_alone_and_views_alone_are_judged(folder, viewed, tmp_path):
    maps = judged(folder, tmp_path / "a")
    assert maps["cfar"] > 0.5 and maps["tfar"] > 0.5 and maps["scf"] is None and "cFAR" in maps["verdict"]
    views = judged(folder / "map.mrc", tmp_path / "b", particles=viewed)
    assert views["cfar"] is None and views["scf"] < 0.81 and views["unsampled"] > 0
    assert "neither half-maps nor poses" in failed(
        "orientation", Orientation(volume=folder / "map.mrc", out=tmp_path / "c"))


def test_symmetry_adds_the_views_of_the_mates(folder, viewed, tmp_path):
    c1, o = (judged(folder, tmp_path / name, particles=viewed, symmetry=name) for name in ("C1", "O"))
    assert o["scf"] > c1["scf"] and o["symmetry"] == "O"


def test_radius_and_number_of_particles_reach_the_scf(folder, viewed, tmp_path):
    usual = judged(folder, tmp_path / "a", particles=viewed)
    thinner = judged(folder, tmp_path / "b", particles=viewed, scf_radius=100.0)
    fewer = judged(folder, tmp_path / "c", particles=viewed, scf_particles=10, seed=1)
    assert thinner["unsampled"] > usual["unsampled"] and fewer["unsampled"] > usual["unsampled"]
    assert fewer["n_particles"] == usual["n_particles"]


def test_a_mask_changes_what_the_cones_see(folder, tmp_path):
    mrc.write(tmp_path / "small.mrc", Map(masks.sphere(BOX, 8, 3), VOXEL_A))
    assert judged(folder, tmp_path / "a")["cfar"] != judged(folder, tmp_path / "b", mask=tmp_path / "small.mrc")["cfar"]


# ---- plots


def test_every_job_can_draw_its_plots(folder, located, viewed, tmp_path):
    sharpened(folder, tmp_path / "sharpen")
    filtered(folder, located, tmp_path / "filter")
    judged(folder, tmp_path / "orientation", particles=viewed)
    wanted = {
        tmp_path / "sharpen": {"sharpening", "guinier", "fsc", "slices", "masks"},
        located[0]: {"local_resolution", "local_resolution_histogram", "slices"},
        tmp_path / "filter": {"local_resolution", "local_filtered"},
        tmp_path / "orientation": {"cfsc", "directions", "sampling", "signal", "fourier"},
    }
    for place, names in wanted.items():
        view = View(place)
        assert names <= {plot.name for plot in plots.drawable(view)}
        for name in names - {"cfsc", "directions", "fourier", "guinier", "fsc", "slices", "masks"}:
            plots.draw(name, view)
            assert view.picture(name, ".png").stat().st_size > 5000


def test_thresholds_of_the_verdict_are_those_of_the_field():
    assert (orientation.LEAST_CFAR, orientation.LEAST_SCF, fsc.THRESHOLD) == (0.5, 0.81, 0.143)
