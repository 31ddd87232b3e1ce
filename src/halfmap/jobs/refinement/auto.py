"""Runs `halfmap refine auto`: the job of `refine homogeneous` with another recipe, from the start or from an iteration
of an earlier one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.jobs.refinement import homogeneous
from halfmap.jobs.running.events import Passing, Watch
from halfmap.params.auto import Auto
from halfmap.refine import recipes


def run(params: Auto, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Refine and write; returns the summary of the result files."""
    return homogeneous.refined(recipes.auto, params, folder, rng, watch)


def check(params: Auto, watch: Passing) -> dict:
    """Read and check all inputs; returns what the refinement would do and need."""
    return homogeneous.told(recipes.auto, params, watch)
