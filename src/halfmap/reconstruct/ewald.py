"""What an image shows of the object's transform: a plane, or the two sheets of the Ewald sphere. Parts of a recipe.

The correction is "simple insertion": a pixel is laid in at both places it shows, each with its half of the CTF, so that
the other place adds only what changes phase by 2 chi from image to image and averages out. Where both places are one,
at low resolution, it would not; there the weights count both (`kernels.insert`), and the result is that of planes.
Poses are found on planes. Source: Wolf, DeRosier & Grigorieff, Ultramicroscopy 106 (2006) 376.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from halfmap.errors import InputError
from halfmap.physics import ctf, ewald, projection
from halfmap.physics.projection import PADDING
from halfmap.reconstruct.sums import Accumulator
from halfmap.types import Defocus, Images, Optics


@dataclass(frozen=True)
class Flat:
    """An image is a slice, times its CTF."""

    def check(self, optics: Iterable[Optics]) -> None:
        """Whatever the images, they can be laid in."""

    def transfers(self, optics: Optics, defocus: Defocus, radius: int, box: int, pixel_size_A: float):
        """What a slice is multiplied by, (n, 2K+1, K+1) float32 each: the CTF; its square for premultiplied images."""
        plain = ctf.half_plane(optics, defocus, radius, box, pixel_size_A)
        return (plain**2 if optics.premultiplied else plain,)

    def accumulator(self, radius: int, box: int, voxel_size_A: float, diameter_A: float) -> Accumulator:
        """Sums to add images to."""
        return Accumulator(radius, box, voxel_size_A)


@dataclass(frozen=True)
class Curved(Flat):
    """An image shows two sheets. ``sign`` +1: an atom at height z along the beam (q_z) has defocus u - z; -1: u + z."""

    sign: int

    def check(self, optics: Iterable[Optics]) -> None:
        """Raises InputError for optics groups whose images were multiplied by their CTF."""
        faults = [
            f"optics group {group.name}: its images are multiplied by their CTF already, which mixes the halves that "
            "the Ewald-sphere correction takes apart; give images as recorded, or --ewald-sphere off"
            for group in optics if group.premultiplied
        ]  # fmt: skip
        if faults:
            raise InputError(faults)

    def transfers(self, optics: Optics, defocus: Defocus, radius: int, box: int, pixel_size_A: float):
        """The CTF, and the same with the cosine in place of the sine."""
        ahead = replace(defocus, phase_shift_rad=np.asarray(defocus.phase_shift_rad, float) + np.pi / 2)
        return tuple(ctf.half_plane(optics, d, radius, box, pixel_size_A) for d in (defocus, ahead))

    def accumulator(self, radius: int, box: int, voxel_size_A: float, diameter_A: float) -> CurvedAccumulator:
        """Sums to add images to; ``diameter_A`` of the particle tells where the sheets come apart."""
        return CurvedAccumulator(self.sign, diameter_A, radius, box, voxel_size_A)


class CurvedAccumulator(Accumulator):
    """Sums of images on the Ewald sphere."""

    def __init__(self, sign: int, diameter_A: float, radius: int, box: int, voxel_size_A: float,
                 padding: int = PADDING):  # fmt: skip
        super().__init__(radius, box, voxel_size_A, padding)
        self._sign, self._diameter_A = sign, diameter_A

    def _lay_in(self, images: Images, rows: np.ndarray, matrices: np.ndarray, phases: np.ndarray,
                shares: np.ndarray | None) -> None:
        s = self._sums
        length_A = s.box * s.voxel_size_A
        bent = self._sign * ewald.curvature(images.voltage_kV, length_A)
        radius = self._reach(images, projection.reach(s.weight.shape[-1] - 1, s.padding, images.stretch, bent))
        ky, kx = np.mgrid[-images.radius : images.radius + 1, 0 : images.radius + 1]
        q = np.einsum("ij,jyx->iyx", images.stretch, np.stack([kx, ky])) / length_A
        alike = ewald.coherence((q**2).sum(0), images.voltage_kV, self._diameter_A).astype(np.float32)
        self._points.insert_curved(images.unmasked, images.ctf, images.quadrature, alike, rows, matrices, phases, bent,
                                   radius, s.padding, shares)


SPHERES = {"off": Flat(), "positive": Curved(1), "negative": Curved(-1)}
