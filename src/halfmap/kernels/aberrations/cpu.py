"""numba bodies of the sums for aberrations.

The planes: slices first (a task an image), then rows of the plane as tasks, each adding its images in their order. The
distortion: a task an image, its shells added afterwards in the order of the images. So threads change nothing.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from halfmap.kernels.project.cpu import columns, project

DISTORTION_SUMS = 15
LEAST = np.float32(1e-36)  # |slice|^2 below which a pixel has no phase


@nb.njit(cache=True, fastmath=True, parallel=True)
def _phase_sums(slices, images, ctf, quadrature, ramp_x, ramp_y, radius, cross, power):
    cut = images.shape[2] - 1 - radius
    for row in nb.prange(2 * radius + 1):
        first, last = columns(row - radius, radius)
        for i in range(slices.shape[0]):
            for kx in range(first, last + 1):
                v = slices[i, row, kx]
                d = images[i, row + cut, kx] * ramp_x[i, kx] * ramp_y[i, row]
                c, q = ctf[i, row + cut, kx], quadrature[i, row + cut, kx]
                along = np.complex128(v.conjugate() * d)
                square = np.float64(v.real * v.real + v.imag * v.imag)
                cross[0, row, kx] += c * along
                cross[1, row, kx] += q * along
                power[0, row, kx] += c * c * square
                power[1, row, kx] += c * q * square
                power[2, row, kx] += q * q * square


def phase_sums(half, images, ctf, quadrature, matrices, phases, radius: int, padding: int):
    """(cross (2, 2K+1, K+1) complex128, power (3, 2K+1, K+1) float64) of a batch; see the package's docstring.

    ``half`` (2R+1, 2R+1, R+1) complex64; ``images`` (b, 2K'+1, K'+1) complex64, ``ctf`` and ``quadrature`` (its
    derivative by the phase) float32 of that shape, whitened; ``matrices`` (b, 3, 3); ``phases`` (b, 2) shift over box
    length; ``radius`` <= K'.
    """
    slices = project(half, matrices, radius, padding)
    cross = np.zeros((2, 2 * radius + 1, radius + 1), np.complex128)
    power = np.zeros((3, 2 * radius + 1, radius + 1))
    _phase_sums(slices, images, ctf, quadrature, *ramps(phases, radius), radius, cross, power)
    return cross, power


def ramps(phases: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """(b, K+1) and (b, 2K+1) complex64: factors by kx and by ky that move images to the centre."""
    k = np.arange(-radius, radius + 1)
    x, y = (np.exp(-2j * np.pi * np.outer(phases[:, axis], k)).astype(np.complex64) for axis in (0, 1))
    return np.ascontiguousarray(x[:, radius:]), y


@nb.njit(cache=True, fastmath=True, parallel=True)
def _distortion_sums(half, images, ctf, matrices, ramp_x, ramp_y, radius, padding, out):
    r = half.shape[2] - 1
    cut = images.shape[2] - 1 - radius
    for i in nb.prange(matrices.shape[0]):
        a = matrices[i] * padding
        b = a.astype(np.float32)
        for row in range(2 * radius + 1):
            ky = row - radius
            first, last = columns(ky, radius)
            for kx in range(first, last + 1):
                x = kx * a[0, 0] + ky * a[1, 0]
                y = kx * a[0, 1] + ky * a[1, 1]
                z = kx * a[0, 2] + ky * a[1, 2]
                mate = x < 0
                if mate:
                    x, y, z = -x, -y, -z
                fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
                jx, jy, jz = int(fx), int(fy) + r, int(fz) + r
                tx, ty, tz = np.float32(x - fx), np.float32(y - fy), np.float32(z - fz)
                c000, c001 = half[jz, jy, jx], half[jz, jy, jx + 1]
                c010, c011 = half[jz, jy + 1, jx], half[jz, jy + 1, jx + 1]
                c100, c101 = half[jz + 1, jy, jx], half[jz + 1, jy, jx + 1]
                c110, c111 = half[jz + 1, jy + 1, jx], half[jz + 1, jy + 1, jx + 1]
                d00, d01, d10, d11 = c001 - c000, c011 - c010, c101 - c100, c111 - c110
                e00, e01, e10, e11 = c000 + d00 * tx, c010 + d01 * tx, c100 + d10 * tx, c110 + d11 * tx
                d0, d1 = d00 + (d01 - d00) * ty, d10 + (d11 - d10) * ty
                y0, y1 = e01 - e00, e11 - e10
                f0, f1 = e00 + y0 * ty, e10 + y1 * ty
                gz = f1 - f0
                v = f0 + gz * tz
                gx = d0 + (d1 - d0) * tz
                gy = y0 + (y1 - y0) * tz
                square = v.real * v.real + v.imag * v.imag
                if square < LEAST:
                    continue
                c = ctf[i, row + cut, kx]
                d = images[i, row + cut, kx] * ramp_x[i, kx] * ramp_y[i, row]
                qx, qy = np.float32(kx), np.float32(ky)
                if mate:  # work on the mate: image conjugated, frequency negated
                    d = d.conjugate()
                    qx, qy = -qx, -qy
                ax = gx * b[0, 0] + gy * b[0, 1] + gz * b[0, 2]
                ay = gx * b[1, 0] + gy * b[1, 1] + gz * b[1, 2]
                sx = v.real * ax.imag - v.imag * ax.real  # times c / |v|: the t of the definition
                sy = v.real * ay.imag - v.imag * ay.real
                turn = c * (v.real * d.imag - v.imag * d.real) / square
                weight = c * c / square
                s = int(np.sqrt(kx * kx + ky * ky) + 0.5)
                o = out[i, s]
                o[0] += turn * sx * qx
                o[1] += turn * sx * qy
                o[2] += turn * sy * qx
                o[3] += turn * sy * qy
                xx, xy, yy = weight * sx * sx, weight * sx * sy, weight * sy * sy
                kxx, kxy, kyy = qx * qx, qx * qy, qy * qy
                o[4] += xx * kxx
                o[5] += xx * kxy
                o[6] += xx * kyy
                o[7] += xy * kxx
                o[8] += xy * kxy
                o[9] += xy * kyy
                o[10] += yy * kxx
                o[11] += yy * kxy
                o[12] += yy * kyy
                o[13] += c * c * square
                o[14] += c * (v.real * d.real + v.imag * d.imag)


def distortion_sums(half, images, ctf, matrices, phases, radius: int, padding: int) -> np.ndarray:
    """(K+1, 15) float64 of a batch; see the package's docstring. Arguments as of ``phase_sums``."""
    out = np.zeros((len(images), radius + 1, DISTORTION_SUMS))
    _distortion_sums(half, images, ctf, np.ascontiguousarray(matrices, np.float64), *ramps(phases, radius), radius,
                     padding, out)
    return out.sum(0)
