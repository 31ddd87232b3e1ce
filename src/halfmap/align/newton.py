"""Pose refinement: Gauss-Newton with Levenberg damping on rotation and shift, all poses of a batch at once.

Method: design page section 3. Steps act in the image frame: A <- exp[w]x A, shift <- shift + s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.geometry import rotations as so3
from halfmap.kernels.normal_equations import normal_equations
from halfmap.physics.projection import Projector
from halfmap.types import Images

ENOUGH = 0.03  # gain in log likelihood below which a pose is settled: at most a quarter of its standard deviation off
DAMPING = 1e-3  # first Levenberg factor, relative to the diagonal; x 0.2 after success, x 8 after failure
LARGEST_TURN_RAD = 0.2  # longest rotation of one step; beyond it the slice is another slice


@dataclass(frozen=True)
class Fit:
    """Refined poses (p, ...) and what the likelihood says of them there."""

    rotations: np.ndarray  # (p, 3, 3)
    shifts_A: np.ndarray  # (p, 2)
    log_likelihood: np.ndarray  # (p,) relative to the empty model
    cross: np.ndarray  # (p,) sum Re(conj(m) x): data along the model
    power: np.ndarray  # (p,) sum |m|^2
    information: np.ndarray  # (p, 5, 5) Fisher information of (rotation rad x 3, shift A x 2)

    def covariance(self) -> np.ndarray:
        """Inverse of the information, (p, 5, 5); infinite variance where the image says nothing."""
        ridge = 1e-12 * np.trace(self.information, axis1=1, axis2=2)[:, None, None] * np.eye(5) + 1e-30 * np.eye(5)
        return np.linalg.inv(self.information + ridge)


def refine(projector: Projector, images: Images, which: np.ndarray, rotations: np.ndarray, shifts_A: np.ndarray,
           radius: int, rounds: int) -> Fit:
    """Climb from the poses (p, 3, 3), (p, 2) of images ``which`` (p,); at most ``rounds`` + 1 evaluations each."""
    climb = _Climb(projector, images, which, radius, rotations, shifts_A)
    for _ in range(rounds):
        if not climb.step():
            break
    return climb.fit()


class _Climb:
    """State of the iteration: current poses, their sums, their damping, and which still move."""

    def __init__(self, projector, images, which, radius, rotations, shifts_A):
        self.projector, self.images, self.which = projector, images, which
        self.radius = min(radius, projector.reach(images.stretch))
        self.length_A = images.box * images.pixel_size_A
        self.rotations, self.phases = rotations.copy(), shifts_A / self.length_A
        self.damping = np.full(len(which), DAMPING)
        self.sums = self._evaluate(np.arange(len(which)), self.rotations, self.phases)
        self.active = np.arange(len(which))

    def _evaluate(self, rows, rotations, phases):
        p, x = self.projector, self.images
        return normal_equations(p.half, x.masked, x.ctf, self.which[rows],
                                so3.stretched(rotations, x.stretch), phases, self.radius, p.padding)

    def step(self) -> bool:
        """One damped step of every active pose; False when none is left."""
        rows = self.active
        if len(rows) == 0:
            return False
        cross, power, gradient, curvature = (s[rows] for s in self.sums)
        step, expected = _solve(curvature, gradient, self.damping[rows])
        worth = expected > ENOUGH
        rows, step, old = rows[worth], step[worth], (2 * cross - power)[worth]
        if len(rows) == 0:
            self.active = rows
            return False
        turned = so3.exp_so3(step[:, :3]) @ self.rotations[rows]
        moved = self.phases[rows] + step[:, 3:]
        new = self._evaluate(rows, turned, moved)
        gain = 2 * new[0] - new[1] - old
        self._accept(rows, gain, turned, moved, new)
        self.active = rows[(gain > ENOUGH) | (gain <= 0)]
        return True

    def _accept(self, rows, gain, turned, moved, new):
        better = gain > 0
        self.damping[rows] *= np.where(better, 0.2, 8.0)
        keep = rows[better]
        self.rotations[keep], self.phases[keep] = turned[better], moved[better]
        for mine, fresh in zip(self.sums, new, strict=True):
            mine[keep] = fresh[better]

    def fit(self) -> Fit:
        cross, power, _, curvature = self.sums
        unit = np.array([1, 1, 1, 1 / self.length_A, 1 / self.length_A])
        information = 2 * curvature * unit[:, None] * unit
        return Fit(self.rotations, self.phases * self.length_A, 2 * cross - power, cross, power, information)


def _solve(curvature, gradient, damping):
    """Damped Gauss-Newton steps (p, 5) and the gain in log likelihood they promise (p,)."""
    diagonal = np.einsum("pii->pi", curvature)
    damped = curvature + np.eye(5) * (damping[:, None] * diagonal + 1e-30)[:, None, :]
    step = np.linalg.solve(damped, gradient[..., None])[..., 0]
    turn = np.linalg.norm(step[:, :3], axis=1)
    step *= np.minimum(1, LARGEST_TURN_RAD / np.maximum(turn, 1e-12))[:, None]
    promised = 2 * np.einsum("pi,pi->p", gradient, step) - np.einsum("pi,pij,pj->p", step, curvature, step)
    return step, promised
