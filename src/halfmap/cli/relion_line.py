"""A command line of relion_refine behind `halfmap refine auto`: read as RELION reads it, run as ours.

Owns the order of things: the program's name and MPI's are dropped, RELION's options become our flags, those without
effect are told of in one line, those that would change the result and are not offered are refused. Our own flags pass
through, also with underscores. What an option means: `params.relion_options`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from halfmap.cli.flags import flag
from halfmap.errors import UsageError
from halfmap.jobs import catalog
from halfmap.params.relion_options import BY_NAME, LEFT_OUT, OVERSAMPLING, Option

JOB = ("refine", "auto")
PROGRAM = re.compile(r"`?(?:.*/)?relion_refine(?:_mpi)?`?")
LAUNCHERS = ("mpirun", "mpiexec", "srun", "orterun", "aprun")
OPTIMISER = re.compile(r"run(?:_ct\d+)?_it(\d{3})_optimiser\.star")
OF_EVERY_JOB = ("--json", "--config", "--help", "-h", "--version")


@dataclass(frozen=True)
class Line:
    """The words as ours, and what the user is to be told about them."""

    words: list[str]
    notices: list[str]


def read(arguments: Sequence[str]) -> Line:
    """The line in our words; as it was for any other job.

    Raises UsageError with every option that is not known, with the nearest one, or not offered, with the reason.
    """
    if tuple(arguments[:2]) != JOB:
        return Line(list(arguments), [])
    words = without_program(arguments[2:])
    pairs = list(_pairs(words))
    faults = [fault for name, _ in pairs if (fault := _fault(name))]
    if faults:
        raise UsageError("\n".join(faults))
    oversampling = next((int(value) for name, value in pairs if name == "oversampling"), OVERSAMPLING)
    given = [word for name, value in pairs for word in _ours(name, value, oversampling)]
    given += [word for name in _left_out(pairs) for word in LEFT_OUT[name][0]]
    return Line([*JOB, *_once(given)], _notices(pairs))


def without_program(words: Sequence[str]) -> list[str]:
    """The words behind ``mpirun -n 3 `which relion_refine_mpi` ``, or all where there is no such thing."""
    place = next((i for i, word in enumerate(words) if PROGRAM.fullmatch(word)), None)
    begins = bool(words) and (words[0].strip("`") in (*LAUNCHERS, "which") or PROGRAM.fullmatch(words[0]))
    return list(words[place + 1 :]) if begins and place is not None else list(words)


def _pairs(words: Sequence[str]) -> Iterable[tuple[str, str | None]]:
    """(name of an option of RELION, its value) in order; other words as they are, without a value."""
    left = list(words)
    while left:
        word = left.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        option = BY_NAME.get(name) if word.startswith("--") else None
        if option is None:
            yield word, None
        elif equals or not _takes(option, left):
            yield name, value
        else:
            yield name, left.pop(0)


def _takes(option: Option, left: Sequence[str]) -> bool:
    """Whether the next word is the value of the option. Raises UsageError where one is missing."""
    value = bool(left) and not re.match(r"--\w", left[0])
    if option.values == 1 and not value:
        raise UsageError(f"--{option.name}: a value is missing")
    return value and option.values != 0


def _fault(name: str) -> str | None:
    """Why an option cannot be taken, None where it can."""
    if name in BY_NAME:
        refused = BY_NAME[name].refused
        return f"--{name}: {BY_NAME[name].meaning}: {refused}" if refused else None
    own = _own_flags()
    head = name.partition("=")[0]
    if not head.startswith("--") or head.replace("_", "-") in own:
        return None
    near = difflib.get_close_matches(head, [f"--{option}" for option in BY_NAME] + sorted(own), 1)
    return f"{head}: refine auto has no such option" + (f"; did you mean {near[0]}?" if near else "")


def _own_flags() -> set[str]:
    """Our flags of the job, those that switch off too."""
    flags = {flag(name) for name in catalog.find(" ".join(JOB)).params.model_fields}
    return flags | {f"--no-{name[2:]}" for name in flags} | set(OF_EVERY_JOB)


def _ours(name: str, value: str | None, oversampling: int) -> list[str]:
    """The words of ours for one option; a word that is none of RELION's options stays, its underscores dashes."""
    if name == "continue":
        return _continued(value)
    option = BY_NAME.get(name)
    if option is None:
        head, equals, rest = name.partition("=")
        return [(head.replace("_", "-") if head.startswith("--") else head) + equals + rest]
    if option.setting is None:
        return []
    try:
        taken = option.taken(value, oversampling)
    except ValueError:
        raise UsageError(f"--{name}: {value!r} is no number") from None
    return [] if taken is None else [flag(option.setting), taken] if taken else [flag(option.setting)]


def _continued(value: str) -> list[str]:
    """``--continue Refine3D/job019/run_it003_optimiser.star``: a new job from that iteration."""
    path = Path(value)
    found = OPTIMISER.fullmatch(path.name)
    if not found:
        raise UsageError(f"--continue {value}: name a run_it003_optimiser.star of a job of halfmap refine auto")
    if not (path.parent / "job.json").is_file():
        raise UsageError(f"--continue {value}: {path.parent} holds no job of halfmap; RELION's own cannot be gone on "
                         "with: begin anew with its run_class001.mrc as --ref")  # fmt: skip
    return [flag("continue_from"), str(path.parent), flag("continue_iteration"), str(int(found[1]))]


def _left_out(pairs: Sequence[tuple[str, str | None]]) -> list[str]:
    """Options whose absence says something, in a whole line of relion_refine."""
    names = {name for name, _ in pairs}
    if "auto_refine" not in names or "continue" in names:
        return []
    masked = {"flatten_solvent"} if "solvent_mask" in names else set()
    return [name for name in LEFT_OUT if name not in names | masked]


def _once(words: Sequence[str]) -> list[str]:
    """The words, a flag that two of RELION's options stand for only once."""
    twice = flag("finer_sampling_faster")
    return [word for place, word in enumerate(words) if word != twice or twice not in words[:place]]


def _notices(pairs: Sequence[tuple[str, str | None]]) -> list[str]:
    """One line about options without effect, each reason once."""
    reasons: dict[str, list[str]] = {}
    for name, value in pairs:
        if name in BY_NAME and BY_NAME[name].told and not (name == "pad" and value == "2"):
            reasons.setdefault(BY_NAME[name].told, []).append(f"--{name}")
    told = "; ".join(f"{', '.join(dict.fromkeys(names))}: {reason}" for reason, names in reasons.items())
    absent = "; ".join(f"no --{name}: {LEFT_OUT[name][1]}" for name in _left_out(pairs))
    both = {"options of RELION without effect here": told, "options of RELION that are not there": absent}
    return [f"{what}: {text}" for what, text in both.items() if text]
