"""From sums to maps: division by the weights, inverse transform, correction for interpolation."""

from __future__ import annotations

import numpy as np

from halfmap.fourier import transforms
from halfmap.kernels import grid
from halfmap.physics.projection import corrected
from halfmap.reconstruct import priors
from halfmap.types import Map, Sums

FLOOR = 1e-3  # weights are not trusted below this fraction of their shell mean; RELION's value


def shells(sums: Sums) -> int:
    """Number of shells the sums reach, DC included."""
    return (sums.weight.shape[-1] - 2) // sums.padding + 1


def mean_weight(sums: Sums) -> np.ndarray:
    """Mean weight per shell, (shells,) float64."""
    return grid.shell_means(sums.weight, shells(sums), sums.padding)


def unfiltered(sums: Sums, box: int, depth: float) -> Map:
    """N / W with only a floor under W, in a box of ``box`` voxels that spans the same length as that of the sums."""
    mean = mean_weight(sums)
    return _to_map(sums, np.zeros_like(mean), FLOOR * mean, box, depth)


def filtered(sums: Sums, fsc: np.ndarray, box: int, depth: float) -> Map:
    """N / (W + 1/tau^2) with the signal spectrum that the FSC (shells,) tells; shells beyond its end are empty."""
    mean = mean_weight(sums)
    known = np.zeros(len(mean))
    known[: min(len(fsc), len(mean))] = fsc[: len(mean)]
    known[0] = known[1]  # DC: no shell of its own to compare
    return _to_map(sums, priors.ridge(known, mean), FLOOR * mean, box, depth)


def _to_map(sums: Sums, ridge: np.ndarray, floor: np.ndarray, box: int, depth: float) -> Map:
    quotient = grid.divide(sums.numerator, sums.weight, ridge, floor, sums.padding)
    volume = transforms.to_volume(quotient, box, sums.padding)
    return Map(corrected(volume, sums.padding) / np.float32(depth), sums.box * sums.voxel_size_A / box)
