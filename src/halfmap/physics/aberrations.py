"""Phase errors of the lens beyond defocus and spherical aberration, and the distortion of the image.

Owns Zernike polynomials in RELION's order, the odd and the even phase of an optics group on a half plane, and what is
left of an optics group without one of its terms. Does not own the CTF (`ctf`) nor other programs' units of the same
terms (`lengths`).

    odd phase   phi(k) = -2 pi Cs lambda^2 |q|^2 (tilt . q) + sum c_i Z_i(q),  q = M k
    even phase  gamma(k) = sum e_i Z_i(q)

A projection times exp(i phi) is what the microscope shows; gamma is subtracted inside the sine of the CTF. Frequencies
are in 1/A and are not normalised, so c_i of a polynomial of degree n is in rad A^n. M is the magnification matrix:
what an image shows at k is the object at q.
Source: RELION 5 (Zernike, TiltHelper::insertTilt, demodulatePhase); Zivanov et al. 2020, IUCrJ 7:253.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from math import factorial, isqrt

import numpy as np

from halfmap.physics.electrons import wavelength_A
from halfmap.types import Optics

IDENTITY = ((1.0, 0.0), (0.0, 1.0))


def odd_degree(index: int) -> tuple[int, int]:
    """(n, m) of place ``index`` in a list of odd Zernike coefficients: (1,-1) (1,1) (3,-3) (3,-1) (3,1) (3,3) ..."""
    half = (isqrt(1 + 4 * index) - 1) // 2
    n = 2 * half + 1
    return n, 2 * (index - half * half - half) - n


def even_degree(index: int) -> tuple[int, int]:
    """(n, m) of place ``index`` in a list of even Zernike coefficients: (0,0) (2,-2) (2,0) (2,2) (4,-4) ..."""
    half = isqrt(index)
    return 2 * half, 2 * (index - half * half - half)


def zernike(n: int, m: int, qx: np.ndarray, qy: np.ndarray) -> np.ndarray:
    """R_n^|m|(|q|) cos(m theta), for m < 0 sin(|m| theta); theta from x to y; any |q|, not only the unit disc.

    R_n^m(q) = sum over j of (-1)^j (n-j)! / (j! ((n+m)/2 - j)! ((n-m)/2 - j)!) q^(n-2j), so that R(1) = 1.
    """
    q, theta, order = np.hypot(qx, qy), np.arctan2(qy, qx), abs(m)
    radial = np.zeros(np.broadcast(qx, qy).shape)
    for j in range((n - order) // 2 + 1):
        below = factorial(j) * factorial((n + order) // 2 - j) * factorial((n - order) // 2 - j)
        radial += (-1) ** j * factorial(n - j) / below * q ** (n - 2 * j)
    return radial * (np.cos(order * theta) if m >= 0 else np.sin(order * theta))


def is_odd(optics: Optics) -> bool:
    """Whether the group has an odd phase."""
    return any(optics.beam_tilt_rad) or any(optics.odd_zernike)


def is_plain(optics: Optics) -> bool:
    """Whether the CTF is that of defocus and spherical aberration alone: no even phase, no distortion."""
    return not any(optics.even_zernike) and not is_distorted(optics)


def is_distorted(optics: Optics) -> bool:
    """Whether the magnification matrix is not the identity."""
    return optics.magnification != IDENTITY


def odd_phase(optics: Optics, radius: int, length_A: float) -> np.ndarray:
    """phi at the frequencies (kx, ky) / ``length_A``, rad: (2K+1, K+1) float64, ``[ky + K, kx]``; phi(-k) = -phi(k)."""
    qx, qy = true_frequencies(optics, radius, length_A)
    factor = -2 * np.pi * optics.spherical_aberration_A * wavelength_A(optics.voltage_kV) ** 2
    along = optics.beam_tilt_rad[0] * qx + optics.beam_tilt_rad[1] * qy
    return factor * (qx**2 + qy**2) * along + _sum(optics.odd_zernike, odd_degree, qx, qy)


def even_phase(optics: Optics, radius: int, length_A: float) -> np.ndarray:
    """gamma at the frequencies (kx, ky) / ``length_A``, rad: (2K+1, K+1) float64, ``[ky + K, kx]``."""
    return _sum(optics.even_zernike, even_degree, *true_frequencies(optics, radius, length_A))


@lru_cache(maxsize=32)
def modulation(optics: Optics, radius: int, length_A: float) -> np.ndarray:
    """exp(i phi), (2K+1, K+1) complex128, read-only: what an odd phase multiplies a projection by."""
    factor = np.exp(1j * odd_phase(optics, radius, length_A))
    factor.flags.writeable = False  # shared by all who ask
    return factor


def true_frequencies(optics: Optics, radius: int, length_A: float) -> tuple[np.ndarray, np.ndarray]:
    """(qx, qy) = M (kx, ky) / ``length_A`` in 1/A, each (2K+1, K+1) float64."""
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1] / length_A
    (xx, xy), (yx, yy) = optics.magnification
    return xx * kx + xy * ky, yx * kx + yy * ky


def _sum(coefficients, degree: Callable[[int], tuple[int, int]], qx: np.ndarray, qy: np.ndarray) -> np.ndarray:
    total = np.zeros(qx.shape)
    for index, coefficient in enumerate(coefficients):
        if coefficient:
            total += coefficient * zernike(*degree(index), qx, qy)
    return total


# ---- an optics group without one of its terms


def without_tilt(optics: Optics) -> Optics:
    """No beam tilt, and no odd terms of |m| = 1: axial coma of every degree and the image shift that comes with it."""
    return replace(optics, beam_tilt_rad=(0.0, 0.0),
                   odd_zernike=_kept(optics.odd_zernike, odd_degree, lambda m: abs(m) != 1))


def without_trefoil(optics: Optics) -> Optics:
    """No odd terms of |m| = 3."""
    return replace(optics, odd_zernike=_kept(optics.odd_zernike, odd_degree, lambda m: abs(m) != 3))


def without_tetrafoil(optics: Optics) -> Optics:
    """No even terms but the round ones (m = 0): a pure k^4 cos 2 theta or cos 4 theta has terms of m = 2 and 4."""
    return replace(optics, even_zernike=_kept(optics.even_zernike, even_degree, lambda m: m == 0))


def without_distortion(optics: Optics) -> Optics:
    """Magnification 1."""
    return replace(optics, magnification=IDENTITY)


def _kept(coefficients, degree: Callable[[int], tuple[int, int]], keep: Callable[[int], bool]) -> tuple[float, ...]:
    return tuple(c if keep(degree(index)[1]) else 0.0 for index, c in enumerate(coefficients))
