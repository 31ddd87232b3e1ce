"""Particles of one micrograph that are the same molecule, though not the same image: picked twice.

They show one noise twice. In different half-sets they make the FSC too good.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from halfmap.data import tables
from halfmap.data.particles import Particles


def pairs(particles: Particles, distance_A: float) -> np.ndarray | None:
    """(p, 2) rows of particles closer than ``distance_A`` in their micrograph; None where the table tells no places.

    Rows that share an image, as after symmetry expansion, are no pairs; the first of them stands for all.
    """
    found = tables.positions(particles)
    if found is None:
        return None
    first = np.unique(np.stack([particles.file, particles.index]), axis=1, return_index=True)[1]
    micrograph, xy_A = (values[first] for values in found)
    span = float(np.ptp(xy_A)) + 10 * distance_A  # micrographs side by side, too far apart to touch
    apart = np.column_stack([xy_A[:, 0] + span * micrograph, xy_A[:, 1]])
    return np.sort(first[cKDTree(apart).query_pairs(distance_A, output_type="ndarray")], axis=1)
