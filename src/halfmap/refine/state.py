"""What a refinement knows between iterations, and what it hands over at the end. Both frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from halfmap.data.particles import Particles
from halfmap.physics.noise import GroupModel
from halfmap.types import Candidates, Curve, Defocus, Map, Optics, Poses, Sums
from halfmap.validate.fsc_report import Report

if TYPE_CHECKING:
    from halfmap.refine.diagnostics import Diagnostics
    from halfmap.refine.schedules import Plan
    from halfmap.refine.setup import Run
    from halfmap.refine.stochastic import Course


@dataclass(frozen=True)
class State:
    """One iteration's result. A new iteration makes a new one."""

    iteration: int
    references: np.ndarray  # (class, half, z, y, x) float32: filtered and masked, sampled for the band in use
    reference_voxel_A: float
    candidates: Candidates  # (n, c) of every particle, best first
    weights: np.ndarray  # (n, c) float64: posterior probability of each candidate
    information: np.ndarray  # (n, 5, 5) Fisher information of the best pose (rad, A)
    cross: np.ndarray  # (n,) data along the model of scale 1, sum Re(conj(m) x), whitened
    power: np.ndarray  # (n,) sum |m|^2 of that model: cross = scale x power where the particle is what the map says
    effective: np.ndarray  # (n,) effective number of poses at which each particle made the maps, 1 for one alone
    scale: np.ndarray  # (n,) grey scale of every particle, about 1
    silent: np.ndarray  # (n,) bool: particles without signal, which do not make the map
    trust: np.ndarray  # (n,) what each counts in the map, 0 to 1: the probability that it is a particle at all
    optics: tuple[Optics, ...]  # as far as CTF refinement knows them
    defocus: Defocus  # (n,) the same
    models: tuple[GroupModel, ...]  # one per optics group
    curves: dict[str, Curve]  # FSC curves of this iteration
    shell: float  # where the curve in force crosses the threshold
    band: int  # shells used for alignment
    reach: int  # shells reconstructed
    history: tuple[dict, ...] = ()

    @property
    def seen(self) -> np.ndarray:
        """(n,) bool: particles whose pose has been looked for."""
        return np.isfinite(self.candidates.log_likelihood[:, 0])

    @property
    def raw_scale(self) -> np.ndarray:
        """(n,) scale of each particle by its own image alone; 0 where nothing is known."""
        return self.cross / np.maximum(self.power, 1e-30)

    def reference(self, half: int) -> Map:
        """The reference of half 0 or 1."""
        return Map(self.references[0, half], self.reference_voxel_A)

    @property
    def poses(self) -> Poses:
        """The best pose of every particle."""
        return Poses(self.candidates.rotations[:, 0], self.candidates.shifts_A[:, 0])


@dataclass(frozen=True)
class Snapshot:
    """All a refinement needs to go on after an iteration, or a growth after a step, as if it had never stopped."""

    state: State | Course
    half: np.ndarray  # (n,) half-set of every particle
    rejected: dict[int, str]
    warnings: tuple[str, ...]
    rng: dict  # state of the random generator
    seconds: dict[str, float]


class Keeper:
    """Takes the snapshot of every iteration and looks at what it made; this one forgets all."""

    def newest(self) -> Snapshot | None:
        """The snapshot to go on from."""
        return None

    def keep(self, snapshot: Snapshot) -> None:
        """Take a snapshot."""

    def look(self, job: Run, state: State, plan: Plan, sums: tuple[Sums, Sums] | None) -> None:
        """Look at an iteration, the last one included, or with no sums at the state it all begins with.

        ``plan`` is that of the iteration, or of the first one to come; arrays are not to be changed, nor held.
        """


@dataclass(frozen=True)
class Posterior:
    """What is known of the poses of n particles."""

    candidates: Candidates  # (n, c) best first, each in one asymmetric unit
    probability: np.ndarray  # (n, c) of each; 0 for absent ones
    information: np.ndarray  # (n, 5, 5) Fisher information of the best one (rad, A)


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
    diagnostics: Diagnostics | None = None  # what the final maps show
    posterior: Posterior | None = None  # of ``particles``, row by row
    local_filter: Map | None = None  # resolution that ``map`` is filtered to at every voxel, A

    @property
    def curves(self) -> dict[str, Curve]:
        """The FSC curves."""
        return self.fsc.curves
