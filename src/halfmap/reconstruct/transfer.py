"""What a slice is multiplied by, other than its CTF: parts of a recipe in place of ``ewald.Flat``.

For images whose contrast at low resolution does not follow the CTF (negative stain, strong amplitude contrast), and
for those without any.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.physics import ctf
from halfmap.physics.electrons import wavelength_A
from halfmap.reconstruct.ewald import Flat
from halfmap.types import Defocus, Optics


@dataclass(frozen=True)
class Uncorrected(Flat):
    """Nothing: images are plain projections."""

    def transfers(self, optics: Optics, defocus: Defocus, radius: int, box: int, pixel_size_A: float):
        return (np.ones((len(defocus), 2 * radius + 1, radius + 1), np.float32),)


@dataclass(frozen=True)
class FromFirstPeak(Flat):
    """The CTF, but its value at the first peak everywhere before it: RELION's --ctf_intact_first_peak."""

    def transfers(self, optics: Optics, defocus: Defocus, radius: int, box: int, pixel_size_A: float):
        sine = ctf.half_plane(optics, defocus, radius, box, pixel_size_A)
        cosine = ctf.quadrature(optics, defocus, radius, box, pixel_size_A)
        sign = np.where(np.asarray(defocus.scale) < 0, -1, 1).astype(np.float32)[:, None, None]
        before = (sign * cosine > 0) & _within(optics, defocus, radius, box * pixel_size_A)
        flat = np.where(before, sign * np.hypot(sine, cosine), sine)
        return (flat**2 if optics.premultiplied else flat,)


def _within(optics: Optics, defocus: Defocus, radius: int, length_A: float) -> np.ndarray:
    """(n, 2K+1, K+1) whether a frequency lies before the place where the phase is half a turn, Cs left out."""
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1] / length_A
    left = 1 - (np.asarray(defocus.phase_shift_rad, float) + np.arcsin(optics.amplitude_contrast)) / np.pi
    half_turn = left / (wavelength_A(optics.voltage_kV) * np.maximum((defocus.u_A + defocus.v_A) / 2, 1.0))
    return kx**2 + ky**2 < half_turn[:, None, None]
