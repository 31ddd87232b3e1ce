"""Jobs to go wrong: functions in the place of the numerics, a sound particle set, and commands in other processes."""

import json
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np

from halfmap.data import relion
from halfmap.data.particles import Particles
from halfmap.io import mrc
from halfmap.jobs import catalog
from halfmap.jobs.running import run
from halfmap.jobs.running.run import Ended
from halfmap.params.common import Job
from halfmap.types import Defocus, Map, Optics, Poses

BOX, VOXEL_A, N = 16, 5.0, 12


class Settings(Job):
    data: Path | None = None


def job(monkeypatch, function, folder: Path, **settings) -> Ended:
    """How a job ends that runs ``function(params, folder, rng, watch)``."""
    module = types.ModuleType("runner_of_a_fault")
    module.run = function
    monkeypatch.setitem(sys.modules, module.__name__, module)
    entry = catalog.Entry("try", "A try.", Settings, ("data",), f"{module.__name__}:run")
    monkeypatch.setattr(catalog, "JOBS", (entry,))
    return run.run("try", Settings(out=folder, **settings))


def particle_set(folder: Path, **changes) -> Particles:
    """``images.mrcs``, ``particles.star``, ``map.mrc`` and ``mask.mrc`` of a sound set; changes: of the particles."""
    rng = np.random.default_rng(0)
    images = rng.normal(0, 1, (N, BOX, BOX)).astype(np.float32)
    mrc.write_stack(folder / "images.mrcs", images, VOXEL_A)
    zero = np.zeros(N)
    particles = Particles(
        files=(folder / "images.mrcs",), file=np.zeros(N, np.int32), index=np.arange(N),
        optics=(Optics("one", 300.0, 2.7e7, 0.1, VOXEL_A, BOX),), group=np.zeros(N, np.int32),
        defocus=Defocus(zero + 12000, zero + 11500, zero, zero, zero, zero + 1),
        poses=Poses(np.broadcast_to(np.eye(3), (N, 3, 3)).copy(), np.zeros((N, 2))),
        half=(1 + np.arange(N) % 2).astype(np.int8), scale=np.ones(N),
    )  # fmt: skip
    particles = replace(particles, **changes)
    relion.write(folder / "particles.star", particles)
    z, y, x = np.mgrid[:BOX, :BOX, :BOX] - BOX // 2
    blob = np.exp(-(x**2 + y**2 + z**2) / 12.0).astype(np.float32)
    mrc.write(folder / "map.mrc", Map(blob, VOXEL_A))
    mrc.write(folder / "mask.mrc", Map((blob > 0.1).astype(np.float32), VOXEL_A))
    return particles


def refinement(folder: Path, **settings) -> Ended:
    """How the refinement of such a set ends; for faults that must be found before it begins."""
    params = catalog.find("refine homogeneous").params
    given = {"particles": folder / "particles.star", "volume": folder / "map.mrc", "out": folder / "job", **settings}
    return run.run("refine homogeneous", params(**given))


def check(folder: Path, **settings) -> Ended:
    """How `halfmap check particles` of such a set ends."""
    params = catalog.find("check particles").params
    return run.run("check particles", params(**{"particles": folder / "particles.star", "out": folder / "job",
                                                **settings}))  # fmt: skip


def told(ended: Ended) -> str:
    """All faults and warnings in one text."""
    return "\n".join([*ended.summary.get("faults", ()), *ended.summary.get("warnings", ())])


def halfmap(folder: Path, *arguments, **ways) -> subprocess.CompletedProcess:
    """A command in a process of its own."""
    return subprocess.run([sys.executable, "-m", "halfmap.cli.main", *map(str, arguments)], cwd=folder,
                          capture_output=True, text=True, **ways)  # fmt: skip


def events(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines() if line.startswith("{")]
