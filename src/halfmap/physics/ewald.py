"""The Ewald sphere: at high resolution an image does not show one plane of the transform but two curved sheets.

Owns where the sheets lie and how alike the object is on both. Does not own what images are made of (`ctf`) nor how they
are laid in (`reconstruct.ewald`).

    I(k) = (e^{i chi} V(A^T (q, h)) - e^{-i chi} V(A^T (q, -h))) / 2i,   h = s lambda |q|^2 / 2,   q = M k

with s = +1 or -1, the sign of the curvature, and chi as in `ctf`. For one atom at height z along the beam that is
sin(chi - s pi lambda z |q|^2): its defocus is u - s z. Both sheets are one paraboloid, for V(-q, -h) = V(q, h)*.
Source: DeRosier, Ultramicroscopy 81 (2000) 83; Wolf, DeRosier & Grigorieff, Ultramicroscopy 106 (2006) 376.
"""

from __future__ import annotations

import numpy as np

from halfmap.physics.electrons import wavelength_A

SMALL = 0.01  # where the series takes over; its next term, x^4 / 280, is 4e-11

def curvature(voltage_kV: float, length_A: float) -> float:
    """h / |q|^2 with both in shells of a box of ``length_A``, 1/shells, without the sign: lambda / 2L."""
    return wavelength_A(voltage_kV) / (2 * length_A)


def coherence(q_squared: np.ndarray, voltage_kV: float, diameter_A: float) -> np.ndarray:
    """Correlation of V(q, h) with V(q, -h) of an object that fills a ball: 1 on the axis, 0 where they are strangers.

    ``q_squared`` in 1/A^2. It is the transform of the ball at the distance 2h = lambda |q|^2,
    3 (sin x - x cos x) / x^3 with x = pi diameter lambda |q|^2.
    """
    x = np.pi * diameter_A * wavelength_A(voltage_kV) * np.asarray(q_squared, float)
    safe = np.maximum(x, SMALL)  # the difference of sine and cosine loses all digits below
    return np.where(x < SMALL, 1 - x**2 / 10, 3 * (np.sin(safe) - safe * np.cos(safe)) / safe**3)

