"""Where refinements begin: the first noise spectra, the grey scale, the candidates."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap import errors
from halfmap.geometry import rotations
from halfmap.maps import turn
from halfmap.refine import loop, start
from halfmap.types import Map
from tests.refine import made

SCALE = 7.3


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return made.experiment(tmp_path_factory.mktemp("start"))


TILT = rotations.exp_so3(np.deg2rad([25.0, -20.0, 10.0]))


def tilted(data):
    """The map off its D2 axes by 34 degrees, and off the centre."""
    return turn.turned(data.map, TILT, np.array([4.0, -6.0, 3.0]))


def started(data, map, watch=None, **settings):
    job = made.prepared(made.homogeneous(**settings), data.told(), watch=watch)
    return job.recipe.start.begin(job, map)[0]


def test_a_map_off_its_axes_starts_on_them(data):
    heard = made.Heard()
    plain, off = started(data, data.map), started(data, tilted(data), heard)
    # one of the 24 ways in which a D2 map can lie on its axes: it has the symmetry, which the tilted one has not
    (note,) = heard.of("note")
    assert "onto the axes" in note["text"]
    a, b = (state.references[0, 0] for state in (plain, off))
    for flip in ((0, 1), (0, 2), (1, 2)):
        mate = np.roll(np.flip(b, flip), (1, 1), flip)  # a turn by 180 degrees: voxel i goes to -i
        assert np.corrcoef(mate.ravel(), b.ravel())[0, 1] > 0.98
    assert np.sort(a.ravel())[-20:].mean() == pytest.approx(np.sort(b.ravel())[-20:].mean(), rel=0.1)


def test_a_map_on_its_axes_starts_as_it_is_bit_for_bit(data):
    heard = made.Heard()
    with_, without = started(data, data.map, heard), started(data, data.map, align_symmetry=False)
    np.testing.assert_array_equal(with_.references, without.references)
    assert not heard.of("note") and not heard.of("warning")


def test_a_map_stays_off_its_axes_where_the_user_wants_it_there_or_names_no_symmetry(data):
    heard = made.Heard()
    for settings in ({"align_symmetry": False}, {"symmetry": "C1"}):
        state = started(data, tilted(data), heard, **settings)
        assert np.corrcoef(state.references.ravel(), started(data, data.map).references.ravel())[0, 1] < 0.95
    assert not heard.of("note") and not heard.of("warning")


def test_a_map_without_the_symmetry_is_told_and_left_where_it_is(data):
    heard = made.Heard()
    with_ = started(data, data.map, heard, symmetry="C7")
    assert any("does not have the symmetry" in w["message"] for w in heard.of("warning"))
    np.testing.assert_array_equal(with_.references, started(data, data.map, symmetry="C7",
                                                             align_symmetry=False).references)


def test_a_refinement_from_a_tilted_map_ends_like_one_from_the_map_on_its_axes(data):
    def refined(map, **settings):
        recipe = made.homogeneous(max_iterations=3, **settings)
        told = replace(data.told(), half=data.truth.half)
        return loop.run(recipe, told, map, None, np.random.default_rng(1), made.Heard()).history[-1]["resolution_A"]

    on, off, left = refined(data.map), refined(tilted(data)), refined(tilted(data), align_symmetry=False)
    # within one shell of the 160 A box; without alignment 34 degrees are not found back in three iterations
    assert abs(160 / on - 160 / off) < 1 and 160 / left < 160 / on - 1


def begun(data, factor=1.0, particles=None, watch=None, **settings):
    job = made.prepared(made.homogeneous(**settings), data.told() if particles is None else particles, watch=watch)
    state, plan = job.recipe.start.begin(job, Map(np.float32(factor) * data.map.data, data.map.voxel_size_A))
    return job, state, plan


def test_the_grey_scale_makes_up_for_that_of_the_map(data):
    (_, plain, _), (_, scaled, _) = begun(data), begun(data, SCALE)
    # poses ranked by correlation alone do not see the scale; then both start alike, but for rounding and FAINT.
    assert scaled.models[0].grey * SCALE == pytest.approx(plain.models[0].grey, rel=0.1)
    np.testing.assert_allclose(scaled.models[0].noise_sd, plain.models[0].noise_sd)


def test_the_grey_scale_is_that_of_the_images(data, tmp_path):
    louder = made.stacked(tmp_path / "louder.mrcs", SCALE * data.images, data.told())
    (_, plain, _), (_, loud, _) = begun(data), begun(data, particles=louder)
    assert loud.models[0].grey / plain.models[0].grey == pytest.approx(SCALE, rel=0.1)
    # the noise is in the same units
    np.testing.assert_allclose(loud.models[0].noise_sd, SCALE * plain.models[0].noise_sd, rtol=1e-4)


def test_the_grey_scale_is_left_alone_where_the_user_says_so(data):
    _, state, _ = begun(data, SCALE, reestimate_greyscale=False)
    assert [model.grey for model in state.models] == [1.0]


def test_nothing_is_known_of_the_poses_at_the_start(data):
    job, state, plan = begun(data)
    assert state.iteration == 0 and state.history == ()
    assert state.candidates.log_likelihood.shape == (200, job.recipe.candidates + start.SPARE_CANDIDATES)
    assert (state.candidates.log_likelihood == -np.inf).all()
    assert plan.searched.all()


def test_both_halves_start_from_the_same_low_passed_map(data):
    job, state, plan = begun(data, initial_lowpass=40.0)
    np.testing.assert_array_equal(state.references[0, 0], state.references[0, 1])
    assert state.reference(0).box == plan.box
    assert plan.band == job.frame.shell(40.0) == 4
    spectrum = abs(np.fft.rfftn(state.references[0, 0])) ** 2
    k = np.fft.fftfreq(plan.box, 1 / plan.box)
    shell = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + np.arange(plan.box // 2 + 1) ** 2)
    # the sphere about the map has an edge of 25 A and smears the filter over 160 / 25 = 6 shells, faintly
    assert spectrum[shell > 4 + 2 + 6].sum() < 1e-3 * spectrum.sum()


def test_noise_is_measured_per_optics_group(data, tmp_path):
    n = len(data.truth)
    group = (np.arange(n) % 2).astype(np.int32)
    sd = np.array([2.0, 5.0])
    two = replace(data.told(), optics=data.truth.optics * 2, group=group)
    stacked = made.stacked(tmp_path / "two.mrcs", made.white(n, 1.0) * sd[group][:, None, None], two)
    models = start.first_models(made.prepared(made.homogeneous(), stacked))
    for model, true in zip(models, sd, strict=True):
        # 100 images x 40 independent coefficients in a shell of 10: 1.6 % on the power; 4 standard deviations
        np.testing.assert_allclose(model.noise_sd[10:16], true / made.BOX, rtol=0.04)


def test_a_table_without_one_usable_image_is_refused(data, tmp_path):
    nothing = made.stacked(tmp_path / "nan.mrcs", np.full_like(data.images, np.nan), data.told())
    with pytest.raises(errors.InputError, match="none of the .* can be used; the first: image has NaN"):
        begun(data, particles=nothing)


def test_a_group_of_which_nothing_is_usable_starts_with_the_noise_of_another(data, tmp_path):
    images = data.images.copy()
    images[:5] = np.nan
    group = (np.arange(len(images)) >= 5).astype(np.int32)
    two = replace(data.told(), optics=data.truth.optics * 2, group=group)
    models = start.first_models(made.prepared(made.homogeneous(), made.stacked(tmp_path / "gone.mrcs", images, two)))
    np.testing.assert_array_equal(models[0].noise_sd, models[1].noise_sd)


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_samples_hold_some_of_every_optics_group_from_all_over_the_table(data, most):
    group = (np.arange(200) >= 20).astype(np.int32)
    two = replace(data.told(), optics=data.truth.optics * 2, group=group)
    rows = start.sample_rows(made.prepared(made.homogeneous(), two), most)
    assert len(np.unique(rows)) == len(rows) == min(most, 20) + min(most, 180)
    assert {0, 20} <= set(rows.tolist())
    assert most == 1 or {19, 199} <= set(rows.tolist())


def test_known_poses_are_where_a_reconstruction_starts(data):
    job = made.prepared(made.reconstruction(), data.truth)
    state, plan = job.recipe.start.begin(job, None)
    np.testing.assert_array_equal(state.poses.rotations, data.truth.poses.rotations)
    np.testing.assert_array_equal(state.poses.shifts_A, data.truth.poses.shifts_A)
    assert not state.references.any() and plan.final


def test_a_reconstruction_without_poses_is_refused(data):
    job = made.prepared(made.reconstruction(), data.told())
    with pytest.raises(errors.InputError, match="no poses"):
        job.recipe.start.begin(job, None)


def test_black_protein_is_told_from_white(data, tmp_path):
    heard = []

    def watch(kind, **event):
        if kind == "warning":
            heard.append(event["message"])

    begun(data, watch=watch)
    assert not any("contrast" in message for message in heard)
    begun(data, particles=made.stacked(tmp_path / "black.mrcs", -data.images, data.told()), watch=watch)
    assert any("contrast inverted" in message for message in heard)
