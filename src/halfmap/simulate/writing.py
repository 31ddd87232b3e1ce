"""Simulated particles as files.

Owns the file names. particles.mrcs and particles.star hold what a real data set would tell; truth.star adds poses,
half-sets and what was done to each image; truth_moving.star holds the poses of a hinged domain, moving.mrc its map.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from halfmap.data import relion
from halfmap.io import mrc
from halfmap.simulate.images import Simulation

STACK, PARTICLES, TRUTH = "particles.mrcs", "particles.star", "truth.star"
TRUTH_MOVING, MOVING = "truth_moving.star", "moving.mrc"


def write(folder: Path, simulation: Simulation, mode: int = 2) -> list[Path]:
    """Make all images and write everything to ``folder``, which must exist; returns the files written.

    ``mode``: of the stack, 2 = float32, 12 = float16. truth.star has two columns of our own: halfmapTrueJunk (1 where
    the image has no particle) and halfmapTrueContrast.
    """
    stack = folder / STACK
    mrc.write_stack(stack, simulation.images(), simulation.map.voxel_size_A, mode=mode)
    truth = replace(simulation.particles, files=(stack,))
    relion.write(folder / PARTICLES, replace(truth, poses=None, half=np.zeros_like(truth.half)))
    relion.write(folder / TRUTH, replace(truth, columns=done_to_images(simulation)))
    written = [stack, folder / PARTICLES, folder / TRUTH]
    if simulation.moving is not None:
        moving = replace(truth, poses=simulation.moving, columns=done_to_images(simulation))
        relion.write(folder / TRUTH_MOVING, moving)
        mrc.write(folder / MOVING, simulation.settings.hinge.moving)
        written += [folder / TRUTH_MOVING, folder / MOVING]
    return written


def done_to_images(simulation: Simulation) -> dict[str, np.ndarray]:
    """Columns of our own with what no real table tells."""
    return {"halfmapTrueJunk": simulation.junk.astype(np.int64), "halfmapTrueContrast": simulation.scale}
