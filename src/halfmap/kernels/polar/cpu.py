"""numba bodies of the global search."""

from __future__ import annotations

import numba as nb
import numpy as np

from halfmap.kernels import threads
from halfmap.kernels.project.cpu import cell, value

FAINTEST = 16.0  # poses this much less likely (natural log) than the best count nothing: odds of 9 million to 1


@nb.njit(cache=True, fastmath=True, nogil=True)
def _sample_slices(begin, end, half, matrices, radius, cosine, sine, padding, out):
    r = half.shape[2] - 1
    for v in range(begin, end):
        a = matrices[v] * padding
        for k in range(1, radius + 1):
            for j in range(len(cosine)):
                out[v, k - 1, j] = value(half, a, k * cosine[j], k * sine[j], r)


def sample_slices(half, matrices, radius: int, angles: int, padding: int) -> np.ndarray:
    """Slices on rings (v, K, angles / 2) complex64; radii 1..K, theta_j = 2 pi j / angles. See reference.py."""
    theta = 2 * np.pi * np.arange(angles // 2) / angles
    out = np.empty((len(matrices), radius, angles // 2), np.complex64)
    threads.share(_sample_slices, len(matrices), half, np.ascontiguousarray(matrices, np.float64), radius,
                  np.cos(theta), np.sin(theta), padding, out)
    return out


@nb.njit(cache=True, fastmath=True, nogil=True)
def _sample_images(begin, end, planes, radius, cosine, sine, padding, out):
    q = planes.shape[2] - 1
    for i in range(begin, end):
        for k in range(1, radius + 1):
            for j in range(len(cosine)):
                x, y = padding * k * cosine[j], padding * k * sine[j]
                mate = x < 0
                if mate:
                    x, y = -x, -y
                fx, fy = np.floor(x), np.floor(y)
                jx, jy = int(fx), int(fy) + q
                tx, ty = np.float32(x - fx), np.float32(y - fy)
                low = planes[i, jy, jx] * (1 - tx) + planes[i, jy, jx + 1] * tx
                high = planes[i, jy + 1, jx] * (1 - tx) + planes[i, jy + 1, jx + 1] * tx
                value = low * (1 - ty) + high * ty
                out[i, k - 1, j] = value.conjugate() if mate else value


def sample_images(planes, radius: int, angles: int, padding: int) -> np.ndarray:
    """Padded half planes (b, 2Q+1, Q+1), Q > padding K, on rings (b, K, angles / 2) complex64. See reference.py."""
    theta = 2 * np.pi * np.arange(angles // 2) / angles
    out = np.empty((len(planes), radius, angles // 2), np.complex64)
    threads.share(_sample_images, len(planes), planes, radius, np.cos(theta), np.sin(theta), padding, out)
    return out


@nb.njit(inline="always")
def _sum_and_difference(a, b, total, difference):
    for v in range(len(a)):
        total[v] = a[v] + b[v]
    for v in range(len(a)):
        difference[v] = a[v] - b[v]


@nb.njit(inline="always")
def _keep_highest(a, b, sign, shift, top, at):
    """``top`` and ``at``: the highest a + sign b of all shifts so far, and whose it is."""
    for v in range(len(a)):
        c = a[v] + sign * b[v]
        at[v] = shift if c > top[v] else at[v]
        top[v] = max(c, top[v])


@nb.njit(cache=True, fastmath=True, nogil=True)
def best_over_shifts(parts, penalty, best, which):
    """Per direction and in-plane angle the best shift, and what it scores less the penalty of the direction.

    One image: ``parts`` (4, J, shifts, v) float32, J = n // 4 + 1: of the angles of the first quarter turn, the sums
    over even frequencies of cosines, over odd ones of cosines, and the same of sines. Their sums and differences are
    the correlations of all n angles. penalty (v,); out: best (v, n) float32, which (v, n) int16.
    """
    _, quarter, shifts, directions = parts.shape
    angles = best.shape[1]
    cosine, sine, cosine_back, sine_back = np.empty((4, directions), np.float32)
    top, at = np.empty((4, directions), np.float32), np.empty((4, directions), np.float32)
    one = np.float32(1)
    for j in range(quarter):
        top[:] = -np.inf
        for s in range(shifts):
            _sum_and_difference(parts[0, j, s], parts[1, j, s], cosine, cosine_back)
            _sum_and_difference(parts[2, j, s], parts[3, j, s], sine, sine_back)
            here = np.float32(s)
            _keep_highest(cosine, sine, one, here, top[0], at[0])
            _keep_highest(cosine, sine, -one, here, top[1], at[1])
            _keep_highest(cosine_back, sine_back, one, here, top[2], at[2])
            _keep_highest(cosine_back, sine_back, -one, here, top[3], at[3])
        places = j, (angles - j) % angles, angles // 2 + j, angles // 2 - j
        for q in range(4):
            for v in range(directions):
                best[v, places[q]] = top[q, v] - penalty[v]
                which[v, places[q]] = at[q, v]


@nb.njit(inline="always")
def _turned(matrix, angle):
    """Rz(angle) A: the image plane rotated by ``angle`` (rad)."""
    c, s = np.cos(angle), np.sin(angle)
    out = np.empty((3, 3))
    for k in range(3):
        out[0, k] = c * matrix[0, k] + s * matrix[1, k]
        out[1, k] = -s * matrix[0, k] + c * matrix[1, k]
        out[2, k] = matrix[2, k]
    return out


@nb.njit(inline="always")
def _near(a, b, group, least_trace):
    """True if A and B differ by less than the angle of ``least_trace`` = 1 + 2 cos, modulo the group (A' = A R_g)."""
    for g in range(group.shape[0]):
        trace = 0.0
        for j in range(3):
            for k in range(3):
                turned = 0.0
                for m in range(3):
                    turned += b[j, m] * group[g, m, k]
                trace += a[j, k] * turned
        if trace > least_trace:
            return True
    return False


SHORTLIST = 256  # peaks examined per image: enough for 64 distinct poses of about four neighbours each


@nb.njit(cache=True, nogil=True)
def pick(best, which, matrices, group, least_trace, poses, shift, score):
    """The highest mutually distinct peaks of one image, best first; empty places keep what they held.

    best, which (v, n); matrices (v, 3, 3); out: poses (c, 3, 3), shift (c,) int, score (c,).
    """
    directions, angles = best.shape
    peak = np.empty(directions * angles, np.float32)
    place = np.empty(directions * angles, np.int64)
    count = 0
    for v in range(directions):
        for j in range(angles):
            s = best[v, j]
            if s >= best[v, j - 1] and s > best[v, (j + 1) % angles]:  # index -1 is the last angle
                peak[count] = -s
                place[count] = v * angles + j
                count += 1
    if count > SHORTLIST:
        limit = np.partition(peak[:count], SHORTLIST)[SHORTLIST]
        kept = np.flatnonzero(peak[:count] < limit)
        peak, place, count = peak[kept], place[kept], len(kept)
    found = 0
    for o in np.argsort(peak[:count]):
        v, j = place[o] // angles, place[o] % angles
        pose = _turned(matrices[v], 2 * np.pi * j / angles)
        fresh = True
        for f in range(found):
            if _near(poses[f], pose, group, least_trace):
                fresh = False
                break
        if fresh:
            poses[found] = pose
            shift[found] = which[v, j]
            score[found] = -peak[o]
            found += 1
            if found == len(score):
                break


@nb.njit(cache=True, fastmath=True, nogil=True)
def soften(correlation, penalty, sharpness):
    """Log likelihoods of one image, correlation (n, shifts, v) times ``sharpness`` less penalty (shifts, v), made
    probabilities in place.

    Returns (log of the mean likelihood, effective number of poses).
    """
    angles, shifts, directions = correlation.shape
    sharpness, top = np.float32(sharpness), -np.inf
    for j in range(angles):
        for s in range(shifts):
            for v in range(directions):
                correlation[j, s, v] = correlation[j, s, v] * sharpness - penalty[s, v]
                top = max(top, correlation[j, s, v])
    total = 0.0
    for j in range(angles):
        for s in range(shifts):
            row = np.float32(0)
            for v in range(directions):
                x = correlation[j, s, v] - top
                w = np.float32(np.exp(x)) if x > -FAINTEST else np.float32(0)
                correlation[j, s, v] = w
                row += w
            total += row
    scale, square = np.float32(1 / total), 0.0
    for j in range(angles):
        for s in range(shifts):
            for v in range(directions):
                w = correlation[j, s, v] * scale
                correlation[j, s, v] = w
                square += w * w
    return top + np.log(total / (angles * shifts * directions)), 1 / square


@nb.njit(cache=True, fastmath=True, nogil=True)
def weigh(correlation, penalty, sharpness):
    """What ``soften`` returns, of a correlation that stays as it is."""
    angles, shifts, directions = correlation.shape
    sharpness, top = np.float32(sharpness), -np.inf
    for j in range(angles):
        for s in range(shifts):
            for v in range(directions):
                top = max(top, correlation[j, s, v] * sharpness - penalty[s, v])
    total, square = 0.0, 0.0
    for j in range(angles):
        for s in range(shifts):
            row, squares = np.float32(0), np.float32(0)
            for v in range(directions):
                x = correlation[j, s, v] * sharpness - penalty[s, v] - top
                w = np.float32(np.exp(x)) if x > -FAINTEST else np.float32(0)
                row += w
                squares += w * w
            total += row
            square += squares
    return top + np.log(total / (angles * shifts * directions)), total * total / square


@nb.njit(cache=True, fastmath=True)
def _lay_rings(numerator, weight, rings, ring_weight, matrices, cosine, sine, padding):
    r = numerator.shape[2] - 1
    for v in range(len(rings)):
        a = matrices[v] * padding
        for k in range(1, rings.shape[1] + 1):
            share = ring_weight[v, k - 1]
            if share == 0:
                continue
            for j in range(len(cosine)):
                jx, jy, jz, tx, ty, tz, mate = cell(a, k * cosine[j], k * sine[j], r)
                here = rings[v, k - 1, j].conjugate() if mate else rings[v, k - 1, j]
                for corner in range(8):
                    dx, dy, dz = corner & 1, corner >> 1 & 1, corner >> 2
                    part = (tx if dx else 1 - tx) * (ty if dy else 1 - ty) * (tz if dz else 1 - tz)
                    numerator[jz + dz, jy + dy, jx + dx] += part * here
                    weight[jz + dz, jy + dy, jx + dx] += part * share


def lay_rings(numerator, weight, rings, ring_weight, matrices, angles: int, padding: int) -> None:
    """Add rings (v, K, angles / 2) and their weights (v, K), one for a whole ring, to half spaces (2R+1, 2R+1, R+1).

    The adjoint of ``sample_slices``; writes into its first two arguments, complex128 and float64. Mates on the plane
    x = 0 are left to ``complete_plane``.
    """
    theta = 2 * np.pi * np.arange(angles // 2) / angles
    _lay_rings(numerator, weight, rings, ring_weight, np.ascontiguousarray(matrices, np.float64), np.cos(theta),
               np.sin(theta), padding)
