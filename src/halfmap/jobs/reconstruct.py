"""Runs `halfmap reconstruct`: half-maps from the poses in the table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from halfmap.io import mrc
from halfmap.jobs import inputs, results
from halfmap.jobs.events import Watch
from halfmap.jobs.homogeneous import read_particles
from halfmap.params.reconstruct import Reconstruct
from halfmap.refine import loop
from halfmap.validate import fsc


def run(params: Reconstruct, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Reconstruct and write; returns the summary of the result files."""
    particles, mask = inputs.read_all(
        lambda: read_particles(params, watch),
        lambda: mrc.read(params.mask) if params.mask else None,
    )
    outcome = loop.reconstruct_only(params, particles, watch)
    if mask is not None:
        curves = fsc.report(outcome.half1, outcome.half2, rng, mask.data)
        outcome = replace(outcome, curves=curves, mask_refine=mask)
    return results.write(outcome, particles, params, folder, watch)
