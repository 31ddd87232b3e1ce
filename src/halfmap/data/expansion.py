"""Symmetry expansion: every particle once for each mate of a point group. Metadata only, the images stay one.

Owns how copies are told apart from their parent: a column of our own, PARENT, which a ``.cs`` file has as cryoSPARC's
``sym_expand/src_uid``. The parent is named by its uid, that of the table or, for tables without, the one that a ``.cs``
of it would have.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfmap.data import cryosparc_uids
from halfmap.data.cryosparc_fields import MATE, PARENT
from halfmap.data.particles import Particles
from halfmap.types import Poses


def expanded(particles: Particles, operators: np.ndarray) -> Particles:
    """Each particle, which must have a pose, at all its equivalent poses A R_g (g, 3, 3); the copies of one together.

    Half-sets, shifts, images and all columns are kept. A particle that is a copy already keeps its first parent.
    """
    order, n = len(operators), len(particles)
    rows, mates = np.repeat(np.arange(n), order), np.tile(np.arange(order), n)
    ancestors = parents(particles)
    uid = cryosparc_uids.uids(particles)
    copies = particles[rows]
    poses = Poses(copies.poses.rotations @ operators[mates], copies.poses.shifts_A)
    columns = cryosparc_uids.with_uids(copies.columns, cryosparc_uids.uids_of_copies(uid[rows], mates))
    columns |= {PARENT: (uid if ancestors is None else ancestors)[rows], MATE: mates}
    return replace(copies, poses=poses, columns=columns)


def parents(particles: Particles) -> np.ndarray | None:
    """(n,) uint64 uid of the particle each row is a copy of; None for a table that was not expanded."""
    return cryosparc_uids.parents(particles)


def copies(particles: Particles) -> int:
    """Rows beyond the first of each parent: 0 for a table that was not expanded."""
    found = parents(particles)
    return 0 if found is None else len(found) - len(np.unique(found))
