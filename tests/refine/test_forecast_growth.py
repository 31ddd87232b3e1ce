"""Laws of the forecast of maps from nothing: what it grows with; the calibration on images of a table."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.align import soft
from halfmap.align.polar import PolarSearch
from halfmap.physics.projection import Projector
from halfmap.refine import calibration, calibration_growth, forecast, forecast_growth
from halfmap.refine.annealing import Annealing
from halfmap.refine.batches import Frame
from halfmap.refine.forecast import Power
from halfmap.refine.forecast_growth import Pace
from halfmap.refine.stochastic import Method
from tests.refine import made

FRAME = Frame(64, 4.0, 180.0)
PLAN = Annealing(40, 20, 30, 60, 0.1, (200, 250), (0.6, 0.3), 0.0, (0, 0))
METHOD = Method(PLAN, 1, 2, 30.0, 7.0)
PACE = Pace(Power(((7, 1e-3),), 3.0), Power(((7, 1e-2),), 3.0), 1e-4)


def seconds(method=METHOD, particles=3000):
    return forecast_growth.seconds(method, FRAME, particles, PACE)


def finer(method, final_A):
    return replace(method, annealing=replace(method.annealing, final_A=final_A))


def test_time_grows_with_starts_maps_and_resolution_and_not_with_more_particles_than_steps_take():
    assert seconds(particles=3000) == seconds(particles=300_000)
    assert seconds(particles=150) < seconds()
    one, two, three = (seconds(replace(METHOD, starts=starts)) for starts in (1, 2, 3))
    assert two > one and three - two == pytest.approx(sum(
        step.images * (1e-3 * (step.band / 7) ** 3 + 1e-4) + 1e-2 * (step.band / 7) ** 3
        for step in (PLAN.step(number, FRAME) for number in range(PLAN.trial_steps(FRAME)))
    ), rel=0.1)  # and the judgement of that start  # fmt: skip
    several = seconds(replace(METHOD, classes=3))
    assert 2.5 < several / seconds() < 3  # images are made ready once for all maps
    assert seconds(finer(METHOD, 10.0)) > 4 * seconds()


def test_the_last_steps_are_expected_to_end_before_they_are_all_done():
    expected, most = len(forecast_growth.steps(METHOD, FRAME)), forecast_growth.most_steps(METHOD, FRAME)
    assert most == 2 * PLAN.trial_steps(FRAME) + 60 and most - 30 < expected < most
    few = replace(METHOD, annealing=replace(PLAN, final_steps=10))
    assert len(forecast_growth.steps(few, FRAME)) == forecast_growth.most_steps(few, FRAME)
    assert str(expected) in forecast_growth.assumptions(METHOD, FRAME)


def test_memory_holds_what_images_send_back_to_the_maps_and_grows_with_the_fourth_power_of_the_resolution():
    band = 12
    grid = soft.scattered(band, FRAME.length_A, FRAME.diameter_A, 10.0, np.eye(3)[None], np.random.default_rng(0))
    search = PolarSearch.of(Projector.of(calibration.ball(FRAME, 32), band, FRAME.box), grid, band)
    back = soft.PARTS * 2 * (grid.angles // 2 + 1) * 2 * band * len(grid.matrices) * 4
    needed = forecast_growth.memory_bytes(finer(METHOD, FRAME.resolution_A(band)), FRAME, 1)
    assert back + search.harmonics.nbytes < needed < 4 * back  # poses of an image and the maps are the rest
    small, large = (forecast_growth.memory_bytes(finer(METHOD, 256 / band), Frame(256, 1.0, 180.0), 1)
                    for band in (40, 80))  # fmt: skip
    assert 12 < large / small < 17


def test_the_pace_is_measured_on_images_of_the_table(tmp_path):
    sample = made.experiment(tmp_path, n=100)
    recipe, particles = made.homogeneous(), sample.told()
    frame = Frame(made.BOX, sample.map.voxel_size_A, 0.9 * made.BOX * sample.map.voxel_size_A)
    load = forecast.load_of(recipe, 100, made.BOX, frame, 0)
    pace = calibration_growth.measure(finer(METHOD, 30.0), load, particles)
    assert pace.prepare > 0 and pace.image.at(8) > pace.image.at(4) > 0 and pace.map.at(8) > 0
    assert [radius for radius, _ in pace.image.points] == [frame.shell(40.0), frame.shell(30.0)]
