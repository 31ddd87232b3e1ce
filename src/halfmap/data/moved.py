"""Particles of a map that is seen in another frame.

Owns what a change of frame does to a table: poses always, defocus on request. The law for poses is in geometry.frames.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfmap.data.particles import Particles
from halfmap.errors import InputError
from halfmap.geometry.frames import Frame

SIGNS = {"none": 0.0, "positive": 1.0, "negative": -1.0}


def moved(particles: Particles, frame: Frame, adjust_defocus: str = "none") -> Particles:
    """The particles with poses that show, in the map of ``frame``, what their images show.

    ``adjust_defocus``, a key of SIGNS: positive where what lies further along the beam, q_z, has less defocus: then the
    defocus falls by (A c)_z for a centre c; "none" leaves it. Raises InputError where the table has no poses.
    """
    if particles.poses is None:
        raise InputError("the particle table has no poses, nothing can be moved along; leave out --particles")
    lens = np.array([entry.magnification for entry in particles.optics])[particles.group]
    less_A = SIGNS[adjust_defocus] * frame.across(particles.poses.rotations)[:, 2]
    defocus = replace(particles.defocus, u_A=particles.defocus.u_A - less_A, v_A=particles.defocus.v_A - less_A)
    return replace(particles, poses=frame.poses(particles.poses, lens), defocus=defocus)
