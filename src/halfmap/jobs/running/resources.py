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
from halfmap.refine import calibration, calibration_growth, forecast, forecast_growth, setup
from halfmap.refine.batches import Frame
from halfmap.refine.forecast import Load
from halfmap.refine.recipe import Recipe
from halfmap.refine.stochastic import Method
from halfmap.types import Map

ITERATIONS = 20  # for the size of the folder before the course is known
FALLS = "a smaller --box-size (memory falls with its third power), then a smaller --minibatch-size"
GROWS = "a coarser --max-resolution (memory falls with its fourth power), then fewer --threads"
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


def demand_growth(method: Method, recipe: Recipe, particles: Particles, params: ParticleJob, folder: Path, watch: Watch
                  ) -> None:
    """The same of maps that grow from nothing, and of what ``recipe`` makes of them then."""
    demand(recipe, particles, None, params, folder, watch)
    frame = setup.frame_of(recipe, particles, None)
    warn_of_memory(forecast_growth.memory_bytes(method, frame, device.threads()) / 1e9, watch, GROWS)


def told_of_growth(method: Method, recipe: Recipe, particles: Particles, parts: int, params: ParticleJob, watch: Passing
                   ) -> dict:
    """What --dry-run tells of maps that grow from nothing, of ``parts`` of the particles each; then of the recipe."""
    told_, frame = told(recipe, particles, None, params, watch), setup.frame_of(recipe, particles, None)
    pace = calibration_growth.measure(method, load_of(recipe, particles, None, frame), particles)
    growing = parts * forecast_growth.seconds(method, frame, len(particles) // parts, pace)
    growing_GB = forecast_growth.memory_bytes(method, frame, device.threads()) / 1e9
    warn_of_memory(growing_GB, watch, GROWS)
    needs, annealing = told_["forecast"], method.annealing
    assumes = f"{forecast_growth.assumptions(method, frame)}{' of each half' * (parts > 1)}, then {needs['assumes']}"
    needs = {**needs, "seconds": needs["seconds"] + growing, "stages": {"growth": growing, **needs["stages"]},
             "memory_GB": max(needs["memory_GB"], forecast.INTERPRETER_GB + growing_GB), "assumes": assumes}
    steps = {
        "initial_resolution": annealing.initial_A, "max_resolution": annealing.final_A,
        "steps_of_a_start": annealing.trial_steps(frame), "steps_at_most": forecast_growth.most_steps(method, frame),
    }  # fmt: skip
    return {**told_, "resolved": {**told_["resolved"], **steps}, "forecast": needs}


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


def warn_of_memory(needed_GB: float, watch: Watch | Passing, helps: str = FALLS) -> None:
    """Warn where the machine has less memory than a job needs; say which setting helps.

    Raises ResourceError where a limit of the process or its control group forbids it.
    """
    free, allowed = device.available_memory_GB(), device.headroom_GB()
    if needed_GB > allowed:
        raise ResourceError(
            f"the job needs about {needed_GB:.1f} GB of memory, and this process may take {max(allowed, 0):.1f} GB "
            f"more (ulimit -v, or what the queue gave): ask for more, or use {helps}"
        )
    if needed_GB > free:
        watch(
            "warning",
            message=f"the job needs about {needed_GB:.1f} GB of memory and {free:.1f} GB are free: it may be ended by "
            f"the system; what helps is {helps}",
        )
