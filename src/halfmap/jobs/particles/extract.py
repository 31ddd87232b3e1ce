"""Runs `halfmap extract`: particle images cut from micrographs, a stack and its table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from halfmap.data import picks as picking
from halfmap.data.particles import Particles
from halfmap.data.picks import Picks
from halfmap.data.stack import Stack
from halfmap.errors import InputError
from halfmap.extract import boxes, writing
from halfmap.extract.background import Background
from halfmap.io import mrc
from halfmap.jobs.particles import downsample, restacking
from halfmap.jobs.running import results
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.running.resources import require_disk
from halfmap.params.stacks import Extract
from halfmap.refine import start
from halfmap.types import Optics, Poses

OUTSIDE = "the box reaches beyond the micrograph"
FLAT = "the background has the same value everywhere"


@dataclass(frozen=True)
class Plan:
    """``particles`` as they will be, their images still the micrographs; ``centres`` (n, 2) pixels of their boxes."""

    particles: Particles
    centres: np.ndarray
    fits: np.ndarray  # (n,) bool: the box lies in the micrograph
    optics: tuple[Optics, ...]  # of the new images


def run(params: Extract, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Write the stack and its tables; returns what the summary says."""
    plan = planned(params)
    require_disk(folder, restacking.disk_GB(plan.particles, plan.optics, params.float16))
    rejects = writing.Rejects()
    rejects.add(np.flatnonzero(~plan.fits), OUTSIDE)
    new, kept = writing.write(folder, plan.particles, plan.optics, 12 if params.float16 else 2,
                              lambda rows: _stream(params, plan, rows, rejects, watch))
    results.write_particles(folder, new, {}, params)
    _show(folder, plan, new)
    beyond = int(np.count_nonzero(~plan.fits))
    if beyond:
        watch("warning", message=f"{beyond:,} particles are too near an edge of their micrograph; see rejected.star")
    found = restacking.finish(folder, plan.particles, kept, rejects) | restacking.boxes_of(plan.optics)
    return found | {"n_micrographs": len(np.unique(plan.particles.file[kept]))}


def check(params: Extract, watch: Passing) -> dict:
    """Read tables and the headers of all micrographs, tell box, pixel size and disk."""
    plan = planned(params)
    needed = restacking.disk_GB(plan.particles, plan.optics, params.float16)
    require_disk(params.out, needed)
    return {
        "n_particles": int(np.count_nonzero(plan.fits)),
        "resolved": restacking.boxes_of(plan.optics) | {"n_outside": int(np.count_nonzero(~plan.fits))},
        "forecast": {"disk_GB": needed},
    }


def planned(params: Extract) -> Plan:
    """Where every box will be. Raises InputError with every fault of tables and micrographs."""
    picks = _read(params)
    sizes = picking.sizes(picks)
    particles, coordinates = _at(params, picks)
    centres = boxes.place(coordinates)
    fits = boxes.inside(centres, params.box_size, sizes[particles.file])
    if not fits.any():
        raise InputError(f"--box-size {params.box_size}: not one of {len(fits):,} boxes lies in its micrograph")
    new = params.rescale or params.box_size
    optics = tuple(
        replace(entry, box=new, pixel_size_A=params.box_size * entry.pixel_size_A / new) for entry in particles.optics
    )
    return Plan(particles, centres, fits, optics)


def _read(params: Extract) -> Picks:
    if params.coordinates is not None:
        return picking.of_coordinates(params.coordinates, params.micrographs, params.images_root)
    picks = picking.of_particles(params.particles, params.micrographs, params.images_root)
    if params.recenter or params.reset_offsets:
        start.require_poses(picks.particles)
    return picks


def _at(params: Extract, picks: Picks) -> tuple[Particles, np.ndarray]:
    """The particles and the coordinates of their boxes (n, 2), after re-centring."""
    particles = picks.particles
    if params.reset_offsets:
        poses = Poses(particles.poses.rotations, np.zeros_like(particles.poses.shifts_A))
        return replace(particles, poses=poses), picks.coordinates
    if not params.recenter or particles.poses is None:
        return particles, picks.coordinates
    steps, moved = downsample.recentred(particles)
    return moved, picks.coordinates - steps


def _stream(params: Extract, plan: Plan, rows: np.ndarray, rejects: writing.Rejects, watch: Watch
            ) -> Iterator[writing.Batch]:  # fmt: skip
    """The images of these rows, micrograph by micrograph."""
    rows = rows[plan.fits[rows]]
    total = int(np.count_nonzero(plan.fits))
    cut = rejects.usable(_cut(params, plan, rows))
    for batch, images in restacking.counted(cut, total, "extract", watch):
        images = boxes.fourier_cropped(images, plan.optics[0].box)
        if params.invert_contrast:
            images = -images
        if params.normalize:
            entry = plan.optics[plan.particles.group[batch[0]]]
            across = params.background_diameter_A
            images, flat = Background(entry.box, across and across / entry.pixel_size_A).normalised(images)
            rejects.add(batch[flat], FLAT)
            batch, images = batch[~flat], images[~flat]
        if len(batch):
            yield batch, images


def _cut(params: Extract, plan: Plan, rows: np.ndarray) -> Iterator[writing.Batch]:
    table = plan.particles
    rows = rows[np.lexsort((table.group[rows], table.file[rows]))]
    edges = np.flatnonzero(np.diff(table.file[rows]) | np.diff(table.group[rows])) + 1
    for part in np.split(rows, edges):
        if len(part):
            micrograph = mrc.read_images(table.files[table.file[part[0]]], [0])[0]
            yield part, boxes.cut(micrograph, plan.centres[part], params.box_size)


def _show(folder: Path, plan: Plan, new: Particles) -> None:
    """Some images, and the first micrograph with its picks."""
    first = int(plan.particles.file[0])
    small, step = restacking.thumbnail(plan.particles.files[first])
    here = plan.particles.file == first
    rows = np.arange(min(restacking.SHOWN, len(new)))
    rows = rows[new.group[rows] == new.group[0]]
    restacking.montage(
        folder, after=Stack(new).images(rows).astype(np.float32), micrograph=small,
        picks=plan.centres[here] / step, fits=plan.fits[here],
    )  # fmt: skip
