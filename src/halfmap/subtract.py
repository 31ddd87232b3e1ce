"""Images minus what a part of the map shows in them.

Owns the forward model as an image, with every term of the lens: slice, shift, odd phases, CTF, the scale of the
particle; and the scale between a map and images by regression. Does not own which half-map belongs to which particle.

    model = FT^-1 [ s C(k) e^{i phi(k)} e^{2 pi i k . t} V(A^T M k) ],  t the shift of the particle

with C squared for images that were multiplied by their CTF. Shells up to the one before Nyquist, DC included: the mean
of a masked part is not that of the particle, and an image that keeps it would have a pedestal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from halfmap.fourier import transforms
from halfmap.geometry import rotations
from halfmap.physics import aberrations, ctf
from halfmap.physics.projection import Projector
from halfmap.types import Defocus, Map, Optics, Poses


@dataclass(frozen=True)
class Shown:
    """What some particles of one optics group show: (b,) each. ``scale`` multiplies the CTF."""

    optics: Optics
    defocus: Defocus
    poses: Poses
    scale: np.ndarray


def projector(part: Map) -> Projector:
    """Projector of a map on the grey scale of a reconstruction: sums along its own box."""
    return Projector.of(part, part.box // 2, part.box)


def half_planes(projector: Projector, shown: Shown) -> np.ndarray:
    """Half planes (b, 2K+1, K+1) complex64 of the model, complete: mates on kx = 0, and DC."""
    optics = shown.optics
    length = optics.box * optics.pixel_size_A
    stretch = projector.box_length_A / length * np.array(optics.magnification)
    radius = min(projector.reach(stretch), optics.box // 2 - 1)
    planes = projector.slices(rotations.stretched(shown.poses.rotations, stretch), radius)
    edge = projector.half.shape[-1] - 1
    planes[:, radius, 0] = projector.half[edge, edge, 0].real
    # slices are divided by the area of the map's box, images by that of their own
    factor = (projector.box_length_A / length) ** 2 * _transfers(shown, radius)
    if aberrations.is_odd(optics):
        factor = factor * aberrations.modulation(optics, radius, length)
    planes = planes * factor * _moved(shown.poses.shifts_A / length, radius)
    planes[:, :radius, 0] = planes[:, :radius:-1, 0].conj()
    return planes.astype(np.complex64)


def images(projector: Projector, shown: Shown) -> np.ndarray:
    """What the microscope shows of the map: (b, N, N) float32."""
    return transforms.to_images(half_planes(projector, shown), shown.optics.box)


@dataclass(frozen=True)
class Regression:
    """Sums for the slope of images on models; additive. ``cross`` of image and model, ``power`` of two models."""

    cross: float = 0.0
    power: float = 0.0

    def __add__(self, other: Regression) -> Regression:
        return Regression(self.cross + other.cross, self.power + other.power)

    @property
    def slope(self) -> float | None:
        """Grey values of the images over those of the map; None where the images say nothing of it."""
        return self.cross / self.power if self.cross > 0 and self.power > 0 else None


def regression(raw: np.ndarray, shown: Shown, own: Projector, other: Projector) -> Regression:
    """Sums over images (b, N, N) of one half-set, DC left out.

    With ``other`` the half-map the particles had no part in, slope = <x, P other> / <P own, P other> has no bias by the
    noise of the maps: that of ``other`` is independent of the images and of ``own``. With one map for both it is the
    usual regression, a little small where the map is noisy.
    """
    mine, others = (half_planes(p, shown) for p in (own, other))
    radius = min(mine.shape[-1], others.shape[-1]) - 1
    told = [_inner(planes, radius) for planes in (transforms.half_plane(raw, radius), mine, others)]
    return Regression(*(float(np.vdot(told[2], part).real) for part in told[:2]))


def _inner(planes: np.ndarray, radius: int) -> np.ndarray:
    """The half planes (b, 2K+1, K+1) to ``radius``, each pixel once and DC zero."""
    edge = planes.shape[-1] - 1 - radius
    kept = planes[:, edge : edge + 2 * radius + 1, : radius + 1].astype(np.complex128)
    kept[:, : radius + 1, 0] = 0
    return kept


def _transfers(shown: Shown, radius: int) -> np.ndarray:
    """(b, 2K+1, K+1) float32."""
    plain = ctf.half_plane(shown.optics, shown.defocus, radius)
    transfer = plain**2 if shown.optics.premultiplied else plain
    return transfer * shown.scale.astype(np.float32)[:, None, None]


def _moved(shifts: np.ndarray, radius: int) -> np.ndarray:
    """Phases (b, 2K+1, K+1) that move content by -shift; ``shifts`` (b, 2), x y, over the length of the box."""
    ky, kx = np.arange(-radius, radius + 1), np.arange(radius + 1)
    along_x = np.exp(2j * np.pi * shifts[:, 0, None] * kx)
    along_y = np.exp(2j * np.pi * shifts[:, 1, None] * ky)
    return (along_y[:, :, None] * along_x[:, None, :]).astype(np.complex64)


def scaled(shown: Shown, factor: float) -> Shown:
    """The same with all scales multiplied."""
    return replace(shown, scale=shown.scale * factor)
