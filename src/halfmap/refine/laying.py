"""At which of its poses an image makes the map, and what it counts at each. Parts of a recipe.

At the best one (maximisation); at all modes of its posterior; or over the posterior itself (marginalisation). There the
best mode is also looked at beside its peak, at sigma points of the covariance that the likelihood's curvature tells:
with m directions worth looking along, at the peak and sqrt(m + 1) standard deviations to both sides along each, with
weights 1 / (m + 1) and 1 / (2 (m + 1)): these points have the mean and covariance of the Gaussian (Julier & Uhlmann
2004, Proc. IEEE 92:401). Each weight is multiplied by the true likelihood there over the Gaussian's, so that the points
stand for the posterior and not for its approximation. A direction along which the pose is known to a small part of the
wavelength of the band adds nothing and has no points: a sharply determined particle is laid in once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from halfmap.align import posterior
from halfmap.geometry import rotations as so3
from halfmap.refine.posed import Posed

LEAST_WEIGHT = 1e-3  # of a pose at which an image is still laid in
LEVER = 0.32  # of the diameter: rms distance from an axis, across the beam, in a ball: sqrt(2/3 3/5) / 2
SHARP = 0.2  # of the finest wavelength in use: sd that needs no points. With 0.1 they cost half as much again and the
# maps of 3,000 particles of a disordered set were the same (FSC 0.5 with truth at 4.36 and 4.37 A; at 4.49 without any)
MOST = 9.0  # log weight of a point relative to the peak: with more the peak would not have been one
FARTHEST = 0.5  # of the lever: sd beyond which the Gaussian means nothing, half a radian

Look = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # images (p,), rotations, shifts -> log likelihood


@dataclass(frozen=True)
class Scale:
    """How finely a pose must be known: what a turn moves, and the wavelength of the finest shell in use."""

    lever_A: float
    wavelength_A: float

    @classmethod
    def of(cls, diameter_A: float, wavelength_A: float) -> Scale:
        """For a particle of that diameter."""
        return cls(LEVER * diameter_A, wavelength_A)


@dataclass(frozen=True)
class Laid:
    """Poses to lay a batch in at: image of each (p,), in their order, rotation, shift in A, and what it counts."""

    rows: np.ndarray
    rotations: np.ndarray
    shifts_A: np.ndarray
    shares: np.ndarray | None  # (p,); of each image they add up to 1; None = each image is there once

    def counted(self, trust: np.ndarray) -> np.ndarray | None:
        """The shares of images that count ``trust`` (of the batch,) each; None = each image is there once, whole."""
        weights = trust[self.rows]
        if (weights == 1).all():
            return self.shares
        return (weights if self.shares is None else weights * self.shares).astype(np.float32)

    def effective(self, n: int) -> np.ndarray:
        """(n,) effective number of poses of every image of the batch, 1 / sum w^2; 1 where it is not laid in."""
        if self.shares is None:
            return np.ones(n)
        squares = np.bincount(self.rows, self.shares.astype(float) ** 2, n)
        return 1 / np.where(squares > 0, squares, 1.0)


@dataclass(frozen=True)
class AtBest:
    """Every image at its best pose."""

    @property
    def poses(self) -> float:
        """What to expect of the number of poses of an image."""
        return 1.0

    def laid(self, heard: np.ndarray, posed: Posed, look: Look, scale: Scale) -> Laid:
        """Poses for the images ``heard`` of the batch; ``look`` gives the likelihood of others."""
        return Laid(heard, posed.candidates.rotations[heard, 0], posed.candidates.shifts_A[heard, 0], None)

    def columns(self, effective: np.ndarray) -> dict[str, np.ndarray]:
        """What the particle table says of the numbers of poses (n,): nothing, each has one."""
        return {}


@dataclass(frozen=True)
class AtModes(AtBest):
    """Every image at all its candidates, each with its probability."""

    def laid(self, heard: np.ndarray, posed: Posed, look: Look, scale: Scale) -> Laid:
        image, place = np.nonzero(posed.weights[heard] >= LEAST_WEIGHT)
        rows = heard[image]
        return _normalised(rows, posed.candidates.rotations[rows, place], posed.candidates.shifts_A[rows, place],
                           posed.weights[rows, place])

    def columns(self, effective: np.ndarray) -> dict[str, np.ndarray]:
        return {"effective_poses": effective}


@dataclass(frozen=True)
class AtPosterior(AtModes):
    """The same, the best one spread over its sigma points. ``sharp``: of the wavelength, sd that needs no points."""

    sharp: float = SHARP

    @property
    def poses(self) -> float:
        return 8.0  # of 11 and a few modes: small molecules at an SNR of 0.01 to 0.05

    def laid(self, heard: np.ndarray, posed: Posed, look: Look, scale: Scale) -> Laid:
        modes = super().laid(heard, posed, look, scale)
        points, steps, directions = _points(posed.information[heard], scale, self.sharp)
        if len(points) == 0:
            return modes
        rows, best = heard[points], posed.candidates[heard[points]]
        turned = so3.exp_so3(steps[:, :3]) @ best.rotations[:, 0]
        moved = best.shifts_A[:, 0] + steps[:, 3:]
        gain = look(rows, turned, moved) - best.log_likelihood[:, 0]
        parts = np.ones(len(posed.rows))
        parts[heard] = directions + 1
        beside = 0.5 * np.exp(np.minimum(gain + parts[rows] / 2, MOST)) / parts[rows]
        peaks = np.array(modes.shares, float)
        first = np.unique(modes.rows, return_index=True)[1]  # of each image: its best mode
        peaks[first] /= parts[modes.rows[first]]
        whole = np.zeros(len(posed.rows))
        whole[modes.rows[first]] = modes.shares[first]
        return _normalised(np.r_[modes.rows, rows], np.concatenate([modes.rotations, turned]),
                           np.concatenate([modes.shifts_A, moved]), np.r_[peaks, whole[rows] * beside])


def _points(information: np.ndarray, scale: Scale, sharp: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sigma points of n particles beside their peaks.

    Returns (particle of each point (p,), step in rotation vector rad and shift A (p, 5), directions of each particle
    that have points (n,)). Nothing is known of a particle without information: it has none.
    """
    unit = np.array([scale.lever_A] * 3 + [1.0, 1.0])
    covariance = posterior.covariance(information) * unit[:, None] * unit
    told = np.isfinite(covariance).all((1, 2))
    variance, axes = np.linalg.eigh(np.where(told[:, None, None], covariance, 0.0))
    sd = np.minimum(np.sqrt(np.maximum(variance, 0)), FARTHEST * scale.lever_A)
    wide = sd > sharp * scale.wavelength_A
    directions = wide.sum(1)
    particle, axis = np.nonzero(wide)
    far = np.sqrt(directions[particle] + 1) * sd[particle, axis]
    step = far[:, None] * axes[particle, :, axis] / unit
    return np.repeat(particle, 2), np.stack([step, -step], axis=1).reshape(-1, 5), directions


def _normalised(rows, rotations, shifts_A, weights) -> Laid:
    """Sorted by image, hopeless poses left out, shares adding up to 1."""
    total = np.bincount(rows, weights)
    order = np.argsort(rows, kind="stable")
    order = order[weights[order] >= LEAST_WEIGHT * total[rows[order]]]
    rows, weights = rows[order], weights[order]
    shares = (weights / np.bincount(rows, weights)[rows]).astype(np.float32)
    return Laid(rows, rotations[order], shifts_A[order], shares)
