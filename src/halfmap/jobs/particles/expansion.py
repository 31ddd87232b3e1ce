"""Runs `halfmap symmetry-expand`: the table with every particle at all its equivalent poses."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.data import expansion
from halfmap.data.particles import Particles
from halfmap.geometry import symmetry
from halfmap.jobs.refinement import homogeneous
from halfmap.jobs.running import results
from halfmap.jobs.running.events import Passing, Watch
from halfmap.params.expansion import SymmetryExpand
from halfmap.refine import start


def run(params: SymmetryExpand, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Write particles.star, and particles.cs where asked for; returns what the summary says."""
    operators, particles = read(params, watch)
    found = expansion.expanded(particles, operators)
    results.write_particles(folder, found, {}, params)
    watch("note", text=f"{len(particles):,} particles became {len(found):,}; use them in local refinements in C1 only")
    return told(params, operators, particles)


def check(params: SymmetryExpand, watch: Passing) -> dict:
    """Read the table, tell how many copies there will be."""
    return told(params, *read(params, watch))


def told(params: SymmetryExpand, operators: np.ndarray, particles: Particles) -> dict:
    """What the summary says."""
    return {"symmetry": params.symmetry, "n_particles": len(particles) * len(operators), "n_parents": len(particles)}


def read(params: SymmetryExpand, watch: Watch | Passing) -> tuple[np.ndarray, Particles]:
    """The operators and the particles, which have poses; warns of particles that were expanded before."""
    operators = symmetry.group(params.symmetry)
    particles = homogeneous.checked_particles(params, watch)
    start.require_poses(particles)
    before = expansion.copies(particles)
    if before:
        watch("warning", message=f"{before:,} particles are symmetry copies already: expanding them again is right "
              "for a further symmetry of a part only")
    return operators, particles
