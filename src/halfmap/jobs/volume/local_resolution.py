"""Runs `halfmap local-resolution`: the resolution of every place of a map."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.io import mrc
from halfmap.jobs.running import record, results
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.volume import volumes
from halfmap.jobs.volume.volumes import Group
from halfmap.params.local_resolution import LocalResolution
from halfmap.types import Map
from halfmap.validate import fsc, fsc_masks, local_resolution

BINS = 60
RANGE = (0.5, 99.5)  # per cent of the voxels that the histogram and the colours span
MUCH = 0.05  # of the mask


def run(params: LocalResolution, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Estimate and write locres.mrc, its histogram and the mask; returns the summary of the result files."""
    group = read(params)
    half1, half2 = group.halves
    mask = group.mask or _made(half1, half2, watch)
    settings = local_resolution.Settings(params.fsc_threshold, params.window_factor, params.step)
    found = local_resolution.local_resolution(
        half1, half2, mask.data, settings, lambda done, total: watch("progress", stage="locres", done=done, total=total)
    )
    for name, map in (("locres", found.map), ("mask", mask), ("map", results.mean_of(half1, half2))):
        mrc.write(folder / f"{name}.mrc", map)
    record.write_json(folder / "locres.json", {**histogram(found), "fsc_threshold": params.fsc_threshold})
    for message in warned(found):
        watch("warning", message=message)
    return described(found)


def check(params: LocalResolution, watch: Passing) -> dict:
    """Read the maps and see whether they fit each other."""
    half1, _ = read(params).halves
    return {"resolved": {"box_size": half1.box, "voxel_size_A": half1.voxel_size_A,
                         "bands": len(local_resolution.bands(half1.box, half1.voxel_size_A))}}  # fmt: skip


def read(params: LocalResolution) -> Group:
    """The volumes, both half-maps among them. Raises InputError where one is missing or the mask is none."""
    group = volumes.read(params)
    fsc.Pair(*group.halves)
    return group


def _made(half1: Map, half2: Map, watch: Watch) -> Map:
    """A mask from the half-maps, where none is given: the loose one of the FSC."""
    made = fsc_masks.standard(fsc.Pair(half1, half2), fsc_masks.Fixed()).tight
    watch("note", text=f"no mask is given; taken is the tight one of the FSC: {made.words}")
    return Map(made.data, half1.voxel_size_A)


def histogram(found: local_resolution.LocalResolution) -> dict:
    """Voxels per bin of resolution; what lies beyond the ends counts in them."""
    low, high = np.percentile(found.values, RANGE)
    edges = np.linspace(low, max(high, low + 0.1), BINS + 1)
    counts, _ = np.histogram(np.clip(found.values, edges[0], edges[-1]), edges)
    return {"edges_A": edges, "voxels": counts, "coarsest_A": found.coarsest_A, **described(found)}


def described(found: local_resolution.LocalResolution) -> dict:
    """The estimate in a few numbers."""
    best, median, worst = np.percentile(found.values, (5, 50, 95))
    return {"local_resolution_median_A": float(median), "local_resolution_5_percent_A": float(best),
            "local_resolution_95_percent_A": float(worst), "unresolved": found.unresolved}  # fmt: skip


def warned(found: local_resolution.LocalResolution) -> list[str]:
    """What a person should know."""
    if found.unresolved < MUCH:
        return []
    return [f"in {100 * found.unresolved:.0f} % of the mask the half-maps agree nowhere, not even at "
            f"{found.coarsest_A:.0f} A (the value written there): the mask is too wide, or parts are disordered"]
