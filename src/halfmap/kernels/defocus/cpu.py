"""numba body of the ring sums; one image a task, so that the order of additions is fixed. No trigonometry."""

from __future__ import annotations

import numba as nb
import numpy as np

from halfmap.kernels import threads
from halfmap.kernels.aberrations.cpu import ramps
from halfmap.kernels.project.cpu import columns, project


@nb.njit(cache=True, fastmath=True, nogil=True)
def _ring_sums(begin, end, slices, images, ctf, quadrature, ramp_x, ramp_y, ring, out):
    radius = ring.shape[1] - 1
    cut = images.shape[2] - 1 - radius
    for i in range(begin, end):
        for row in range(2 * radius + 1):
            first, last = columns(row - radius, radius)
            for kx in range(first, last + 1):
                j = ring[row, kx]
                if j < 0:
                    continue
                v = slices[i, row, kx]
                d = images[i, row + cut, kx] * ramp_x[i, kx] * ramp_y[i, row]
                c, q = ctf[i, row + cut, kx], quadrature[i, row + cut, kx]
                along = v.real * d.real + v.imag * d.imag
                square = v.real * v.real + v.imag * v.imag
                out[i, 0, j] += along * c
                out[i, 1, j] += along * q
                out[i, 2, j] += square * (c * c + q * q)
                out[i, 3, j] += square * (q * q - c * c)
                out[i, 4, j] += square * (2 * c * q)


def ring_sums(half, images, ctf, quadrature, matrices, phases, ring, rings: int, padding: int) -> np.ndarray:
    """(b, 5, rings) float64; see the package's docstring.

    ``ring`` (2K+1, K+1) int: ring of each pixel of the half plane, from 0, negative where it does not count; K is the
    radius used. The other arguments as of kernels.aberrations.phase_sums.
    """
    radius = ring.shape[-1] - 1
    slices = project(half, matrices, radius, padding)
    out = np.zeros((len(images), 5, rings))
    threads.share(_ring_sums, len(slices), slices, images, ctf, quadrature, *ramps(phases, radius),
                  np.ascontiguousarray(ring, np.int64), out)
    return out
