"""Laws of the forecast: what it grows with, and what it does not; the calibration against the clock."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap import device
from halfmap.kernels.insert.cpu import MOST_BYTES
from halfmap.refine import calibration, forecast, setup
from halfmap.refine.batches import Frame
from halfmap.refine.forecast import Power, Speeds
from tests.refine import hinged, made

SPEEDS = Speeds(
    start=1.0, compiling=0.0, prepare=1e-3, reading=1e-10, search=dict.fromkeys(range(1, 300), 1e-3),
    evaluation=Power(((32, 1e-4),), 2.0), insert=Power(((32, 1e-4),), 2.0), stock=Power(((32, 1e-4),), 2.0),
    solve=Power(((64, 0.1),), 3.0), references=Power(((64, 0.03),), 3.0), report=Power(((64, 0.1),), 3.0), draw=1.0,
)  # fmt: skip
RECIPE = made.homogeneous()


def frame(box):
    return Frame(box, 200 / box, 150.0)


def load(box, n=2000, recipe=RECIPE):
    return forecast.load_of(recipe, n, box, frame(box), box)


def plans(box, n=2000, recipe=RECIPE, limit_A=None):
    limit = limit_A or forecast.reachable_A(n, len(recipe.group), frame(box))
    return forecast.course(recipe, frame(box), n, limit)


def test_memory_is_flat_in_the_number_of_particles():
    few, many = (forecast.memory_GB(load(128, n)) for n in (2_000, 10_000))
    # what grows is the table of poses, 4 kB a particle, and how much of the buffer of pixels is touched
    assert few <= many <= few + 8_000 * forecast.PARTICLE_BYTES / 1e9 + MOST_BYTES / 1e9
    assert many < 1.5 * few


def test_memory_grows_with_the_third_power_of_a_large_box():
    small, large = (max(forecast.memory_phases(load(box)).values()) for box in (256, 512))
    assert large / small == pytest.approx(8, rel=0.1)  # batches and particles do not grow with it


def test_sums_of_a_half_are_counted_as_they_are_made():
    from halfmap.reconstruct import sums

    empty = sums.empty(16, 32, 5.0)
    points = forecast.grid_points(16)
    assert points == empty.weight.size
    assert forecast.POINTS_GRID_BYTES * points == empty.weight.nbytes + empty.numerator.nbytes


def test_a_smaller_batch_needs_less_memory_in_the_search():
    phases = (forecast.memory_phases(load(64, recipe=made.homogeneous(minibatch_size=size))) for size in (50, 500))
    few, many = (phase["search"] for phase in phases)
    assert few < many


def test_time_is_linear_in_the_number_of_particles():
    course = plans(128, 2000, limit_A=5.0), plans(128, 4000, limit_A=5.0), plans(128, 6000, limit_A=5.0)
    # every particle gives to the noise estimate up to 2,000 of them: that stage is left out
    times = [
        sum(seconds for stage, seconds in forecast.seconds(load(128, n), course, SPEEDS).items() if stage != "stock")
        for n, course in zip((2000, 4000, 6000), course, strict=True)
    ]
    assert times[2] - times[1] == pytest.approx(times[1] - times[0], rel=0.01)
    assert times[1] > times[0]


def test_a_finer_limit_takes_more_or_finer_iterations():
    coarse, fine = (plans(128, limit_A=limit) for limit in (15.0, 4.0))
    assert len(fine) >= len(coarse) and max(p.band for p in fine) > max(p.band for p in coarse)
    times = [sum(forecast.seconds(load(128), course, SPEEDS).values()) for course in (coarse, fine)]
    assert times[0] < times[1]


def test_the_course_begins_as_the_schedule_does_and_reaches_nyquist_at_the_end():
    course = plans(64)
    assert course[0].band == frame(64).shell(30.0) and course[0].searched.all()
    assert course[-1].reach == 32
    bands = [plan.band for plan in course]
    assert bands == sorted(bands)


def test_a_limit_of_the_user_holds_in_the_course():
    recipe = made.homogeneous(max_align_resolution=10.0)
    assert max(plan.band for plan in plans(128, recipe=recipe)) <= 20
    assert len(plans(128, recipe=made.homogeneous(max_iterations=3))) <= 4  # the last one uses what the third found


def test_large_sets_begin_with_a_part_of_the_particles():
    course = plans(64, 60_000)
    assert course[0].used.sum() == pytest.approx(10_000, rel=0.01) and course[-1].used.all()


def test_more_particles_or_symmetry_reach_further_and_none_beyond_nyquist():
    f = frame(512)
    assert forecast.reachable_A(1000, 1, f) > forecast.reachable_A(10_000, 1, f) > forecast.reachable_A(10_000, 60, f)
    assert forecast.reachable_A(1000, 4, f) == forecast.reachable_A(4000, 1, f)
    assert forecast.reachable_A(10**7, 60, frame(64)) == 2 * 200 / 64
    assert np.isfinite(forecast.reachable_A(2, 1, f))


def test_a_reconstruction_is_one_pass():
    recipe = made.reconstruction()
    course = forecast.course(recipe, frame(64), 500, 8.0)
    assert len(course) == 1 and course[0].reach == 32
    stages = forecast.seconds(load(64, 500, recipe), course, SPEEDS)
    assert stages["search"] == 0 and stages["insert"] == pytest.approx(500 * 1e-4)
    assert forecast.memory_GB(load(64, 500, recipe)) <= forecast.memory_GB(load(64, 500))


def test_references_are_made_only_for_an_iteration_to_come():
    only = forecast.course(made.reconstruction(), frame(64), 500, 8.0)[0]
    for plan, final, seconds in ((plans(64)[0], False, 0.13), (only, True, 0.1)):
        solve = forecast.iteration_seconds(load(64), plan, SPEEDS)["solve"]
        assert plan.final == final and solve == pytest.approx(seconds * (plan.box / 64) ** 3)


def test_reading_counts_where_it_is_slower_than_all_else():
    slow, fast = replace(SPEEDS, reading=1e-3), replace(SPEEDS, reading=0.0)
    course = plans(64)
    assert forecast.seconds(load(64), course, fast)["reading"] == 0
    n, images = 2000 * len(course), 4 * 64**2 * 1e-3
    assert forecast.seconds(load(64), course, slow)["reading"] == pytest.approx(n * images, rel=0.01)


def test_tables_of_every_iteration_take_two_maps_and_the_particles():
    one = forecast.tables_GB(load(64), 1)
    assert one == pytest.approx((2 * 4 * 64**3 + load(64).row_bytes * load(64).particles) / 1e9)
    assert forecast.tables_GB(load(64), 20) == pytest.approx(20 * one)


def test_disk_holds_checkpoints_of_a_refinement_but_not_of_a_reconstruction():
    one, many = (forecast.disk_GB(load(64), iterations) for iterations in (1, 5))
    assert many - one > 3 * forecast.checkpoint_bytes(load(64)) / 1e9
    assert forecast.disk_GB(load(256), 5) > 20 * forecast.disk_GB(load(64), 5) * 0.5


def test_a_power_goes_through_its_points_and_never_turns_round():
    power = Power(((10, 1.0), (20, 4.0)), 1.5)  # exactly the second power
    assert power.at(20) == 4.0 and power.at(10) == pytest.approx(1.0) and power.at(40) == pytest.approx(16.0)
    assert Power(((10, 1.0), (20, 0.5)), 1.5).at(40) == pytest.approx(0.5 * 2**1.5)


@pytest.mark.parametrize("recipe", [RECIPE, made.reconstruction()], ids=["refinement", "reconstruction"])
def test_every_speed_is_measured_and_counted(tmp_path, recipe):
    sample = made.experiment(tmp_path, n=40)
    f = setup.frame_of(recipe, sample.truth, sample.map)
    size = forecast.load_of(recipe, 40, made.BOX, f, made.BOX)
    course = forecast.course(recipe, f, 40, 12.0)
    speeds = calibration.measure(recipe, size, course, sample.truth)
    wanted = {plan.search_radius for plan in course if plan.searched.any()}
    assert set(speeds.search) == wanted and all(value > 0 for value in speeds.search.values())
    for power, at in ((speeds.evaluation, 16), (speeds.insert, 16), (speeds.stock, 16), (speeds.solve, 32),
                      (speeds.references, 32)):  # fmt: skip
        assert 0 < power.at(at) < 10
    assert speeds.start > 0 and speeds.prepare > 0 and speeds.reading > 0 and speeds.compiling >= 0
    told = forecast.expected(recipe, size, course, speeds, device.memory_GB(), 12.0)
    assert told.seconds == pytest.approx(sum(told.stages.values())) and told.assumes
    assert len(told.iterations) == len(course)


def test_a_local_filter_and_marginalisation_are_foretold():
    recipe = made.nonuniform()
    plain, local = load(128), load(128, recipe=recipe)
    phases = forecast.memory_phases(local)
    assert phases["local filter"] > 4 * recipe.prior.places.maps * 128**3
    assert {**phases, "local filter": 0.0} == forecast.memory_phases(plain)
    # one map more is written
    assert forecast.disk_GB(local, 5) - forecast.disk_GB(plain, 5) == pytest.approx(4e-9 * 128**3)
    before, after = (forecast.seconds(each, plans(128), SPEEDS) for each in (plain, local))
    assert after["insert"] == pytest.approx(recipe.layer.poses * before["insert"])
    assert after["poses"] > before["poses"] and after["prepare"] == before["prepare"]


def test_a_local_refinement_goes_on_until_its_poses_rest():
    f = frame(64)
    blob = calibration.ball(f, 64)
    local, usual = hinged.local(blob, blob), made.homogeneous(symmetry="C1")
    course = forecast.course(local, f, 2000, 2 * f.voxel_size_A)
    # a part that turned by 8 degrees per axis took 6: 4,000 images at 96 px
    assert len(course) == 6 > len(forecast.course(usual, f, 2000, 2 * f.voxel_size_A))
    searched = [int(plan.searched.sum()) for plan in course]
    assert searched[0] == 2000 > searched[1] > searched[2] > 0 and not any(searched[3:])
