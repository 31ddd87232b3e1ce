"""Runs `halfmap demo`: simulates a small protein, refines it, compares the poses with the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.data import relion
from halfmap.geometry import symmetry
from halfmap.jobs import homogeneous, simulate
from halfmap.jobs.events import Passing, Watch
from halfmap.params.demo import Demo
from halfmap.params.homogeneous import Homogeneous
from halfmap.params.simulate import Simulate

PARTICLES, SNR, SYMMETRY = 1500, 0.1, "D2"  # enough to pass 10 A in well under a minute on two cores


def run(params: Demo, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Simulate into ``simulated/``, refine into the job folder; returns the summary of the refinement."""
    simulated = folder / "simulated"
    simulated.mkdir()
    simulate.run(Simulate(out=simulated, n=PARTICLES, snr=SNR, symmetry=SYMMETRY), simulated, rng, watch)
    settings = Homogeneous(
        out=params.out,
        particles=simulated / "particles.star",
        volume=simulated / "map.mrc",  # low-passed to 30 A by the refinement, so that it knows no details
        symmetry=SYMMETRY,
    )
    found = homogeneous.run(settings, folder, rng, watch)
    return {**found, "true_rotation_error_deg": _error_deg(folder, simulated)}


def check(params: Demo, watch: Passing) -> dict:
    """Nothing is read; the disk must take what is simulated."""
    simulated = Simulate(out=params.out, n=PARTICLES, snr=SNR, symmetry=SYMMETRY)
    return {"n_particles": PARTICLES, **simulate.check(simulated, watch)}


def _error_deg(folder: Path, simulated: Path) -> float:
    """Median angle between refined and true poses, symmetry mates counted as equal."""
    refined, truth = relion.read_table(folder / "particles.star"), relion.read_table(simulated / "truth.star")
    true = truth.poses.rotations[refined.index]  # rows of the truth are in the order of the images
    return float(np.rad2deg(np.median(symmetry.distance(refined.poses.rotations, true, symmetry.group(SYMMETRY)))))
