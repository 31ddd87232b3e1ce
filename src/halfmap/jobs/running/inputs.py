"""Reads the input files of a job and reports the faults of all of them at once; checks that they fit each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from halfmap.data import cryosparc
from halfmap.data.particles import Particles
from halfmap.errors import InputError
from halfmap.jobs.running.events import Passing, Watch
from halfmap.maps import mask_faults
from halfmap.params.common import ParticleJob
from halfmap.physics import aberrations, lengths
from halfmap.refine import setup
from halfmap.types import Map, Optics

SPECK, LARGE = 0.1, 1.25  # of the box: particles fill a third to two thirds of theirs; noise reaches into corners
SAME_LENGTH = 0.01  # of the box: pixel sizes in headers are often rounded to two decimals


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


def with_lens(particles: Particles) -> Particles:
    """The particles, trefoil and tetrafoil of a cryoSPARC table as phases of their optics groups.

    Groups that have phases already, from the columns of a STAR file, keep these.
    """
    groups = zip(particles.optics, cryosparc.lens_lengths(particles), strict=True)
    return replace(particles, optics=tuple(_with_phases(entry, *told) for entry, told in groups))


def _with_phases(optics: Optics, tilt_A: np.ndarray, trefoil_A: np.ndarray, tetra_A: np.ndarray) -> Optics:
    if optics.odd_zernike or optics.even_zernike or not (np.any(trefoil_A) or np.any(tetra_A)):
        return optics
    of_lens = optics.voltage_kV, optics.spherical_aberration_A
    return replace(optics, **vars(lengths.to_phases(tilt_A, trefoil_A, tetra_A, *of_lens)))


def check_mask(path: object, mask: Map, particles: Particles) -> None:
    """Raise InputError unless the mask covers the particles' box and lies between 0 and 1.

    Any number of voxels will do; a mask in a box of another size would sit in another place.
    """
    wide_A = sorted({optics.box * optics.pixel_size_A for optics in particles.optics})
    length = mask.box * mask.voxel_size_A
    faults = []
    if not any(abs(length - wanted) <= SAME_LENGTH * wanted for wanted in wide_A):
        asked = ", ".join(f"{wanted:.1f}" for wanted in wide_A)
        faults.append(f"{path}: the mask's box is {length:.1f} A wide, that of the particles {asked} A; crop or pad it")
    faults += values_of_no_mask(path, mask)
    if faults:
        raise InputError(faults)


def warn_of_size(path: object, reference: Map, particles: Particles, watch: Watch | Passing) -> None:
    """Warn of a starting map whose density is wider than the images, or a speck in them."""
    length = max(optics.box * optics.pixel_size_A for optics in particles.optics)
    wide = setup.estimated_diameter_A(reference) - setup.DIAMETER_MARGIN_A
    if not SPECK * length <= wide <= LARGE * length:
        watch("warning", message=f"{path}: its density is {wide:.0f} A wide, the images {length:.0f} A: is its voxel "
              f"size of {reference.voxel_size_A:g} A right? Correct it with halfmap import volume")


def values_of_no_mask(path: object, mask: Map) -> list[str]:
    """The fault, if any, of values that are not those of a mask."""
    low, high = float(np.min(mask.data)), float(np.max(mask.data))
    if low >= -mask_faults.OVERSHOOT and 0 < high <= 1 + mask_faults.OVERSHOOT:
        return []
    return [f"{path}: values from {low:.3g} to {high:.3g}, a mask has 0 to 1; make a mask of it first: halfmap volume "
            "mask --threshold"]


def warn_of_mask(path: object, mask: Map, watch: Watch | Passing, rules: Sequence[mask_faults.Rule] = mask_faults.RULES
                 ) -> None:
    """Warn of all that makes a static mask unfit; its edge by the Nyquist limit: the resolution is not known yet."""
    for sentence in mask_faults.faults(mask, rules=rules):
        watch("warning", message=f"{path}: {sentence}")
