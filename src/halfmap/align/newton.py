"""Pose refinement: Gauss-Newton with Levenberg damping on rotation and shift, all poses of a batch at once.

Method: design page section 3. Steps act in the image frame: A <- exp[w]x A, shift <- shift + s; where something is
known of the poses beforehand, about its fulcrum and within its limits (`tether`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.align.tether import Anywhere, Near
from halfmap.geometry import rotations as so3
from halfmap.kernels.normal_equations import normal_equations
from halfmap.physics.projection import Projector
from halfmap.types import Images

ENOUGH = 0.03  # gain in log likelihood below which a pose is settled: at most a quarter of its standard deviation off
TRUSTED = 0.5  # promised gain up to which a step, then of at most one standard deviation, is taken without a look
DAMPING = 1e-3  # first Levenberg factor, relative to the diagonal; x 0.2 after success, x 8 after failure
LARGEST_TURN_RAD = 0.2  # longest rotation of one step; beyond it the slice is another slice


@dataclass(frozen=True)
class Fit:
    """Refined poses (p, ...) and what the likelihood says of them there."""

    rotations: np.ndarray  # (p, 3, 3)
    shifts_A: np.ndarray  # (p, 2)
    log_likelihood: np.ndarray  # (p,) relative to the empty model; the last small step counts as it promised
    cross: np.ndarray  # (p,) sum Re(conj(m) x): data along the model, where it was last looked at
    power: np.ndarray  # (p,) sum |m|^2, there
    information: np.ndarray  # (p, 5, 5) Fisher information of (rotation rad x 3, shift A x 2), there, prior included
    log_prior: np.ndarray  # (p,) of the pose, relative to the most likely one

    def covariance(self) -> np.ndarray:
        """Inverse of the information, (p, 5, 5); infinite variance where the image says nothing."""
        ridge = 1e-12 * np.trace(self.information, axis1=1, axis2=2)[:, None, None] * np.eye(5) + 1e-30 * np.eye(5)
        return np.linalg.inv(self.information + ridge)


def refine(projector: Projector, images: Images, which: np.ndarray, rotations: np.ndarray, shifts_A: np.ndarray,
           radius: int, rounds: int, near: Anywhere | Near = Anywhere()) -> Fit:  # noqa: B008 - frozen
    """Climb from the poses (p, 3, 3), (p, 2) of images ``which`` (p,); at most ``rounds`` + 1 evaluations each.

    ``near``: what is known of the poses of all particles.
    """
    climb = _Climb(projector, images, which, radius, rotations, shifts_A, near)
    for _ in range(rounds):
        if not climb.step():
            break
    return climb.fit()


class _Climb:
    """State of the iteration: current poses, their sums, their damping, and which still move."""

    def __init__(self, projector, images, which, radius, rotations, shifts_A, near):
        self.projector, self.images, self.which = projector, images, which
        self.radius = min(radius, projector.reach(images.stretch))
        self.length_A = images.box * images.pixel_size_A
        self.rotations, self.phases = rotations.copy(), shifts_A / self.length_A
        self.damping = np.full(len(which), DAMPING)
        self.promised = np.zeros(len(which))
        self.active = np.arange(len(which))
        magnification = images.stretch * self.length_A / projector.box_length_A
        self.tether = near.of(images.rows[which], self.length_A, magnification)
        self.prior = self.tether.log_prior(self.active, self.rotations, self.phases)
        self.sums = self._evaluate(self.active, self.rotations, self.phases)

    def _evaluate(self, rows, rotations, phases):
        p, x = self.projector, self.images
        return normal_equations(p.half, x.masked, x.ctf, self.which[rows],
                                so3.stretched(rotations, x.stretch), phases, self.radius, p.padding)

    def step(self) -> bool:
        """One damped step of every active pose; False when none is left."""
        rows = self.active
        if len(rows) == 0:
            return False
        here = self.rotations[rows], self.phases[rows]
        gradient, curvature = self.tether.equations(rows, *here, *(s[rows] for s in self.sums[2:]))
        step = _solve(curvature, gradient, self.damping[rows])
        *there, step = self.tether.moved(rows, *here, step)
        expected = _promised(curvature, gradient, step)
        worth = (expected > ENOUGH) & ~self._trusted(rows, there, expected)
        rows, (turned, moved) = rows[worth], (part[worth] for part in there)
        self.active = rows
        if len(rows) == 0:
            return False
        prior, new = self.tether.log_prior(rows, turned, moved), self._evaluate(rows, turned, moved)
        gain = 2 * new[0] - new[1] + prior - self._value(rows)
        self._accept(rows, gain, turned, moved, (prior, *new))
        self.active = rows[(gain > ENOUGH) | (gain <= 0)]
        return True

    def _value(self, rows) -> np.ndarray:
        """Log posterior where the poses were last looked at."""
        cross, power = (part[rows] for part in self.sums[:2])
        return 2 * cross - power + self.prior[rows]

    def _trusted(self, rows, there, expected) -> np.ndarray:
        """Takes steps so small that they give what they promise, unless the last one did not; says which it took.

        Most of a settled refinement is such: one evaluation a pose instead of two.
        """
        small = (expected > ENOUGH) & (expected <= TRUSTED) & (self.damping[rows] <= DAMPING)
        taken = rows[small]
        self.rotations[taken], self.phases[taken] = (part[small] for part in there)
        prior = self.tether.log_prior(taken, self.rotations[taken], self.phases[taken])
        self.promised[taken] += expected[small] + self.prior[taken] - prior
        self.prior[taken] = prior
        return small

    def _accept(self, rows, gain, turned, moved, new):
        better = gain > 0
        self.damping[rows] *= np.where(better, 0.2, 8.0)
        keep = rows[better]
        self.rotations[keep], self.phases[keep] = turned[better], moved[better]
        for mine, fresh in zip((self.prior, *self.sums), new, strict=True):
            mine[keep] = fresh[better]

    def fit(self) -> Fit:
        cross, power, _, curvature = self.sums
        unit = np.array([1, 1, 1, 1 / self.length_A, 1 / self.length_A])
        information = (2 * curvature + self.tether.precision(self.rotations)) * unit[:, None] * unit
        return Fit(self.rotations, self.phases * self.length_A, 2 * cross - power + self.promised, cross, power,
                   information, self.prior)


def _solve(curvature, gradient, damping):
    """Damped Gauss-Newton steps (p, 5)."""
    diagonal = np.einsum("pii->pi", curvature)
    damped = curvature + np.eye(5) * (damping[:, None] * diagonal + 1e-30)[:, None, :]
    step = np.linalg.solve(damped, gradient[..., None])[..., 0]
    turn = np.linalg.norm(step[:, :3], axis=1)
    return step * np.minimum(1, LARGEST_TURN_RAD / np.maximum(turn, 1e-12))[:, None]


def _promised(curvature, gradient, step) -> np.ndarray:
    """Gain in log posterior that steps promise (p,)."""
    return 2 * np.einsum("pi,pi->p", gradient, step) - np.einsum("pi,pij,pj->p", step, curvature, step)
