"""A small coverage-guided fuzzer: inputs that reach new lines of a reader are kept and changed further.

Owns the changes of bytes and lines, the corpus and the verdict: nothing but HalfmapError may come out of a reader, no
Python or NumPy warning, in bounded time and memory. Changes that know a format are in ``structures``; what is read, and
what must hold of it, is in ``targets``. Written here because the
readers are pure Python over bytes: ten thousand inputs a minute with the lines traced, which general property-based
tools do not reach, and no dependency.
"""

from __future__ import annotations

import inspect
import random
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType

from halfmap.errors import HalfmapError

HANG_S = 20  # of the process's own time: sound inputs of this size take milliseconds
MEMORY_BYTES = 1 << 28  # above what the process has: inputs are a few kB
KNOWING = 0.6  # of the inputs that a change which knows the format is tried on
LONGEST = 20_000  # bytes of an input; longer ones are cut
KEPT = 2_000  # inputs in the corpus
INTEGERS = (
    0,
    1,
    2,
    3,
    4,
    6,
    12,
    13,
    100,
    127,
    128,
    255,
    256,
    1000,
    1024,
    32767,
    65535,
    65536,
    1 << 20,
    (1 << 20) + 1,
    0x44440000,
    0x00004144,
    (1 << 31) - 1,
    1 << 31,
    0xFFFFFFFF,
    0xFFFFFC00,
    154285104,
)
WORDS = (
    b"nan",
    b"inf",
    b"-inf",
    b"-1",
    b"0",
    b"1e999",
    b"-0",
    b"1_0",
    b"99999999999999999999",
    b"1e-400",
    b"3.5",
    b"1.",
    b"",
    b".5e",
    b"+",
    b"0x10",
    b"\xff\xfe",
    "Å".encode(),
    "٣".encode(),
)


Change = Callable[[random.Random, bytes], bytes]


class Hang(BaseException):
    """A reader that does not come to an end."""


@dataclass(frozen=True)
class Target:
    """A reader: ``read(bytes)`` may raise HalfmapError and nothing else; ``tokens`` are words of its format."""

    name: str
    read: Callable[[bytes], None]
    seeds: Sequence[bytes]
    tokens: Sequence[bytes]
    traced: tuple[str, ...]  # ends of the paths whose lines count as new ground
    change: Change | None = None  # one that knows the format, see ``structures``


@dataclass
class Found:
    """What a run came to."""

    inputs: int = 0
    accepted: int = 0  # read without a fault
    lines: int = 0  # pairs of lines that followed each other
    corpus: int = 0
    failures: dict[str, tuple[bytes, BaseException]] = field(default_factory=dict)  # by place, the shortest input each
    passed: set[tuple[CodeType, int]] = field(default_factory=set)  # lines of the traced files
    memory_bytes: int = 0  # by which the process has grown


def run(target: Target, seed: int, seconds: float = float("inf"), inputs: float = float("inf")) -> Found:
    """Feed ``target`` until either limit; the same seed and number of inputs give the same run."""
    rng, found = random.Random(seed), Found()
    corpus, ground, end = list(target.seeds), set(), time.process_time() + seconds
    sound: list[bytes] = []  # those of the corpus that were read to their end: their changes get deep
    waiting, before = list(target.seeds), _largest_memory_bytes()
    with _bounded():
        while found.inputs < inputs and time.process_time() < end:
            data = waiting.pop() if waiting else changed(rng, corpus, sound, target)
            seen, fault = _tried(target, data)
            found.inputs += 1
            found.accepted += fault is None
            if fault is not None and not isinstance(fault, HalfmapError):
                _note(found, data, fault)
            if not seen <= ground:
                ground |= seen
                corpus.append(data)
                sound += [data] if fault is None else []
                del corpus[: max(0, len(corpus) - KEPT)]
    found.lines, found.corpus = len(ground), len(corpus)
    found.passed = {(code, line) for code, _, line in ground}
    found.memory_bytes = _largest_memory_bytes() - before
    return found


def unreached(found: Found) -> dict[str, tuple[int, list[int]]]:
    """By file: (lines of its functions, those that no input reached). Functions of which nothing ran count in full."""
    files = {code.co_filename for code, _ in found.passed}
    out = {}
    for path in sorted(files):
        lines = _lines_of_functions(path)
        ran = {line for code, line in found.passed if code.co_filename == path}
        out[path.rsplit("halfmap", 1)[1]] = len(lines), sorted(lines - ran)
    return out


def _lines_of_functions(path: str) -> set[int]:
    with open(path, "rb") as file:
        waiting, lines = [compile(file.read(), path, "exec")], set()
    while waiting:
        code = waiting.pop()
        waiting += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
        if code.co_flags & inspect.CO_OPTIMIZED:  # a function: bodies of modules and classes run at import
            lines |= {line for _, _, line in code.co_lines() if line and line != code.co_firstlineno}
    return lines


def _largest_memory_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _note(found: Found, data: bytes, fault: BaseException) -> None:
    place, trace = "", fault.__traceback__
    while trace is not None:
        if "halfmap" in trace.tb_frame.f_code.co_filename:
            place = f"{trace.tb_frame.f_code.co_filename.rsplit('halfmap', 1)[1]}:{trace.tb_lineno}"
        trace = trace.tb_next
    key = f"{type(fault).__name__} at {place}"
    if key not in found.failures or len(data) < len(found.failures[key][0]):
        found.failures[key] = (data, fault)


def _tried(target: Target, data: bytes) -> tuple[set, BaseException | None]:
    """(pairs of lines passed, the fault that came out)."""
    seen: set = set()

    def of_line(frame, event, _):
        if event == "line":
            seen.add((frame.f_code, last.get(frame), frame.f_lineno))
            last[frame] = frame.f_lineno
        elif event == "return":
            last.pop(frame, None)  # else it lives, with its arrays, until circles are looked for
        return of_line

    def of_call(frame, event, _):
        return of_line if frame.f_code.co_filename.endswith(target.traced) else None

    last: dict = {}
    before = sys.gettrace()
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG_S)
    sys.settrace(of_call)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            target.read(data)
    except (Exception, Hang) as fault:
        return seen, fault
    finally:
        sys.settrace(before)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return seen, None


@contextmanager
def _bounded() -> Iterator[None]:
    """Time and memory of the process limited; both as before at the end."""

    def hang(number, frame):
        raise Hang(f"more than {HANG_S} s")

    handler = signal.signal(signal.SIGVTALRM, hang)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGVTALRM, handler)


# ---- changes


def changed(rng: random.Random, corpus: Sequence[bytes], sound: Sequence[bytes], target: Target) -> bytes:
    """One of the corpus with a few changes; newer entries come up more often, and sound ones half of the time."""
    pool = sound if sound and rng.random() < 0.5 else corpus
    data = pool[-1 - int(rng.random() ** 2 * len(pool))]
    if target.change is not None and rng.random() < KNOWING:
        for _ in range(1 + int(rng.expovariate(1.5))):
            data = target.change(rng, data)[:LONGEST]
        if rng.random() < 0.9:
            return data
    data = bytearray(data)
    for _ in range(1 + int(rng.expovariate(0.7))):
        rng.choice(CHANGES)(rng, data, corpus, target.tokens)
    return bytes(data[:LONGEST])


def _span(rng: random.Random, data: bytearray) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + int(rng.expovariate(0.05)))


def _flip(rng, data, corpus, tokens) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _byte(rng, data, corpus, tokens) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice((0, 9, 10, 13, 32, 34, 35, 39, 95, 127, 255, rng.randrange(256)))


def _integer(rng, data, corpus, tokens) -> None:
    """A whole number of four bytes, where a header has one."""
    if len(data) >= 8:
        place = 4 * rng.randrange(min(len(data), 260) // 4) if rng.random() < 0.8 else rng.randrange(len(data) - 4)
        data[place : place + 4] = rng.choice(INTEGERS).to_bytes(4, rng.choice(("little", "big")))


def _remove(rng, data, corpus, tokens) -> None:
    start, stop = _span(rng, data)
    del data[start:stop]


def _repeat(rng, data, corpus, tokens) -> None:
    start, stop = _span(rng, data)
    data[start:start] = data[start:stop] * rng.randrange(1, 4)


def _cut(rng, data, corpus, tokens) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _insert(rng, data, corpus, tokens) -> None:
    place = rng.randrange(len(data) + 1)
    data[place:place] = rng.choice(tokens)


def _overwrite(rng, data, corpus, tokens) -> None:
    word = rng.choice(tokens)
    place = rng.randrange(len(data) + 1)
    data[place : place + len(word)] = word


def _word(rng, data, corpus, tokens) -> None:
    """Another word where one stands."""
    words = data.split(b" ")
    if len(words) > 1:
        words[rng.randrange(len(words))] = rng.choice((*WORDS, *tokens))
        data[:] = b" ".join(words)


def _line(rng, data, corpus, tokens) -> None:
    """A line less, twice, or in another place."""
    lines = data.split(b"\n")
    line = lines.pop(rng.randrange(len(lines)))
    for _ in range(rng.choice((0, 1, 1, 2))):
        lines.insert(rng.randrange(len(lines) + 1), line)
    data[:] = b"\n".join(lines)


def _splice(rng, data, corpus, tokens) -> None:
    """The end of another input."""
    other = rng.choice(corpus)
    data[rng.randrange(len(data) + 1) :] = other[rng.randrange(len(other) + 1) :]


CHANGES = (_flip, _byte, _integer, _remove, _repeat, _cut, _insert, _overwrite, _word, _line, _splice)
