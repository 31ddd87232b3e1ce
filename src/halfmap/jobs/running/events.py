"""What happened while a job ran: one line of JSON each in events.jsonl, the same in words in log.txt.

Owns the callback given to the numerics (`Watch`), the stop request and the wording of a line. Draws nothing: terminal
and browser get the same events.
"""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from halfmap.errors import Interrupted
from halfmap.jobs.running import lock

Listener = Callable[[dict], None]

FILE = "events.jsonl"
LINE_EVERY_S = 10.0  # a log file of an hour's job should stay readable
LOST = "the disk is full: lines of events.jsonl or log.txt are lost; the job goes on as far as it can"
STOP_EVERY_S = 1.0  # a look at the folder takes a millisecond on a network file system
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


class LineFile:
    """A file that grows by lines. A full disk costs lines, never the job; a line that was cut is left behind."""

    def __init__(self, path: Path):
        self.lost = 0  # lines that could not be written
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            size = os.fstat(self._descriptor).st_size
            self._cut = size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"
        except OSError:
            self._descriptor, self._cut = None, False

    def add(self, line: str) -> None:
        """Write a line whole, or count it as lost."""
        data = (b"\n" if self._cut else b"") + line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            written = os.write(self._descriptor, data) if self._descriptor is not None else 0
        except OSError:
            written = 0
        self._cut = self._cut if not written else written < len(data)
        self.lost += written < len(data)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Watch:
    """The callback ``watch(kind, **data)``: writes the event, tells the listeners, honours a stop request.

    Kinds: started progress batch phase iteration checkpoint optics diagnostics warning note finished failed; a
    ``batch`` has nothing to tell, and leaves no line. Raises Interrupted from the call that follows ``request_stop`` or
    a file named ``stop`` in the folder; ``warnings`` collects the messages of all warnings. Neither a full disk nor a
    terminal that is gone ends the job.
    """

    def __init__(self, folder: Path, listeners: Sequence[Listener] = ()):
        self.warnings: list[str] = []
        self._listeners = list(listeners)
        self._events, self._log = LineFile(folder / FILE), LineFile(folder / "log.txt")
        self._takers: dict[str, Callable[..., None]] = {}
        self._stop: str | None = None  # why
        self._request, self._look = folder / lock.STOP, -math.inf
        self._request.unlink(missing_ok=True)  # it was meant for the run before
        self._last_progress = (-math.inf, "")

    def __call__(self, kind: str, **data: Any) -> None:
        if self._stop is not None or self._asked_to_stop():
            raise Interrupted(f"stopped on request{self._stop}; go on with: halfmap resume {self._request.parent}")
        self.tell(kind, **data)

    def tell(self, kind: str, **data: Any) -> None:
        """Record an event even after a stop request."""
        if kind in self._takers:
            self._takers[kind](**data)
            return
        if kind == "batch":
            return
        if kind == "warning":
            self.warnings.append(str(data["message"]))
        if kind == "progress" and not self._due(data):
            return
        event = {"time": time.time(), "kind": kind, **plain(data)}
        self._events.add(json.dumps(event))
        if kind != "progress":
            self.note(sentence(event))
        self._pass_on(event)
        if self._events.lost + self._log.lost and LOST not in self.warnings:
            self.warnings.append(LOST)
            self._pass_on({**event, "kind": "warning", "message": LOST})

    def _pass_on(self, event: dict) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except OSError:  # the terminal was closed, or the pipe behind: nobody listens there any more
                self._listeners.remove(listener)

    def hand_over(self, kind: str, taker: Callable[..., None]) -> None:
        """From now on events of this kind go to ``taker(**data)`` alone: data too large for a line of JSON."""
        self._takers[kind] = taker

    def note(self, text: str) -> None:
        """Write text to log.txt, with the time."""
        self._log.add(time.strftime("%Y-%m-%d %H:%M:%S  ") + text)

    def request_stop(self, why: str = "") -> None:
        """Ask the job to stop at its next event; ``why`` in a word or two."""
        self._stop = f" ({why})" if why else ""

    def _asked_to_stop(self) -> bool:
        """Whether somebody put the file ``stop`` into the folder, which this takes away. One look a second."""
        now = time.monotonic()
        if now - self._look < STOP_EVERY_S:
            return False
        self._look = now
        if not self._request.exists():
            return False
        self._request.unlink(missing_ok=True)
        self.request_stop(f"file {lock.STOP}")
        return True

    def close(self) -> None:
        self._events.close()
        self._log.close()

    def _due(self, data: dict) -> bool:
        """Whether a progress event is worth a line: the first and last of a stage, else two a second."""
        now, stage = time.monotonic(), whereabouts(data)
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
        for listener in () if kind == "batch" else self._listeners:
            listener({"time": time.time(), "kind": kind, **plain(data)})

    def request_stop(self, why: str = "") -> None:
        self._stop = True


class Lines:
    """Plain lines; of progress, one in ten seconds."""

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._next = time.monotonic() + LINE_EVERY_S

    def __call__(self, event: dict) -> None:
        if event["kind"] == "failed":  # who started the job tells the faults
            return
        if event["kind"] == "progress":
            if time.monotonic() < self._next:
                return
            self._next = time.monotonic() + LINE_EVERY_S
        print(sentence(event), file=self._stream, flush=True)


def whereabouts(event: dict) -> str:
    """What a progress event is of: its stage, and whose it is where there are several."""
    return ", ".join(filter(None, (str(event.get("stage")), event.get("whose"))))


def sentence(event: dict) -> str:
    """An event in words, for log.txt and for a terminal that is a pipe."""
    writer = SENTENCES.get(event["kind"])
    return writer(event) if writer else f"{event['kind']}: {event}"


def recorded(folder: Path, last_bytes: int | None = None) -> list[dict]:
    """The events of a job folder, or those in the last bytes of its file; lines that were cut short are left out."""
    try:
        with open(folder / FILE, "rb") as stream:
            start = 0 if last_bytes is None else max(0, stream.seek(0, os.SEEK_END) - last_bytes)
            stream.seek(start)
            lines = stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    found = [_event(line) for line in lines]
    return [event for event in found if event is not None]


def _event(line: str) -> dict | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("kind"), str) else None


def _iteration(event: dict) -> str:
    whose = f"{event['whose']}: " if event.get("whose") else ""
    parts = [f"{whose}iteration {event.get('iteration')}"]
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


def _phase(event: dict) -> str:
    half = f"half {event['half']}, " if "half" in event else ""
    change = "" if event["change"] is None else f", maps changed by {event['change']:.1%}"
    return (f"{half}{event['whose']}, {event['name']}: ended after {event['steps']} steps at "
            f"{event['band_A']:.1f} A: {event['reason']}; evidence {event['evidence']:z.2f} nats, "
            f"{event['effective_fraction']:.2g} of all poses with weight{change}")


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
    "progress": lambda event: f"{whereabouts(event)}: {event.get('done')} of {event.get('total')}",
    "iteration": _iteration,
    "warning": lambda event: f"warning: {event['message']}",
    "optics": _optics,
    "phase": _phase,
    "checkpoint": lambda event: "checkpoint of {} written".format(
        f"iteration {event['iteration']}" if "iteration" in event else f"step {event['steps']} of the growth"),
    "note": lambda event: event["text"],
    "finished": lambda event: f"finished after {event['seconds']:.1f} s: {event['folder']}",
    "failed": lambda event: "failed: " + "\n".join(event["faults"]),
}


@contextmanager
def stop_on_signals(watch: Watch | Passing) -> Iterator[None]:
    """Ctrl-C, SIGTERM, SIGUSR1 (the walltime is near) and SIGHUP (the terminal is closed) ask the job to stop at its
    next event; a second Ctrl-C ends it at once.

    A SIGHUP that is ignored (nohup) stays so. Does nothing outside the main thread, where Python does not allow signal
    handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number, frame):
        watch.request_stop(signal.Signals(number).name)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    kept = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else set()
    before = {number: signal.signal(number, ask) for number in STOPPING if number not in kept}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
