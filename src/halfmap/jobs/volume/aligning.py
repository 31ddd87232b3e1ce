"""Runs `halfmap volume align`: a map onto its symmetry axes, or onto another map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.fft

from halfmap.align import axes, maps
from halfmap.errors import UsageError
from halfmap.fourier import shells
from halfmap.geometry import symmetry
from halfmap.geometry.frames import Frame
from halfmap.io import mrc
from halfmap.jobs.running import diagnostics, inputs
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.volume import moving
from halfmap.maps import turn
from halfmap.params.geometry import VolumeAlign
from halfmap.refine.diagnostics import Diagnostics, slices
from halfmap.types import Map

DECIDED = 3.0  # nats by which a hand must tell more than the other: 20 to 1


def run(params: VolumeAlign, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Find the frame, write the moved volumes and particles; returns what the summary says."""
    group, particles, reference, mask = read(params, watch)
    frame, found = _onto_axes(params, group.map, watch) if reference is None else _onto_map(
        params, group.map, reference, mask, watch)  # fmt: skip
    placed = moving.move_all(group, frame, reference)
    along = moving.move_particles(particles, frame, params.adjust_defocus)
    moving.write(folder, placed, along, params)
    if reference is not None:
        before = turn.placed(group.map, Frame(np.eye(3), np.zeros(3)), reference.box, reference.voxel_size_A)
        diagnostics.write(folder, shown(reference, before, placed.map))
    grid = {"box_size": placed.map.box, "voxel_size_A": placed.map.voxel_size_A}
    return {**moving.told(frame, group.map, particles), **grid, **found}


def check(params: VolumeAlign, watch: Passing) -> dict:
    """Read everything; the frame is the job's to find."""
    group, particles, _, _ = read(params, watch)
    return {"resolved": {"box_size": group.map.box, "voxel_size_A": group.map.voxel_size_A}}


def read(params: VolumeAlign, watch: Watch | Passing):
    """(volumes, particles or None, reference or None, its mask or None). Raises InputError with all faults."""
    if params.to_symmetry is not None and len(symmetry.group(params.to_symmetry)) == 1:
        raise UsageError("--to-symmetry C1: every map has that symmetry about any axis; name a larger group")
    (group, particles), reference, mask = inputs.read_all(
        lambda: moving.read(params, watch),
        lambda: None if params.reference is None else mrc.read(params.reference),
        lambda: None if params.reference_mask is None else moving.read_mask(params.reference_mask),
    )
    if mask is not None:
        moving.check_on_grid(params.reference_mask, mask, reference, params.reference)
    return group, particles, reference, mask


def _onto_axes(params: VolumeAlign, map: Map, watch: Watch) -> tuple[Frame, dict]:
    found = axes.find(map, symmetry.group(params.to_symmetry))
    if not found.obeyed:
        watch("warning", message=f"the map does not obey {params.to_symmetry}: correlation with its symmetry mates "
              f"{found.after:.2f} at best, to {found.resolution_A:.1f} A")
    watch("note", text=f"axes of {params.to_symmetry}: correlation {found.before:.3f} before, {found.after:.3f} after; "
          f"turned by {found.angle_deg:.2f} deg, moved by {found.shift_A:.2f} A")
    return Frame(found.rotation.T, found.centre_A), {
        "symmetry": params.to_symmetry, "correlation_before": found.before, "correlation_after": found.after,
    }  # fmt: skip


def _onto_map(params: VolumeAlign, map: Map, reference: Map, mask: Map | None, watch: Watch) -> tuple[Frame, dict]:
    found = maps.find(map, reference, mask, params.test_hand)
    if params.test_hand:
        _judge_hand(found, watch)
    moved_A = np.linalg.norm(found.frame.centre_A)
    watch("note", text=f"turned by {found.frame.angle_deg:.2f} deg (error {found.rotation_sd_deg:.2f}), centre moved "
          f"by {moved_A:.2f} A (error {found.shift_sd_A:.2f})")
    return found.frame, {
        "hand": "mirrored" if found.frame.mirrored else "as given", "hand_tested": params.test_hand,
        "information": found.information, "rotation_error_deg": found.rotation_sd_deg,
        "shift_error_A": found.shift_sd_A, "aligned_to_A": found.resolution_A,
    }  # fmt: skip


def _judge_hand(found: maps.Aligned, watch: Watch) -> None:
    given, mirrored = found.information["as given"], found.information["mirrored"]
    if abs(given - mirrored) < DECIDED:
        watch("warning", message=f"both hands agree as well with the reference ({given:.1f} and {mirrored:.1f} nats): "
              "the maps do not tell the hand")
    elif mirrored > given:
        watch("warning", message="the map has the other hand than the reference and was mirrored, its poses too")


def shown(reference: Map, before: Map, after: Map) -> Diagnostics:
    """Slices of the three, and the correlation with the reference of each shell, before and after."""
    still, was, is_ = (scipy.fft.rfftn(one.data) for one in (reference, before, after))
    arrays = {
        **slices("reference", reference), **slices("before", before), **slices("after", after),
        "correlation_before": shells.correlation(was, still, reference.box),
        "correlation_after": shells.correlation(is_, still, reference.box),
    }  # fmt: skip
    return Diagnostics("final", arrays, {"box": reference.box, "voxel_size_A": reference.voxel_size_A})
