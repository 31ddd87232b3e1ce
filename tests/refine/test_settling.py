"""When a phase of a growth has nothing more to gain."""

import numpy as np
import pytest

from halfmap.refine import settling

W = settling.WINDOW


def rows(n: int, phase=settling.LAST, evidence=5.0, poses=0.01, change=0.02, seed=1):
    """Steps of a growth with the scatter of real ones; columns are numbers, or (first, last) of a line between them."""
    rng = np.random.default_rng(seed)
    line = {name: np.linspace(*np.broadcast_to(value, 2), n)
            for name, value in {"evidence": evidence, "effective_fraction": poses, "change": change}.items()}
    line["evidence"] = line["evidence"] + rng.normal(0, 0.15, n)
    line["effective_fraction"] = line["effective_fraction"] * np.exp(rng.normal(0, 0.05, n))
    line["change"] = line["change"] * np.exp(rng.normal(0, 0.15, n))
    return [{"phase": phase, "rate": 0.2, "images": 250, **{name: float(values[i]) for name, values in line.items()}}
            for i in range(n)]


def told(steps) -> int | None:
    """After how many of the steps the phase ends; None where it goes on."""
    return next((n for n in range(1, len(steps) + 1) if settling.verdict(steps[:n])), None)


def test_maps_at_rest_end_their_phase_after_two_windows():
    for seed in range(10):
        found = told(rows(12 * W, seed=seed))
        assert found is not None and 2 * W <= found <= 8 * W


# over two windows each changes by ten times what the scatter of fifteen steps hides, or more
@pytest.mark.parametrize("still", [{"evidence": (5.0, 9.0)}, {"poses": (0.01, 0.002)}, {"change": (0.04, 0.01)}])
def test_a_phase_goes_on_while_anything_is_gained(still):
    assert [told(rows(2 * W + 5, seed=seed, **still)) for seed in range(10)] == [None] * 10


def test_a_falling_learning_rate_is_not_taken_for_rest_that_is_gained():
    steps = rows(3 * W, change=(0.04, 0.01))
    for row, rate in zip(steps, np.linspace(0.4, 0.1, 3 * W), strict=True):
        row["rate"] = float(rate)
    assert told(steps) is not None


def test_larger_batches_are_not_taken_for_rest_that_is_gained():
    steps = rows(3 * W, change=(0.04, 0.02))
    for row, images in zip(steps, 250 * np.linspace(1, 2, 3 * W) ** 2, strict=True):
        row["images"] = float(images)
    assert told(steps) is not None


def test_a_change_that_is_not_known_where_the_sampling_changes_is_passed_over():
    steps = rows(12 * W)
    for row in steps[::7]:
        row["change"] = float("nan")
    assert told(steps) is not None


def test_images_that_tell_nothing_end_the_search_for_finer_detail_after_one_window():
    noise = {"evidence": 0.0, "poses": 0.997, "change": 0.5}
    found = [settling.verdict([{**row, "evidence": row["evidence"] / 100} for row in rows(W, phase, **noise)])
             for phase in range(3)]
    assert found[settling.FIRST] is None  # a map may yet take shape
    assert found[settling.FINER].nothing and found[settling.LAST].nothing
    assert settling.verdict(rows(W, settling.FINER)) is None  # and of a molecule they do


def test_its_words_tell_the_three_numbers():
    words = settling.moved(rows(2 * W, evidence=(5.0, 5.0), change=0.02))
    assert words.startswith("in 15 steps evidence changed by ") and "poses with weight by" in words and "2.0%" in words
