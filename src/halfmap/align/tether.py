"""What is known of poses beforehand: nothing, or that each lies near another one, turned about a fulcrum.

Owns the prior and the extents of a local search, and the pose as it is then counted: the rotation, and the shift that
centres the fulcrum. With f the fulcrum (map frame, from the box centre), A the rotation, s the shift and M the
magnification of the images, the fulcrum is seen at M^T P A f - s (P: the first two rows), so its own shift is
phi = s - M^T P A f: turning about f changes s by M^T P (A' - A) f and leaves phi alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.geometry import rotations as so3
from halfmap.types import Poses

FULL = 0.999  # of an extent: from here on a pose counts as held back by it


class Free:
    """Any pose is as likely as any other; it turns about the box centre. All lengths are over that of the box."""

    def log_prior(self, rows: np.ndarray, rotations: np.ndarray, shifts: np.ndarray) -> np.ndarray:
        """(r,) log probability density of poses (r, 3, 3), (r, 2) of ``rows``, relative to the most likely one."""
        return np.zeros(len(rows))

    def equations(self, rows: np.ndarray, rotations: np.ndarray, shifts: np.ndarray, gradient: np.ndarray,
                  curvature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Normal equations of the data, in (rotation, shift), made those of the posterior in the steps of ``moved``."""
        return gradient, curvature

    def moved(self, rows: np.ndarray, rotations: np.ndarray, shifts: np.ndarray, step: np.ndarray
              ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(rotations, shifts) after steps (r, 5), and the steps as they were taken."""
        return so3.exp_so3(step[:, :3]) @ rotations, shifts + step[:, 3:], step

    def precision(self, rotations: np.ndarray) -> np.ndarray:
        """(p, 5, 5) what the prior adds to the Fisher information of (rotation rad, shift) of all poses."""
        return np.zeros((len(rotations), 5, 5))


@dataclass(frozen=True)
class Anywhere:
    """No particle's pose is known."""

    def of(self, which: np.ndarray, length_A: float, magnification: np.ndarray) -> Free:
        """What is known of poses of particles ``which`` (p,), lengths over ``length_A``."""
        return Free()


@dataclass(frozen=True)
class Near:
    """Every particle's pose lies near a known one: a Gaussian prior on rotation angle and fulcrum's shift, and limits.

    Infinite standard deviations are no prior.
    """

    fulcrum_A: np.ndarray  # (3,) x, y, z from the box centre, map frame
    rotations: np.ndarray  # (n, 3, 3) rotations the change is counted from
    seen: Poses  # (n) poses whose fulcrum's shift the change is counted from
    extent_rad: float
    extent_A: float
    sd_rad: float = np.inf
    sd_A: float = np.inf

    def of(self, which: np.ndarray, length_A: float, magnification: np.ndarray) -> Tether:
        """What is known of poses of particles ``which`` (p,), lengths over ``length_A``."""
        place = fulcrum_shifts(self.seen[which], self.fulcrum_A, magnification) / length_A
        arm = magnification.T, self.fulcrum_A / length_A
        return Tether(*arm, self.rotations[which], place, self.extent_rad, self.extent_A / length_A, self.sd_rad,
                      self.sd_A / length_A)  # fmt: skip


@dataclass(frozen=True)
class Tether(Free):
    """What is known of p poses, lengths in any one unit. See ``Near``."""

    magnification: np.ndarray  # (2, 2) M^T
    fulcrum: np.ndarray  # (3,)
    rotations: np.ndarray  # (p, 3, 3)
    places: np.ndarray  # (p, 2) the fulcrum's shifts
    extent_rad: float
    extent: float
    sd_rad: float
    sd: float

    def log_prior(self, rows, rotations, shifts):
        turn, push = self._changes(rows, rotations, shifts)
        return -0.5 * ((turn / self.sd_rad) ** 2).sum(1) - 0.5 * ((push / self.sd) ** 2).sum(1)

    def equations(self, rows, rotations, shifts, gradient, curvature):
        change = self._jacobian(rotations)
        gradient = np.einsum("pji,pj->pi", change, gradient)
        curvature = np.swapaxes(change, 1, 2) @ curvature @ change
        turn, push = self._changes(rows, rotations, shifts)
        # the equations are those of half the log likelihood
        pull = np.concatenate([turn / self.sd_rad**2, push / self.sd**2], axis=1)
        return gradient - 0.5 * pull, curvature + 0.5 * np.diag(self._stiffness())

    def moved(self, rows, rotations, shifts, step):
        turned, place = so3.exp_so3(step[:, :3]) @ rotations, shifts - self._arm(rotations)
        there = place + step[:, 3:]
        step = step.copy()
        far = so3.angle_between(turned, self.rotations[rows]) > self.extent_rad
        if far.any():
            turned[far] = self._within(turned[far], self.rotations[rows[far]])
            step[far, :3] = so3.log_so3(turned[far] @ np.swapaxes(rotations[far], 1, 2))
        there = self.places[rows] + shortened(there - self.places[rows], self.extent)
        step[:, 3:] = there - place
        return turned, there + self._arm(turned), step

    def precision(self, rotations):
        back = self._jacobian(rotations)
        back[:, 3:, :3] *= -1
        return np.swapaxes(back, 1, 2) * self._stiffness() @ back

    def centre(self) -> tuple[np.ndarray, np.ndarray]:
        """The known poses, (p, 3, 3) and (p, 2)."""
        return self.rotations, self.places + self._arm(self.rotations)

    def _within(self, rotations: np.ndarray, about: np.ndarray) -> np.ndarray:
        turn = so3.log_so3(rotations @ np.swapaxes(about, 1, 2))
        return so3.exp_so3(shortened(turn, self.extent_rad)) @ about

    def _stiffness(self) -> np.ndarray:
        return np.repeat([1 / self.sd_rad**2, 1 / self.sd**2], (3, 2))

    def _arm(self, rotations: np.ndarray) -> np.ndarray:
        """(r, 2) where the fulcrum is seen of images that are not shifted: M^T P A f."""
        return (rotations[:, :2] @ self.fulcrum) @ self.magnification.T

    def _changes(self, rows, rotations, shifts) -> tuple[np.ndarray, np.ndarray]:
        """Rotation vectors (r, 3) and shifts of the fulcrum (r, 2) since the known poses."""
        turn = so3.log_so3(rotations @ np.swapaxes(self.rotations[rows], 1, 2))
        return turn, shifts - self._arm(rotations) - self.places[rows]

    def _jacobian(self, rotations: np.ndarray) -> np.ndarray:
        return jacobian(rotations, self.fulcrum, self.magnification)


def jacobian(rotations: np.ndarray, fulcrum: np.ndarray, magnification: np.ndarray = np.eye(2)) -> np.ndarray:  # noqa: B008
    """(r, 5, 5) derivative of (rotation, shift) by (rotation, fulcrum's shift): the arm turns, w x (A f).

    ``magnification``: M^T.
    """
    x, y, z = (rotations @ fulcrum).T
    none = np.zeros_like(x)
    across = np.stack([np.stack([none, z, -y], -1), np.stack([-z, none, x], -1)], axis=1)  # first rows of -[A f]x
    change = np.tile(np.eye(5), (len(rotations), 1, 1))
    change[:, 3:, :3] = magnification @ across
    return change


def about(rotations: np.ndarray, fulcrum_A: np.ndarray, information: np.ndarray) -> np.ndarray:
    """Fisher information (n, 5, 5) of (rotation, shift) as that of (rotation, fulcrum's shift)."""
    change = jacobian(rotations, fulcrum_A)
    return np.swapaxes(change, 1, 2) @ information @ change


def shortened(vectors: np.ndarray, longest: float) -> np.ndarray:
    """Vectors (r, d), those longer than ``longest`` made as long."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors * np.minimum(1, longest / np.maximum(length, 1e-300))


def fulcrum_shifts(poses: Poses, fulcrum_A: np.ndarray, magnification: np.ndarray = np.eye(2)) -> np.ndarray:  # noqa: B008
    """(n, 2) shifts that centre the fulcrum, A."""
    return poses.shifts_A - (poses.rotations[:, :2] @ fulcrum_A) @ magnification
