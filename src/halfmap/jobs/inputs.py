"""Reads the input files of a job and reports the faults of all of them at once; checks that they fit each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from halfmap.data.particles import Particles
from halfmap.errors import InputError
from halfmap.params.common import ParticleJob
from halfmap.physics import aberrations
from halfmap.types import Map

SAME_LENGTH = 0.01  # of the box: pixel sizes in headers are often rounded to two decimals
OVERSHOOT = 0.01  # masks that were resampled go a little beyond 0 and 1


def read_all(*readers: Callable[[], Any]) -> list:
    """The result of every reader. Raises one InputError with the faults of all readers that failed."""
    results, faults = [], []
    for reader in readers:
        try:
            results.append(reader())
        except InputError as fault:
            faults.extend(fault.faults)
    if faults:
        raise InputError(faults)
    return results


def without_ignored(particles: Particles, params: ParticleJob) -> Particles:
    """The particles, their optics groups without the terms that the settings say to ignore."""
    terms = (
        (params.ignore_tilt, aberrations.without_tilt),
        (params.ignore_trefoil, aberrations.without_trefoil),
        (params.ignore_tetrafoil, aberrations.without_tetrafoil),
        (params.ignore_anisotropic_magnification, aberrations.without_distortion),
    )
    optics = particles.optics
    for ignored, without in terms:
        optics = tuple(map(without, optics)) if ignored else optics
    return replace(particles, optics=optics)


def check_mask(path: object, mask: Map, particles: Particles) -> None:
    """Raise InputError unless the mask covers the particles' box and lies between 0 and 1.

    Any number of voxels will do; a mask in a box of another size would sit in another place.
    """
    lengths = sorted({optics.box * optics.pixel_size_A for optics in particles.optics})
    length = mask.box * mask.voxel_size_A
    faults = []
    if not any(abs(length - wanted) <= SAME_LENGTH * wanted for wanted in lengths):
        asked = ", ".join(f"{wanted:.1f}" for wanted in lengths)
        faults.append(f"{path}: the mask's box is {length:.1f} A wide, that of the particles {asked} A; crop or pad it")
    low, high = float(np.min(mask.data)), float(np.max(mask.data))
    if low < -OVERSHOOT or high > 1 + OVERSHOOT or high <= 0:
        faults.append(f"{path}: values from {low:.3g} to {high:.3g}, a mask has 0 to 1; make a mask of this map first")
    if faults:
        raise InputError(faults)
