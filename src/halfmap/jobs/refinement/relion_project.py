"""A refinement that runs in a folder ``Refine3D/job019`` of a RELION project is a job of that project.

Owns when it is listed in ``default_pipeline.star`` and in which state, the lock that RELION's own programs respect, and
the small files of the job folder: ``job.star``, ``note.txt`` and ``RELION_JOB_EXIT_SUCCESS``. A project that cannot be
written to does not stop a refinement: the job says so and goes on.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from halfmap.data import relion_project as tables
from halfmap.errors import InputError, Interrupted
from halfmap.jobs.running import record
from halfmap.jobs.running.events import Watch
from halfmap.params.refinement import MapRefinement

PIPELINE = "default_pipeline.star"
LOCK = ".relion_lock"  # a folder: whoever could make it may write
LOCK_S = 30.0  # RELION holds it for a moment; a lock this old was left by a program that died
FOLDER = re.compile(r"[A-Za-z0-9]+/job\d{3,}")
ENDS = {tables.SUCCEEDED: "RELION_JOB_EXIT_SUCCESS", tables.FAILED: "RELION_JOB_EXIT_FAILURE",
        tables.ABORTED: "RELION_JOB_EXIT_ABORTED"}  # fmt: skip
JOB, NOTE = "job.star", "note.txt"
FILES = (JOB, NOTE, *ENDS.values())
OUTPUTS = {"run_data.star": "particles", "run_optimiser.star": "optimiser",
           "run_half1_class001_unfil.mrc": "half-map", "run_class001.mrc": "map"}  # fmt: skip
INPUTS = {"particles": "particles in", "volume": "map in", "mask": "mask in"}
NO_HELIX = {
    "do_helix": "No", "do_apply_helical_symmetry": "Yes", "do_local_search_helical_symmetry": "No",
    "helical_nr_asu": "1", "helical_range_distance": "-1", "helical_rise_inistep": "0", "helical_rise_initial": "0",
    "helical_rise_max": "0", "helical_rise_min": "0", "helical_tube_inner_diameter": "-1",
    "helical_tube_outer_diameter": "-1", "helical_twist_inistep": "0", "helical_twist_initial": "0",
    "helical_twist_max": "0", "helical_twist_min": "0", "helical_z_percentage": "30", "keep_tilt_prior_fixed": "Yes",
    "range_psi": "10", "range_rot": "-1", "range_tilt": "15",
}  # fmt: skip


class Unlisted:
    """A job outside of any RELION project."""

    def __enter__(self) -> Unlisted:
        return self

    def __exit__(self, kind: type | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing to tell anybody."""


@dataclass(frozen=True)
class InProject(Unlisted):
    """A job that the project at ``root`` lists while it runs and after."""

    root: Path
    folder: Path
    params: MapRefinement
    watch: Watch

    def __enter__(self) -> InProject:
        for name in ENDS.values():
            (self.folder / name).unlink(missing_ok=True)
        with _told(self.watch, self.root):
            style = self._list(tables.RUNNING).style
            tables.write_job(self.folder / JOB, options(self.params), style, self.params.resume)
            with open(self.folder / NOTE, "a", encoding="utf-8") as note:
                note.write(noted(self.folder))
        return self

    def __exit__(self, kind: type | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        stopped = kind is not None and issubclass(kind, (Interrupted, KeyboardInterrupt))
        state = tables.SUCCEEDED if kind is None else tables.ABORTED if stopped else tables.FAILED
        (self.folder / ENDS[state]).touch()
        with _told(self.watch, self.root):
            pipeline = self._list(state)
            if kind is None:
                for place in tables.places(pipeline, self.listed):
                    path = self.root / ".Nodes" / place
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.touch()

    @property
    def listed(self) -> tables.Listed:
        """The job with its files, by names from the root."""
        name = f"{self.folder.relative_to(self.root)}/"
        files = {field: Path(os.path.abspath(getattr(self.params, field))) for field in INPUTS
                 if getattr(self.params, field) is not None}  # fmt: skip
        inputs = {str(path.relative_to(self.root)): INPUTS[field] for field, path in files.items()
                  if path.is_relative_to(self.root) and path.is_file()}  # fmt: skip
        return tables.Listed(name, inputs, {name + file: kind for file, kind in OUTPUTS.items()})

    def _list(self, state: str) -> tables.Pipeline:
        """Write the job into the pipeline, whose older state stays beside it as ``.bak``."""
        path = self.root / PIPELINE
        with locked(self.root):
            pipeline = tables.with_job(tables.read(path), self.listed, state)
            shutil.copyfile(path, path.with_name(f"{PIPELINE}.bak"))
            tables.write(path, pipeline)
        return pipeline


def of(folder: Path, params: MapRefinement, watch: Watch) -> Unlisted:
    """The job of the nearest RELION project above ``folder``, where RELION's files are wanted and it has a place."""
    folder = Path(os.path.abspath(folder))
    root = next((place for place in folder.parents if (place / PIPELINE).is_file()), None)
    if root is None or params.relion_files == "off":
        return Unlisted()
    if not FOLDER.fullmatch(str(folder.relative_to(root))):
        with _told(watch, root):
            number = tables.read(root / PIPELINE).counter
            watch("note", text=f"the RELION project in {root} does not list this job: name its folder "
                  f"Refine3D/job{number:03d} for that")  # fmt: skip
        return Unlisted()
    return InProject(root, folder, params, watch)


@contextmanager
def locked(root: Path, patience_s: float = LOCK_S) -> Iterator[None]:
    """Hold the lock of a project. Raises InputError where another program holds it for longer than ``patience_s``."""
    lock, until = root / LOCK, time.monotonic() + patience_s
    while True:
        try:
            lock.mkdir()
            break
        except FileExistsError:
            if time.monotonic() > until:
                raise InputError(f"{lock}: another program holds the lock of the RELION project; if none runs, remove "
                                 "this folder") from None  # fmt: skip
            time.sleep(0.1)
    try:
        yield
    finally:
        shutil.rmtree(lock, ignore_errors=True)


@contextmanager
def _told(watch: Watch, root: Path) -> Iterator[None]:
    """What goes wrong with the tables of the project is a warning: the refinement is worth more."""
    try:
        yield
    except (InputError, OSError) as fault:
        watch.tell("warning", message=f"the RELION project in {root} does not list this job: {fault}")


def options(params: MapRefinement) -> dict[str, str]:
    """The settings under the names that RELION's window has for them; those halfmap has no word for at its defaults."""
    mask = None if params.mask in ("dynamic", "none") else params.mask
    given = {
        "fn_img": params.particles, "fn_ref": params.volume, "fn_mask": mask, "fn_cont": None,
        "ref_correct_greyscale": not params.reestimate_greyscale, "ini_high": f"{params.initial_lowpass:g}",
        "sym_name": params.symmetry, "do_ctf_correction": True, "ctf_intact_first_peak": False,
        "ctf_corrected_ref": True, "particle_diameter": f"{params.particle_diameter_A or -1:g}", "do_zero_mask": True,
        "do_solvent_fsc": True, **sampling(params), "do_parallel_discio": True, "nr_pool": "3", "do_pad1": False,
        "do_preread_images": False, "scratch_dir": None, "do_combine_thru_disc": False, "use_gpu": False,
        "gpu_ids": None, "nr_mpi": "1", "nr_threads": str(params.threads or os.cpu_count()), "do_queue": False,
        "queuename": "openmpi", "qsub": "qsub", "qsubscript": None, "min_dedicated": "1", "other_args": None,
    }  # fmt: skip
    words = {None: "", True: "Yes", False: "No"}
    return dict(sorted({**NO_HELIX, **{name: words.get(value, str(value)) for name, value in given.items()}}.items()))


def sampling(params: MapRefinement) -> dict[str, str | bool]:
    """The settings of the angular sampling, where the refinement has them."""
    known = params.model_dump()
    return {
        "sampling": f"{known.get('initial_sampling') or 7.5:g} degrees",
        "auto_local_sampling": f"{known.get('local_searches_from') or 1.8:g} degrees",
        "auto_faster": bool(known.get("finer_sampling_faster")),
        "offset_range": f"{known.get('offset_range') or 5:g}",
        "offset_step": f"{known.get('offset_step') or 1:g}",
    }


def noted(folder: Path) -> str:
    """The entry of this run in note.txt, in RELION's form."""
    command = json.loads((folder / record.RECORD).read_text())["command"]
    when = time.strftime("%a %b %d %H:%M:%S %Y")
    return (f"\n ++++ Executing new job on {when}\n ++++ with the following command(s): \n{shlex.join(command)}\n"
            " ++++ \n")
