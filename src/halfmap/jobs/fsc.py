"""Runs `halfmap fsc`: all curves of two half-maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.io import mrc
from halfmap.jobs import inputs, results
from halfmap.jobs.events import Watch
from halfmap.params.fsc import Fsc
from halfmap.refine import advice
from halfmap.types import Map
from halfmap.validate import fsc


def run(params: Fsc, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Compute and write fsc.*, guinier.json and the mask; returns the summary of the result files."""
    half1, half2, mask = inputs.read_all(
        lambda: mrc.read(params.half1),
        lambda: mrc.read(params.half2),
        lambda: mrc.read(params.mask) if params.mask else None,
    )
    curves = fsc.report(half1, half2, rng, None if mask is None else mask.data)
    if mask is None:
        mask = Map(fsc.standard_masks(half1, half2, curves["no_mask"])[1], half1.voxel_size_A)
    own = (half1.box, half1.voxel_size_A)
    for sentence in advice.advise(advice.Evidence(curves, np.inf, *own, *own)):
        watch("warning", message=sentence)
    results.write_curves(folder, curves)
    bfactor = results.write_guinier(folder, half1, half2, curves["corrected"], None)
    mrc.write(folder / "mask_fsc.mrc", mask)
    return {**results.describe_curves(curves), "bfactor_A2": bfactor}
