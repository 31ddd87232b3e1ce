"""Runs `halfmap orientation`: views, sampling, conical and toroidal FSC, and a sentence about them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from halfmap.data import tables
from halfmap.errors import InputError
from halfmap.geometry import symmetry
from halfmap.jobs.running import diagnostics, inputs, record
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.volume import volumes
from halfmap.jobs.volume.volumes import Group
from halfmap.params.orientation import Orientation
from halfmap.refine import diagnostics as shown
from halfmap.types import Map
from halfmap.validate import conical, fsc, orientation

HALVES = {"half1", "half2"}


@dataclass(frozen=True)
class Given:
    """What there is to judge by: at least one of halves and rotations."""

    group: Group
    rotations: np.ndarray | None  # (n, 3, 3)
    ops: np.ndarray  # (g, 3, 3)
    symmetry: str

    @property
    def halves(self) -> tuple[Map, Map] | None:
        return self.group.halves if HALVES <= set(self.group.volumes) else None


def run(params: Orientation, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Judge and write orientation.json and the numbers behind the plots; returns the summary of the result files."""
    given = read(params)
    of_map, map_facts = ({}, {}) if given.halves is None else _of_map(given)
    of_views, view_facts = ({}, {}) if given.rotations is None else _of_views(given, params, rng)
    arrays = {**_carried(params.volume), **of_map, **of_views}
    verdict = orientation.verdict(map_facts.get("cfar"), view_facts.get("scf"))
    facts = {"box": given.group.map.box, "voxel_size_A": given.group.map.voxel_size_A, "symmetry": given.symmetry,
             **map_facts, **view_facts, "verdict": verdict}  # fmt: skip
    diagnostics.write(folder, shown.Diagnostics(diagnostics.FINAL, arrays, facts))
    record.write_json(folder / "orientation.json", {**facts, **arrays})
    watch("note", text=verdict)
    told = ("cfar", "tfar", "scf", "unsampled", "symmetry", "n_particles", "verdict")
    return {name: facts.get(name) for name in told}


def check(params: Orientation, watch: Passing) -> dict:
    """Read maps and particles and see whether there is anything to judge."""
    given = read(params)
    return {"resolved": {"half_maps": given.halves is not None, "poses": given.rotations is not None,
                         "symmetry": given.symmetry}}  # fmt: skip


def read(params: Orientation) -> Given:
    """Maps, poses and symmetry. Raises InputError with the faults of all files, and with neither halves nor poses."""
    beside = params.volume / "particles.star"
    table = params.particles or (beside if beside.is_file() else None)
    group, particles = inputs.read_all(
        lambda: volumes.read(params), lambda: None if table is None else tables.read_table(table)
    )
    if params.particles is not None and particles.poses is None:
        raise InputError(f"{table}: the particles have no poses; refine them first")
    rotations = None if particles is None or particles.poses is None else particles.poses.rotations
    name = params.symmetry or _symmetry_of(params.volume) or "C1"
    given = Given(group, rotations, symmetry.group(name), name)
    if given.halves is None and rotations is None:
        raise InputError(f"{params.volume}: there are neither half-maps nor poses to judge; name a job folder, or "
                         "--half1 and --half2, or --particles")
    if given.halves is not None:
        fsc.Pair(*given.halves)
    return given


def _symmetry_of(volume: Path) -> str | None:
    """The point group that a job folder tells."""
    summary = volume / "summary.json"
    return json.loads(summary.read_text()).get("symmetry") if summary.is_file() else None


def _of_map(given: Given) -> tuple[dict, dict]:
    mask = given.group.mask
    cones, tori = conical.cones_and_tori(*given.halves, None if mask is None else mask.data)
    arrays = {**shown.cone_arrays(cones), **shown.fourier_slices(given.halves), "signal_directions": tori.axes,
              "signal": tori.area / max(float(tori.area.max()), 1e-30)}  # fmt: skip
    return arrays, {**shown.cone_facts(cones), "tfar": tori.cfar, "mask": "none" if mask is None else "given"}


def _of_views(given: Given, params: Orientation, rng: np.random.Generator) -> tuple[dict, dict]:
    n = len(given.rotations)
    rows = np.arange(n) if n <= params.scf_particles else rng.choice(n, params.scf_particles, replace=False)
    views = np.einsum("ni,gij->ngj", given.rotations[rows, 2], given.ops).reshape(-1, 3)
    found = orientation.sampling_map(views, params.scf_radius)
    arrays = {**shown.directions(given.rotations, given.ops), "sampling_directions": found.directions,
              "sampling": found.density}  # fmt: skip
    return arrays, {"scf": found.scf, "unsampled": found.unsampled, "n_particles": n}


def _carried(volume: Path) -> dict:
    """Precision by Fourier direction, where the job folder has kept it: it needs the images."""
    names = diagnostics.iterations(volume) if volume.is_dir() else []
    arrays = diagnostics.read(volume, names[-1])[0] if names else {}
    return {name: arrays[name] for name in ("precision_directions", "precision") if name in arrays}
