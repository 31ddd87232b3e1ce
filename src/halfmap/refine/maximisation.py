"""The M-step: sums of both halves to half-maps, their FSC, and the references of the next iteration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.errors import InputError
from halfmap.maps import filters, masks, resample
from halfmap.reconstruct import priors, solve, sums
from halfmap.refine.batches import Frame
from halfmap.types import Curve, Map, Sums
from halfmap.validate import fsc


@dataclass(frozen=True)
class SphereMask:
    """No density mask: a soft sphere of the particle's diameter."""

    def of(self, mean: Map, resolution_A: float, frame: Frame) -> Map:
        edge = 5.0 * frame.voxel_size_A / mean.voxel_size_A
        radius = min(frame.diameter_A / 2 / mean.voxel_size_A, mean.box / 2 - edge)
        return Map(masks.sphere(mean.box, radius, edge), mean.voxel_size_A)


@dataclass(frozen=True)
class DynamicMask:
    """A soft mask around the density of the current map, once it has ``start_A``; a sphere before that."""

    near_A: float
    far_A: float
    start_A: float
    threshold: float

    def of(self, mean: Map, resolution_A: float, frame: Frame) -> Map:
        if resolution_A > self.start_A:
            return SphereMask().of(mean, resolution_A, frame)
        try:
            return masks.dynamic(mean, resolution_A, self.threshold, self.near_A, self.far_A)
        except InputError:  # no density stands out: said in the history through mask_fraction, as for any mask
            return SphereMask().of(mean, resolution_A, frame)


@dataclass(frozen=True)
class StaticMask:
    """The user's mask, in the sampling at hand."""

    mask: Map

    def of(self, mean: Map, resolution_A: float, frame: Frame) -> Map:
        resampled = resample.to_grid(self.mask, mean.box, mean.voxel_size_A)
        return Map(np.clip(resampled.data, 0, 1), mean.voxel_size_A)


@dataclass(frozen=True)
class NoMask:
    """Whole box."""

    def of(self, mean: Map, resolution_A: float, frame: Frame) -> Map:
        return Map(np.ones_like(mean.data), mean.voxel_size_A)


@dataclass(frozen=True)
class FscPrior:
    """Wiener filter with the signal-to-noise ratio that the FSC of the halves tells; they share data below ``split``."""

    split_A: float

    def filtered(self, halves: tuple[Sums, Sums], curve: np.ndarray, box: int, frame: Frame) -> tuple[Map, Map]:
        """References of both halves: where they share data their FSC is that of the sum of both."""
        split = frame.length_A / self.split_A
        shared = np.where(np.arange(len(curve)) < split, priors.combined(curve), curve)
        joined = sums.joined_below(*halves, split)
        return tuple(solve.filtered(part, shared, box, frame.box) for part in joined)


@dataclass(frozen=True)
class Maximised:
    """Half-maps, their curves, and the references they make."""

    halves: tuple[Map, Map]  # unfiltered
    references: tuple[Map, Map]  # filtered and masked
    mask: Map
    curves: dict[str, Curve]
    trusted: np.ndarray  # FSC per shell that filtered the references
    shell: float


def maximise(halves: tuple[Sums, Sums], mask_part, prior: FscPrior, last_A: float, box: int, frame: Frame,
             rng: np.random.Generator) -> Maximised:
    """Solve both halves in a box of ``box`` voxels; ``last_A``: resolution so far, which decides on the mask."""
    plain = tuple(solve.unfiltered(s, box, frame.box) for s in halves)
    mean = Map((plain[0].data + plain[1].data) / 2, plain[0].voxel_size_A)
    first = fsc.masked_and_corrected(*plain, SphereMask().of(mean, last_A, frame).data, rng)
    resolution = min(last_A, fsc.resolution_A(first["corrected"]))
    smooth = filters.lowpass(mean, max(resolution, 2 * mean.voxel_size_A))
    mask = mask_part.of(smooth, resolution, frame)
    curves = fsc.masked_and_corrected(*plain, mask.data, rng)
    trusted, shell = trusted_curve(curves["corrected"])
    references = prior.filtered(halves, trusted, box, frame)
    masked = tuple(Map(r.data * mask.data, r.voxel_size_A) for r in references)
    return Maximised(plain, masked, mask, curves, trusted, shell)


def trusted_curve(curve: Curve) -> tuple[np.ndarray, float]:
    """(FSC per shell cut to zero soon after it crosses the threshold, the crossing).

    Beyond the crossing the values are the noise of the estimate; a tenth more is kept so that the band can grow.
    """
    shell = fsc.crossing(curve)
    values = np.clip(curve.values, 0, 1)
    values[0] = 1
    values[np.arange(len(values)) > 1.15 * shell + 2] = 0
    return values, shell


def combined_map(halves: tuple[Sums, Sums], curve: np.ndarray, box: int, frame: Frame) -> Map:
    """Map of all particles, filtered by the FSC that the sum of both halves has with the truth."""
    return solve.filtered(halves[0] + halves[1], priors.combined(curve), box, frame.box)
