"""Definition of the sums for aberrations, in float64 and plain numpy."""

from __future__ import annotations

import numpy as np

from halfmap.kernels.normal_equations.reference import value_and_gradient
from halfmap.kernels.project.reference import full_space, grid_points, in_band, project


def centred(images, phases, radius):
    """(b, 2K+1, K+1) complex128: images cut to ``radius`` and moved to the centre, zero outside the band."""
    cut = images.shape[-1] - 1 - radius
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    turns = kx * phases[:, 0, None, None] + ky * phases[:, 1, None, None]
    part = images[:, cut : images.shape[1] - cut, : radius + 1]
    return part * np.exp(-2j * np.pi * turns) * in_band(radius, radius)


def cut_to(planes, radius):
    """(b, 2K+1, K+1): half planes cut to ``radius``."""
    cut = planes.shape[-1] - 1 - radius
    return planes[:, cut : planes.shape[1] - cut, : radius + 1].astype(float)


def phase_sums(half, images, ctf, quadrature, matrices, phases, radius, padding):
    """(cross, power) of the package's docstring; arguments as in cpu.phase_sums."""
    d, slices = centred(images, phases, radius), project(half, matrices, radius, padding)
    m, turned = cut_to(ctf, radius) * slices, cut_to(quadrature, radius) * slices
    cross = np.stack([(m.conj() * d).sum(0), (turned.conj() * d).sum(0)])
    power = np.stack([(abs(m) ** 2).sum(0), (m.conj() * turned).real.sum(0), (abs(turned) ** 2).sum(0)])
    return cross, power


def distortion_sums(half, images, ctf, matrices, phases, radius, padding):
    """(K+1, 15) of the package's docstring; arguments as in cpu.distortion_sums."""
    cube, keep = full_space(half.astype(np.complex128)), in_band(radius, radius)
    ky, kx = (k[keep] for k in np.mgrid[-radius : radius + 1, 0 : radius + 1])
    shell = np.rint(np.hypot(kx, ky)).astype(int)
    data, transfer = centred(images, phases, radius), cut_to(ctf, radius)
    out = np.zeros((radius + 1, 15))
    for d, c, matrix in zip(data, transfer, matrices, strict=True):
        v, gradient = value_and_gradient(cube, grid_points(matrix, radius, padding)[keep])
        m, size = c[keep] * v, np.maximum(abs(v), 1e-30)
        y = np.sign(c[keep]) * (v.conj() * d[keep]).imag / size
        along = [c[keep] * padding * sum(g * a for g, a in zip(gradient, row, strict=True)) for row in matrix[:2]]
        tx, ty = (np.sign(c[keep]) * (v.conj() * a).imag / size for a in along)
        terms = [y * tx * kx, y * tx * ky, y * ty * kx, y * ty * ky]
        terms += [t * k for t in (tx * tx, tx * ty, ty * ty) for k in (kx * kx, kx * ky, ky * ky)]
        for place, term in enumerate([*terms, abs(m) ** 2, (m.conj() * d[keep]).real]):
            out[:, place] += np.bincount(shell, term, radius + 1)
    return out
