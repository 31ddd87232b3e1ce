"""What all jobs that make or bring in a mask share: where their volume is, what is told of it, what its plots show.

Owns the statistics of a volume in a summary. Computes no masks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.jobs.running import diagnostics
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.volume.volumes import MASKS
from halfmap.maps import mask_faults, mask_making
from halfmap.refine.diagnostics import Diagnostics, slices
from halfmap.types import Map

ANY = ("map", *reversed(MASKS))  # the map of a folder, else its mask
PROFILE_REACH = 1.5  # widths wanted of the edge: what its plot shows beyond


def volume(path: Path, names: Sequence[str] = ANY) -> tuple[Path, Map]:
    """The file and the volume that a setting names: a file, or the first of ``names`` in a job folder."""
    if path.is_dir():
        found = [path / f"{name}.mrc" for name in names if (path / f"{name}.mrc").is_file()]
        if not found:
            raise InputError(f"{path}: holds no {names[0]}.mrc; name a file, or the folder of a job that made one")
        path = found[0]
    return path, mrc.read(path)


def resolution_A(given: float | None, path: Path) -> float | None:
    """The resolution given, else that of the job folder ``path``; None where neither says one."""
    summary = path / "summary.json"
    if given is not None or not summary.is_file():
        return given
    return json.loads(summary.read_text()).get("resolution_A")


def in_voxels(length: float, unit: str, map: Map) -> float:
    """A length in "px" or "A", in voxels of ``map``."""
    return length / map.voxel_size_A if unit == "A" else length


def statistics(map: Map) -> dict:
    """What the summary says of any volume. The centre of mass is that of its positive values, from the corner."""
    positive = bool((map.data > 0).any())
    centre = np.array(mask_making.centre_of_mass(map.data)) if positive else None
    return {
        "box_size": map.box,
        "voxel_size_A": map.voxel_size_A,
        "min": float(map.data.min()),
        "max": float(map.data.max()),
        "mean": float(map.data.mean(dtype=np.float64)),
        "centre_of_mass_px": None if centre is None else np.round(centre, 3),
        "centre_of_mass_A": None if centre is None else np.round(centre * map.voxel_size_A, 3),
    }


def tell_centre(found: dict, watch: Watch) -> None:
    """Print the centre of mass in the form in which a fulcrum is given."""
    if found["centre_of_mass_px"] is not None:
        px, A = (",".join(f"{x:.1f}" for x in found[f"centre_of_mass_{unit}"]) for unit in ("px", "A"))
        watch("note", text=f"centre of mass, x,y,z from the corner of the box: {px} px = {A} A")


def judged(mask: Map, resolution_A: float | None, watch: Watch | Passing) -> dict:
    """Warn of every fault of a mask; returns what the summary says of it."""
    for sentence in mask_faults.faults(mask, resolution_A):
        watch("warning", message=f"the mask: {sentence}")
    filled = float(mask.data.mean(dtype=np.float64))
    return {
        "mask_fraction": filled,
        "mask_volume_A3": filled * (mask.box * mask.voxel_size_A) ** 3,
        "edge_width_px": mask_faults.edge_width(mask.data),
    }


def write(folder: Path, mask: Map, watch: Watch) -> dict:
    """mask.mrc; returns its statistics, and prints its centre."""
    mrc.write(folder / "mask.mrc", mask)
    found = statistics(mask)
    tell_centre(found, watch)
    return found


def show(folder: Path, mask: Map, source: Map | None, resolution_A: float | None) -> None:
    """Leave what the plots need: slices of the volume that the mask is of, if any, and the profile of its edge."""
    case = mask_faults.Case(mask_faults.measured(mask.data), mask.voxel_size_A, resolution_A)
    width_px = max(case.wanted_px, case.measures.width_px or 0.0)
    profile = mask_faults.profile(mask.data, PROFILE_REACH * width_px)
    arrays = {f"edge_{name}": getattr(profile, name) for name in ("mean", "low", "high")}
    arrays["edge_distance_A"] = profile.distance_px * mask.voxel_size_A
    if source is not None:
        arrays |= slices("masked_map", source) | slices("masked_map_mask", mask)
    facts = {"box": mask.box, "voxel_size_A": mask.voxel_size_A, "edge_wanted_A": case.wanted_px * mask.voxel_size_A}
    diagnostics.write(folder, Diagnostics(diagnostics.FINAL, arrays, facts))
