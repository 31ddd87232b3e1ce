"""Rotation matrices, Euler angles, rotation vectors.

Owns the conversions between them. A pose matrix A maps molecule to image coordinates, q = A r (``types.Poses``).
Everything is float64 and works on any leading axes. Euler angles are in degrees, as files and users give them;
every other angle is in radians.
"""

from __future__ import annotations

import numpy as np

# Below this sine of the tilt, rot and psi cannot be told apart. RELION's value, 16 times the float32 epsilon,
# which also catches matrices that were once stored in single precision.
GIMBAL_SINE = 16 * float(np.finfo(np.float32).eps)


def euler_to_matrix(rot, tilt, psi) -> np.ndarray:
    """A(rot, tilt, psi) = Rz(psi) Ry(tilt) Rz(rot), each elementary matrix passive.

    ``rot``, ``tilt``, ``psi``: degrees, numbers or arrays that broadcast to (...). Returns (..., 3, 3) float64.
    The third row is the viewing direction (sin tilt cos rot, sin tilt sin rot, cos tilt).
    Source: RELION 5, Euler_angles2matrix.
    """
    angles = np.broadcast_arrays(rot, tilt, psi)
    a, b, c = (np.deg2rad(np.asarray(angle, dtype=np.float64)) for angle in angles)
    ca, cb, cc = np.cos(a), np.cos(b), np.cos(c)
    sa, sb, sc = np.sin(a), np.sin(b), np.sin(c)
    rows = [
        [cc * cb * ca - sc * sa, cc * cb * sa + sc * ca, -cc * sb],
        [-sc * cb * ca - cc * sa, -sc * cb * sa + cc * ca, sc * sb],
        [sb * ca, sb * sa, cb],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def matrix_to_euler(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rot, tilt, psi) in degrees of pose matrices (..., 3, 3); the inverse of ``euler_to_matrix``.

    tilt is in 0..180, rot and psi in -180..180. At tilt 0 and 180 only one in-plane angle is defined: rot is 0 and
    psi carries it. Source: RELION 5, Euler_matrix2angles.
    """
    m = np.asarray(matrices, dtype=np.float64)
    sine = np.hypot(m[..., 0, 2], m[..., 1, 2])
    pole = sine <= GIMBAL_SINE
    flipped = np.where(m[..., 2, 2] < 0, -1.0, 1.0)
    rot = np.where(pole, 0.0, np.arctan2(m[..., 2, 1], m[..., 2, 0]))
    tilt = np.where(pole, np.where(flipped < 0, np.pi, 0.0), np.arctan2(sine, m[..., 2, 2]))
    psi_pole = np.arctan2(-flipped * m[..., 1, 0], flipped * m[..., 0, 0])
    psi = np.where(pole, psi_pole, np.arctan2(m[..., 1, 2], -m[..., 0, 2]))
    return np.rad2deg(rot), np.rad2deg(tilt), np.rad2deg(psi)


def exp_so3(vectors: np.ndarray) -> np.ndarray:
    """Active rotation by |w| about w: the matrix exponential of [w]x. (..., 3) rad -> (..., 3, 3)."""
    w = np.asarray(vectors, dtype=np.float64)
    angle = np.linalg.norm(w, axis=-1)[..., None]
    # sinc keeps both factors exact at angle 0
    half_sine = 0.5 * np.sinc(angle / (2 * np.pi)) * w
    return from_quaternion(np.concatenate([np.cos(angle / 2), half_sine], axis=-1))


def log_so3(matrices: np.ndarray) -> np.ndarray:
    """Rotation vector w with ``exp_so3(w)`` = matrix and |w| <= pi. (..., 3, 3) -> (..., 3) rad."""
    q = to_quaternion(matrices)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[..., :1])
    factor = np.where(sine > 0, angle / np.where(sine > 0, sine, 1.0), 2.0)
    return factor * q[..., 1:]


def angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Geodesic angle in rad, 0..pi, between rotations a and b, both (..., 3, 3); exact at 0 and at pi."""
    relative = np.swapaxes(np.asarray(a, dtype=np.float64), -1, -2) @ np.asarray(b, dtype=np.float64)
    axis = np.stack([relative[..., i, j] - relative[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0))], axis=-1)
    return np.arctan2(np.linalg.norm(axis, axis=-1), np.trace(relative, axis1=-2, axis2=-1) - 1)


def stretched(matrices: np.ndarray, stretch: np.ndarray) -> np.ndarray:
    """Matrices A' (..., 3, 3) that slice at A'^T (k, 0) = A^T (S k, 0); ``stretch`` S (2, 2) acts on (kx, ky).

    The first two rows become S^T times what they were. The third, the beam, is scaled by sqrt |det S|: derivatives
    with respect to rotations are then exact for S = s 1 and wrong by |S / s - 1| otherwise.
    """
    a = np.asarray(matrices, dtype=np.float64)
    beam = np.sqrt(abs(np.linalg.det(stretch))) * a[..., 2:, :]
    return np.concatenate([np.asarray(stretch, dtype=np.float64).T @ a[..., :2, :], beam], axis=-2)


def random(n: int, rng: np.random.Generator) -> np.ndarray:
    """n rotations, uniform on SO(3): (n, 3, 3). Source: a normal 4-vector has a uniform direction."""
    return from_quaternion(rng.standard_normal((n, 4)))


def from_quaternion(quaternions: np.ndarray) -> np.ndarray:
    """Active rotation matrices (..., 3, 3) of quaternions (..., 4), real part first, of any length but 0."""
    q = np.asarray(quaternions, dtype=np.float64)
    w, x, y, z = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def to_quaternion(matrices: np.ndarray) -> np.ndarray:
    """Unit quaternions (..., 4), real part first and not negative, of rotation matrices (..., 3, 3).

    The entries of 4 q q^T are linear in the matrix; its row with the largest diagonal is q up to length, without
    any cancellation (Shepperd 1978, J Guidance Control 1:223).
    """
    m = np.moveaxis(np.asarray(matrices, dtype=np.float64), (-2, -1), (0, 1))
    wx, wy, wz = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
    xy, xz, yz = m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1]
    outer = [
        [1 + m[0, 0] + m[1, 1] + m[2, 2], wx, wy, wz],
        [wx, 1 + m[0, 0] - m[1, 1] - m[2, 2], xy, xz],
        [wy, xy, 1 - m[0, 0] + m[1, 1] - m[2, 2], yz],
        [wz, xz, yz, 1 - m[0, 0] - m[1, 1] + m[2, 2]],
    ]
    table = np.stack([np.stack(row, axis=-1) for row in outer], axis=-2)
    best = np.argmax(np.diagonal(table, axis1=-2, axis2=-1), axis=-1)
    q = np.take_along_axis(table, best[..., None, None], axis=-2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(q[..., :1] < 0, -q, q)
