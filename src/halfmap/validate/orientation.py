"""From which sides the particles were seen.

Owns the statistics behind the viewing-direction and Fourier-coverage plots. A viewing direction is the third row of a
pose matrix (``types.Poses``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.geometry import sampling

COVERAGE_ORDER = 3  # 768 directions, 7.3 degrees apart
COVERAGE_HALF_WIDTH = np.deg2rad(5.0)  # wider than half the spacing, so a single view reaches its whole great circle


@dataclass(frozen=True)
class DirectionHistogram:
    """Views per bin of azimuth and elevation; all bins cover the same solid angle."""

    counts: np.ndarray  # (elevation, azimuth) float64
    azimuth_edges_rad: np.ndarray  # -pi .. pi
    elevation_edges_rad: np.ndarray  # -pi/2 .. pi/2, even steps of its sine


@dataclass(frozen=True)
class Coverage:
    """How well each direction of Fourier space is sampled: 1 = as even views would, on the same particles."""

    directions: np.ndarray  # (n, 3) unit vectors
    density: np.ndarray  # (n,) float64, mean 1


def direction_histogram(
    rotations: np.ndarray, bins: tuple[int, int] = (36, 72), weights: np.ndarray | None = None
) -> DirectionHistogram:
    """Histogram of the viewing directions of poses (n, 3, 3); ``bins``: elevation, azimuth; ``weights``: (n,)."""
    x, y, z = rotations[:, 2].T
    edges = np.linspace(-1, 1, bins[0] + 1), np.linspace(-np.pi, np.pi, bins[1] + 1)
    counts, _, _ = np.histogram2d(np.clip(z, -1, 1), np.arctan2(y, x), bins=edges, weights=weights)
    return DirectionHistogram(counts, edges[1], np.arcsin(edges[0]))


def fourier_coverage(
    rotations: np.ndarray, ops: np.ndarray, weights: np.ndarray | None = None, order: int = COVERAGE_ORDER
) -> Coverage:
    """Density of slices through each direction of Fourier space, over the symmetry mates R_g of all poses.

    A view fills the great circle perpendicular to it: it counts for every direction within COVERAGE_HALF_WIDTH of that
    circle. Views are first counted on a grid four times finer, so the work does not grow with particles x directions.
    """
    fine = sampling.healpix_directions(order + 2)
    views = np.concatenate([rotations[:, 2] @ op for op in ops])
    counts = _count_nearest(views, fine, None if weights is None else np.tile(weights, len(ops)))
    seen = counts > 0
    directions = sampling.healpix_directions(order)
    near = np.abs(directions @ fine[seen].T) < np.sin(COVERAGE_HALF_WIDTH)
    # each view is shared out over the directions it reaches, so all count alike
    density = near @ (counts[seen] / near.sum(axis=0))
    return Coverage(directions, density / density.mean())


def _count_nearest(views: np.ndarray, grid: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Weight of all views at the nearest grid direction each."""
    from scipy.spatial import cKDTree

    _, nearest = cKDTree(grid).query(views)
    return np.bincount(nearest, weights=weights, minlength=len(grid)).astype(np.float64)
