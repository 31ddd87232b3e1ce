"""The drawing process: it keeps its budget, draws the newest first, and the result in any case."""

import time

import numpy as np
import pytest

from halfmap.jobs.pictures import painter, painting, plots
from halfmap.jobs.pictures.views import View
from halfmap.jobs.running import diagnostics, run
from halfmap.params.homogeneous import Homogeneous
from halfmap.refine.diagnostics import scales
from tests.jobs import made


@pytest.fixture(scope="module", autouse=True)
def imports():
    """As the drawing process does: forked ones find them done."""
    plots.import_all()


@pytest.fixture
def folder(tmp_path):
    """A job under way that has done two iterations."""
    for number in (1, 2):
        diagnostics.write(tmp_path, made.iteration(number))
    return tmp_path


def drawn(folder):
    """Pictures that are complete."""
    return sorted(str(path.relative_to(folder / "plots")) for path in (folder / "plots").rglob("[a-z]*.png"))


def desk(folder, began):
    return painting.Desk(folder, painting.Budget(began))


def work_until(desk, done, seconds=60.0):
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        desk.work()
        time.sleep(0.01)
    assert done()


def test_nothing_fits_into_no_time():
    budget = painting.Budget(began=100.0)
    assert not budget.allows(100.0)
    assert budget.allows(100.0 + 1.01 * painting.FIRST_COST_S / painting.SHARE)


def test_the_budget_is_a_share_of_the_time_that_passed():
    budget = painting.Budget(began=0.0)
    for _ in range(10):
        budget.spend(0.2)
    # 2 s are spent and the next plot will take 0.2 s
    assert not budget.allows(2.19 / painting.SHARE) and budget.allows(2.21 / painting.SHARE)


def test_without_time_to_spare_nothing_is_drawn(folder):
    short = desk(folder, time.monotonic())
    short.add("iteration_001")
    short.work()
    assert short.busy and drawn(folder) == []


def test_the_newest_iteration_is_drawn_first_and_its_fsc_before_all(folder):
    free = desk(folder, time.monotonic() - 1e6)
    free.add("iteration_001")
    free.add("iteration_002")
    work_until(free, lambda: len(drawn(folder)) >= 2)
    free.stop()
    assert {"iteration_002/fsc.png", "iteration_002/slices.png"} <= set(drawn(folder))
    assert not any(name.startswith("iteration_001") for name in drawn(folder))


def test_with_time_to_spare_everything_is_drawn(folder):
    free = desk(folder, time.monotonic() - 1e6)
    free.add("iteration_001")
    work_until(free, lambda: not free.busy)
    assert len(drawn(folder)) == len(plots.drawable(View(folder, "iteration_001")))


def test_a_plot_that_fails_does_not_stop_the_others(folder, capfd):
    shown = made.iteration(1)
    broken = {name: values for name, values in shown.arrays.items() if name != "scales_edges"}
    diagnostics.write(folder, type(shown)(shown.name, broken, shown.facts))
    free = desk(folder, time.monotonic() - 1e6)
    free.add("iteration_001")
    work_until(free, lambda: not free.busy)
    assert "iteration_001/scales.png" not in drawn(folder) and "iteration_001/cfsc.png" in drawn(folder)


def test_scales_that_were_not_fitted_are_not_drawn(folder):
    shown = made.iteration(1)
    diagnostics.write(folder, type(shown)(shown.name, shown.arrays | scales(np.ones(12)), shown.facts))
    names = {plot.name for plot in plots.drawable(View(folder, "iteration_001"))}
    assert "scales" not in names and "cfsc" in names


def test_the_process_draws_the_result_whatever_waits(folder):
    with painter.Painter(folder) as process:
        process.iteration("iteration_001")
        process.iteration("iteration_002")
        assert process.draw() == ""
    # the result shows what the last iteration left: no time passed for the iterations themselves
    assert {"scales.png", "precision.png", "changes.png"} <= set(drawn(folder))
    assert len([name for name in drawn(folder) if "/" in name]) < 3


class Asked(list):
    """A painter that only listens."""

    def iteration(self, name):
        self.append(name)


@pytest.mark.parametrize("wanted, asked", [(True, ["iteration_001"]), (False, [])])
def test_plots_of_iterations_are_asked_for_where_wanted_and_their_numbers_kept_anyway(tmp_path, wanted, asked):
    settings = Homogeneous(particles="p", volume="v", out=tmp_path, intermediate_plots=wanted)
    listening = Asked()
    run._keep(tmp_path, made.iteration(1), settings, listening)
    assert listening == asked and diagnostics.iterations(tmp_path) == ["iteration_001"]
