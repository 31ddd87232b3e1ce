"""What a map is multiplied by, shell by shell, before people look at it: FSC weights and the MTF of the detector.

Owns these factors; B-factor and low-pass are in ``filters``. Reads no files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from halfmap.maps.filters import Factor
from halfmap.types import Map

LEAST_FSC = 1e-4  # weights are 0 from the first shell below on: RELION 5, postprocess


def cref(fsc: np.ndarray) -> np.ndarray:
    """sqrt(2 FSC / (1 + FSC)): the correlation of the map with a perfect one, its figure of merit.

    Source: Rosenthal & Henderson 2003, J Mol Biol 333:721, equation 18; relion_postprocess.
    """
    return np.sqrt(full(fsc))


def full(fsc: np.ndarray) -> np.ndarray:
    """2 FSC / (1 + FSC): the FSC of maps of all data, the Wiener filter of the mean of both halves."""
    return 2 * fsc / (1 + fsc)


def half(fsc: np.ndarray) -> np.ndarray:
    """The FSC itself, that of half the data."""
    return fsc


WEIGHTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"cref": cref, "full": full, "half": half, "off": np.ones_like}


def weights(fsc: np.ndarray, kind: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A weight per shell from the FSC of two half-maps (shells,): ``kind`` of it, 0 from the first below LEAST_FSC.

    Shell 0 counts as 1.
    """
    values = np.concatenate([[1.0], np.clip(fsc[1:], 0, 1)])
    alive = np.cumprod(~(values < LEAST_FSC)).astype(bool)
    return kind(values) * (alive | (kind is np.ones_like))


@dataclass(frozen=True)
class Mtf:
    """Modulation transfer of a detector against frequency in 1 / pixel, 0.5 = Nyquist; both (n,) float64."""

    frequency_1_px: np.ndarray
    value: np.ndarray

    def undone(self, map: Map, pixel_size_A: float) -> Factor:
        """1 / MTF for a map of images taken with that pixel size (A, before any binning), linear in between.

        Beyond its last frequency the table goes on with its last value.
        """
        unit = pixel_size_A / (map.box * map.voxel_size_A)
        return lambda radii: 1 / np.interp(radii * unit, self.frequency_1_px, self.value)
