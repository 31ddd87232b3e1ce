"""numba body of the shell sums; one image a task, sums per image so that the order of additions is fixed."""

from __future__ import annotations

import numba as nb
import numpy as np

from halfmap.kernels import threads
from halfmap.kernels.project.cpu import columns, project


@nb.njit(cache=True, fastmath=True, nogil=True)
def _shell_sums(begin, end, slices, images, ctf, ramp_x, ramp_y, radius, out):
    cut = images.shape[2] - 1 - radius
    for i in range(begin, end):
        for row in range(2 * radius + 1):
            ky = row - radius
            first, last = columns(ky, radius)
            for kx in range(first, last + 1):
                m = slices[i, row, kx] * ctf[i, row + cut, kx] * ramp_x[i, kx] * ramp_y[i, row]
                x = images[i, row + cut, kx]
                s = int(np.sqrt(kx * kx + ky * ky) + 0.5)
                out[i, 0, s] += x.real * x.real + x.imag * x.imag
                out[i, 1, s] += m.real * x.real + m.imag * x.imag
                out[i, 2, s] += m.real * m.real + m.imag * m.imag
                out[i, 3, s] += 1


def shell_sums(half, images, ctf, matrices, phases, radius: int, padding: int) -> np.ndarray:
    """(b, 4, K+1) float64: power of each image, cross power with its projection, power of that, pixels."""
    slices = project(half, matrices, radius, padding)
    out = np.zeros((len(images), 4, radius + 1))
    k = np.arange(-radius, radius + 1)
    ramps = [np.exp(2j * np.pi * np.outer(phases[:, axis], k)).astype(np.complex64) for axis in (0, 1)]
    threads.share(_shell_sums, len(slices), slices, images, ctf, np.ascontiguousarray(ramps[0][:, radius:]), ramps[1],
                  radius, out)
    return out
