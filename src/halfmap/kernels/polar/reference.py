"""Definition of polar sampling and of picking distinct poses, in float64."""

from __future__ import annotations

import numpy as np

from halfmap.kernels.project.reference import corners, full_space


def ring_points(radius: int, angles: int) -> tuple[np.ndarray, np.ndarray]:
    """(kx, ky) of radii 1..K and theta_j = 2 pi j / angles, j < angles / 2; arrays (K, angles / 2)."""
    theta = 2 * np.pi * np.arange(angles // 2) / angles
    k = np.arange(1, radius + 1)[:, None]
    return k * np.cos(theta), k * np.sin(theta)


def sample_slices(half, matrices, radius, angles, padding):
    """Slices on rings (v, K, angles / 2): trilinear values of the half space at padding A^T (kx, ky, 0)."""
    cube, r = full_space(half.astype(np.complex128)), half.shape[-1] - 1
    kx, ky = ring_points(radius, angles)
    out = []
    for a in matrices:
        points = padding * (kx[..., None] * a[0] + ky[..., None] * a[1])
        out.append(sum(w * cube[z + r, y + r, x + r] for z, y, x, w in corners(points)))
    return np.array(out)


def sample_images(planes, radius, angles, padding):
    """Images on rings (b, K, angles / 2): bilinear values of padded half planes (b, 2Q+1, Q+1)."""
    q = planes.shape[-1] - 1
    mates = planes[:, ::-1, :0:-1].conj()
    full = np.concatenate([mates, planes], axis=-1).astype(np.complex128)
    kx, ky = ring_points(radius, angles)
    x, y = padding * kx, padding * ky
    jx, jy = np.floor(x).astype(int), np.floor(y).astype(int)
    tx, ty = x - jx, y - jy
    at = lambda dy, dx: full[:, jy + dy + q, jx + dx + q]  # noqa: E731
    return (at(0, 0) * (1 - tx) + at(0, 1) * tx) * (1 - ty) + (at(1, 0) * (1 - tx) + at(1, 1) * tx) * ty
