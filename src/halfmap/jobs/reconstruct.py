"""Runs `halfmap reconstruct`: half-maps from the poses in the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.io import mrc
from halfmap.jobs import inputs, results
from halfmap.jobs.events import Watch
from halfmap.jobs.homogeneous import read_particles
from halfmap.params.reconstruct import Reconstruct
from halfmap.refine import loop, recipes


def run(params: Reconstruct, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Reconstruct and write; returns the summary of the result files."""
    particles, mask = inputs.read_all(
        lambda: read_particles(params, watch),
        lambda: mrc.read(params.mask) if params.mask else None,
    )
    if mask is not None:
        inputs.check_mask(params.mask, mask, particles)
    outcome = loop.run(recipes.reconstruction(params), particles, None, mask, rng, watch)
    return results.write(outcome, particles, params, folder, watch)
