"""Images of thick objects: every atom with the defocus of its own height, summed directly in float64.

Knows nothing of curved insertion: an atom at height z along the beam has the CTF of defocus u - sign z, by the formula
of docs/CONVENTIONS.md, written out here once more.
"""

import numpy as np

from halfmap.physics.electrons import wavelength_A
from halfmap.types import Defocus, Optics
from tests.blobs import Blobs


def defocus(u_A: np.ndarray, v_A: np.ndarray, angle_rad: np.ndarray) -> Defocus:
    """Defocus values (n,), no phase plate, no B-factor, contrast 1."""
    zero = np.zeros(len(u_A))
    return Defocus(u_A, v_A, angle_rad, zero, zero, zero + 1)


def half_planes(object_: Blobs, rotations, shifts_A, optics: Optics, known: Defocus, radius: int, sign: int):
    """(n, 2K+1, K+1) complex128 in the frequencies of the optics' box, for a map of the same voxels.

    Units as ``Blobs.half_planes``. The magnification matrix counts: at k is what the object shows at M k.
    """
    step = optics.pixel_size_A
    length, wavelength = optics.box * step, wavelength_A(optics.voltage_kV)
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1] / length
    (xx, xy), (yx, yy) = optics.magnification
    qx, qy = xx * kx + xy * ky, yx * kx + yy * ky
    square, theta = qx**2 + qy**2, np.arctan2(qy, qx)
    fixed = np.arcsin(optics.amplitude_contrast) - np.pi / 2 * optics.spherical_aberration_A * wavelength**3 * square**2
    width = object_.widths_A
    height = object_.weights * (2 * np.pi) ** 1.5 * width**3 / (step * length**2)
    envelope = np.einsum("m,myx->myx", height, np.exp(-2 * np.pi**2 * np.multiply.outer(width**2, square)))
    out = np.empty((len(rotations), *qx.shape), complex)
    for i, rotation in enumerate(rotations):
        x, y, z = rotation @ object_.centres_A.T
        mean, half = (known.u_A[i] + known.v_A[i]) / 2, (known.u_A[i] - known.v_A[i]) / 2
        under = mean + half * np.cos(2 * (theta - known.angle_rad[i]))
        chi = fixed + np.pi * wavelength * square * (under - sign * z[:, None, None])
        waves = np.exp(-2j * np.pi * (np.multiply.outer(x, qx) + np.multiply.outer(y, qy)))
        moved = np.exp(2j * np.pi * (kx * shifts_A[i, 0] + ky * shifts_A[i, 1]))
        out[i] = (envelope * waves * np.sin(chi)).sum(0) * moved
    return out
