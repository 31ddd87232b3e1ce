"""The M-step: sums of both halves to half-maps, their FSC, and the references of the next iteration."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from halfmap.maps import filters
from halfmap.maps.masks import Made
from halfmap.reconstruct import priors, solve, sums
from halfmap.reconstruct.nonuniform import CrossValidated, Everywhere, LocalFilter, Uniform
from halfmap.refine.batches import Frame
from halfmap.refine.masking import SphereMask
from halfmap.refine.recipe import Recipe
from halfmap.types import Curve, Map, Sums
from halfmap.validate import fsc, fsc_report

MASK_LEAK = 2  # shells over which a mask spreads what the halves share: sharing ends that much before the split
KEPT_BEYOND = (1.15, 2)  # the filter ends at 1.15 x the crossing + 2 shells: room for the band to grow


@dataclass(frozen=True)
class Maximised:
    """Half-maps, the mask of the references they can make, and their curves."""

    halves: tuple[Map, Map]  # unfiltered
    smooth: Map  # mean of both halves, low-passed where they agree inside a sphere; not masked
    mask: Map
    curves: dict[str, Curve]
    shell: float  # where the corrected curve crosses the threshold
    mask_words: str  # what the mask of the references is
    mask_gave_way: bool  # it is a sphere, for no density stood out for the mask wanted
    judge: Made  # the mask of the curves
    gave_way: bool  # the sphere is that mask, for the one that was to judge is too tight
    inside: Curve  # FSC in the sphere of the particle's diameter
    inside_words: str  # what that sphere is
    filter: Uniform | LocalFilter  # what the references are filtered by


def maximise(halves: tuple[Sums, Sums], recipe: Recipe, last_A: float, box: int, frame: Frame) -> Maximised:
    """Solve both halves in a box of ``box`` voxels; ``last_A``: resolution so far, which decides on the mask."""
    plain = tuple(solve.unfiltered(s, box, frame.box) for s in halves)
    mean = Map((plain[0].data + plain[1].data) / 2, plain[0].voxel_size_A)
    pair = fsc.Pair(*plain, len(recipe.map_group))
    sphere = SphereMask().made(mean, last_A, frame)
    inside = pair.masked(sphere.data, "spherical")
    resolution = fsc.resolution_A(inside)
    smooth = filters.lowpass(mean, max(resolution, mean.nyquist_A))
    mask = recipe.mask.made(smooth, resolution, frame)
    judge = mask if recipe.judge is None else recipe.judge.made(smooth, resolution, frame)
    curves = fsc.corrected(pair, judge.data)
    both = sphere.data, judge.data
    seen = fsc_report.Seen(pair, curves, {"corrected": inside}, *both)  # what the sphere adds is next to nothing
    doubt = fsc_report.unfit(seen, recipe.curves.doubts)
    within = fsc.corrected(pair, sphere.data) if doubt else curves
    gave_way = bool(doubt) and fsc_report.unfit(replace(seen, inside=within), recipe.curves.doubts) is not None
    if gave_way:
        judge, curves = sphere, within
    _, shell = trusted_curve(curves["corrected"])
    return Maximised(plain, smooth, Map(mask.data, mean.voxel_size_A), {"no_mask": pair.unmasked, **curves},
                     shell, mask.words, mask.gave_way, judge, gave_way, inside, sphere.words,
                     recipe.prior.fitted(plain, mask.data, curves["corrected"]))


def references(halves: tuple[Sums, Sums], result: Maximised, recipe: Recipe, frame: Frame) -> tuple[Map, Map]:
    """The references of the next iteration: both halves filtered by what is trusted of their FSC, and masked."""
    filtered = recipe.prior.filtered(halves, result.filter, result.mask.box, frame)
    masks = recipe.meeting.masks(result, recipe, frame)
    return tuple(Map(r.data * mask, r.voxel_size_A) for r, mask in zip(filtered, masks, strict=True))


def trusted_curve(curve: Curve) -> tuple[np.ndarray, float]:
    """(FSC per shell, zero soon after it crosses the threshold; the crossing).

    Further out the values are the error of the estimate itself.
    """
    shell = fsc.crossing(curve)
    values = np.clip(curve.values, 0, 1)
    values[0] = 1
    values[np.arange(len(values)) > KEPT_BEYOND[0] * shell + KEPT_BEYOND[1]] = 0
    return values, shell


@dataclass(frozen=True)
class FscPrior:
    """Wiener filter with the signal-to-noise ratio the FSC of the halves tells; they share data below ``split_A``.

    ``places``: whether the FSC of the whole serves everywhere, or a local filter adds to it what each place allows.
    """

    split_A: float
    places: Everywhere | CrossValidated = Everywhere()

    def fitted(self, halves: tuple[Map, Map], mask: np.ndarray, corrected: Curve) -> Uniform | LocalFilter:
        """The filter for unfiltered half-maps with this FSC, as far as it is trusted."""
        values, _ = trusted_curve(corrected)
        found = self.places.fitted(halves, mask, values)
        return found.trusting(lambda local: trusted_curve(replace(corrected, values=local))[0])

    def shared_below(self, frame: Frame) -> float:
        """Shell below which the halves share data: MASK_LEAK short of the split, and none for an infinite one."""
        return max(frame.length_A / self.split_A - MASK_LEAK, 0.0)

    def filtered(self, halves: tuple[Sums, Sums], filter: Uniform | LocalFilter, box: int, frame: Frame
                 ) -> tuple[Map, Map]:
        """References of both halves: where they share data, the FSC is that of the sum of both."""
        curve, split = filter.values, self.shared_below(frame)
        if split < 1:
            maps = (solve.to_map(solve.wiener(half, curve), half, box, frame.box) for half in halves)
        else:
            both = sums.core(halves[0], split) + sums.core(halves[1], split)
            centre = solve.wiener(both, priors.combined(curve))
            maps = (solve.to_map(solve.with_core(solve.wiener(half, curve), centre, split * half.padding), half, box,
                                 frame.box) for half in halves)
        return tuple(filter.applied(map) for map in maps)

    def combined(self, halves: tuple[Sums, Sums], filter: Uniform | LocalFilter, box: int, frame: Frame) -> Map:
        """Map of all particles, filtered by the FSC that the sum of both halves has with the truth."""
        both = halves[0] + halves[1]
        return filter.applied(solve.to_map(solve.wiener(both, priors.combined(filter.values)), both, box, frame.box))


@dataclass(frozen=True)
class NonNegative(FscPrior):
    """The same, with negative density of the references set to 0. The half-maps stay as they are."""

    def filtered(self, halves: tuple[Sums, Sums], filter: Uniform | LocalFilter, box: int, frame: Frame
                 ) -> tuple[Map, Map]:
        """References without negative density."""
        return tuple(Map(np.maximum(m.data, 0), m.voxel_size_A) for m in super().filtered(halves, filter, box, frame))
