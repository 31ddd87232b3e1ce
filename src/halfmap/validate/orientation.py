"""From which sides the particles were seen.

Owns the statistics behind the plots of viewing directions and of precision by Fourier direction. A viewing direction is
the third row of a pose matrix (``types.Poses``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.geometry import sampling

PRECISION_ORDER = 3  # 768 directions, 7.3 degrees apart
FINER = 2  # orders: every direction is the mean over 16 rays, 1.8 degrees apart


@dataclass(frozen=True)
class DirectionHistogram:
    """Views per bin of azimuth and elevation; all bins cover the same solid angle."""

    counts: np.ndarray  # (elevation, azimuth) float64
    azimuth_edges_rad: np.ndarray  # -pi .. pi
    elevation_edges_rad: np.ndarray  # -pi/2 .. pi/2, even steps of its sine


@dataclass(frozen=True)
class Precision:
    """How well each direction of Fourier space is measured, relative to the mean of all: the inverse variance."""

    directions: np.ndarray  # (n, 3) unit vectors, HEALPix in NEST order
    density: np.ndarray  # (n,) float64, mean 1

    @property
    def ratio(self) -> float:
        """Largest over smallest density; infinite where a direction was never measured."""
        least = float(self.density.min())
        return float(self.density.max()) / least if least > 0 else float("inf")


def direction_histogram(
    rotations: np.ndarray, bins: tuple[int, int] = (36, 72), weights: np.ndarray | None = None
) -> DirectionHistogram:
    """Histogram of the viewing directions of poses (n, 3, 3); ``bins``: elevation, azimuth; ``weights``: (n,)."""
    x, y, z = rotations[:, 2].T
    edges = np.linspace(-1, 1, bins[0] + 1), np.linspace(-np.pi, np.pi, bins[1] + 1)
    counts, _, _ = np.histogram2d(np.clip(z, -1, 1), np.arctan2(y, x), bins=edges, weights=weights)
    return DirectionHistogram(counts, edges[1], np.arcsin(edges[0]))


def precision(weight: np.ndarray, padding: int, first: int, last: int, order: int = PRECISION_ORDER) -> Precision:
    """Precision of the map by Fourier direction, between the shells ``first`` and ``last``, from back-projection sums.

    ``weight``: half space (2R+1, 2R+1, R+1) of sum CTF^2 / noise variance (``types.Sums``), ``padding`` times as fine
    as the shells. Each particle has laid its own on the great circle perpendicular to its view, and the symmetry mates
    are in. Every shell counts alike: its weight is divided by its mean over all directions first.
    """
    fine = sampling.healpix_directions(order + FINER)
    fine = fine * np.where(fine[:, :1] < 0, -1, 1)  # kx >= 0: Friedel mates weigh the same
    radius = weight.shape[-1] - 1
    total, count = np.zeros(len(fine)), 0
    for step in range(max(1, first * padding), min(last * padding, radius) + 1):
        x, y, z = np.rint(step * fine).astype(int).T
        ray = weight[z + radius, y + radius, x].astype(np.float64)
        if ray.any():
            total, count = total + ray / ray.mean(), count + 1
    # NEST order: the children of a direction follow each other
    density = (total / max(count, 1)).reshape(-1, 4**FINER).mean(axis=1)
    return Precision(sampling.healpix_directions(order), density)
