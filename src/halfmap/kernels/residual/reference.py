"""Definition of the shell sums, in float64."""

from __future__ import annotations

import numpy as np

from halfmap.kernels.project.reference import project


def shell_sums(half, images, ctf, matrices, phases, radius, padding):
    """Per image and shell s = 0..K: (sum |x|^2, sum Re(conj(m) x), sum |m|^2, pixels), (b, 4, K+1).

    m is the projection c A e^{2 pi i k.s}; pixels as in project.reference.in_band. Arguments as in cpu.shell_sums.
    """
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    r2 = kx**2 + ky**2
    keep = (r2 > 0) & (r2 <= radius**2 + radius) & ((kx > 0) | (ky > 0))
    shell = np.rint(np.sqrt(r2)).astype(int)[keep]
    cut = images.shape[-1] - 1 - radius
    rows = slice(cut, images.shape[1] - cut)
    x = images[:, rows, : radius + 1]
    turns = kx * phases[:, 0, None, None] + ky * phases[:, 1, None, None]
    m = project(half, matrices, radius, padding) * ctf[:, rows, : radius + 1] * np.exp(2j * np.pi * turns)
    parts = (abs(x) ** 2, (m.conj() * x).real, abs(m) ** 2, np.ones(x.shape))
    return np.array([[np.bincount(shell, p[i, keep], radius + 1) for p in parts] for i in range(len(x))])
