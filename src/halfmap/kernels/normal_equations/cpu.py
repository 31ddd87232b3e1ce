"""numba body of the normal equations: one pose a task, one pass over its pixels, no trigonometry in the pixel loop."""

from __future__ import annotations

import numba as nb
import numpy as np

from halfmap.kernels import threads
from halfmap.kernels.project.cpu import columns, value_and_gradient

SUMS = 22  # cross, power, 5 gradients, 15 curvatures (upper triangle, row by row)


@nb.njit(cache=True, fastmath=True, nogil=True)
def _accumulate(begin, end, half, images, ctf, which, matrices, phases, radius, padding, out):
    r = half.shape[2] - 1
    cut = images.shape[2] - 1 - radius
    two_pi = np.float32(2 * np.pi)
    for p in range(begin, end):
        i = which[p]
        a = matrices[p] * padding
        b = a.astype(np.float32)
        ramp = np.empty(radius + 1, np.complex64)
        for k in range(radius + 1):
            ramp[k] = np.exp(-2j * np.pi * k * phases[p, 0])
        total = np.zeros(22)
        for row in range(2 * radius + 1):
            ky = row - radius
            first, last = columns(ky, radius)
            row_ramp = np.complex64(np.exp(-2j * np.pi * ky * phases[p, 1]))
            qy = np.float32(ky)
            s0 = s1 = g0 = g1 = g2 = g3 = g4 = np.float32(0)
            h00 = h01 = h02 = h03 = h04 = h11 = h12 = h13 = h14 = np.float32(0)
            h22 = h23 = h24 = h33 = h34 = h44 = np.float32(0)
            for kx in range(first, last + 1):
                v, gx, gy, gz, mate = value_and_gradient(half, a, kx, ky, r)
                c = ctf[i, row + cut, kx]
                d = images[i, row + cut, kx] * ramp[kx] * row_ramp
                if mate:  # work on the mate: value and image conjugated, frequency and rows negated twice
                    d = d.conjugate()
                    qx, qk = -np.float32(kx), -qy
                else:
                    qx, qk = np.float32(kx), qy
                a0 = gx * b[0, 0] + gy * b[0, 1] + gz * b[0, 2]
                a1 = gx * b[1, 0] + gy * b[1, 1] + gz * b[1, 2]
                a2 = (gx * b[2, 0] + gy * b[2, 1] + gz * b[2, 2]) * c
                a2r, a2i = a2.real, a2.imag
                wz = (a0 * qk - a1 * qx) * c
                m = v * c
                res = d - m
                s0 += m.real * d.real + m.imag * d.imag
                power = m.real * m.real + m.imag * m.imag
                s1 += power
                slope = a2r * res.real + a2i * res.imag
                g0 -= qk * slope
                g1 += qx * slope
                g2 += wz.real * res.real + wz.imag * res.imag
                moment = m.real * res.imag - m.imag * res.real
                g3 += qx * moment
                g4 += qk * moment
                square = a2r * a2r + a2i * a2i
                h00 += qk * qk * square
                h01 -= qx * qk * square
                h11 += qx * qx * square
                mixed = a2r * wz.real + a2i * wz.imag
                h02 -= qk * mixed
                h12 += qx * mixed
                h22 += wz.real * wz.real + wz.imag * wz.imag
                turn = a2i * m.real - a2r * m.imag
                h03 -= qk * qx * turn
                h04 -= qk * qk * turn
                h13 += qx * qx * turn
                h14 += qx * qk * turn
                twist = wz.imag * m.real - wz.real * m.imag
                h23 += qx * twist
                h24 += qk * twist
                h33 += qx * qx * power
                h34 += qx * qk * power
                h44 += qk * qk * power
            total[0] += s0
            total[1] += s1
            total[2] += g0
            total[3] += g1
            total[4] += g2
            total[5] += two_pi * g3
            total[6] += two_pi * g4
            total[7] += h00
            total[8] += h01
            total[9] += h02
            total[10] += two_pi * h03
            total[11] += two_pi * h04
            total[12] += h11
            total[13] += h12
            total[14] += two_pi * h13
            total[15] += two_pi * h14
            total[16] += h22
            total[17] += two_pi * h23
            total[18] += two_pi * h24
            total[19] += two_pi * two_pi * h33
            total[20] += two_pi * two_pi * h34
            total[21] += two_pi * two_pi * h44
        for k in range(22):
            out[p, k] = total[k]


_UPPER = np.triu_indices(5)


def normal_equations(half, images, ctf, which, matrices, phases, radius: int, padding: int):
    """(cross (p,), power (p,), gradient (p, 5), curvature (p, 5, 5)), all float64; see reference.py for their meaning.

    ``half`` (2R+1, 2R+1, R+1) complex64, R >= padding radius + 2; ``images``, ``ctf`` (b, 2K+1, K+1) whitened;
    ``which`` (p,) image of each pose; ``matrices`` (p, 3, 3); ``phases`` (p, 2) shift over box length; radius <= K.
    """
    out = np.empty((len(which), SUMS))
    threads.share(_accumulate, len(which), half, images, ctf, np.ascontiguousarray(which, np.int64),
                  np.ascontiguousarray(matrices, np.float64), np.ascontiguousarray(phases, np.float64), radius, padding,
                  out)
    curvature = np.empty((len(which), 5, 5))
    curvature[:, _UPPER[0], _UPPER[1]] = out[:, 7:]
    curvature[:, _UPPER[1], _UPPER[0]] = out[:, 7:]
    return out[:, 0], out[:, 1], out[:, 2:7], curvature
