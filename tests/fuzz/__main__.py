"""Fuzz the readers for a while: python -m tests.fuzz [--seconds S] [--seed N] [--keep FOLDER] [TARGET ...]

Prints a line for each; ends with 1 where anything but our own errors came out, the inputs kept in FOLDER.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.fuzz import fuzzer, targets


def main() -> int:
    """Exit code."""
    known = targets.targets()
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--seconds", type=float, default=600, help="processor time for each reader")
    flags.add_argument("--seed", type=int, default=None, help="none = another one each time")
    flags.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="folder for the inputs that fail")
    flags.add_argument("targets", nargs="*", choices=[[], *known], help="none = all")
    chosen = flags.parse_args()
    seed, failed = chosen.seed if chosen.seed is not None else time.time_ns() % 2**32, 0
    for name in chosen.targets or known:
        begun = time.process_time()
        found = fuzzer.run(known[name], seed, chosen.seconds)
        print(
            f"{name}: seed {seed}, {found.inputs:,} inputs, {found.accepted:,} accepted, {found.corpus} in the corpus, "
            f"{found.lines} pairs of lines, {time.process_time() - begun:.0f} s of CPU, "
            f"{found.memory_bytes / 2**20:.0f} MiB more memory, {len(found.failures)} failures",
            flush=True,
        )
        _tell_ground(found)
        failed += _kept(chosen.keep, name, found)
    return 1 if failed else 0


def _tell_ground(found: fuzzer.Found) -> None:
    """How much of each file was reached, and which lines were not."""
    for path, (lines, missed) in fuzzer.unreached(found).items():
        share = f"{lines - len(missed)} of {lines} lines ({1 - len(missed) / max(1, lines):.0%})"
        print(f"  {path}: {share}, all but {', '.join(map(str, missed)) or 'none'}", flush=True)


def _kept(folder: Path, name: str, found: fuzzer.Found) -> int:
    for number, (place, (data, fault)) in enumerate(found.failures.items()):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}_{number}").write_bytes(data)
        print(f"  {place}: {str(fault)[:200]!r} of {folder / f'{name}_{number}'}", flush=True)
    return len(found.failures)


if __name__ == "__main__":
    sys.exit(main())
