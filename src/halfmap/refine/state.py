"""What a refinement knows between iterations, and what it hands over at the end. Both frozen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.data.particles import Particles
from halfmap.physics.noise import GroupModel
from halfmap.types import Candidates, Curve, Map, Poses
from halfmap.validate.fsc_report import Report


@dataclass(frozen=True)
class State:
    """One iteration's result. A new iteration makes a new one."""

    iteration: int
    references: np.ndarray  # (class, half, z, y, x) float32: filtered and masked, sampled for the band in use
    reference_voxel_A: float
    candidates: Candidates  # (n, c) of every particle, best first
    weights: np.ndarray  # (n, c) float64: posterior probability of each candidate
    information: np.ndarray  # (n, 5, 5) Fisher information of the best pose (rad, A)
    cross: np.ndarray  # (n,) data along the model, sum Re(conj(m) x), whitened
    power: np.ndarray  # (n,) sum |m|^2: cross = power where the particle is what the map says
    models: tuple[GroupModel, ...]  # one per optics group
    curves: dict[str, Curve]  # FSC curves of this iteration
    shell: float  # where the curve in force crosses the threshold
    band: int  # shells used for alignment
    reach: int  # shells reconstructed
    history: tuple[dict, ...] = ()

    def reference(self, half: int) -> Map:
        """The reference of half 0 or 1."""
        return Map(self.references[0, half], self.reference_voxel_A)

    @property
    def poses(self) -> Poses:
        """The best pose of every particle."""
        return Poses(self.candidates.rotations[:, 0], self.candidates.shifts_A[:, 0])


@dataclass(frozen=True)
class Outcome:
    """What a finished refinement hands to the job that writes it down."""

    half1: Map  # unfiltered, unmasked
    half2: Map
    map: Map  # both halves combined, filtered by their FSC
    particles: Particles  # with poses and half-sets; rejected ones left out
    extra: dict[str, np.ndarray]  # further columns, by neutral name
    mask_refine: Map | None
    noise: tuple[Curve, ...]  # noise standard deviation per shell, one curve per optics group
    fsc: Report  # all curves of the halves, their masks and legends
    history: tuple[dict, ...]
    rejected: tuple[tuple[int, str], ...]
    seconds: dict[str, float]
    warnings: tuple[str, ...]

    @property
    def curves(self) -> dict[str, Curve]:
        """The FSC curves."""
        return self.fsc.curves
