"""Runs `halfmap mask combine`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.jobs.running import inputs
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.volume import masking, volumes
from halfmap.maps import mask_faults, mask_making
from halfmap.params.mask_tools import CombineMasks
from halfmap.types import Map

OPERATIONS = {
    "union": mask_making.union,
    "intersection": mask_making.intersection,
    "difference": mask_making.difference,
    "complement": mask_making.complement,
}


def run(params: CombineMasks, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Write mask.mrc; of a complement the mask itself is judged and drawn."""
    masks = read(params)
    mask = Map(OPERATIONS[params.operation]([each.data for each in masks]), masks[0].voxel_size_A)
    if mask.data.max() <= mask_faults.OVERSHOOT:
        raise InputError(f"the {params.operation} of these masks is empty: they do not share that part of the box")
    shown = masks[0] if params.operation == "complement" else mask
    told = masking.judged(shown, params.resolution_A, watch)
    masking.show(folder, shown, None, params.resolution_A)
    return {**masking.write(folder, mask, watch), **told, "operation": params.operation}


def check(params: CombineMasks, watch: Passing) -> dict:
    """Read the masks and see whether they are on one grid."""
    return {"resolved": {"grid": volumes.told(read(params)[0])}}


def read(params: CombineMasks) -> list[Map]:
    """The masks. Raises InputError with the faults of all files, for values beyond 0 to 1 and for unlike grids."""
    masks = inputs.read_all(*(lambda path=path: mrc.read(path) for path in params.mask))
    faults = [fault for each in zip(params.mask, masks, strict=True) for fault in _faults(*each, masks, params.mask)]
    if faults:
        raise InputError(faults)
    return [Map(np.clip(mask.data, 0, 1), mask.voxel_size_A) for mask in masks]


def _faults(path: Path, mask: Map, masks: Sequence[Map], paths: Sequence[Path]) -> list[str]:
    faults = inputs.values_of_no_mask(path, mask)
    if not volumes.same_grid(mask, masks[0]):
        faults.append(f"{path}: {volumes.told(mask)}, but {paths[0]} has {volumes.told(masks[0])}; bring it onto that "
                      f"grid first: halfmap volume resample --volume {path} --onto {paths[0]}")
    return faults
