"""From which sides the particles were seen.

Owns the statistics behind the plots of viewing directions and of precision and sampling by Fourier direction. A viewing
direction is the third row of a pose matrix (``types.Poses``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.geometry import sampling

PRECISION_ORDER = 3  # 768 directions, 7.3 degrees apart
FINER = 2  # orders: every direction is the mean over 16 rays, 1.8 degrees apart
SAMPLING_ORDER = 4  # 3072 directions, as cryoSPARC's orientation diagnostics
VIEWS = 2000  # at a time: 12 MB of products
LEAST_CFAR = 0.5  # cryoSPARC's orientation diagnostics
LEAST_SCF = 0.81  # the same; 8 / pi^2 is what views from all sides about one axis have
MEANINGS = {  # (cFAR is high, SCF* is high)
    (True, True): "even directions: the map is equally good all round",
    (False, False): "preferred views: directions that few particles show are worse in the map",
    (False, True): "uneven directions though the views are even: junk or misaligned particles among some views",
    (True, False): "even directions though the views are uneven: nothing to see in the map yet",
}


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


@dataclass(frozen=True)
class Sampling:
    """How often each direction of Fourier space is measured, over the mean of even views."""

    directions: np.ndarray  # (n, 3) unit vectors, one of each opposite pair, even over half the sphere
    density: np.ndarray  # (n,) float64; mean 1 up to the grid of directions

    @property
    def unsampled(self) -> float:
        """Part of all directions that no view measures."""
        return float(np.mean(self.density == 0))

    @property
    def scf(self) -> float:
        """SCF*: the sampling compensation factor of the directions measured, times their part of all; 0 to 1.

        SCF = 1 / (<S> <1 / S>), S the density and <> the mean over directions: 1 for even
        views, 8 / pi^2 = 0.81 for views from all sides about one axis. Where a direction is never measured 1 / S has
        no mean; both means are then over the directions that are, and their part of all is a factor. Views along one
        axis alone so give 1 / (2 radius).
        Source: SCF: Baldwin & Lyumkis 2020, Prog Biophys Mol Biol 150:160. The star is our own rule: theirs for empty
        directions (2021, 160:53) and cryoSPARC's could not be compared.
        """
        seen = self.density[self.density > 0]
        if len(seen) == 0:
            return 0.0
        return float(len(seen) / len(self.density) / (seen.mean() * (1 / seen).mean()))


def direction_histogram(
    rotations: np.ndarray, bins: tuple[int, int] = (36, 72), weights: np.ndarray | None = None
) -> DirectionHistogram:
    """Histogram of the viewing directions of poses (n, 3, 3); ``bins``: elevation, azimuth; ``weights``: (n,)."""
    x, y, z = rotations[:, 2].T
    edges = np.linspace(-1, 1, bins[0] + 1), np.linspace(-np.pi, np.pi, bins[1] + 1)
    counts, _, _ = np.histogram2d(np.clip(z, -1, 1), np.arctan2(y, x), bins=edges, weights=weights)
    return DirectionHistogram(counts, edges[1], np.arcsin(edges[0]))


def sampling_map(views: np.ndarray, radius: float, order: int = SAMPLING_ORDER) -> Sampling:
    """How often each direction of Fourier space is measured by the viewing directions ``views`` (n, 3).

    A view measures the slice across it, one Fourier pixel thick: at ``radius`` Fourier pixels all directions k with
    |k . view| < 1 / (2 radius). Views of symmetry mates are views of their own.
    """
    directions = sampling.healpix_directions(order)
    half = directions[_upper(directions)].astype(np.float32)  # opposite directions are measured alike
    counts = np.zeros(len(half))
    for part in np.array_split(views.astype(np.float32), max(1, len(views) // VIEWS)):
        counts += (np.abs(half @ part.T) < 0.5 / radius).sum(axis=1)
    return Sampling(half.astype(float), counts / max(len(views), 1) * 2 * radius)


def _upper(d: np.ndarray) -> np.ndarray:
    """One of each pair of opposite directions."""
    level = np.abs(d[:, 2]) < 1e-9
    return np.where(level, np.where(np.abs(d[:, 1]) < 1e-9, d[:, 0] > 0, d[:, 1] > 0), d[:, 2] > 0)


def verdict(cfar: float | None, scf: float | None) -> str:
    """What both numbers together say, in a sentence. Source: cryoSPARC's guide to its orientation diagnostics."""
    if cfar is None and scf is None:
        return "nothing to judge: neither half-maps nor poses"
    if scf is None or cfar is None:
        name, value, least = ("cFAR", cfar, LEAST_CFAR) if scf is None else ("SCF*", scf, LEAST_SCF)
        return f"{'even' if value >= least else 'uneven'} directions: {name} {value:.2f}, {least:g} wanted"
    numbers = f"cFAR {cfar:.2f}, {LEAST_CFAR:g} wanted; SCF* {scf:.2f}, {LEAST_SCF:g} wanted"
    return f"{MEANINGS[cfar >= LEAST_CFAR, scf >= LEAST_SCF]}: {numbers}"


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
