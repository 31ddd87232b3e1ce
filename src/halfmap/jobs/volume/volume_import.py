"""Runs `halfmap import volume`: one map or mask under the name that other jobs look for, checked."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.jobs.running import inputs
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.volume import masking
from halfmap.params.volume_tools import ImportVolume
from halfmap.types import Map

SAME_SIZE = 1e-5  # relative: headers hold the cell in single precision


def run(params: ImportVolume, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Link or write KIND.mrc; returns the summary."""
    header, map = read(params)
    path = folder / f"{params.kind}.mrc"
    changes = changed(params, header)
    if changes:
        mrc.write(path, map)
        how = f"written anew: {', '.join(changes)}"
    else:
        path.symlink_to(os.path.relpath(os.path.realpath(params.volume), os.path.realpath(folder)))
        how = "linked, nothing in it changes"
    watch("note", text=f"{path.name}: {how}")
    found = masking.statistics(map)
    if params.kind == "mask":
        found |= masking.judged(map, None, watch)
        masking.show(folder, map, None, None)
    else:
        _warn(map, watch)
    masking.tell_centre(found, watch)
    return {**found, "kind": params.kind, "how": how}


def check(params: ImportVolume, watch: Passing) -> dict:
    """Read the volume; tell what would be done."""
    header, map = read(params)
    return {"resolved": {**masking.statistics(map), "changes": ", ".join(changed(params, header)) or "none: a link"}}


def read(params: ImportVolume) -> tuple[mrc.Header, Map]:
    """The header and the volume as it is to be.

    Raises InputError for a file that is no map, has no voxel size, or is to be a mask and has other values than 0 to 1.
    """
    header = mrc.read_header(params.volume)
    if params.voxel_size_A is None and min(header.cell_voxel_A) <= 0:
        raise InputError(f"{params.volume}: the header has no voxel size: give it with --voxel-size, in A")
    map = mrc.read(params.volume, params.voxel_size_A)
    if params.contrast == "dark":
        map = Map(-map.data, map.voxel_size_A)
    faults = inputs.values_of_no_mask(params.volume, map) if params.kind == "mask" else []
    if faults:
        raise InputError([f"{fault} (import it with --kind map)" for fault in faults])
    return header, map


def changed(params: ImportVolume, header: mrc.Header) -> list[str]:
    """What of the file changes, in words; nothing of it needs a copy otherwise."""
    changes = []
    size, given = header.cell_voxel_A[0], params.voxel_size_A
    if given is not None and abs(size - given) > SAME_SIZE * given:
        changes.append(f"voxel size {size:.6g} becomes {given:.6g} A" if size else f"voxel size {given:.6g} A")
    if params.contrast == "dark":
        changes.append("sign changed")
    if header.axes != (1, 2, 3):
        changes.append("axes in the order x, y, z")
    return changes


def _warn(map: Map, watch: Watch) -> None:
    """Of maps that no job can use."""
    low, high = float(map.data.min()), float(map.data.max())
    if low == high:
        watch("warning", message=f"the map is {low:.3g} everywhere: it holds no particle; is it the right file?")
    elif _skewness(map.data) < 0:
        watch("warning", message="the strongest values of the map are negative: if the particle is dark in it, import "
                                 "it with --contrast dark")


def _skewness(data: np.ndarray) -> float:
    """Third central moment: positive where a small bright particle stands in a large even box."""
    apart = data.astype(np.float64) - data.mean(dtype=np.float64)
    return float((apart**3).mean())
