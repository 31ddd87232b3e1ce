"""A command line of relion_refine behind `halfmap refine auto`: read as RELION reads it, run as ours.

Owns the order of things: the program's name and MPI's are dropped, RELION's options become our flags, those without
effect are told of in one line, those that would change the result and are not offered are refused. Our own flags pass
through, also with underscores. What an option means: `params.relion_options`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from halfmap.cli.flags import flag
from halfmap.errors import UsageError
from halfmap.jobs import catalog
from halfmap.params.relion_options import BY_NAME, LEFT_OUT, OVERSAMPLING, Option, folder_of

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


Pairs = Sequence[tuple[Option | None, str | None]]  # an option of RELION with its value, or None with any other word


def read(arguments: Sequence[str]) -> Line:
    """The line in our words; as it was for any other job.

    Raises UsageError with every option that is not known, with the nearest one, or not offered, with the reason.
    """
    if tuple(arguments[:2]) != JOB:
        return Line(list(arguments), [])
    pairs = list(_pairs(without_program(arguments[2:])))
    faults = [fault for option, text in pairs if (fault := _fault(option, text))]
    if faults:
        raise UsageError("\n".join(faults))
    given = {option.name: value for option, value in pairs if option}
    if "continue" in given:
        _refuse_same_folder(given, arguments)
    oversampling = _number("oversampling", given.get("oversampling", OVERSAMPLING))
    ours = [_ours(option, text, oversampling) if option else [_dashed(text)] for option, text in pairs]
    words = [word for some in (*ours, *(LEFT_OUT[name][0] for name in _left_out(given))) for word in some]
    return Line([*JOB, *_once(words)], _notices(given))


def without_program(words: Sequence[str]) -> list[str]:
    """The words behind ``mpirun -n 3 `which relion_refine_mpi` ``, or all where there is no such thing."""
    place = next((i for i, word in enumerate(words) if PROGRAM.fullmatch(word)), None)
    begins = bool(words) and (words[0].strip("`") in (*LAUNCHERS, "which") or PROGRAM.fullmatch(words[0]))
    return list(words[place + 1 :]) if begins and place is not None else list(words)


def _pairs(words: Sequence[str]) -> Iterable[tuple[Option | None, str | None]]:
    left = list(words)
    while left:
        word = left.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        option = BY_NAME.get(name) if word.startswith("--") else None
        if option is None:
            yield None, word
        elif equals or not _takes(option, left):
            yield option, value
        else:
            yield option, left.pop(0)


def _takes(option: Option, left: Sequence[str]) -> bool:
    """Whether the next word is the value of the option. Raises UsageError where one is missing."""
    value = bool(left) and not re.match(r"--\w", left[0])
    if option.values == 1 and not value:
        raise UsageError(f"--{option.name}: a value is missing")
    return value and option.values != 0


def _fault(option: Option | None, text: str | None) -> str | None:
    """Why an option, or any other word, cannot be taken; None where it can."""
    if option is not None:
        return f"--{option.name}: {option.meaning}: {option.refused}" if option.refused else None
    own = _own_flags()
    head = text.partition("=")[0]
    if not head.startswith("--") or head.replace("_", "-") in own:
        return None
    near = difflib.get_close_matches(head, [f"--{option}" for option in BY_NAME] + sorted(own), 1)
    return f"{head}: refine auto has no such option" + (f"; did you mean {near[0]}?" if near else "")


def _own_flags() -> set[str]:
    """Our flags of the job, those that switch off too."""
    flags = {flag(name) for name in catalog.find(" ".join(JOB)).params.model_fields}
    return flags | {f"--no-{name[2:]}" for name in flags} | set(OF_EVERY_JOB)


def _dashed(word: str) -> str:
    """A word of ours, the underscores of a flag dashes."""
    head, equals, rest = word.partition("=")
    return (head.replace("_", "-") if head.startswith("--") else head) + equals + rest


def _ours(option: Option, value: str, oversampling: int) -> list[str]:
    """Our words for an option."""
    if option.name == "continue":
        return _continued(value)
    if option.setting is None:
        return []
    try:
        taken = option.taken(value, oversampling)
    except ValueError:
        raise UsageError(f"--{option.name}: {value!r} is no number") from None
    return [] if taken is None else [flag(option.setting), taken] if taken else [flag(option.setting)]


def _number(name: str, value: str | int) -> int:
    try:
        return int(value)
    except ValueError:
        raise UsageError(f"--{name}: {value!r} is no whole number") from None


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


def _refuse_same_folder(given: Mapping[str, str], arguments: Sequence[str]) -> None:
    """RELION goes on in the folder of the earlier run; here that run stays as it is. Raises UsageError."""
    out = None if given.get("o") is None else folder_of(given["o"], OVERSAMPLING)
    named = any(word.partition("=")[0] == "--out" for word in arguments)
    if not named and (out is None or Path(out) == Path(given["continue"]).parent):
        raise UsageError("--continue: name a new folder with --o, such as Refine3D/job020/run: the earlier job stays "
                         "as it is")  # fmt: skip


def _left_out(given: Mapping[str, str]) -> list[str]:
    """Options whose absence says something, in a whole line of relion_refine."""
    if "auto_refine" not in given or "continue" in given:
        return []
    masked = {"flatten_solvent"} if "solvent_mask" in given else set()
    return [name for name in LEFT_OUT if name not in given and name not in masked]


def _once(words: Sequence[str]) -> list[str]:
    """The words, a flag that two of RELION's options stand for only once."""
    twice = flag("finer_sampling_faster")
    return [word for place, word in enumerate(words) if word != twice or twice not in words[:place]]


def _notices(given: Mapping[str, str]) -> list[str]:
    """A line about options without effect, each reason once, and one about those that a whole line leaves out."""
    reasons: dict[str, list[str]] = {}
    for name, value in given.items():
        if BY_NAME[name].told and not (name == "pad" and value == "2"):
            reasons.setdefault(BY_NAME[name].told, []).append(f"--{name}")
    told = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
    absent = "; ".join(f"no --{name}: {LEFT_OUT[name][1]}" for name in _left_out(given))
    both = {"options of RELION without effect here": told, "options of RELION that are not there": absent}
    return [f"{what}: {text}" for what, text in both.items() if text]
