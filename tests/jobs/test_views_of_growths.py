"""What the pages of jobs that grow maps show: which views there are, in which order, and how their plots look."""

import numpy as np
import pytest

from halfmap.jobs.pictures import plots
from halfmap.jobs.pictures.views import View
from halfmap.jobs.running import diagnostics
from halfmap.refine import grown_diagnostics
from halfmap.refine.batches import Frame
from halfmap.refine.diagnostics import Diagnostics
from halfmap.types import Map

FRAME = Frame(32, 5.0, 140.0)


def maps(count: int):
    rng = np.random.default_rng(1)
    return tuple(Map(rng.random((20, 20, 20)).astype(np.float32), 8.0) for _ in range(count))


def shares(n: int = 300, classes: int = 3):
    return np.random.default_rng(2).dirichlet([0.2] * classes, n)


def sharing(name: str = "trial1", shown=()):
    rounds = [{"occupancy": [0.5, 0.3, 0.2], "moved": 0.4 / (n + 1), "gain": 0.1 * n} for n in range(6)]
    return grown_diagnostics.of_sharing(name, FRAME, rounds, shares(), shown)


def course(steps: int = 24, classes: int = 3):
    """A file as a growth writes it: two starts of eight steps, then the best to the end."""
    n = np.arange(steps)
    start = np.minimum(n // 8, 2) + 1
    arrays = {"class_slices": grown_diagnostics.slices(maps(classes)),
              "class_occupancy": np.full((steps, classes), 1 / classes),
              "class_views": np.eye(3, dtype=np.float32), "class_view_weights": np.ones(3, np.float32),
              "noise_sd": np.ones((2, 17), np.float32), "class_probabilities": grown_diagnostics.counted(shares()),
              "course_evidence": n * 0.1, "course_effective_fraction": np.exp(-n / 5.0),
              "course_change": np.where(n == 3, np.nan, 0.02), "course_band_A": 40.0 - n, "course_start": start,
              "course_phase": n % 8 // 4, "course_rate": np.ones(steps),
              "course_noise_scale": 1.5 ** np.maximum(1 - n % 8 / 4, 0), "course_images": 200 + n % 8}  # fmt: skip
    return Diagnostics(f"iteration_{steps:03d}", arrays, {
        "iteration": steps, "box": 32, "voxel_size_A": 5.0, "occupancy": [1 / classes] * classes, "band_A": 17.0,
        "groups": ["a", "b"], "starts": 2})


def named(name: str) -> Diagnostics:
    return Diagnostics(name, {"x": np.zeros(1)}, {"iteration": 1})


@pytest.mark.parametrize("name, label", [
    ("iteration_003", "003"), ("iteration_000_half1_step010", "half 1, step 10"), ("iteration_000_meeting", "meeting"),
    ("iteration_000_half2_try2_step010", "half 2, try 2, step 10"),
    ("iteration_164_classes_trial2", "classes, trial 2"), ("final", "result"),
])  # fmt: skip
def test_every_view_has_a_name_for_readers(name, label, tmp_path):
    assert View(tmp_path, name).label == label.lstrip("0")


def test_views_come_in_the_order_of_their_numbers_also_beyond_999(tmp_path):
    names = ["iteration_090", "iteration_1000", "iteration_110", "iteration_110_classes_trial1"]
    for name in names:
        diagnostics.write(tmp_path, named(name))
    assert diagnostics.iterations(tmp_path) == [names[0], names[2], names[3], names[1]]


def test_the_result_shows_the_classes_and_the_course_that_led_there(tmp_path):
    for made in (course(), sharing(), sharing("best", maps(3))):
        name = made.name if made.name.startswith("iteration") else f"iteration_024_{made.name}"
        diagnostics.write(tmp_path, Diagnostics(name, made.arrays, made.facts))
    view = View(tmp_path)
    assert {"sharing_gain", "course_evidence", "class_slices"} <= set(view.arrays)
    assert view.facts["occupancy"] == pytest.approx(shares().mean(0))
    drawn = {plot.name for plot in plots.drawable(view)}
    assert {"ab_initio_maps", "ab_initio_course", "ab_initio_sharing", "ab_initio_probabilities", "noise"} <= drawn
    plots.import_all()
    for name in ("ab_initio_sharing", "ab_initio_probabilities", "ab_initio_course", "ab_initio_classes"):
        plots.draw(name, view)
        assert view.picture(name, ".png").stat().st_size > 5000


def test_maps_are_drawn_smooth_however_few_voxels_they_have():
    from halfmap.jobs.pictures import gallery_abinitio

    cuts = grown_diagnostics.slices(maps(2))
    shown = gallery_abinitio.smooth(cuts)
    assert shown.shape == (2, 3, 160, 160) and gallery_abinitio.smooth(shown) is shown


def test_one_map_has_no_probabilities_of_classes():
    made = grown_diagnostics.of_sharing("best", FRAME, [{"occupancy": [1.0], "moved": 0.0, "gain": 0.0}],
                                        np.ones((5, 1)))  # fmt: skip
    assert "class_probabilities" not in made.arrays


def test_probabilities_are_counted_by_class():
    counts = grown_diagnostics.counted(np.array([[1.0, 0.0], [0.52, 0.48], [1.0, 0.0]]))
    assert counts.sum() == 6 and counts[0, -1] == 2 and counts[1, 0] == 2 and counts[0, 10] == 1
