"""Grids of viewing directions.

Owns the HEALPix grid (Gorski et al. 2005, ApJ 622:759), its reduction to one asymmetric unit, and the step of a grid.
A viewing direction is the third row of a pose matrix: where the beam comes from, in the frame of the molecule.
"""

from __future__ import annotations

import numpy as np

from halfmap.geometry import rotations, symmetry

# The twelve base pixels: row (in units of nside, from the north pole) and column (in units of pi/4) of the southern
# corner of each.
_FACE_ROW = np.array([2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4])
_FACE_COLUMN = np.array([1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7])


def healpix_directions(order: int) -> np.ndarray:
    """Centres of the 12 x 4^order HEALPix pixels, NEST order: (n, 3) float64 unit vectors (x, y, z).

    ``order`` >= 0. The pixels 4 p .. 4 p + 3 are the children of pixel p one order below. Neighbours are about
    ``step_rad(order)`` apart. Source: Gorski et al. 2005, equations 2-9.
    """
    nside = 2**order
    x, y = _deinterleave(np.arange(nside * nside), order)
    ring = (_FACE_ROW[:, None] * nside - x - y - 1).ravel()  # 1 at the north pole .. 4 nside - 1 at the south pole
    # pixels in a quarter of the ring: all rings of the equatorial belt have nside
    quarter = np.minimum(np.minimum(ring, 4 * nside - ring), nside)
    from_pole = quarter**2 / (3.0 * nside**2)
    belt = (2 * nside - ring) / (1.5 * nside)
    z = np.where(ring < nside, 1 - from_pole, np.where(ring > 3 * nside, from_pole - 1, belt))
    # sin = sqrt(1 - z^2) without cancellation near the poles
    sine = np.where(quarter < nside, np.sqrt(from_pole * (2 - from_pole)), np.sqrt((1 - z) * (1 + z)))
    column = (_FACE_COLUMN[:, None] * quarter.reshape(12, -1) + (x - y)).ravel()
    azimuth = column * (np.pi / 4) / quarter
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), z], axis=-1)


def step_rad(order: int) -> float:
    """Nominal distance between neighbouring directions, 60 degrees / 2^order: what RELION calls the sampling."""
    return np.pi / 3 / 2**order


def directions_to_rotations(directions: np.ndarray, psi=0.0) -> np.ndarray:
    """Pose matrices (n, 3, 3) whose third row is the direction (n, 3), with in-plane angle psi in degrees.

    Equal to ``rotations.euler_to_matrix(rot, tilt, psi)`` with rot and tilt of the direction; rot = 0 at the poles.
    """
    unit = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    sine = np.hypot(unit[..., 0], unit[..., 1])
    rot = np.where(sine > 0, np.arctan2(unit[..., 1], unit[..., 0]), 0.0)
    tilt = np.arctan2(sine, unit[..., 2])
    return rotations.euler_to_matrix(np.rad2deg(rot), np.rad2deg(tilt), psi)


def asymmetric_unit(directions: np.ndarray, ops: np.ndarray) -> np.ndarray:
    """Which of the directions (n, 3) to search for a particle with symmetry ``ops`` (g, 3, 3): (n,) bool.

    The Dirichlet cell of a generic direction: d is kept if none of its mates R_g^T d is nearer to it. One mate of every
    direction is kept; two only where they are the same direction (on a symmetry axis).
    """
    keep = np.ones(len(directions), dtype=bool)
    for op in ops[1:]:
        lead = directions @ (symmetry.CELL_CENTRE - op @ symmetry.CELL_CENTRE)
        second = directions @ (symmetry.TIE_BREAKER - op @ symmetry.TIE_BREAKER)
        # 1e-12: rounding of unit vectors and operators is 1e-15; a tie on both counts is the same direction
        keep &= (lead > 1e-12) | ((lead > -1e-12) & (second > -1e-12))
    return keep


def _deinterleave(index: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Even and odd bits of ``index``: x and y within a base pixel."""
    x = np.zeros_like(index)
    y = np.zeros_like(index)
    for bit in range(order):
        x |= (index >> bit) & (1 << bit)
        y |= (index >> (bit + 1)) & (1 << bit)
    return x, y


def spiral(n: int) -> np.ndarray:
    """n directions, evenly spaced whatever their number: (n, 3) float64 unit vectors.

    Equal steps in z, golden angles in azimuth. Source: Swinbank & Purser 2006, Q J R Meteorol Soc 132:1769.
    """
    z = 1 - (2 * np.arange(n) + 1) / n
    azimuth = np.pi * (3 - np.sqrt(5)) * np.arange(n)
    sine = np.sqrt((1 - z) * (1 + z))
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), z], axis=-1)
