"""What the point group is to a refinement: a law of the map, or only a guide to the poses. Parts of a recipe.

Relaxed: the search still looks in one asymmetric unit, but the map is made without symmetry, and all mates of the best
pose compete for each particle against it. Where the molecule breaks its symmetry, they are told apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from halfmap.align import posterior
from halfmap.align.posterior import SAME_RAD
from halfmap.errors import UsageError
from halfmap.geometry import rotations, symmetry
from halfmap.refine.laying import AtBest, AtModes
from halfmap.refine.posed import Posed
from halfmap.types import Candidates, Poses

MOST_MATES = 24  # of the octahedral group: each is climbed, kept and compared for every particle
ROUNDS = 2  # of pose refinement of each mate: they begin where the best one ended

Climb = Callable[[Candidates, int, np.ndarray], Posed]  # candidates, rounds, group whose mates count as one pose


@dataclass(frozen=True)
class Imposed:
    """The map obeys the group: one mate stands for all."""

    def of_map(self, group: np.ndarray) -> np.ndarray:
        """The group the map obeys."""
        return group

    def places(self, group: np.ndarray) -> int:
        """Candidates a particle needs beyond those of an asymmetric unit."""
        return 0

    def drawn(self, group: np.ndarray, n: int, width: int, rng: np.random.Generator) -> Imposed:
        """Ready for a first iteration of ``n`` particles with ``width`` candidates each."""
        return self

    def merged(self, known: Candidates, group: np.ndarray) -> Candidates:
        """The candidates before an iteration."""
        return known

    def told_apart(self, posed: Posed, group: np.ndarray, climb: Climb) -> Posed:
        """The poses after it."""
        return posed

    def hopped(self, new: Poses, old: Poses, group: np.ndarray) -> float | None:
        """Fraction of particles that went from one mate to another; None where that means nothing."""
        return None

    def laying(self, wanted: AtBest) -> AtBest:
        """At which poses images make the map: ``wanted`` unless mates are to be told apart."""
        return wanted


@dataclass(frozen=True)
class Maximised(Imposed):
    """The map obeys nothing; every particle is laid in at its best mate.

    In a first iteration the mate is drawn from the probabilities: a symmetric map cannot tell mates apart, and a rule
    that always takes the same one would lay all particles in from one side. What chance makes of the map, the next
    iterations make grow where it is true.
    """

    chance: np.ndarray | None = None  # (n, width) Gumbel noise: the largest log w + noise is a draw from w

    def of_map(self, group: np.ndarray) -> np.ndarray:
        return group[:1]

    def places(self, group: np.ndarray) -> int:
        return len(group) - 1

    def drawn(self, group: np.ndarray, n: int, width: int, rng: np.random.Generator) -> Maximised:
        return replace(self, chance=rng.gumbel(size=(n, width)))

    def merged(self, known: Candidates, group: np.ndarray) -> Candidates:
        """Of all mates the best one."""
        return posterior.ranked(known, known.log_likelihood, group)[0]

    def told_apart(self, posed: Posed, group: np.ndarray, climb: Climb) -> Posed:
        """All mates of the best pose, climbed and ranked."""
        found = climb(with_mates(posed.candidates, group), ROUNDS, group[:1])
        return found if self.chance is None else _sampled(found, self.chance[found.rows])

    def hopped(self, new: Poses, old: Poses, group: np.ndarray) -> float | None:
        stayed = symmetry.nearest(new.rotations, old.rotations, group)
        return float((rotations.angle_between(stayed, new.rotations) > SAME_RAD).mean())

    def laying(self, wanted: AtBest) -> AtBest:
        """One mate makes the map, whatever the recipe would do."""
        return AtBest()


@dataclass(frozen=True)
class Marginalised(Maximised):
    """The same, every particle laid in at all of its poses, each with its probability."""

    def laying(self, wanted: AtBest) -> AtBest:
        return AtModes()


METHODS = {"none": Imposed, "maximization": Maximised, "marginalization": Marginalised}


def method(name: str, group: np.ndarray) -> Imposed:
    """The part called ``name``. Raises UsageError for groups it makes no sense for."""
    if name != "none" and not 1 < len(group) <= MOST_MATES:
        raise UsageError(f"--relax-symmetry {name}: the symmetry has {len(group)} operators; this is for "
                         f"2 to {MOST_MATES} (C2 to C24, D2 to D12, T, O); give --symmetry, or a subgroup of it")
    return METHODS[name]()


def with_mates(candidates: Candidates, group: np.ndarray) -> Candidates:
    """The mates of the best candidate (b, 0) in the first places, the other candidates after them, the last dropped."""
    b, width = candidates.log_likelihood.shape
    best = candidates.rotations[:, 0]
    mates = (best[:, None] @ group, np.repeat(candidates.shifts_A[:, :1], len(group), axis=1),
             np.repeat(candidates.log_likelihood[:, :1], len(group), axis=1))
    others = (candidates.rotations[:, 1:], candidates.shifts_A[:, 1:], candidates.log_likelihood[:, 1:])
    return Candidates(*(np.concatenate(pair, axis=1)[:, :width] for pair in zip(mates, others, strict=True)))


def _sampled(posed: Posed, chance: np.ndarray) -> Posed:
    """One candidate of each particle, drawn by its probability, in the first place and with all of the weight."""
    with np.errstate(divide="ignore"):
        drawn = np.argmax(np.log(posed.weights) + chance, axis=1)
    order = np.argsort(np.arange(chance.shape[1]) != drawn[:, None], axis=1, kind="stable")
    pick = np.arange(len(order))[:, None], order
    sure = np.zeros_like(posed.weights)
    sure[:, 0] = 1
    return replace(posed, candidates=posed.candidates[pick], weights=sure)
