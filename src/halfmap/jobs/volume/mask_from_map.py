"""Runs `halfmap mask from-map`: a soft mask around the particle of a map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from halfmap.errors import UsageError
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.volume import masking
from halfmap.maps import filters, mask_faults, mask_making, solvent
from halfmap.maps.mask_making import Steps
from halfmap.params.mask_tools import MaskFromMap
from halfmap.types import Map

LOWPASS_A = 15.0  # as relion_mask_create; a finer map falls to pieces at any threshold
DILATION_A = 6.0  # CryoSPARC's dynamic mask near


@dataclass(frozen=True)
class Plan:
    """The map, and what the open settings come to."""

    map: Map
    resolution_A: float
    lowpass_A: float
    steps: Steps


def run(params: MaskFromMap, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Write mask.mrc."""
    plan = planned(params)
    region, threshold, words = found(plan, params.threshold)
    watch("note", text=f"threshold {threshold:.4g}: {words}")
    mask = Map(mask_making.made(region, plan.steps), plan.map.voxel_size_A)
    told = masking.judged(mask, plan.resolution_A, watch)
    masking.show(folder, mask, plan.map, plan.resolution_A)
    return {**masking.write(folder, mask, watch), **told, **vars(plan.steps), "lowpass_A": plan.lowpass_A,
            "threshold": threshold, "threshold_from": words}


def check(params: MaskFromMap, watch: Passing) -> dict:
    """Read the map and find its threshold."""
    plan = planned(params)
    _, threshold, words = found(plan, params.threshold)
    return {"resolved": {"lowpass_A": plan.lowpass_A, **vars(plan.steps), "threshold": threshold, "from": words}}


def planned(params: MaskFromMap) -> Plan:
    """The map and the steps. Raises UsageError where the resolution is not known."""
    _, map = masking.volume(params.volume, ("map",))
    resolution = masking.resolution_A(params.resolution_A, params.volume)
    if resolution is None:
        raise UsageError("--resolution: the width of the soft edge follows from the resolution of the map; give it, or "
                         "name the folder of the job that made the map as --volume")
    dilation = DILATION_A / map.voxel_size_A
    if params.dilation_radius is not None:
        dilation = masking.in_voxels(params.dilation_radius, params.unit, map)
    soft = mask_faults.EDGE_RESOLUTIONS * resolution / map.voxel_size_A
    if params.soft_padding is not None:
        soft = masking.in_voxels(params.soft_padding, params.unit, map)
    return Plan(map, resolution, params.lowpass or max(LOWPASS_A, resolution),
                Steps(dilation, soft, params.fill_holes, params.smallest_island))


def found(plan: Plan, threshold: float | None) -> tuple[np.ndarray, float, str]:
    """Where the low-passed map exceeds its threshold, that, and how it was found in words."""
    if threshold is not None:
        smooth = filters.coarser(plan.map, plan.lowpass_A, filters.gaussian_rolloff)
        return mask_making.above(smooth.data, threshold), threshold, f"given, of the map at {plan.lowpass_A:.3g} A"
    smooth, contour = solvent.contour(plan.map, plan.lowpass_A)
    return mask_making.above(smooth.data, contour.threshold), contour.threshold, contour.words
