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
    low = full[:, jy + q, jx + q] * (1 - tx) + full[:, jy + q, jx + 1 + q] * tx
    high = full[:, jy + 1 + q, jx + q] * (1 - tx) + full[:, jy + 1 + q, jx + 1 + q] * tx
    return low * (1 - ty) + high * ty


def correlations(parts, angles):
    """(n, shifts, v) of the four parts of the first quarter turn: even, odd cosines, even, odd sines."""
    even_cosine, odd_cosine, even_sine, odd_sine = parts.astype(float)
    out = np.empty((angles, *parts.shape[2:]))
    for j in range(angles // 4 + 1):
        out[j] = even_cosine[j] + odd_cosine[j] + even_sine[j] + odd_sine[j]
        out[angles // 2 - j] = even_cosine[j] - odd_cosine[j] - even_sine[j] + odd_sine[j]
        out[angles // 2 + j] = even_cosine[j] - odd_cosine[j] + even_sine[j] - odd_sine[j]
        out[-j] = even_cosine[j] + odd_cosine[j] - even_sine[j] - odd_sine[j]
    return out


def best_over_shifts(parts, angles, penalty):
    """(best, which), both (v, n), of one image: highest correlation over shifts, less the penalty of the direction."""
    correlation = correlations(parts, angles)
    return correlation.max(1).T - penalty[:, None], correlation.argmax(1).T


def pick(best, matrices, group, least_trace, count):
    """Up to ``count`` (direction, angle) pairs, best first: peaks along the angle that are mutually distinct poses.

    Distinct: tr(A^T B R_g) <= ``least_trace`` for every operator R_g of the group.
    """
    peaks = (best >= np.roll(best, 1, axis=1)) & (best > np.roll(best, -1, axis=1))
    places, poses = [], []
    for v, j in sorted(zip(*np.nonzero(peaks), strict=True), key=lambda at: -best[at]):
        psi = 2 * np.pi * j / best.shape[1]
        turn = np.array([[np.cos(psi), np.sin(psi), 0], [-np.sin(psi), np.cos(psi), 0], [0, 0, 1]])
        pose = turn @ matrices[v]
        if all(np.trace(p.T @ pose @ op) <= least_trace for p in poses for op in group) and len(places) < count:
            places.append((int(v), int(j)))
            poses.append(pose)
    return places


def soften(correlation, penalty, sharpness):
    """(probabilities, log of the mean likelihood, effective number of poses) of one image's (n, shifts, v), times
    sharpness, less penalty (shifts, v).
    """
    likelihood = correlation.astype(float) * sharpness - penalty
    top = likelihood.max()
    w = np.exp(likelihood - top)
    share = w / w.sum()
    return share, top + np.log(w.mean()), 1 / (share**2).sum()


def lay_rings(rings, ring_weight, matrices, angles, padding, r):
    """(numerator, weight), half spaces (2r+1, 2r+1, r+1) with all rings (v, K, angles / 2) laid in; mates left out."""
    numerator, weight = np.zeros((2, 2 * r + 1, 2 * r + 1, r + 2), complex)
    kx, ky = ring_points(rings.shape[1], angles)
    for a, values, share in zip(matrices, rings, ring_weight, strict=True):
        points = padding * (kx[..., None] * a[0] + ky[..., None] * a[1])
        mate = points[..., 0] < 0
        held = np.where(mate, values.conj(), values)
        for z, y, x, w in corners(np.where(mate[..., None], -points, points)):
            np.add.at(numerator, (z + r, y + r, x), w * held)
            np.add.at(weight, (z + r, y + r, x), w * share[:, None])
    return numerator[..., :-1], weight[..., :-1].real
