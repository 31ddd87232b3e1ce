"""The contrast transfer function of the microscope.

Owns the step from optics and defocus to CTF values on a half plane. Does not own the fitting of defocus, the phases of
higher aberrations (`aberrations`), nor the choice between CTF and CTF^2 for premultiplied images (the caller's).

    chi(q) = pi lambda D(theta) q^2 - (pi/2) Cs lambda^3 q^4 + phase shift + atan(Q / sqrt(1 - Q^2)) - gamma(q)
    D(theta) = (u + v)/2 + (u - v)/2 cos 2(theta - angle)
    CTF(k) = scale exp(-B q^2 / 4) sin chi(q),  q = M k

Lengths in Angstrom, underfocus positive, protein white: CTF(0) = +Q with no phase shift. M is the magnification matrix
of the optics group, gamma its even phase.
Source: RELION 3.1 and 5 `CTF::getCTF`; Mindell & Grigorieff, J. Struct. Biol. 142 (2003) 334, eq. 1-5.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfmap.kernels import ctf as ctf_kernel
from halfmap.physics import aberrations
from halfmap.physics.electrons import wavelength_A
from halfmap.types import Defocus, Optics


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
    phase = _phase(optics, defocus, step)
    if aberrations.is_plain(optics):
        return ctf_kernel.evaluate(phase, damping, scale, radius)
    gamma = aberrations.even_phase(optics, radius, box * pixel_size_A) / np.pi
    matrix = np.array(optics.magnification)
    return ctf_kernel.evaluate_aberrated(
        _distorted(phase, matrix), damping, scale, _polynomial(matrix.T @ matrix), gamma, radius
    )


def quadrature(
    optics: Optics, defocus: Defocus, radius: int, box: int | None = None, pixel_size_A: float | None = None
) -> np.ndarray:
    """Derivative of ``half_plane`` by its phase: scale exp(-B q^2 / 4) cos chi(q), (n, 2K+1, K+1) float32."""
    ahead = replace(defocus, phase_shift_rad=np.asarray(defocus.phase_shift_rad, float) + np.pi / 2)
    return half_plane(optics, ahead, radius, box, pixel_size_A)


def carried_over(defocus: Defocus, old: np.ndarray, new: np.ndarray) -> Defocus:
    """The defocus that a new magnification matrix needs for the CTF to stay what it was at the image's frequencies.

    Defocus estimated from a distorted micrograph describes its rings as they are seen. With D the symmetric matrix of
    the defocus, chi holds q^T D q, q = M k: D becomes N^T D N, N = old new^-1 (matrices (2, 2)). The term in Cs, which
    no defocus replaces, changes by 2 |N - 1| of itself.
    """
    mean, half = (defocus.u_A + defocus.v_A) / 2, (defocus.u_A - defocus.v_A) / 2
    cosine, sine = half * np.cos(2 * defocus.angle_rad), half * np.sin(2 * defocus.angle_rad)
    forms = np.stack([np.stack([mean + cosine, sine], -1), np.stack([sine, mean - cosine], -1)], -2)
    turn = np.asarray(old, float) @ np.linalg.inv(new)
    forms = turn.T @ forms @ turn
    mean, cosine = (forms[:, 0, 0] + forms[:, 1, 1]) / 2, (forms[:, 0, 0] - forms[:, 1, 1]) / 2
    half = np.hypot(cosine, forms[:, 0, 1])
    angle = np.arctan2(forms[:, 0, 1], cosine) / 2 % np.pi
    return replace(defocus, u_A=mean + half, v_A=mean - half, angle_rad=angle)


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


def _distorted(phase: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Coefficients (n, 5) of the phase at M k as a function of k: each quadratic form Q becomes M^T Q M."""
    xx, yy, xy = phase[:, :3].T
    forms = np.stack([np.stack([xx, xy / 2], -1), np.stack([xy / 2, yy], -1)], -2)
    turned = matrix.T @ forms @ matrix
    quadratic = np.stack([turned[:, 0, 0], turned[:, 1, 1], 2 * turned[:, 0, 1]], axis=1)
    return np.concatenate([quadratic, phase[:, 3:]], axis=1)


def _polynomial(form: np.ndarray) -> np.ndarray:
    """(3,) coefficients of kx^2, ky^2 and kx ky of the quadratic form k^T G k, G (2, 2)."""
    return np.array([form[0, 0], form[1, 1], form[0, 1] + form[1, 0]])
