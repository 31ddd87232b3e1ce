"""numba bodies of the sums for aberrations.

The planes: slices first (a task an image), then rows of the plane as tasks, each adding its images in their order. The
distortion: a task an image, its shells added afterwards in the order of the images. So threads change nothing.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from halfmap.kernels import threads
from halfmap.kernels.project.cpu import columns, project, value_and_gradient

DISTORTION_SUMS = 15
LEAST = np.float32(1e-36)  # |slice|^2 below which a pixel has no phase


@nb.njit(cache=True, fastmath=True, nogil=True)
def _phase_sums(begin, end, slices, images, ctf, quadrature, ramp_x, ramp_y, radius, cross, power):
    cut = images.shape[2] - 1 - radius
    for row in range(begin, end):
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
    threads.share(_phase_sums, 2 * radius + 1, slices, images, ctf, quadrature, *ramps(phases, radius), radius, cross,
                  power)
    return cross, power


def ramps(phases: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """(b, K+1) and (b, 2K+1) complex64: factors by kx and by ky that move images to the centre."""
    k = np.arange(-radius, radius + 1)
    x, y = (np.exp(-2j * np.pi * np.outer(phases[:, axis], k)).astype(np.complex64) for axis in (0, 1))
    return np.ascontiguousarray(x[:, radius:]), y


@nb.njit(cache=True, fastmath=True, nogil=True)
def _distortion_sums(begin, end, half, images, ctf, matrices, ramp_x, ramp_y, radius, padding, out):
    r = half.shape[2] - 1
    cut = images.shape[2] - 1 - radius
    for i in range(begin, end):
        a = matrices[i] * padding
        b = a.astype(np.float32)
        for row in range(2 * radius + 1):
            ky = row - radius
            first, last = columns(ky, radius)
            for kx in range(first, last + 1):
                v, gx, gy, gz, mate = value_and_gradient(half, a, kx, ky, r)
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
    threads.share(_distortion_sums, len(matrices), half, images, ctf, np.ascontiguousarray(matrices, np.float64),
                  *ramps(phases, radius), radius, padding, out)
    return out.sum(0)
