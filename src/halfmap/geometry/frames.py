"""A map seen in another frame, and what that does to the poses of its particles.

Owns the change of coordinates r' = S (r - c) and its laws; knows no map and no table. After the change the map is
V'(r') = V(S^T r' + c), and the poses that go with it show the same images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.geometry import rotations as so3
from halfmap.types import Poses


@dataclass(frozen=True)
class Frame:
    """r' = S (r - c), both counted from their box centres: c comes to the centre, then everything is turned by S.

    ``rotation``: S (3, 3), orthogonal; of determinant -1 where the hand changes. ``centre_A``: c (3,), x, y, z.
    """

    rotation: np.ndarray
    centre_A: np.ndarray

    @property
    def mirrored(self) -> bool:
        """Whether the hand changes."""
        return bool(np.linalg.det(self.rotation) < 0)

    @property
    def angle_deg(self) -> float:
        """How far the map is turned; of a mirrored frame, besides the mirror at the plane z = 0."""
        proper = self.rotation @ _mirror(self.mirrored)
        return float(np.rad2deg(np.linalg.norm(so3.log_so3(proper))))

    def after(self, first: Frame) -> Frame:
        """The frame that ``first`` and then this one lead to."""
        return Frame(self.rotation @ first.rotation, first.centre_A + first.rotation.T @ self.centre_A)

    def inverse(self) -> Frame:
        """The way back."""
        return Frame(self.rotation.T, -self.rotation @ self.centre_A)

    def points(self, points_A: np.ndarray) -> np.ndarray:
        """Where points (..., 3) of the old frame lie in the new one."""
        return (np.asarray(points_A, float) - self.centre_A) @ self.rotation.T

    def poses(self, poses: Poses, magnification: np.ndarray | None = None) -> Poses:
        """Poses that show in the changed map what ``poses`` show in the map as it was.

        An image of q = A r - s, r = S^T r' + c, is one of q = A S^T r' - (s - A c): so A' = D A S^T, s' = s - (A c)_xy.
        A mirror turns the beam round as well, D = diag(1, 1, det S): the sum along it stays, and A' is a rotation.
        ``magnification`` (n, 2, 2): true k = M k of each image; a shift d of the object is M^T d as it was recorded.
        """
        moved = self.across(poses.rotations)[:, :2]
        if magnification is not None:
            moved = np.einsum("nji,nj->ni", magnification, moved)
        return Poses(_mirror(self.mirrored) @ poses.rotations @ self.rotation.T, poses.shifts_A - moved)

    def across(self, rotations: np.ndarray) -> np.ndarray:
        """Where the new centre lies as each particle is seen, A c: (n, 3) q_x, q_y and q_z along the beam, A."""
        return np.asarray(rotations, float) @ self.centre_A


def identity() -> Frame:
    """Nothing changes."""
    return Frame(np.eye(3), np.zeros(3))


def mirror() -> Frame:
    """The other hand: z becomes -z."""
    return Frame(_mirror(True), np.zeros(3))


def shift(shift_A: np.ndarray) -> Frame:
    """Everything moves by ``shift_A`` (3,), x, y, z."""
    return Frame(np.eye(3), -np.asarray(shift_A, float))


def _mirror(mirrored: bool) -> np.ndarray:
    return np.diag([1.0, 1.0, -1.0 if mirrored else 1.0])
