"""numba bodies of the passes over a half space; one z plane a task."""

from __future__ import annotations

import numba as nb
import numpy as np

from halfmap.kernels import threads


@nb.njit(cache=True, nogil=True)
def _shell_sums(begin, end, weight, padding, sums, counts):
    r = weight.shape[2] - 1
    shells = sums.shape[1]
    for jz in range(begin, end):
        for jy in range(2 * r + 1):
            flat = (jz - r) ** 2 + (jy - r) ** 2
            for kx in range(r + 1):
                s = int(np.sqrt(flat + kx * kx) / padding + 0.5)
                if s < shells:
                    sums[jz, s] += weight[jz, jy, kx]
                    counts[jz, s] += 1


def shell_means(weight: np.ndarray, shells: int, padding: int) -> np.ndarray:
    """Mean of the half space ``weight`` in shells 0..shells-1 of the unpadded box, (shells,) float64."""
    planes = weight.shape[0]
    sums, counts = np.zeros((planes, shells)), np.zeros((planes, shells))
    threads.share(_shell_sums, len(weight), weight, padding, sums, counts)
    return sums.sum(0) / np.maximum(counts.sum(0), 1)


@nb.njit(cache=True, fastmath=True, nogil=True)
def _divide(begin, end, numerator, weight, ridge, floor, padding, out):
    r = weight.shape[2] - 1
    last = len(ridge) - 1
    for jz in range(begin, end):
        for jy in range(2 * r + 1):
            flat = (jz - r) ** 2 + (jy - r) ** 2
            for kx in range(r + 1):
                radius = np.sqrt(flat + kx * kx) / padding
                out[jz, jy, kx] = 0
                if radius < last + 0.5:
                    s = min(int(radius), last - 1)
                    t = min(radius - s, 1.0)
                    below = weight[jz, jy, kx] + ridge[s] * (1 - t) + ridge[s + 1] * t
                    below = max(below, floor[s] * (1 - t) + floor[s + 1] * t)
                    if below > 0:
                        out[jz, jy, kx] = numerator[jz, jy, kx] / np.float32(below)


def divide(numerator, weight, ridge: np.ndarray, floor: np.ndarray, padding: int) -> np.ndarray:
    """numerator / max(weight + ridge, floor), complex64; ridge and floor (shells,) interpolated between shells."""
    out = np.empty_like(numerator)
    threads.share(_divide, len(weight), numerator, weight, np.asarray(ridge, float), np.asarray(floor, float), padding,
                  out)
    return out


@nb.njit(cache=True, fastmath=True, nogil=True)
def _add_permuted(begin, end, numerator, weight, group, radius, out_n, out_w):
    """Operators that map the grid onto itself: one voxel each, no interpolation."""
    r = weight.shape[2] - 1
    for jz in range(begin, end):
        z0 = jz - r
        for jy in range(2 * r + 1):
            y0 = jy - r
            rest = radius * radius - z0 * z0 - y0 * y0
            last = min(r, int(np.sqrt(rest))) if rest >= 0 else -1
            for g in range(group.shape[0]):
                x1, y1, z1 = group[g, 0, 0], group[g, 1, 0], group[g, 2, 0]
                xs = group[g, 0, 1] * y0 + group[g, 0, 2] * z0
                ys = group[g, 1, 1] * y0 + group[g, 1, 2] * z0
                zs = group[g, 2, 1] * y0 + group[g, 2, 2] * z0
                for x0 in range(last + 1):
                    x, y, z = xs + x1 * x0, ys + y1 * x0, zs + z1 * x0
                    if x < 0:
                        out_n[jz, jy, x0] += numerator[r - z, r - y, -x].conjugate()
                        out_w[jz, jy, x0] += weight[r - z, r - y, -x]
                    else:
                        out_n[jz, jy, x0] += numerator[r + z, r + y, x]
                        out_w[jz, jy, x0] += weight[r + z, r + y, x]


@nb.njit(cache=True, fastmath=True, nogil=True)
def _add_interpolated(begin, end, numerator, weight, group, radius, out_n, out_w):  # noqa: C901 - a kernel is one function
    r = weight.shape[2] - 1
    for jz in range(begin, end):
        z0 = jz - r
        for jy in range(2 * r + 1):
            y0 = jy - r
            rest = radius * radius - z0 * z0 - y0 * y0
            last = min(r, int(np.sqrt(rest))) if rest >= 0 else -1
            for x0 in range(last + 1):
                n = np.complex64(0)
                w = np.float32(0)
                for g in range(group.shape[0]):
                    x = group[g, 0, 0] * x0 + group[g, 0, 1] * y0 + group[g, 0, 2] * z0
                    y = group[g, 1, 0] * x0 + group[g, 1, 1] * y0 + group[g, 1, 2] * z0
                    z = group[g, 2, 0] * x0 + group[g, 2, 1] * y0 + group[g, 2, 2] * z0
                    mate = x < -1e-6
                    if mate:
                        x, y, z = -x, -y, -z
                    fx, fy, fz = np.floor(x + 1e-6), np.floor(y + 1e-6), np.floor(z + 1e-6)
                    tx, ty, tz = np.float32(max(x - fx, 0)), np.float32(max(y - fy, 0)), np.float32(max(z - fz, 0))
                    jx, iy, iz = int(fx), int(fy) + r, int(fz) + r
                    part = np.complex64(0)
                    share = np.float32(0)
                    for dz in range(2):
                        wz = tz if dz else 1 - tz
                        if wz <= 1e-5:
                            continue
                        for dy in range(2):
                            wy = ty if dy else 1 - ty
                            if wy <= 1e-5:
                                continue
                            for dx in range(2):
                                wx = tx if dx else 1 - tx
                                if wx <= 1e-5:
                                    continue
                                c = wx * wy * wz
                                part += c * numerator[iz + dz, iy + dy, jx + dx]
                                share += c * weight[iz + dz, iy + dy, jx + dx]
                    n += part.conjugate() if mate else part
                    w += share
                out_n[jz, jy, x0] += n
                out_w[jz, jy, x0] += w


def symmetrised(numerator, weight, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(sum over g of numerator(R_g k), the same of weight); trilinear, inside the sphere of radius R - 1 grid steps.

    The plane x = 0 must be Hermitian. Operators that map the grid onto itself (C2, C4, D2, O, ...) are exact.
    """
    out_n, out_w = np.zeros_like(numerator), np.zeros_like(weight)
    radius = weight.shape[-1] - 2
    whole = np.rint(group).astype(np.int64)
    exact = np.abs(group - whole).max(axis=(1, 2)) < 1e-9
    threads.share(_add_permuted, len(weight), numerator, weight, whole[exact], radius, out_n, out_w)
    if not exact.all():
        threads.share(_add_interpolated, len(weight), numerator, weight,
                      np.ascontiguousarray(group[~exact], np.float64), radius, out_n, out_w)
    return out_n, out_w
