"""From sums to maps: division by the weights, inverse transform, correction for interpolation."""

from __future__ import annotations

import numpy as np

from halfmap.fourier import transforms
from halfmap.kernels import grid
from halfmap.physics.projection import MARGIN, corrected
from halfmap.reconstruct import priors
from halfmap.types import Map, Sums

FLOOR = 1e-3  # weights are not trusted below this fraction of their shell mean; RELION's value


def shells(sums: Sums) -> int:
    """Number of shells the sums reach, DC included."""
    return (sums.weight.shape[-1] - 1 - MARGIN) // sums.padding + 1


def mean_weight(sums: Sums) -> np.ndarray:
    """Mean weight per shell, (shells,) float64."""
    return grid.shell_means(sums.weight, shells(sums), sums.padding)


def unfiltered(sums: Sums, box: int, depth: float) -> Map:
    """N / W with only a floor under W, in a box of ``box`` voxels that spans the same length as that of the sums."""
    mean = mean_weight(sums)
    quotient = grid.divide(sums.numerator, sums.weight, np.zeros_like(mean), FLOOR * mean, sums.padding)
    return to_map(quotient, sums, box, depth)


def wiener(sums: Sums, fsc: np.ndarray) -> np.ndarray:
    """N / (W + 1/tau^2), a half space, with the signal spectrum that the FSC (shells,) tells; 0 beyond its end."""
    mean = mean_weight(sums)
    known = np.zeros(len(mean))
    known[: min(len(fsc), len(mean))] = fsc[: len(mean)]
    known[0] = known[1]  # DC: no shell of its own to compare
    return grid.divide(sums.numerator, sums.weight, priors.ridge(known, mean), FLOOR * mean, sums.padding)


def with_core(quotient: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    """``quotient`` with the values of the smaller half space ``centre`` wherever |k| < ``radius`` grid steps."""
    r, edge = quotient.shape[-1] - 1, centre.shape[-1] - 1
    z, y, x = np.ogrid[-edge : edge + 1, -edge : edge + 1, 0 : edge + 1]
    inside = z**2 + y**2 + x**2 < radius**2
    place = (slice(r - edge, r + edge + 1), slice(r - edge, r + edge + 1), slice(0, edge + 1))
    out = quotient.copy()
    out[place] = np.where(inside, centre, quotient[place])
    return out


def to_map(quotient: np.ndarray, sums: Sums, box: int, depth: float) -> Map:
    """The map of a half space solved from ``sums``, in a box of ``box`` voxels; ``depth`` as in ``Projector.of``."""
    volume = transforms.to_volume(quotient, box, sums.padding)
    return Map(corrected(volume, sums.padding) / np.float32(depth), sums.box * sums.voxel_size_A / box)
