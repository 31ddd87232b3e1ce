"""Lens aberrations as lengths, the way cryoSPARC files have them, and back.

Owns that one conversion, numbers in and numbers out: tilt_A (2), trefoil_A (2), tetra_A (4) <-> beam tilt and Zernike
coefficients of ``types.Optics``. The lengths are the coefficients of the wave aberration (Haider's C, B, A, S):

    odd phase   phi = -2 pi lambda^2 k^3 ((tilt_0 cos t + tilt_1 sin t) + (trefoil_0 cos 3t + trefoil_1 sin 3t) / 3)
    even phase  gamma = 2 pi lambda^3 k^4 ((tetra_0 cos 2t + tetra_1 sin 2t) + (tetra_2 cos 4t + tetra_3 sin 4t) / 4)

with t the angle from x to y. gamma is subtracted in the sine of the CTF, as pi/2 Cs lambda^3 k^4 is: a Cs of the same
sign delays the wave the same way.

What is certain: tilt_A = Cs sin(tilt) (pyem `cryosparc_2_cs_ctf_parameters`; cryoSPARC's forum, topic 17411: lengths
are phases over the wavelength, and tilt is the third-order term over Cs). What rests on a third party: factors and
order of trefoil_A and tetra_A, and the sign of trefoil relative to tilt, are those that the simulator joelyeois/specter
found by comparison with cryoSPARC's (teamtomo/teamtomo #111 and #112 tell of it), its angle counted from y to x. No
program documents them, and we have not compared with files of known truth: a wrong common sign of the odd terms would
show as odd phase differences that double instead of vanish.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from halfmap.physics.electrons import wavelength_A

LEAST_CS_A = 1e4  # 1 um: below it (Cs corrector) a beam tilt has no meaning and coma is given as Zernike terms

# k^3 cos t = Z_3^1 / 3 + 2 Z_1^1 / 3 and so on; places in RELION's lists. Odd: 0,1 = (1,-1) (1,1), 2..5 = (3,-3) (3,-1)
# (3,1) (3,3). Even: 0 = (0,0), 1..3 = (2,-2) (2,0) (2,2), 4..8 = (4,-4) (4,-2) (4,0) (4,2) (4,4).
_COMA_X, _COMA_Y = {4: 1 / 3, 1: 2 / 3}, {3: 1 / 3, 0: 2 / 3}
_TREFOIL_X, _TREFOIL_Y = {5: 1.0}, {2: 1.0}
_STAR_X, _STAR_Y = {7: 1 / 4, 3: 3 / 4}, {5: 1 / 4, 1: 3 / 4}
_TETRAFOIL_X, _TETRAFOIL_Y = {8: 1.0}, {4: 1.0}


@dataclass(frozen=True)
class Lengths:
    """Coefficients in Angstrom; ``complete`` is False where the group has phases that these eight numbers cannot tell.

    Left out then: an image shift or defocus hidden in low terms, round terms (Cs), terms of degree 5 and more.
    """

    tilt_A: tuple[float, float]
    trefoil_A: tuple[float, float]
    tetra_A: tuple[float, float, float, float]
    complete: bool


@dataclass(frozen=True)
class Phases:
    """The same as fields of ``types.Optics``."""

    beam_tilt_rad: tuple[float, float]
    odd_zernike: tuple[float, ...]
    even_zernike: tuple[float, ...]


def to_phases(tilt_A: Sequence[float], trefoil_A: Sequence[float], tetra_A: Sequence[float], voltage_kV: float,
              spherical_aberration_A: float) -> Phases:
    """Beam tilt (rad) and Zernike coefficients (rad A^n) of lengths in Angstrom.

    Coma becomes a beam tilt, asin(tilt_A / Cs), where Cs allows one, else odd Zernike terms. Empty lists: no terms.
    """
    wavelength = wavelength_A(voltage_kV)
    third, fourth = -2 * np.pi * wavelength**2, 2 * np.pi * wavelength**3
    odd, tilt = np.zeros(6), (0.0, 0.0)
    _add(odd, third / 3, trefoil_A, (_TREFOIL_X, _TREFOIL_Y))
    if _tilts(tilt_A, spherical_aberration_A):
        tilt = tuple(float(np.arcsin(t / spherical_aberration_A)) for t in tilt_A)
    else:
        _add(odd, third, tilt_A, (_COMA_X, _COMA_Y))
    even = np.zeros(9)
    _add(even, fourth, tetra_A[:2], (_STAR_X, _STAR_Y))
    _add(even, fourth / 4, tetra_A[2:], (_TETRAFOIL_X, _TETRAFOIL_Y))
    return Phases(tilt, _numbers(odd), _numbers(even))


def to_lengths(phases: Phases, voltage_kV: float, spherical_aberration_A: float) -> Lengths:
    """The inverse: Lengths of beam tilt and Zernike coefficients, pure k^3 and k^4 terms only."""
    wavelength = wavelength_A(voltage_kV)
    third, fourth = -2 * np.pi * wavelength**2, 2 * np.pi * wavelength**3
    odd, even = _padded(phases.odd_zernike, 6), _padded(phases.even_zernike, 9)
    coma = np.array([odd[4], odd[3]]) * 3 / third  # of Z_3 what is k^3; its k part must be that of Z_1
    tilt = coma + spherical_aberration_A * np.sin(phases.beam_tilt_rad)
    trefoil = np.array([odd[5], odd[2]]) * 3 / third
    tetra = np.array([4 * even[7], 4 * even[5], 4 * even[8], 4 * even[4]]) / fourth
    again = to_phases(coma, trefoil, tetra, voltage_kV, 0.0)
    complete = _same(odd, again.odd_zernike) and _same(even, again.even_zernike)
    return Lengths(tuple(tilt.tolist()), tuple(trefoil.tolist()), tuple(tetra.tolist()), complete)


def _tilts(tilt_A: Sequence[float], spherical_aberration_A: float) -> bool:
    return abs(spherical_aberration_A) >= LEAST_CS_A and max(map(abs, tilt_A)) <= abs(spherical_aberration_A)


def _add(total: np.ndarray, factor: float, lengths: Sequence[float], terms: Sequence[dict[int, float]]) -> None:
    for length, term in zip(lengths, terms, strict=True):
        for place, share in term.items():
            total[place] += factor * share * length


def _numbers(coefficients: np.ndarray) -> tuple[float, ...]:
    return tuple(coefficients.tolist()) if coefficients.any() else ()


def _padded(coefficients: Sequence[float], least: int) -> np.ndarray:
    return np.pad(np.asarray(coefficients, float), (0, max(0, least - len(coefficients))))


def _same(wanted: np.ndarray, found: tuple[float, ...]) -> bool:
    # files hold float32 or six decimals
    return bool(np.allclose(wanted, _padded(found, len(wanted)), rtol=1e-4, atol=1e-6 * abs(wanted).max(initial=0)))
