"""Runs `halfmap demo`: simulates a small protein, refines it, compares the poses with the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.data import relion
from halfmap.geometry import symmetry
from halfmap.jobs.particles import simulate
from halfmap.jobs.refinement import abinitio, homogeneous
from halfmap.jobs.running.events import Passing, Watch
from halfmap.params.abinitio import Abinitio
from halfmap.params.demo import Demo
from halfmap.params.homogeneous import Homogeneous
from halfmap.params.simulate import Simulate

DIAMETER_A = 150.0  # of the circle about what is simulated, 125 A across
PARTICLES, SNR, SYMMETRY = 1500, 0.1, "D2"  # enough to pass 10 A in well under a minute on two cores


def run(params: Demo, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Simulate into ``simulated/``, refine into the job folder; returns the summary of the refinement."""
    simulated = folder / "simulated"
    simulated.mkdir()
    simulate.run(Simulate(out=simulated, n=PARTICLES, snr=SNR, symmetry=SYMMETRY), simulated, rng, watch)
    settings = Homogeneous(
        out=params.out,
        particles=simulated / "particles.star",
        volume=_from_scratch(simulated, folder, rng, watch) if params.from_scratch else simulated / "map.mrc",
        symmetry=SYMMETRY,
    )  # the map is low-passed to 30 A by the refinement, so that it knows no details
    found = homogeneous.run(settings, folder, rng, watch)
    return {**found, "true_rotation_error_deg": _error_deg(folder, simulated, params.from_scratch)}


def _from_scratch(simulated: Path, folder: Path, rng: np.random.Generator, watch: Watch) -> Path:
    """A map grown from the particles, in ``abinitio/``."""
    grown = folder / "abinitio"
    grown.mkdir()
    settings = Abinitio(out=grown, particles=simulated / "particles.star", symmetry=SYMMETRY,
                        particle_diameter_A=DIAMETER_A)  # fmt: skip
    abinitio.run(settings, grown, rng, watch)
    return grown / "map.mrc"


def check(params: Demo, watch: Passing) -> dict:
    """Nothing is read; the disk must take what is simulated."""
    simulated = Simulate(out=params.out, n=PARTICLES, snr=SNR, symmetry=SYMMETRY)
    return {"n_particles": PARTICLES, **simulate.check(simulated, watch)}


def _error_deg(folder: Path, simulated: Path, from_scratch: bool) -> float:
    """Median angle between refined and true poses, symmetry mates counted as equal.

    A map from scratch may lie along other axes of its group, and its hand is free: images are the same in a mirror.
    """
    refined, truth = relion.read_table(folder / "particles.star"), relion.read_table(simulated / "truth.star")
    true = truth.poses.rotations[refined.index]  # rows of the truth are in the order of the images
    group = symmetry.group(SYMMETRY)
    frames = [true]
    if from_scratch:
        mirror = np.diag([1.0, 1.0, -1.0])
        frames = [hand @ turn for hand in (true, mirror @ true @ mirror) for turn in symmetry.normaliser(group)]
    apart = [np.median(symmetry.distance(refined.poses.rotations, frame, group)) for frame in frames]
    return float(np.rad2deg(min(apart)))
