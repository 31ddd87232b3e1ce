"""What happened while a job ran: one line of JSON each in events.jsonl, the same in words in log.txt.

Owns the callback given to the numerics (`Watch`), the stop request and the wording of a line. Draws nothing: terminal
and browser get the same events.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from halfmap.errors import Interrupted

Listener = Callable[[dict], None]

PROGRESS_EVERY_S = 0.5  # a batch takes milliseconds; nobody reads more than two lines a second


def plain(value: Any) -> Any:
    """``value`` as JSON has it: numpy numbers and arrays become Python's, infinity and NaN become null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)


class Watch:
    """The callback ``watch(kind, **data)``: writes the event, tells the listeners, honours a stop request.

    Kinds: started progress iteration checkpoint optics diagnostics warning note finished failed. Raises Interrupted
    from the call that follows ``request_stop``; ``warnings`` collects the messages of all warnings.
    """

    def __init__(self, folder: Path, listeners: Sequence[Listener] = ()):
        self.warnings: list[str] = []
        self._listeners = listeners
        self._events = open(folder / "events.jsonl", "a", encoding="utf-8")
        self._log = open(folder / "log.txt", "a", encoding="utf-8")
        self._takers: dict[str, Callable[..., None]] = {}
        self._stop = False
        self._last_progress = (-math.inf, "")

    def __call__(self, kind: str, **data: Any) -> None:
        if self._stop:
            raise Interrupted("stopped on request")
        self.tell(kind, **data)

    def tell(self, kind: str, **data: Any) -> None:
        """Record an event even after a stop request."""
        if kind in self._takers:
            self._takers[kind](**data)
            return
        if kind == "warning":
            self.warnings.append(str(data["message"]))
        if kind == "progress" and not self._due(data):
            return
        event = {"time": time.time(), "kind": kind, **plain(data)}
        self._events.write(json.dumps(event) + "\n")
        self._events.flush()
        if kind != "progress":
            self.note(sentence(event))
        for listener in self._listeners:
            listener(event)

    def hand_over(self, kind: str, taker: Callable[..., None]) -> None:
        """From now on events of this kind go to ``taker(**data)`` alone: data too large for a line of JSON."""
        self._takers[kind] = taker

    def note(self, text: str) -> None:
        """Write text to log.txt, with the time."""
        self._log.write(time.strftime("%Y-%m-%d %H:%M:%S  ") + text + "\n")
        self._log.flush()

    def request_stop(self) -> None:
        self._stop = True

    def close(self) -> None:
        self._events.close()
        self._log.close()

    def _due(self, data: dict) -> bool:
        """Whether a progress event is worth a line: the first and last of a stage, else two a second."""
        now, stage = time.monotonic(), str(data.get("stage"))
        last, last_stage = self._last_progress
        done = data.get("done") == data.get("total")
        if not done and stage == last_stage and now - last < PROGRESS_EVERY_S:
            return False
        self._last_progress = (now, stage)
        return True


class Passing:
    """The callback of a job that leaves no files: listeners hear of it, ``warnings`` are kept."""

    def __init__(self, listeners: Sequence[Listener] = ()):
        self.warnings: list[str] = []
        self._listeners = listeners
        self._stop = False

    def __call__(self, kind: str, **data: Any) -> None:
        if self._stop:
            raise Interrupted("stopped on request")
        if kind == "warning":
            self.warnings.append(str(data["message"]))
        for listener in self._listeners:
            listener({"time": time.time(), "kind": kind, **plain(data)})

    def request_stop(self) -> None:
        self._stop = True


def sentence(event: dict) -> str:
    """An event in words, for log.txt and for a terminal that is a pipe."""
    writer = SENTENCES.get(event["kind"])
    return writer(event) if writer else f"{event['kind']}: {event}"


def _iteration(event: dict) -> str:
    parts = [f"iteration {event.get('iteration')}"]
    for key, text in ITERATION_COLUMNS.items():
        if event.get(key) is not None:
            parts.append(text.format(event[key]))
    return ", ".join(parts)


ITERATION_COLUMNS = {
    "resolution_A": "resolution {:.2f} A",
    "resolution_unmasked_A": "unmasked {:.2f} A",
    "band_A": "aligned to {:.2f} A",
    "angular_step_deg": "sampling {:.2f} deg",
    "searched_globally": "{:,} searched everywhere",
    "searched_locally": "{:,} near their pose",
    "junk_particles": "{:,} hardly count",
    "accuracy_rotation_deg": "accuracy {:.2f} deg",
    "accuracy_shift_A": "{:.2f} A",
    "change_rotation_deg": "changed by {:.2f} deg",
    "change_shift_A": "{:.2f} A",
    "seconds": "{:.1f} s",
}


def _optics(event: dict) -> str:
    parts = [f"CTF refinement before iteration {event['iteration']}"]
    for group in event.get("groups", ()):
        fits = [f"{kind} {'changed' if fit['significant'] else 'kept'}"
                for kind, fit in group.items() if isinstance(fit, dict)]  # fmt: skip
        parts.append(f"{group['name']}: {', '.join(fits)}")
    if event.get("defocus"):
        parts.append("defocus of {moved} of {particles} particles changed by {rms_change_A:.0f} A rms"
                     .format(**event["defocus"]))  # fmt: skip
    return "; ".join(parts)


SENTENCES: dict[str, Callable[[dict], str]] = {
    "started": lambda event: f"halfmap {event['job']} started, seed {event['seed']}, results go to {event['folder']}",
    "progress": lambda event: f"{event.get('stage')}: {event.get('done')} of {event.get('total')}",
    "iteration": _iteration,
    "warning": lambda event: f"warning: {event['message']}",
    "optics": _optics,
    "checkpoint": lambda event: f"checkpoint of iteration {event['iteration']} written",
    "note": lambda event: event["text"],
    "finished": lambda event: f"finished after {event['seconds']:.1f} s: {event['folder']}",
    "failed": lambda event: "failed: " + "\n".join(event["faults"]),
}


@contextmanager
def stop_on_signals(watch: Watch | Passing) -> Iterator[None]:
    """Ctrl-C (or SIGTERM) asks the job to stop at its next event; a second Ctrl-C ends it at once.

    Does nothing outside the main thread, where Python does not allow signal handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number, frame):
        watch.request_stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
