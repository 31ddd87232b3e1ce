"""Runs one job: claims the folder, calls the runner, draws plots, writes summary and report, turns faults into exits.

The only place that catches every exception.
"""

from __future__ import annotations

import errno
import os
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from halfmap import device
from halfmap.errors import HalfmapError, InputError, Interrupted, ResourceError, UsageError
from halfmap.io import atomic
from halfmap.jobs import catalog
from halfmap.jobs.pictures import painter
from halfmap.jobs.project import places, project, references
from halfmap.jobs.project.project import Project
from halfmap.jobs.running import branching, events, folders, lock, record
from halfmap.params import needs
from halfmap.params.common import Job

BUG = 70  # EX_SOFTWARE of sysexits.h
SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Ended:
    """How a job ended: exit code of the process, its folder, and summary.json as a dict."""

    exit_code: int
    folder: Path
    summary: dict


def run(name: str, params: Job, command: Sequence[str] = (), listeners: Sequence[events.Listener] = ()) -> Ended:
    """Run the job called ``name`` to its end; every event also goes to ``listeners``.

    Raises UsageError where no job folder could be made, InputError where a job folder that is an input lacks the file
    that is meant; every later fault ends in the returned ``Ended``.
    """
    begun = time.monotonic()
    entry = catalog.find(name)
    followed = references.followed(params, entry)
    params = folders.resolved(followed.params, entry.inputs)
    if params.dry_run:
        return _rehearsed(entry, params, listeners)
    before = record.interrupted(entry, params) if params.resume else None
    origin = branching.origin(entry, params) if before is None else None
    params = branching.settled(_placed(params, Project.new_folder), before, origin)
    begun -= 0.0 if before is None else _spent_s(Path(params.out))
    folder, held = _claimed(params, before)
    params = params.model_copy(update={"seed": record.seed(params.seed) if before is None else before["seed"]})
    watch = events.Watch(folder, listeners)
    try:
        with events.stop_on_signals(watch):
            record.write(folder, entry, params, command, before, followed.given)
            watch.tell("started", job=entry.name, folder=str(folder), seed=params.seed)
            if held.broken:
                watch.tell("note", text=held.broken)
            for sentence in followed.warnings + (needs.idle(params) if before is None else []):  # told when begun
                watch.tell("warning", message=sentence)
            _tell_changes(before or origin, params, watch)
            summary = _work(entry, params, folder, watch, begun)
        code = 0
    except KeyboardInterrupt:
        code, summary = _failed(entry, folder, watch, Interrupted("stopped at once on request"), begun)
    except Exception as fault:
        code, summary = _failed(entry, folder, watch, fault, begun)
    finally:
        watch.close()
        held.release()
    return Ended(code, folder, summary)


def _spent_s(folder: Path) -> float:
    """Seconds that earlier runs of an interrupted job took, as far as they lived to tell."""
    told = places.content(folder / "summary.json").get("seconds_total")
    return float(told) if isinstance(told, int | float) and 0 <= told < 1e9 else 0.0


def _claimed(params: Job, before: dict | None) -> tuple[Path, lock.Lock]:
    """The job folder, swept of what a killed run left, and its lock. Raises UsageError where it cannot be had."""
    folder = Path(os.path.abspath(params.out))
    if before is None and not lock.marked(folder):
        record.claimable(folder, params.overwrite)
    record.make(folder)
    held = lock.take(folder)
    try:
        if before is None:
            record.claim(folder, params.overwrite)
        atomic.sweep(folder)
    except BaseException:
        held.release()
        raise
    return folder, held


def _tell_changes(earlier: dict | None, params: Job, watch: events.Watch) -> None:
    """Tell what differs from the job that this one goes on with; ``earlier``: its record, None where there is none."""
    for name, value in ({} if earlier is None else record.changes(earlier, params)).items():
        watch.tell("warning", message=f"{name} is {value} from here on; it was {earlier['params'].get(name)}")


def resume(folder: Path, command: Sequence[str] = (), listeners: Sequence[events.Listener] = ()) -> Ended:
    """Go on with the interrupted job in ``folder``, with the settings it had. Raises UsageError where there is none."""
    path = Path(os.path.abspath(folder)) / record.RECORD
    if not path.is_file():
        raise UsageError(f"{folder}: no halfmap job in there; name the folder of an interrupted one")
    job = places.read(path.parent)
    if not job.get("job"):
        raise UsageError(f"{path}: is damaged; start the job anew in another folder")
    if not os.path.isdir(job["working_folder"]):
        raise UsageError(f"{folder}: file names among its settings start in {job['working_folder']}, which is gone")
    os.chdir(job["working_folder"])
    entry = catalog.find(job["job"])
    params = entry.params(**{**job["params"], "out": path.parent, "resume": True, "overwrite": False})
    return run(entry.name, params, command, listeners)


def _placed(params: Job, place: Callable[[Project], Path]) -> Job:
    """The settings with a job folder: where none is named, that which ``place`` finds in the project around.

    Raises UsageError outside of any.
    """
    if params.out is not None:
        return params
    around = project.find()
    if around is None:
        raise UsageError("--out: name a folder for the results; only inside a project (halfmap init) the next J<n> is "
                         "made where none is named")
    return params.model_copy(update={"out": place(around)})


def _rehearsed(entry: catalog.Entry, params: Job, listeners: Sequence[events.Listener]) -> Ended:
    """--dry-run: check settings, folder and input files, tell what the job would need; leaves nothing behind."""
    params = _placed(params, Project.next_folder)
    folder = Path(os.path.abspath(params.out))
    if not (params.resume and record.interrupted(entry, params)):
        branching.origin(entry, params)
        record.claimable(params.out, params.overwrite)
    watch = events.Passing(listeners)
    try:
        with events.stop_on_signals(watch):
            for sentence in needs.idle(params):
                watch("warning", message=sentence)
            if params.threads:
                _use_threads(params.threads)
            found = entry.load_check()(params, watch)
        code, told = 0, {"status": "dry run", "params": params.model_dump(mode="json"), **found}
    except KeyboardInterrupt:
        code, told = Interrupted.exit_code, {"status": "interrupted", "faults": ["stopped at once on request"]}
    except Exception as fault:
        code, faults = _verdict(fault, folder)
        faults = traceback.format_exception(fault) if code == BUG else faults
        told = {"status": "failed", **getattr(fault, "found", {}), "faults": list(faults)}
    return Ended(code, folder, events.plain({"job": entry.name, **told, "warnings": watch.warnings}))


def _work(entry: catalog.Entry, params: Job, folder: Path, watch: events.Watch, begun: float) -> dict:
    """The job proper; returns the summary it wrote."""
    with painter.Painter(folder) as plots:
        runner = entry.load()
        watch.hand_over("diagnostics", lambda made: _keep(folder, made, params, plots))
        import numpy as np  # not needed by a job that is refused for its settings

        if params.threads:
            _use_threads(params.threads)
        from halfmap.jobs.running import caching

        with caching.in_use(params, watch):
            found = runner(params, folder, np.random.default_rng(params.seed), watch)
        trouble = plots.draw()
    if trouble:
        watch.tell("warning", message=f"some plots are missing, all other results are complete: {trouble}")
    summary = {
        "job": entry.name,
        "status": "finished",
        **found,
        "seconds_total": round(time.monotonic() - begun, 3),
        "peak_memory_GB": round(device.peak_memory_GB(), 3),
        "warnings": list(dict.fromkeys([*found.get("warnings", ()), *watch.warnings])),
    }
    record.write_json(folder / "summary.json", summary)

    from halfmap.jobs.pictures import report  # needs the template engine, which a failed job does not

    report.write(folder)
    watch.tell("finished", folder=str(folder), seconds=summary["seconds_total"])
    return events.plain(summary)


def _keep(folder: Path, made, params: Job, plots: painter.Painter) -> None:
    """Write what an iteration shows and, where wanted, ask for its plots."""
    from halfmap.jobs.running import diagnostics  # needs numpy, which a refused job does not

    diagnostics.write(folder, made)
    shown = made.name.startswith(diagnostics.ITERATION)  # a look at the CTF is shown with the iteration it began
    if shown and getattr(params, "intermediate_plots", False):
        plots.iteration(made.name)


def _use_threads(n: int) -> None:
    """Hold kernels, transforms and matrix products (BLAS) to ``n`` threads."""
    import threadpoolctl

    device.set_threads(n)
    threadpoolctl.threadpool_limits(n, "blas")


def _failed(entry: catalog.Entry, folder: Path, watch: events.Watch, fault: BaseException,
            begun: float) -> tuple[int, dict]:  # fmt: skip
    """Record a fault; returns the exit code and the summary written."""
    code, faults = _verdict(fault, folder)
    if code == BUG:
        watch.note("".join(traceback.format_exception(fault)))
    status = "interrupted" if code == Interrupted.exit_code else "failed"
    summary = {"job": entry.name, "status": status, **getattr(fault, "found", {})}
    summary |= {"seconds_total": round(time.monotonic() - begun, 3), "faults": list(faults), "warnings": watch.warnings}
    watch.tell("failed", status=status, exit_code=code, faults=list(faults))
    try:
        record.write_json(folder / "summary.json", summary)
    except OSError as second:  # a full disk cannot take the summary either; what happened still reaches the user
        summary["faults"].append(f"summary.json could not be written: {second}")
    return code, summary


def _verdict(fault: BaseException, folder: Path) -> tuple[int, Sequence[str]]:
    """Exit code and the lines a user reads."""
    if isinstance(fault, InputError):
        return fault.exit_code, fault.faults
    if isinstance(fault, HalfmapError):
        return fault.exit_code, [str(fault)]
    if isinstance(fault, MemoryError) or (isinstance(fault, OSError) and fault.errno == errno.ENOMEM):
        return ResourceError.exit_code, [
            "out of memory: use a smaller --box-size or --minibatch-size, or raise the limit and go on with: halfmap "
            f"resume {folder}"]  # fmt: skip
    if isinstance(fault, OSError) and fault.errno in SPACE:
        return ResourceError.exit_code, [f"{folder}: {atomic.no_space(fault, folder)}"]
    what = f"{type(fault).__name__}: {fault}"
    return BUG, [f"this is a bug in halfmap, please report it with {folder / 'log.txt'}", what]
