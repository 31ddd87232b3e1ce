"""Events: one line of JSON each, honest about infinity, and a stop request that is heard."""

import json
import os
import signal

import numpy as np
import pytest

from halfmap.errors import Interrupted
from halfmap.jobs.running import events


def lines(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_an_event_is_a_line_with_time_kind_and_data(tmp_path):
    watch = events.Watch(tmp_path)
    watch("iteration", iteration=1, resolution_A=np.float64(8.5), curve=np.arange(2))
    (event,) = lines(tmp_path)
    assert event["kind"] == "iteration" and event["resolution_A"] == 8.5 and event["curve"] == [0, 1]
    assert abs(event["time"] - os.stat(tmp_path / "events.jsonl").st_mtime) < 5  # seconds: just now


def test_infinity_and_nan_are_null():
    assert events.plain({"a": float("inf"), "b": [np.nan, 1.0]}) == {"a": None, "b": [None, 1.0]}


def test_progress_is_thinned_but_its_end_is_kept(tmp_path):
    watch = events.Watch(tmp_path)
    for done in range(1, 1001):
        watch("progress", stage="poses", done=done, total=1000)
    # two a second, and the loop takes far less than one
    assert len(lines(tmp_path)) < 10
    assert lines(tmp_path)[-1]["done"] == 1000


def test_listeners_get_what_the_file_gets(tmp_path):
    heard = []
    events.Watch(tmp_path, [heard.append])("warning", message="few particles")
    assert heard == lines(tmp_path)


def test_a_kind_that_is_handed_over_goes_to_its_taker_and_to_no_file(tmp_path):
    watch, taken = events.Watch(tmp_path), []
    watch.hand_over("diagnostics", lambda made: taken.append(made))
    watch("diagnostics", made=np.zeros(3))
    assert len(taken) == 1 and lines(tmp_path) == []


def test_a_stop_request_ends_the_next_call(tmp_path):
    watch = events.Watch(tmp_path)
    watch.request_stop()
    with pytest.raises(Interrupted):
        watch("progress", stage="poses", done=1, total=2)


def test_ctrl_c_asks_to_stop_and_the_old_handler_returns(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    watch = events.Watch(tmp_path)
    with events.stop_on_signals(watch):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted):
            watch("warning", message="x")
    assert signal.getsignal(signal.SIGINT) is before


def test_an_iteration_in_words_has_the_numbers_that_are_known():
    event = {"kind": "iteration", "iteration": 3, "resolution_A": 7.123, "accuracy_rotation_deg": None, "seconds": 2.0}
    assert events.sentence(event) == "iteration 3, resolution 7.12 A, 2.0 s"


def test_a_batch_leaves_no_line_and_hears_of_a_stop_request(tmp_path):
    heard = []
    watch = events.Watch(tmp_path, [heard.append])
    watch("batch")
    assert lines(tmp_path) == heard == []
    watch.request_stop()
    with pytest.raises(Interrupted):
        watch("batch")


def test_the_end_of_a_phase_in_words_tells_why_and_the_three_numbers():
    event = {"kind": "phase", "whose": "start 2", "name": "first resolution", "steps": 30, "band_A": 37.76,
             "reason": "its steps are done", "evidence": 2.5, "effective_fraction": 0.041, "change": 0.02}
    words = events.sentence(event)
    assert words == ("start 2, first resolution: ended after 30 steps at 37.8 A: its steps are done; evidence 2.50 "
                     "nats, 0.041 of all poses with weight, maps changed by 2.0%")
    assert "changed" not in events.sentence({**event, "change": None})
    assert events.sentence({**event, "half": 1}).startswith("half 1, start 2")
