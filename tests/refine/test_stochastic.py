"""Maps from nothing, on a molecule of 160 A in a box of 32: few steps at 40 to 23 A."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.align import axes, maps
from halfmap.geometry import symmetry
from halfmap.maps import filters, resample, turn
from halfmap.reconstruct import online
from halfmap.refine import growing, settling, setup, stochastic
from halfmap.refine.annealing import Annealing, Inflation
from halfmap.refine.batch_sizes import Measured, Told
from halfmap.refine.state import Keeper
from halfmap.types import Map
from tests.refine import made

PLAN = Annealing(40, 23, 15, 5, 0.15, (Told(80), Told(120)), (0.6, 0.2), 0.1, (10, 20))
METHOD = growing.Method(PLAN, classes=1, starts=1, offset_A=8.0, blob_shells=4.0)
N = 400


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return made.experiment(tmp_path_factory.mktemp("grown"), n=N, snr=0.3)


def job(particles, seed=1):
    recipe = made.homogeneous(symmetry="D2", particle_diameter_A=140.0)
    return setup.prepare(recipe, particles, None, np.random.default_rng(seed), made.Heard())


@pytest.fixture(scope="module")
def grown(sample):
    """(run, found) of one start."""
    work = job(sample.told())
    return work, stochastic.run(work, METHOD, np.arange(N))


def likeness(found: Map, truth: Map, at_A=25.0) -> float:
    """Correlation at a resolution, the map brought onto the truth, hand free."""
    a = filters.lowpass(resample.to_grid(found, truth.box, truth.voxel_size_A), at_A)
    b = filters.lowpass(truth, at_A)
    placed = turn.placed(a, maps.find(a, b, test_hand=True).frame)
    return float(np.corrcoef(placed.data.ravel(), b.data.ravel())[0, 1])


def after(sample, steps, **changes):
    """(run, growth) after some steps of another method."""
    work = job(sample.told())
    setting = stochastic._prepared(work, replace(METHOD, **changes), np.arange(N))
    return setting, stochastic._grown(setting, stochastic._begun(setting), steps, Keeper()).grown


def test_the_molecule_grows_from_its_images(sample, grown):
    _, found = grown
    assert found.something and "the end of the schedule" in found.verdict
    # two thirds of the way to 23 A; a ball of the same profile has 0.75
    assert likeness(found.maps[0], sample.map) > 0.85


def test_its_axes_are_found_in_the_map(grown):
    work, found = grown
    turned = stochastic.onto_axes(found.maps[0], symmetry.group("D2"), work)
    before, after = (axes.find(one, symmetry.group("D2")) for one in (found.maps[0], turned))
    # what is left of turning it, a tenth of the resolution at its edge, is the limit below which nothing is turned
    assert before.before < 0.2 < 0.9 * before.after < after.before
    assert stochastic.onto_axes(found.maps[0], np.eye(3)[None], work) is found.maps[0]


def test_of_several_starts_the_one_with_most_evidence_goes_on(sample):
    work = job(sample.told())
    short = replace(METHOD, starts=2, annealing=replace(PLAN, initial_steps=4, final_steps=1, radius_step=1.0))
    found = stochastic.run(work, short, np.arange(N))
    assert len(found.trials) == 2 and {row["start"] for row in found.history} == {1, 2, 3}
    assert any("best goes on" in note["text"] for note in work.watch.of("note"))
    told = {event["whose"]: event for event in work.watch.of("progress")}
    assert list(told) == ["start 1 of 2", "start 2 of 2", "the best start"]
    assert all(event["done"] == event["total"] for event in told.values())  # each ends where it was to end


def test_of_noise_nothing_is_said_to_be_found(tmp_path, sample):
    noise = made.stacked(tmp_path / "noise.mrcs", made.white(N, 1.0), sample.told())
    found = stochastic.run(job(noise), METHOD, np.arange(N))
    assert not found.something and "NOTHING WAS FOUND" in found.verdict


@pytest.fixture
def at_rest(monkeypatch):
    """Maps that never gain anything, as soon as two windows of three steps can tell."""
    monkeypatch.setattr(settling, "WINDOW", 3)
    monkeypatch.setattr(settling, "settled", lambda rows: True)


def test_where_nothing_is_gained_the_first_phase_gives_way_and_the_last_one_ends(sample, at_rest):
    work = job(sample.told())
    found = stochastic.run(work, replace(METHOD, starts=2, annealing=replace(PLAN, final_steps=9)), np.arange(N))
    first = [phase for phase in found.phases if phase["phase"] == settling.FIRST]
    assert [phase["steps"] for phase in first] == [6, 6] and PLAN.initial_steps == 15
    compared = [phase for phase in found.phases if phase["reason"] == "here the starts are compared"]
    assert len({phase["band_A"] for phase in compared}) == 1 and len(compared) == 2
    assert len(found.history) < 2 * PLAN.trial_steps(work.frame) and "nothing more is gained" in found.verdict
    assert found.resolution_A == PLAN.final_A  # what does not help at 40 A may yet help at 23
    assert found.phases[-1]["phase"] == settling.LAST and found.phases[-1]["steps"] == 6
    assert [event["reason"] for event in work.watch.of("phase")] == [phase["reason"] for phase in found.phases]


def test_classes_that_are_still_held_alike_are_not_parted_at_once(sample, at_rest):
    alike = replace(PLAN, similarity=0.5, similar_until=(5, 12))
    found = stochastic.run(job(sample.told()), replace(METHOD, classes=2, annealing=alike), np.arange(N))
    assert found.phases[0]["steps"] == 13  # the first step whose classes are on their own


def test_images_that_show_nothing_are_not_looked_at_any_finer(tmp_path, sample, monkeypatch):
    monkeypatch.setattr(settling, "WINDOW", 4)
    monkeypatch.setattr(settling, "settled", lambda rows: False)
    noise = made.stacked(tmp_path / "noise.mrcs", made.white(N, 1.0), sample.told())
    found = stochastic.run(job(noise), replace(METHOD, starts=2), np.arange(N))
    assert not found.something and "the images show nothing" in found.verdict
    assert [phase["nothing"] for phase in found.phases] == [False, True] * 2 and len(found.history) == 2 * (15 + 4)


def test_a_growth_taken_up_again_ends_at_the_same_map(sample):
    class Kept(Keeper):
        snapshots = []

        def newest(self):
            return self.snapshots[-1] if self.snapshots else None

        def keep(self, snapshot):
            self.snapshots.append(snapshot)

    rule = Measured(first=80, least=20, most=120, epsilon=0.04, least_share=0.01)
    plan = replace(PLAN, initial_steps=8, final_steps=6, radius_step=1.0, sizes=(rule, rule), inflation=Inflation(2.0))
    short = replace(METHOD, starts=2, annealing=plan)
    keeper = Kept()
    whole = stochastic.run(job(sample.told()), short, np.arange(N), keeper)
    for place in range(len(keeper.snapshots)):
        again = Kept()
        again.snapshots = keeper.snapshots[: place + 1]
        found = stochastic.run(job(sample.told()), short, np.arange(N), again)
        assert found.maps[0].data.tobytes() == whole.maps[0].data.tobytes() and found.evidence == whole.evidence
        assert found.verdict == whole.verdict and str(found.phases) == str(whole.phases)  # with NaN


def test_particles_held_back_make_no_map(sample):
    setting = stochastic._prepared(job(sample.told()), METHOD, np.arange(N))
    assert len(setting.judges) == 100 and not set(setting.judges) & set(setting.pool)
    assert len(setting.judges) + len(setting.pool) == N


def test_every_step_is_told(grown):
    work, found = grown
    assert [row["step"] for row in found.history] == list(range(1, PLAN.steps(work.frame) + 1))
    shown = work.watch.of("diagnostics")[-1]["made"]
    assert {"class_slices", "class_occupancy", "class_views", "course_evidence"} <= set(shown.arrays)


def test_maps_are_not_negative_unless_allowed(sample):
    kept, free = (after(sample, 3, non_negative=wanted)[1].maps[0].data for wanted in (True, False))
    assert kept.min() == 0 and free.min() < 0


def test_maps_stay_inside_the_window_unless_it_is_off(sample):
    for wanted in (True, False):
        _, found = after(sample, 3, window=wanted, non_negative=False)
        assert (found.maps[0].data[0, 0, 0] == 0) == wanted


def test_maps_are_centred_unless_told_otherwise(sample):
    setting, found = after(sample, 3)
    away = online.moved(found.running[0], np.array([15.0, 0, 0]))
    off = [np.linalg.norm(axes.extent(growing.shaped(
        replace(setting, method=replace(METHOD, centre=wanted)), away, PLAN.step(2, setting.frame))[1])[0])
        for wanted in (True, False)]
    assert off[0] < 5 and off[1] > 10  # a voxel is 6.7 A


def scales(found) -> list[float]:
    return [row["noise_scale"] for row in found.history]


def test_noise_begins_as_much_larger_as_told_and_ends_as_what_it_is(sample):
    told = replace(PLAN, initial_steps=4, final_steps=1, radius_step=1.0, inflation=Inflation(scale=3.0))
    found = stochastic.run(job(sample.told()), replace(METHOD, annealing=told), np.arange(N))
    assert scales(found)[:4] == pytest.approx([3**power for power in (1, 0.75, 0.5, 0.25)])
    assert set(scales(found)[4:]) == {1.0}


def test_noise_begins_so_large_that_the_part_of_the_poses_asked_for_carries_weight(sample):
    def first(fraction):
        return after(sample, 1, annealing=replace(PLAN, inflation=Inflation(fraction=fraction)))[1].facts

    plain = first(0.0)
    there = plain["effective_fraction"]
    wanted = first(3 * there)
    # found of 40 of 80 images
    assert wanted["noise_scale"] > 1 and wanted["effective_fraction"] == pytest.approx(3 * there, rel=0.2)
    enough = first(0.5 * there)
    assert plain["noise_scale"] == enough["noise_scale"] == 1.0 and enough["evidence"] == plain["evidence"]


def test_the_first_noise_lasts_from_start_to_start(sample):
    told = replace(PLAN, initial_steps=4, final_steps=1, radius_step=1.0, inflation=Inflation(fraction=0.5))
    found = stochastic.run(job(sample.told()), replace(METHOD, starts=2, annealing=told), np.arange(N))
    for number in (1, 2):
        mine = [row["noise_scale"] for row in found.history if row["start"] == number]
        assert mine[0] > 1 and mine[:5] == pytest.approx([mine[0] ** power for power in (1, 0.75, 0.5, 0.25, 0)])


def test_the_noise_of_a_batch_falls_with_the_root_of_its_images(sample):
    setting, found = after(sample, 6)
    step = replace(PLAN.step(6, setting.frame), parts=2)
    few, many = (np.mean([growing.stepped(setting, found, replace(step, images=n)).facts["batch_noise"]
                          for _ in range(6)]) for n in (50, 200))  # fmt: skip
    assert few / many == pytest.approx(2, rel=0.2)  # the noise of one is known to a tenth


def test_steps_take_as_many_images_as_the_noise_so_far_asks_for(sample):
    rule = Measured(first=60, least=20, most=300, epsilon=0.03, least_share=0.01)
    plan = replace(PLAN, initial_steps=4, final_steps=1, radius_step=1.0, sizes=(rule, rule))
    work = job(sample.told())
    rows = stochastic.run(work, replace(METHOD, annealing=plan), np.arange(N)).history
    wanted = [rule.images(rows[:n], row["band_A"], row["rate"]) for n, row in enumerate(rows)]
    assert [row["images"] for row in rows] == wanted and wanted[0] == 60 and len(set(wanted)) > 2
    shown = work.watch.of("diagnostics")[-1]["made"]
    np.testing.assert_array_equal(shown.arrays["course_images"], wanted)


def test_data_coarser_than_the_high_pass_do_not_take_part(sample):
    setting, _ = after(sample, 1, high_pass_A=60.0)
    images = next(iter(growing.images_of(setting, np.arange(5), 6)))
    assert np.all(images.masked[:, 6, 1:3] == 0) and np.all(images.masked[:, 6, 4] != 0)


def test_first_maps_have_no_more_detail_than_asked_for(sample):
    coarse, fine = (after(sample, 0, blob_shells=shells)[1].maps[0].data for shells in (2.0, 7.0))
    rough = [np.abs(np.diff(data, axis=0)).sum() / np.abs(data).sum() for data in (coarse, fine)]
    assert rough[0] < rough[1]


@pytest.fixture(scope="module")
def astray(tmp_path_factory):
    """Particles that are some 16 A off along each axis, and 23 in all."""
    return made.experiment(tmp_path_factory.mktemp("astray"), n=N, snr=0.6, shift_sd_A=16.0)


def test_shifts_are_looked_for_as_far_as_told(astray):
    true_A = astray.truth.poses.shifts_A
    far = np.linalg.norm(true_A, axis=1) > 15
    errors = []
    for reach in (5.0, 40.0):
        setting, found = after(astray, 24, offset_A=reach)
        assert np.linalg.norm(found.centres_A, axis=1).max() <= reach + 1e-6
        seen = np.intersect1d(np.flatnonzero(far), setting.pool)
        # the maps may lie anywhere near the middle, which no shift tells
        errors.append(np.median(np.linalg.norm(found.centres_A - true_A, axis=1)[seen]))
    assert errors[1] < 0.5 * errors[0] and errors[1] < 12.0  # steps at 40 to 30 A look for shifts 15 to 20 A apart


def test_how_wide_particles_are_spread_is_learned(astray, sample):
    wide, narrow = (after(one, 24, offset_A=40.0)[1].spread_A for one in (astray, sample))
    assert wide == pytest.approx(16, rel=0.25)  # from 20
    assert narrow < 0.7 * wide  # theirs are 4 A, but at 30 A of resolution shifts are tried 15 A apart


def test_what_a_step_sees_does_not_depend_on_how_images_are_batched(astray):
    setting, one = after(astray, 2, offset_A=40.0)
    work = job(astray.told())
    work.batch = 17
    small = stochastic._prepared(work, replace(METHOD, offset_A=40.0), np.arange(N))
    other = stochastic._grown(small, stochastic._begun(small), 2, Keeper()).grown
    np.testing.assert_array_equal(one.centres_A, other.centres_A)


def test_a_column_is_drawn_as_often_as_it_is_probable():
    rng = np.random.default_rng(5)
    wanted = np.array([0.6, 0.0, 0.3, 0.1])
    found = np.bincount(growing.drawn(np.tile(wanted, (4000, 1)), rng), minlength=4) / 4000
    assert found[1] == 0 and np.abs(found - wanted).max() < 0.03  # four standard errors
    assert set(growing.drawn(np.eye(3), rng)) == {0, 1, 2}


def test_a_round_map_is_one_of_distance_alone():
    data = np.random.default_rng(1).random((16, 16, 16)).astype(np.float32)
    ball = stochastic.rounded(Map(data, 1.0)).data
    assert ball[8, 8, 3] == ball[8, 3, 8] == ball[3, 8, 8] and ball.mean() == pytest.approx(data.mean(), rel=1e-4)
