"""The contrast transfer function of the microscope.

Owns the step from optics and defocus to CTF values on a half plane. Does not own the fitting of defocus, nor the
choice between CTF and CTF^2 for premultiplied images (the caller's).

    chi(k) = pi lambda D(theta) k^2 - (pi/2) Cs lambda^3 k^4 + phase shift + atan(Q / sqrt(1 - Q^2))
    D(theta) = (u + v)/2 + (u - v)/2 cos 2(theta - angle)
    CTF(k) = scale exp(-B k^2 / 4) sin chi(k)

Lengths in Angstrom, underfocus positive, protein white: CTF(0) = +Q with no phase shift.
Source: RELION 3.1 `CTF::getCTF`; Mindell & Grigorieff, J. Struct. Biol. 142 (2003) 334, eq. 1-5.
"""

from __future__ import annotations

import numpy as np

from halfmap.kernels import ctf as ctf_kernel
from halfmap.types import Defocus, Optics


def wavelength_A(voltage_kV: float) -> float:
    """Relativistic wavelength of an electron, Angstrom: 12.2643 / sqrt(V + 0.978466e-6 V^2) with V in volts."""
    volts = 1e3 * voltage_kV
    return 12.2643247 / np.sqrt(volts * (1.0 + 0.978466e-6 * volts))


def half_plane(
    optics: Optics, defocus: Defocus, radius: int, box: int | None = None, pixel_size_A: float | None = None
) -> np.ndarray:
    """CTF of every particle at the frequencies (kx, ky) / (box x pixel_size_A).

    Returns (n, 2K+1, K+1) float32, ``[:, ky + K, kx]``, K = ``radius``. ``box`` (pixels) and ``pixel_size_A`` describe
    the grid the shells refer to; left out, they are those of ``optics``.
    """
    box = optics.box if box is None else box
    pixel_size_A = optics.pixel_size_A if pixel_size_A is None else pixel_size_A
    step = 1.0 / (box * pixel_size_A)
    damping = 0.25 * np.asarray(defocus.bfactor_A2, float) * step**2
    scale = np.asarray(defocus.scale, float)
    return ctf_kernel.evaluate(_phase(optics, defocus, step), damping, scale, radius)


def _phase(optics: Optics, defocus: Defocus, step_per_A: float) -> np.ndarray:
    """(n, 5) float64 coefficients of chi / pi in shells: kx^2, ky^2, kx ky, (kx^2 + ky^2)^2, 1.

    k^2 cos 2(theta - a) = (kx^2 - ky^2) cos 2a + 2 kx ky sin 2a: no angle per frequency is needed.
    """
    wavelength = wavelength_A(optics.voltage_kV)
    mean = 0.5 * (defocus.u_A + defocus.v_A)
    half_difference = 0.5 * (defocus.u_A - defocus.v_A)
    cosine = half_difference * np.cos(2.0 * defocus.angle_rad)
    sine = half_difference * np.sin(2.0 * defocus.angle_rad)
    quadratic = wavelength * step_per_A**2 * np.stack([mean + cosine, mean - cosine, 2.0 * sine])
    quartic = -0.5 * optics.spherical_aberration_A * wavelength**3 * step_per_A**4
    constant = (np.asarray(defocus.phase_shift_rad, float) + np.arcsin(optics.amplitude_contrast)) / np.pi
    return np.stack([*quadratic, np.full(len(constant), quartic), constant], axis=1)
