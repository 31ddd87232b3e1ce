"""Numbers of a ``.cs`` table that once were text of a STAR file: the text, where it still says the same.

Numbers in a ``.cs`` have 32 bits. As long as both agree within these, the text that is carried along is what counts, so
that going there and back loses no digit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfmap.data import carried, relion
from halfmap.data.cryosparc_fields import (
    SAME,
    SAME_RAD,
)
from halfmap.data.particles import Particles
from halfmap.geometry import rotations
from halfmap.types import Defocus, Optics, Poses


def with_digits_of_text(found: Particles, source: str) -> Particles:
    """``found``, its numbers replaced by those of the carried STAR columns where both agree within 32 bits."""
    columns = {tag: values for tag, values in found.columns.items() if not carried.is_field(tag)}
    if not relion.is_complete(columns, found.optics_columns):
        return found
    told = relion.interpreted(columns, found.optics_columns, source)
    return replace(
        found,
        optics=_optics_of_text(found, told),
        defocus=_defocus_of_text(found, told.defocus),
        poses=_poses_of_text(found.poses, told.poses),
    )


def _optics_of_text(found: Particles, told: Particles) -> tuple[Optics, ...]:
    if len(found.optics) != len(told.optics) or not np.array_equal(found.group, told.group):
        return found.optics
    return tuple(map(_optics_group_of_text, found.optics, told.optics))


def _optics_group_of_text(ours: Optics, told: Optics) -> Optics:
    names = ("voltage_kV", "spherical_aberration_A", "amplitude_contrast", "pixel_size_A", "beam_tilt_rad")
    names += ("magnification",)
    pairs = {name: (getattr(ours, name), getattr(told, name)) for name in names}
    same = {name: theirs for name, (mine, theirs) in pairs.items() if np.allclose(mine, theirs, rtol=SAME, atol=1e-9)}
    # Names, premultiplied images and higher aberrations have no field in a .cs: only the text tells them.
    only = {"name": told.name, "premultiplied": told.premultiplied}
    only |= {"odd_zernike": told.odd_zernike} if told.odd_zernike else {}
    only |= {"even_zernike": told.even_zernike} if told.even_zernike else {}
    return replace(ours, **same, **only)


def _defocus_of_text(found: Particles, told: Defocus) -> Defocus:
    """In a STAR file the scale of a particle is part of its CTF scale."""
    ours, scale = found.defocus, np.where(found.scale == 0, 1.0, found.scale)
    theirs = replace(told, scale=told.scale / scale)
    return Defocus(*(kept(getattr(theirs, name), getattr(ours, name)) for name in Defocus.__dataclass_fields__))


def _poses_of_text(ours: Poses | None, told: Poses | None) -> Poses | None:
    if ours is None or told is None:
        return ours
    same = rotations.angle_between(ours.rotations, told.rotations) < SAME_RAD
    turned = np.where(same[:, None, None], told.rotations, ours.rotations)
    return Poses(turned, kept(told.shifts_A, ours.shifts_A))


def kept(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """``old`` where it says the same as ``new`` within 32 bits, else ``new`` in the type of ``old``."""
    same = np.isclose(old.astype(np.float64), new, rtol=SAME, atol=1e-9)
    return np.where(same, old, np.asarray(new).astype(old.dtype))
