"""Whether the machine has what a job needs: disk and memory, before hours are spent; and what --dry-run tells.

Owns the comparison and its words. What is needed comes from ``refine.forecast``.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

from halfmap import device
from halfmap.data.particles import Particles
from halfmap.errors import ResourceError
from halfmap.jobs.running import record
from halfmap.jobs.running.events import Passing, Watch
from halfmap.params.common import ParticleJob
from halfmap.params.refinement import MapRefinement
from halfmap.refine import calibration, forecast, setup
from halfmap.refine.batches import Frame
from halfmap.refine.forecast import Load
from halfmap.refine.recipe import Recipe
from halfmap.types import Map

ITERATIONS = 20  # for the size of the folder before the course is known
TABLES = {"off": 0, "result": 1, "iterations": ITERATIONS}  # how many sets of RELION's files a setting means


def demand(recipe: Recipe, particles: Particles, reference: Map | None, params: ParticleJob, folder: Path,
           watch: Watch) -> None:
    """A look before a run. Raises ResourceError where the disk is too small; warns where the memory is."""
    load = load_of(recipe, particles, reference, setup.frame_of(recipe, particles, reference))
    alone = forecast.disk_GB(load, ITERATIONS if reference is not None else 1)
    require_disk(folder, alone + tables_GB(params, load))
    held = device.memory_GB()
    warn_of_memory(forecast.memory_GB(load, max(held, forecast.INTERPRETER_GB)) - held, watch)


def told(recipe: Recipe, particles: Particles, reference: Map | None, params: ParticleJob, watch: Passing) -> dict:
    """What --dry-run tells: numbers that the settings leave open, and the forecast. Raises as ``demand``."""
    frame = setup.frame_of(recipe, particles, reference)
    load = load_of(recipe, particles, reference, frame)
    base = max(device.memory_GB(), forecast.INTERPRETER_GB)
    limit = forecast.reachable_A(len(particles), load.order, frame)
    plans = forecast.course(recipe, frame, len(particles), limit)
    expected = forecast.expected(
        recipe, load, plans, calibration.measure(recipe, load, plans, particles), base, limit
    )
    expected = replace(expected, disk_GB=expected.disk_GB + tables_GB(params, load))
    require_disk(Path(params.out), expected.disk_GB)
    warn_of_memory(expected.memory_GB - base, watch)
    return {"n_particles": len(particles), "resolved": resolved(recipe, load), "forecast": asdict(expected)}


def tables_GB(params: ParticleJob, load: Load) -> float:
    """RELION's files, 10^9 bytes."""
    return forecast.tables_GB(load, TABLES[params.relion_files]) if isinstance(params, MapRefinement) else 0.0


def resolved(recipe: Recipe, load: Load) -> dict:
    """What settings that say "none = ..." come to for these inputs."""
    return {
        "box_size": load.frame.box,
        "voxel_size_A": load.frame.voxel_size_A,
        "particle_diameter_A": load.frame.diameter_A,
        "offset_range_A": recipe.offset_range(load.frame),
        "minibatch_size": load.batch,
        "symmetry_operators": load.order,
        "threads": device.threads(),
    }


def load_of(recipe: Recipe, particles: Particles, reference: Map | None, frame: Frame) -> Load:
    """The size of the job."""
    largest = max(optics.box for optics in particles.optics)
    carried = sum(values.dtype.itemsize for values in particles.columns.values())
    row_bytes = forecast.ROW_BYTES + min(carried, 4000)
    return forecast.load_of(recipe, len(particles), largest, frame, 0 if reference is None else reference.box,
                            row_bytes)  # fmt: skip


def require_disk(folder: Path, needed_GB: float) -> None:
    """Raise ResourceError where the disk of ``folder`` has less room."""
    place = record.existing(Path(folder).absolute())
    free = shutil.disk_usage(place).free / 1e9
    if free < needed_GB:
        raise ResourceError(
            f"--out {folder}: the job needs about {needed_GB:.2f} GB of disk, {place} has {free:.2f} GB free; free "
            "some or choose a folder on another disk"
        )


def warn_of_memory(needed_GB: float, watch: Watch | Passing) -> None:
    """Warn where the machine has less memory than a job needs; say which setting helps.

    Raises ResourceError where a limit of the process or its control group forbids it.
    """
    free, allowed = device.available_memory_GB(), device.headroom_GB()
    if needed_GB > allowed:
        raise ResourceError(
            f"the job needs about {needed_GB:.1f} GB of memory, and this process may take {max(allowed, 0):.1f} GB "
            "more (ulimit -v, or what the queue gave): ask for more, or use a smaller --box-size (memory falls with "
            "its third power) or --minibatch-size"
        )
    if needed_GB > free:
        watch(
            "warning",
            message=f"the job needs about {needed_GB:.1f} GB of memory and {free:.1f} GB are free: it may be ended by "
            "the system; a smaller --box-size helps most (memory falls with its third power), then --minibatch-size",
        )
