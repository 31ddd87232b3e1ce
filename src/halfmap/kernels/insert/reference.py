"""Definition of back-projection, in float64: every half-plane pixel is spread to its eight neighbours."""

from __future__ import annotations

import numpy as np

from halfmap.kernels.project.reference import corners, grid_points, in_band


def insert(numerator, weight, images, ctf, which, matrices, phases, radius, padding, shares=None):
    """numerator += A'(w ctf x e^{-2 pi i k.s}), weight += A'(w ctf^2), w the share of the pose.

    Arguments as in cpu.insert. The Friedel mate of every pixel is inserted too, and only the half x >= 0 is kept: the
    plane x = 0 is Hermitian.
    """
    r = numerator.shape[-1] - 1
    full_n = np.zeros((2 * r + 1,) * 3, np.complex128)
    full_w = np.zeros((2 * r + 1,) * 3)
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    cut = images.shape[-1] - 1 - radius
    shares = np.ones(len(which)) if shares is None else np.asarray(shares, float)
    for i, (j, matrix) in enumerate(zip(which, matrices, strict=True)):
        rows = slice(cut, images.shape[1] - cut)
        x, c = images[j, rows, : radius + 1], ctf[j, rows, : radius + 1].astype(float)
        keep = in_band(radius, radius)
        value = shares[i] * (c * x * np.exp(-2j * np.pi * (kx * phases[i, 0] + ky * phases[i, 1])))[keep]
        square = shares[i] * c[keep] ** 2
        points = grid_points(matrix, radius, padding)[keep]
        for sign, v in ((1, value), (-1, value.conj())):
            for jz, jy, jx, w in corners(sign * points):
                np.add.at(full_n, (jz + r, jy + r, jx + r), w * v)
                np.add.at(full_w, (jz + r, jy + r, jx + r), w * square)
    numerator += full_n[..., r:]
    weight += full_w[..., r:]


def insert_curved(numerator, weight, images, sine, cosine, coherence, which, matrices, phases, curvature, radius,
                  padding, shares=None):  # fmt: skip
    """The same on the two paraboloids of the Ewald sphere; arguments as in cpu.insert_curved."""
    r = numerator.shape[-1] - 1
    full_n = np.zeros((2 * r + 1,) * 3, np.complex128)
    full_w = np.zeros((2 * r + 1,) * 3)
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    cut = images.shape[-1] - 1 - radius
    part = np.s_[cut : images.shape[1] - cut, : radius + 1]
    keep = in_band(radius, radius)
    alike = coherence[part].astype(float)
    shares = np.ones(len(which)) if shares is None else np.asarray(shares, float)
    for i, (j, matrix) in enumerate(zip(which, matrices, strict=True)):
        s, c = sine[j][part].astype(float), cosine[j][part].astype(float)
        x = shares[i] * images[j][part] * np.exp(-2j * np.pi * (kx * phases[i, 0] + ky * phases[i, 1]))
        square = shares[i] * ((1 + alike) * s**2 + (1 - alike) * c**2) / 4
        flat = grid_points(matrix, radius, padding)
        height = curvature * (flat**2).sum(-1) / padding
        beam = matrix[2] / np.linalg.norm(matrix[2])
        for side in (1, -1):
            value = (s + side * 1j * c) / 2 * x
            points = flat + side * height[..., None] * beam
            for sign, v in ((1, value), (-1, value.conj())):
                for jz, jy, jx, w in corners(sign * points[keep]):
                    np.add.at(full_n, (jz + r, jy + r, jx + r), w * v[keep])
                    np.add.at(full_w, (jz + r, jy + r, jx + r), w * square[keep])
    numerator += full_n[..., r:]
    weight += full_w[..., r:]
