"""Whole refinements of a few small images, in this process."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.fft

from halfmap import errors
from halfmap.maps import masks
from halfmap.physics import ctf
from halfmap.refine import loop
from halfmap.types import Map
from tests.refine import made

SPOILED = 7


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return made.experiment(tmp_path_factory.mktemp("loop"))


@pytest.fixture(scope="module")
def spoiled(data, tmp_path_factory):
    """The same particles, one image with a NaN."""
    images = data.images.copy()
    images[SPOILED, 3, 4] = np.nan
    return made.stacked(tmp_path_factory.mktemp("spoiled") / "images.mrcs", images, data.told())


def refined(particles, data, watch=None, mask=None, seed=1, **settings):
    watch = made.Heard() if watch is None else watch
    return loop.run(made.homogeneous(**settings), particles, data.map, mask, np.random.default_rng(seed), watch)


@pytest.fixture(scope="module")
def usual(spoiled, data):
    heard = made.Heard()
    return refined(spoiled, data, heard), heard


def same(a, b):
    np.testing.assert_array_equal(a.particles.poses.rotations, b.particles.poses.rotations)
    np.testing.assert_array_equal(a.particles.poses.shifts_A, b.particles.poses.shifts_A)
    for name in ("half1", "half2", "map"):
        np.testing.assert_array_equal(getattr(a, name).data, getattr(b, name).data)


def test_a_refinement_finds_most_poses(usual, data):
    result, _ = usual
    error = made.error_deg(result.particles, data.truth)
    predicted = result.history[-1]["accuracy_rotation_deg"]
    # both are medians of an error with three components, known to some 6 % from 200; 1.3 is what the project promises
    assert np.median(error) < 1.3 * predicted
    # an error with three equal Gaussian components exceeds three times its median with a probability of 1e-5
    assert (error < 3 * 1.3 * predicted).mean() > 0.9


def test_shifts_are_found_too(usual, data):
    result, _ = usual
    wrong = result.particles.poses.shifts_A - data.truth.poses.shifts_A[result.particles.index]
    # a common offset is free where the group leaves the centre free; D2 does not
    assert np.median(np.linalg.norm(wrong, axis=1)) < 1.3 * result.history[-1]["accuracy_shift_A"]


def test_the_image_with_a_nan_is_reported_and_left_out(usual, data):
    result, heard = usual
    ((row, reason),) = result.rejected
    assert row == SPOILED and "NaN" in reason
    assert len(result.particles) == len(data.truth) - 1
    assert SPOILED not in result.particles.index
    assert all(len(column) == len(result.particles) for column in result.extra.values())
    assert any("1 image could not be used" in text for text in result.warnings)
    assert [data["message"] for data in heard.of("warning")] == list(result.warnings)


def test_the_history_tells_how_much_of_the_box_the_mask_keeps(usual):
    result, _ = usual
    assert result.history[-1]["mask_fraction"] == pytest.approx(result.mask_refine.data.mean(dtype=float))


def test_everything_in_the_outcome_is_finite(usual):
    result, _ = usual
    for map in (result.half1, result.half2, result.map, result.mask_refine):
        assert np.isfinite(map.data).all() and map.box == made.BOX
    assert all(np.isfinite(column).all() for column in result.extra.values())
    assert all(np.isfinite(c.values).all() for c in (*result.curves.values(), *result.noise))


def test_the_watcher_hears_every_iteration_and_every_image(usual, data):
    result, heard = usual
    assert [row["iteration"] for row in heard.of("iteration")] == list(range(1, len(result.history) + 1))
    solved = [data for data in heard.of("progress") if data["stage"] == "solve"]
    assert [d["done"] for d in solved] == [len(data.truth) - 1] * len(result.history)
    assert heard.of("progress")[0]["stage"] == "search"
    assert result.history[0]["searched"] == len(data.truth) - 1


def test_no_references_are_made_that_nothing_follows(data, monkeypatch):
    made_of, original = [], loop.references
    monkeypatch.setattr(loop, "references", lambda *arguments: made_of.append(arguments) or original(*arguments))
    result = refined(data.told(), data, max_iterations=2)
    assert len(made_of) == len(result.history) - 1


def test_the_same_seed_gives_the_same_result_bit_for_bit(usual, spoiled, data):
    same(usual[0], refined(spoiled, data))


def test_the_size_of_batches_changes_no_pose(spoiled, data):
    small, usual = (refined(spoiled, data, minibatch_size=size, max_iterations=2) for size in (7, None))
    np.testing.assert_array_equal(small.particles.poses.rotations, usual.particles.poses.rotations)
    np.testing.assert_array_equal(small.particles.poses.shifts_A, usual.particles.poses.shifts_A)


def test_the_half_sets_of_the_input_are_kept(data):
    told = replace(data.told(), half=data.truth.half)
    result = refined(told, data, max_iterations=1)
    np.testing.assert_array_equal(result.particles.half, data.truth.half[result.particles.index])


def test_half_sets_are_drawn_anew_when_asked_for(data):
    told = replace(data.told(), half=data.truth.half)
    result = refined(told, data, max_iterations=1, force_resplit=True)
    assert (result.particles.half != data.truth.half[result.particles.index]).any()
    assert abs(np.mean(result.particles.half == 1) - 0.5) <= 0.5 / len(told)


def test_one_half_learns_nothing_from_the_images_of_the_other(data, tmp_path):
    told = replace(data.told(), half=data.truth.half)
    images = np.where((told.half == 2)[:, None, None], made.white(len(told), 1.0), data.images)
    noisy = made.stacked(tmp_path / "half2_noise.mrcs", images, told)
    first, other = (made.prepared(made.homogeneous(), particles) for particles in (told, noisy))
    # one starting state for both: the noise spectrum of an optics group is a property of the microscope, shared
    state, plan = first.recipe.start.begin(first, data.map)
    (a, maps_a, _), (b, maps_b, _) = (loop.iterate(job, state, plan) for job in (first, other))
    mine, theirs = told.half == 1, told.half == 2
    np.testing.assert_array_equal(a.poses.rotations[mine], b.poses.rotations[mine])
    np.testing.assert_array_equal(a.poses.shifts_A[mine], b.poses.shifts_A[mine])
    np.testing.assert_array_equal(maps_a.halves[0].data, maps_b.halves[0].data)
    assert (a.poses.rotations[theirs] != b.poses.rotations[theirs]).any()
    assert (maps_a.halves[1].data != maps_b.halves[1].data).any()


@pytest.mark.parametrize("kind", ["progress", "iteration"])
def test_a_watcher_that_raises_stops_the_run(data, kind):
    heard = made.Heard()

    def stop(happened, **what):
        heard(happened, **what)
        if happened == kind:
            raise errors.Interrupted("stopped on request")

    with pytest.raises(errors.Interrupted):
        refined(data.told(), data, stop)
    assert len(heard.of(kind)) == 1


def test_the_mask_of_the_user_is_used_as_given_and_judges_the_resolution(data):
    mask = Map(masks.sphere(made.BOX, 9.5, 5), made.VOXEL_A)
    result = refined(data.told(), data, mask=mask, max_iterations=1)
    np.testing.assert_array_equal(result.mask_refine.data, mask.data)
    assert "masked" in result.curves and "tight" not in result.curves


def test_the_arguments_stay_as_they_were(data):
    told, before = data.told(), data.map.data.copy()
    refined(told, data, max_iterations=1)
    np.testing.assert_array_equal(data.map.data, before)
    assert told.poses is None and not told.half.any()


def times_ctf(images, table):
    """The images multiplied by their CTF."""
    half = ctf.half_plane(table.optics[0], table.defocus, made.BOX // 2)
    transfer = scipy.fft.ifftshift(half[:, :-1], axes=1)
    return scipy.fft.irfft2(scipy.fft.rfft2(images) * transfer, s=images.shape[1:])


def test_images_multiplied_by_their_ctf_give_the_same_poses(data, tmp_path):
    told = replace(data.told(), half=data.truth.half)
    described = tuple(replace(o, premultiplied=True) for o in told.optics)
    stacked = made.stacked(tmp_path / "times_ctf.mrcs", times_ctf(data.images, told), replace(told, optics=described))
    plain, multiplied = refined(told, data), refined(stacked, data)
    error = [np.median(made.error_deg(result.particles, data.truth)) for result in (plain, multiplied)]
    apart = np.median(made.error_deg(multiplied.particles, replace(data.truth, poses=plain.particles.poses)))
    # the noise of one group is taken to have one spectrum, which after multiplication differs with the defocus
    # apart from that they hold the same noise: independent noise would set them 1.4 errors apart
    assert apart < 0.5 * error[0]
    assert error[1] < 1.3 * error[0]


def test_one_pass_reconstructs_the_map_from_known_poses(data):
    rng = np.random.default_rng(1)
    result = loop.run(made.reconstruction(), data.truth, None, None, rng, made.Heard())
    assert len(result.history) == 1
    inside = masks.sphere(made.BOX, 11, 1) > 0
    assert np.corrcoef(result.map.data[inside], data.map.data[inside])[0, 1] > 0.9
