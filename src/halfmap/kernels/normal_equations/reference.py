"""Definition of the normal equations, in float64.

With d = x e^{-2 pi i k.s} (the image moved to the centre), A the slice, c the whitened CTF and m = c A:

    cross = sum Re(conj(m) d),  power = sum |m|^2         log likelihood = 2 cross - power (relative to no particle)
    J = dm / d(w, s)                                        rotation vector w in the image frame (A <- exp[w]x A), rad;
                                                            shift s as a fraction of the box length
    curvature = sum Re(J^H J) (5, 5),  gradient = sum Re(J^H (d - m)) (5,)

The Fisher information is 2 curvature; the Gauss-Newton step is curvature^-1 gradient.
"""

from __future__ import annotations

import numpy as np

from halfmap.kernels.project.reference import full_space, grid_points, in_band


def normal_equations(half, images, ctf, which, matrices, phases, radius, padding):
    """(cross, power, gradient (p, 5), curvature (p, 5, 5)) float64; arguments as in cpu.normal_equations."""
    cube = full_space(half.astype(np.complex128))
    results = [
        _one(cube, images[j], ctf[j].astype(float), matrices[i], phases[i], radius, padding)
        for i, j in enumerate(which)
    ]
    return tuple(np.array(part) for part in zip(*results, strict=True))


def value_and_gradient(cube, points):
    """Trilinear interpolation and its derivative along x, y, z at ``points``."""
    r = cube.shape[0] // 2
    floor = np.floor(points).astype(int)
    part = points - floor
    value, gradient = 0, [0, 0, 0]
    for step in np.ndindex(2, 2, 2):
        node = floor + np.array(step)
        v = cube[node[..., 2] + r, node[..., 1] + r, node[..., 0] + r]
        w = [part[..., a] if step[a] else 1 - part[..., a] for a in range(3)]
        value = value + w[0] * w[1] * w[2] * v
        for a in range(3):
            others = [w[b] for b in range(3) if b != a]
            gradient[a] = gradient[a] + (1 if step[a] else -1) * others[0] * others[1] * v
    return value, gradient


def _one(cube, image, ctf, matrix, phase, radius, padding):
    cut = image.shape[-1] - 1 - radius
    rows = slice(cut, image.shape[0] - cut)
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    keep = in_band(radius, radius)
    kx, ky, c = kx[keep], ky[keep], ctf[rows, : radius + 1][keep]
    d = image[rows, : radius + 1][keep] * np.exp(-2j * np.pi * (kx * phase[0] + ky * phase[1]))
    a, gradient = value_and_gradient(cube, grid_points(matrix, radius, padding)[keep])
    along = [padding * sum(gradient[axis] * matrix[row, axis] for axis in range(3)) for row in range(3)]
    m = c * a
    jacobian = np.stack([
        -c * ky * along[2],
        c * kx * along[2],
        c * (ky * along[0] - kx * along[1]),
        2j * np.pi * kx * m,
        2j * np.pi * ky * m,
    ])
    residual = d - m
    return (
        (m.conj() * d).real.sum(),
        (abs(m) ** 2).sum(),
        (jacobian.conj() @ residual).real,
        (jacobian.conj() @ jacobian.T).real,
    )
