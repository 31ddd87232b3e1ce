"""Runs `halfmap refine nonuniform`: the job of `refine homogeneous` with another recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.jobs.refinement import homogeneous
from halfmap.jobs.running.events import Passing, Watch
from halfmap.params.nonuniform import Nonuniform
from halfmap.refine import recipes


def run(params: Nonuniform, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Refine and write; returns the summary of the result files."""
    return homogeneous.refined(recipes.nonuniform, params, folder, rng, watch)


def check(params: Nonuniform, watch: Passing) -> dict:
    """Read and check all inputs; returns what the refinement would do and need."""
    return homogeneous.told(recipes.nonuniform, params, watch)
