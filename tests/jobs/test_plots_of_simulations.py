"""A simulation has true poses beside a table without any; pure noise has none at all."""

from halfmap.jobs.pictures import plots
from halfmap.jobs.pictures.views import View
from halfmap.jobs.running import run
from halfmap.params.simulate import Simulate


def simulated(folder, **changes):
    settings = {"n": 4, "box_size": 16, "pixel_size_A": 5.0, "object_diameter_A": 50.0, "symmetry": "C1", "seed": 1}
    ended = run.run("simulate", Simulate(out=folder, **{**settings, **changes}))
    assert ended.exit_code == 0
    return {plot.name for plot in plots.drawable(View(folder))}, ended.summary["warnings"]


def test_true_viewing_directions_of_a_simulation_are_drawn(tmp_path):
    drawn, warnings = simulated(tmp_path / "particles")
    assert "directions" in drawn
    assert not any("plots" in warning for warning in warnings)


def test_a_table_without_poses_has_no_plot_of_directions(tmp_path):
    simulated(tmp_path / "particles")
    (tmp_path / "particles" / "truth.star").unlink()
    assert "directions" not in {plot.name for plot in plots.drawable(View(tmp_path / "particles"))}
