"""Masks of the standard FSC curves, made from the half-maps themselves, and the search for a tighter one.

Owns which masks there are and the words that describe them. Shapes come from ``maps.masks``; curves from ``fsc``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from halfmap.errors import InputError
from halfmap.maps import masks
from halfmap.maps.masks import Made
from halfmap.types import Curve, Map
from halfmap.validate import fsc

# Masks of the standard curves: CryoSPARC, see sphere(), loose and tight in its validation job
SPHERE_INNER = 0.85  # of half the box, cosine to half the box
MASK_THRESHOLD = 0.5  # of the maximum
LOOSE_A = (25.0, 40.0)  # 1 up to the first distance from the thresholded region, 0 from the second
TIGHT_A = (6.0, 12.0)
MASK_RESOLUTION_A = 12.0  # never threshold a finer map: its maximum is one atom's and the region falls to pieces
MASK_LEAST_MODES = 100  # the FSC of noise then has a standard deviation of 1 / sqrt(100) = 0.1, below fsc.THRESHOLD
MASK_LOWEST_SHELL = 4  # never a coarser one than box / 4: no shape is left
LOOSER = 2.0  # a resolution-scaled loose mask reaches this many times further than the tight one
# Contour of the low-passed map that tells the volume of a particle without a molecular weight: at 12 A it holds 608
# nm^3 of beta-galactosidase simulated from its model and 654 nm^3 of the experimental map; 465 kDa / 0.81 = 574 nm^3
VOLUME_CONTOUR = 0.3

# A tightened mask must leave noise uncorrelated. Where the masked halves with random phases still correlate, mask and
# map have structure of one size; predicted and true FSC parted by a shell for masks beyond these limits (simulated
# beta-galactosidase, 3.6 A) and agreed within 0.3 shells for all masks within them.
NOISE_AT_FIRST = 0.15  # randomised FSC at the first corrected shell
NOISE_LATER = 0.05  # and NOISE_SETTLES shells after that one, up to Nyquist
NOISE_SETTLES = 3
WIDEST = 5.0  # resolutions: the farthest edge that a search tries
LEAST_GAIN = 0.5  # shells: what a tighter mask must bring. The best of several estimates is better by chance


class Spread(Protocol):
    """How far the masks reach: (near, far) in A of the loose and of the tight one at a resolution in A."""

    def loose(self, resolution_A: float) -> tuple[float, float]: ...

    def tight(self, resolution_A: float) -> tuple[float, float]: ...


@dataclass(frozen=True)
class Fixed:
    """The classic distances, the same at any resolution."""

    loose_A: tuple[float, float] = LOOSE_A
    tight_A: tuple[float, float] = TIGHT_A

    def loose(self, resolution_A: float) -> tuple[float, float]:
        return self.loose_A

    def tight(self, resolution_A: float) -> tuple[float, float]:
        return self.tight_A


@dataclass(frozen=True)
class Scaled:
    """Distances in units of the resolution: wide and soft for a coarse map. Source: CryoSPARC 5, 2 d and 5 d."""

    near_factor: float = 2.0
    far_factor: float = 5.0

    def loose(self, resolution_A: float) -> tuple[float, float]:
        return LOOSER * self.near_factor * resolution_A, LOOSER * self.far_factor * resolution_A

    def tight(self, resolution_A: float) -> tuple[float, float]:
        return self.near_factor * resolution_A, self.far_factor * resolution_A


@dataclass(frozen=True)
class Shape:
    """The region all masks of a pair surround, as squared distances to it in voxels, and how it was found."""

    square: np.ndarray
    voxel_size_A: float
    reach_A: float
    words: str

    def mask(self, near_A: float, far_A: float) -> Made:
        """1 up to ``near_A`` from the region, 0 from ``far_A``; both end where the squares do."""
        near_A, far_A = min(near_A, self.reach_A), min(far_A, self.reach_A)
        data = masks.faded(self.square, near_A / self.voxel_size_A, far_A / self.voxel_size_A)
        return Made(data, f"{self.words}, 1 to {near_A:.3g} A, 0 from {far_A:.3g} A")


@dataclass(frozen=True)
class Standard:
    """The masks of a pair. ``shape`` is None where the halves show none: loose and tight are then the sphere."""

    sphere: Made
    loose: Made
    tight: Made
    shape: Shape | None
    volume_A3: float | None  # of what exceeds VOLUME_CONTOUR


def standard(pair: fsc.Pair, spread: Spread) -> Standard:
    """The spherical, the loose and the tight mask, of the mean of both halves: never of one half alone.

    The mean is low-passed where the unmasked FSC falls below 0.5, but not finer than MASK_RESOLUTION_A and not coarser
    than MASK_LOWEST_SHELL, and thresholded at MASK_THRESHOLD of its maximum. Halves that share nothing (unmasked
    crossing of THRESHOLD below MASK_LOWEST_SHELL) have no shape, and a mask around the peaks of their mean would itself
    correlate them (noise then claims shell 5 to 9): both masks are the spherical one. So they are where the tight mask
    leaves fewer than MASK_LEAST_MODES independent values in the shell of the unmasked crossing: chance alone would lift
    a curve over THRESHOLD there; and where no particle stands out of the map.
    """
    box, voxel = pair.half1.box, pair.half1.voxel_size_A
    ball = spherical(box, voxel)
    shell = fsc.crossing(pair.unmasked)
    if shell < MASK_LOWEST_SHELL:
        return _without_shape(ball, "the halves share too little for a shape")
    resolution = pair.unmasked.resolution_A(shell)
    reach = max(spread.loose(resolution)[1], spread.tight(resolution)[1], WIDEST * resolution)
    try:
        shape, volume = _shape(pair, min(reach, box * voxel))
    except InputError:
        return _without_shape(ball, "no particle stands out of the map")
    tight = shape.mask(*spread.tight(resolution))
    if modes(tight.data, shell, pair.order) < MASK_LEAST_MODES:
        return _without_shape(ball, "a tighter mask would leave too few Fourier values to judge")
    return Standard(ball, shape.mask(*spread.loose(resolution)), tight, shape, volume)


def spherical(box: int, voxel_size_A: float) -> Made:
    """Soft sphere: 1 up to SPHERE_INNER of half the box, 0 from half the box."""
    inner, outer = SPHERE_INNER * box / 2, box / 2
    words = f"1 to {inner * voxel_size_A:.3g} A from the centre, 0 from {outer * voxel_size_A:.3g} A"
    return Made(masks.sphere(box, inner, outer - inner), words)


def modes(mask: np.ndarray, shell: float, order: int = 1) -> float:
    """Independent Fourier values that a soft mask leaves in a shell of the whole box, ``order``: as of ``fsc.Pair``.

    One over its root is more than the error of an FSC: each value is complex and counts once. White noise, symmetrised
    (C2, D2, O) or not, has 0.3 to 0.5 of that variance, through soft masks and without.
    """
    kept = float(mask.sum(dtype=float) ** 2 / np.maximum(np.square(mask, dtype=float).sum(), 1e-30) / mask.size)
    return 2 * np.pi * shell**2 * kept / order


def particle_volume_A3(molecular_weight_Da: float) -> float:
    """Cubic Angstrom that a protein of this weight fills."""
    return molecular_weight_Da / fsc.PROTEIN_DENSITY


@dataclass(frozen=True)
class AsMade:
    """The tight mask as it is."""

    def of(self, pair: fsc.Pair, made: Standard, curves: dict[str, Curve]) -> tuple[Made, dict[str, Curve]] | None:
        return None


@dataclass(frozen=True)
class Tightened:
    """A search for the distances that show most, among masks that add no correlation of their own.

    ``steps``: (near, far) in units of the resolution, widest first. Taken is the step with the largest area under the
    corrected curve among those that leave noise uncorrelated (``keeps_noise_apart``), if it beats the mask as made by
    LEAST_GAIN shells, or if that mask itself correlates noise. Of equals, within LEAST_GAIN, the widest. The region
    stays the same, so nothing finer than MASK_RESOLUTION_A of the map, hence none of its noise, shapes the mask.
    """

    steps: tuple[tuple[float, float], ...] = ((2.0, WIDEST), (1.5, 4.0), (1.0, 3.0), (1.0, 2.5))

    def of(self, pair: fsc.Pair, made: Standard, curves: dict[str, Curve]) -> tuple[Made, dict[str, Curve]] | None:
        """The tightened mask and its curves (keys of ``fsc.corrected``); None where the mask as made is best."""
        if made.shape is None or pair.start is None:
            return None
        resolution = fsc.resolution_A(curves["corrected"])
        best, most = None, -np.inf
        if keeps_noise_apart(curves["randomised"], pair.start):
            most = area(curves["corrected"])
        for near, far in self.steps:
            mask = made.shape.mask(near * resolution, far * resolution)
            if modes(mask.data, fsc.crossing(pair.unmasked), pair.order) < MASK_LEAST_MODES:
                continue
            tried = fsc.corrected(pair, mask.data)
            found = area(tried["corrected"])
            if found >= most + LEAST_GAIN and keeps_noise_apart(tried["randomised"], pair.start):
                best, most = (mask, tried), found
        return best


def area(curve: Curve) -> float:
    """Sum of the FSC up to its crossing: shells of full agreement that it is worth. Steadier than the crossing alone,
    and still a measure where that is Nyquist."""
    shell = fsc.crossing(curve)
    weights = np.clip(shell + 1 - np.arange(len(curve.values)), 0, 1)  # the last shell by the part that is inside
    return float((weights * np.clip(curve.values, 0, 1))[1:].sum())


def keeps_noise_apart(randomised: Curve, start: int) -> bool:
    """Whether a mask leaves halves with random phases from shell ``start`` on uncorrelated."""
    beyond = randomised.values[start + fsc.RANDOMISED_SKIP :]
    return bool(np.all(beyond[:1] < NOISE_AT_FIRST) and np.all(beyond[NOISE_SETTLES:] < NOISE_LATER))


def _shape(pair: fsc.Pair, reach_A: float) -> tuple[Shape, float]:
    voxel = pair.half1.voxel_size_A
    mean = Map((pair.half1.data + pair.half2.data) / 2, voxel)
    resolution = max(fsc.resolution_A(pair.unmasked, 0.5), MASK_RESOLUTION_A)
    resolution = min(resolution, pair.unmasked.resolution_A(MASK_LOWEST_SHELL))
    region = masks.region(mean, resolution, MASK_THRESHOLD)
    volume = float(masks.region(mean, resolution, VOLUME_CONTOUR).sum()) * voxel**3
    words = f"{MASK_THRESHOLD:.2f} max at {resolution:.3g} A"
    return Shape(masks.squared_distances(region, reach_A / voxel), voxel, reach_A, words), volume


def _without_shape(ball: Made, why: str) -> Standard:
    same = Made(ball.data, f"the spherical mask, for {why}")
    return Standard(ball, same, same, None, None)
