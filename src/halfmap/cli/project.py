"""Commands for a project and its jobs: init, status, show, clone, diff, tag, note.

Owns their arguments and their words. What they tell comes from `jobs`; nothing here reads a result.
"""

from __future__ import annotations

import json as json_format
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from halfmap.cli import listing
from halfmap.cli.shown import number, safe, size, table
from halfmap.cli.tools import Tool
from halfmap.errors import UsageError
from halfmap.jobs.project import project

JOB_HELP = "A job: J3, or its folder."
JobArgument = Annotated[str, Parameter(help=JOB_HELP)]
JsonFlag = Annotated[bool, Parameter(name="--json", help="Print JSON, and nothing else.", negative=())]


def init(
    folder: Annotated[Path, Parameter(help="Folder of the project; made where it is missing.")] = Path("."),
    /,
    *,
    name: Annotated[str | None, Parameter(help="What to call it; none = the name of the folder.")] = None,
    nested: Annotated[bool, Parameter(help="Make a project even inside another one.", negative=())] = False,
) -> int:
    """Make a folder a project: jobs are numbered, name each other and are listed."""
    made = project.create(folder, name, nested)
    print(f"project {safe(made.marker.get('name'))}: {safe(made.root)}")
    return 0


def status(
    job: Annotated[str | None, Parameter(help=f"{JOB_HELP} None = all jobs of the project, as a table.")] = None,
    /,
    *,
    last: Annotated[int, Parameter(help="So many jobs, the newest; 0 = all.")] = listing.LAST,
    tag: Annotated[str | None, Parameter(help="Only jobs with this tag.")] = None,
    tree: Annotated[bool, Parameter(help="Each job below the one it was made from.", negative=())] = False,
    json: JsonFlag = False,
) -> int:
    """List the jobs of the project: state, resolution, particles, time, tags; of one job all that show tells."""
    if job is not None:
        return show(job, json=json)
    return listing.told(last, tag, tree, json)


def show(
    job: JobArgument,
    /,
    *,
    json: JsonFlag = False,
) -> int:
    """Tell all of one job: settings that are not the default, inputs, lineage, numbers, warnings, notes, files."""
    from halfmap.jobs.project import card

    folder = project.job_folder(job)
    told = card.of(folder)
    told |= _in_project(folder)
    lines = [json_format.dumps(told, indent=1)] if json else _card(told)
    print("\n".join(lines))
    return 0


def clone(
    job: JobArgument,
    /,
    *,
    set: Annotated[list[str] | None, Parameter(  # noqa: A002
        help="Settings to change, key=value; key= goes back to the default. With --chain those of another job of it: "
        "J5.key=value.",
        consume_multiple=True, negative=())] = None,
    chain: Annotated[bool, Parameter(help="Also every job made from it, made anew from the new ones.", negative=())]
    = False,
    out: Annotated[Path | None, Parameter(help="Folder of the new job; none = the next of the project.")] = None,
    print_only: Annotated[bool, Parameter(name="--print", help="Print the commands, run nothing.", negative=())]
    = False,
    dry_run: Annotated[bool, Parameter(name="--dry-run", help="Print the commands, check their settings and inputs, "
    "tell what they would need of time, memory and disk; run and write nothing.", negative=())] = False,
    queue: Annotated[bool, Parameter(name="--queue", help="Put the jobs in the queue, run nothing.", negative=())]
    = False,
    cluster: Annotated[str | None, Parameter(help="Put the jobs in the queue for a cluster of clusters.yaml.")] = None,
) -> int:  # fmt: skip
    """Run a job again with the same settings and seed, some of them changed, in a new folder."""
    from halfmap.cli import cloning

    folder = project.job_folder(job)
    perform = cloning.rehearse if dry_run else cloning.tell if print_only else cloning.run
    if (queue or cluster) and perform is cloning.run:
        perform = cloning.to_queue(project.here(), cluster, made=chain)
    return cloning.clone(folder, tuple(set or ()), chain, out, perform)


def diff(
    first: JobArgument,
    second: JobArgument,
    /,
    *,
    json: JsonFlag = False,
) -> int:
    """Compare two jobs: settings, inputs, numbers and times, FSC, shared particles and their poses."""
    from halfmap.jobs.project import comparing

    told = comparing.compared(project.job_folder(first), project.job_folder(second))
    lines = [json_format.dumps(told, indent=1)] if json else _compared((first, second), told)
    print("\n".join(lines))
    return 0


def tag(
    job: JobArgument,
    /,
    *tags: Annotated[str, Parameter(help="Words to mark it with; none = list those it has.")],
    remove: Annotated[bool, Parameter(help="Take these tags away.", negative=())] = False,
) -> int:
    """Mark a job with words that status shows."""
    from halfmap.jobs.project import remarks

    folder = _of_a_job(job)
    said = remarks.tag(folder, tags, remove) if tags else remarks.read(folder)
    print(f"{safe(job)}: {', '.join(map(safe, said.tags)) or 'no tags'}")
    return 0


def note(
    job: JobArgument,
    text: Annotated[str | None, Parameter(help="What to remember; none = show the notes there are.")] = None,
    /,
) -> int:
    """Add a note to a job."""
    from halfmap.jobs.project import remarks

    folder = _of_a_job(job)
    said = remarks.read(folder) if text is None else remarks.note(folder, text)
    print("\n".join(_notes(said.notes)) or f"{safe(job)}: no notes")
    return 0


TOOLS = tuple(Tool(function.__name__, function) for function in (init, status, show, clone, diff, tag, note))


def _in_project(folder: Path) -> dict[str, Any]:
    """State and kind of a job as the list of its project has them, and what the queue says of it."""
    from halfmap.jobs.project import card

    around = project.find(folder)
    number = card.number_of(Path(os.path.abspath(folder)), around)
    if number is None:
        return {"queue": ""}
    line = listing.line(around, number)
    return {"job": line.job, "state": line.state, "queue": line.queue}


def _of_a_job(job: str) -> Path:
    """The folder of a job. Raises UsageError for one that holds none: a note there would make it look like one."""
    from halfmap.jobs.project import places

    folder = project.job_folder(job)
    if not (folder / places.RECORD).is_file():
        raise UsageError(f"{job}: holds no halfmap job")
    return folder


def _card(told: Mapping[str, Any]) -> list[str]:
    unknown = f"; it began on {safe(told['machine'])}: look again in 20 s to learn whether it works there"
    kind = safe(told["job"]) or "no job"
    lines = [
        f"{safe(told['name'])}: {kind}, {told['state']}{unknown * (told['state'] == 'unknown')}",
        *_pairs([("folder", told["folder"]), ("started", told["started"]), ("command", " ".join(told["command"])),
                 ("made from", _names(told["made_from"], told["ancestors"])),
                 ("used by", _names(told["used_by"], told["descendants"])),
                 ("queue", told["queue"]),
                 ("tags", ", ".join(told["tags"])), ("so far", told["progress"])]),
    ]  # fmt: skip
    lines += _section("result", _pairs(told["numbers"].items()))
    lines += _section("settings that are not the default", _pairs(told["settings"].items()))
    lines += _section("inputs", _pairs((each["setting"], _input(each)) for each in told["inputs"]))
    lines += _section("faults", [f"  {safe(line)}" for line in told["faults"]])
    lines += _section("warnings", [f"  {safe(line)}" for line in told["warnings"]])
    lines += _section("notes", _notes(told["notes"]))
    return lines + _section("files", _pairs((each["name"], _size(each)) for each in told["files"]))


def _names(near: list[str], far: list[str]) -> str:
    """The nearest first, then those further away."""
    further = [name for name in far if name not in near]
    return ", ".join(near) + (f" (further: {', '.join(further)})" if further else "")


def _input(told: Mapping[str, Any]) -> str:
    named = f"{told['reference']}: " if told["reference"] else ""
    since = "" if told["now"] == "there" else f", {told['now']} since"
    return f"{named}{told['in_project'] or told['path']}{since}"


def _size(told: Mapping[str, Any]) -> str:
    if "entries" in told:
        return f"{told['entries']:,} entr{'y' if told['entries'] == 1 else 'ies'}"
    return size(told["bytes"]) if "bytes" in told else "cannot be read"


def _section(head: str, lines: list[str]) -> list[str]:
    return [f"{head}:", *lines] if lines else []


def _pairs(pairs: Iterable[tuple[str, Any]]) -> list[str]:
    """Lines of names and values, those without a value left out."""
    kept = [(safe(name), safe(value)) for name, value in pairs if value not in (None, "")]
    width = max((len(name) for name, _ in kept), default=0)
    return [f"  {name:<{width}}  {value}" for name, value in kept]


def _notes(notes: Iterable[Mapping[str, str]]) -> list[str]:
    return [f"  {safe(each['time'])}  {safe(each['text'])}" for each in notes]


def _compared(names: tuple[str, str], told: Mapping[str, Any]) -> list[str]:
    head = ("", *map(safe, names))
    kinds = [(key, *(safe(job[key]) for job in told["jobs"])) for key in ("job", "status")]
    lines = table(head, [*kinds, *_rows(told["numbers"])])
    lines += _section("settings that differ", table(head, _rows(told["settings"])) if told["settings"] else [])
    lines += _section("inputs that differ", table(head, _rows(told["inputs"])) if told["inputs"] else [])
    if told["fsc"]:
        fsc = told["fsc"]
        levels = {f"corrected FSC at {level}": [number(value, "{:.2f} A") for value in pair]
                  for level, pair in fsc["resolution_A"].items()}  # fmt: skip
        area = {f"area of it to {fsc['to_A']:.2f} A": [f"{value:.5f} 1/A" for value in fsc["area_1_A"]]}
        lines += _section("FSC", table(head, _rows({**levels, **area})))
    return lines + (_section("particles", _particles(told["particles"])) if told["particles"] else [])


def _rows(pairs: Mapping[str, list[Any]]) -> list[tuple[str, ...]]:
    return [(safe(name), *("" if value is None else safe(value, 60) for value in pair)) for name, pair in pairs.items()]


def _particles(told: Mapping[str, Any]) -> list[str]:
    if "fault" in told:
        return [f"  {safe(told['fault'])}"]
    first, second = told["in_one"]
    lines = [f"  {told['in_both']:,} images in both, {first:,} in the first alone, {second:,} in the second alone"]
    if "rotation_deg" in told:
        (turn, most_turn), (shift, most_shift) = told["rotation_deg"], told["shift_A"]
        if told["turned_deg"] > 0:
            lines.append(f"  the maps are turned by {told['turned_deg']:.1f} deg against each other; beyond that:")
        lines.append(f"  poses of those in both ({safe(told['symmetry'])}): apart by {turn:.2f} deg and {shift:.2f} A "
                     f"(median); 90 % by less than {most_turn:.2f} deg and {most_shift:.2f} A")
    return lines
