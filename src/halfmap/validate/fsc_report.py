"""All that two half-maps tell about their resolution: curves, the masks behind them, what each is, and warnings.

Owns which curves a report holds and their legends. Masks come from ``fsc_masks``, curves from ``fsc``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from halfmap.maps.masks import Made
from halfmap.types import Curve, Map
from halfmap.validate import fsc, fsc_masks
from halfmap.validate.fsc_masks import AsMade, Fixed, Standard, Tightened

LOST_SHELLS = 1.0  # a mask with which the halves agree that much less far than in a sphere cuts density or is too tight
CHANCE = 3.0  # standard deviations that may be chance
CORRELATED = 0.1  # randomised FSC at the resolution from which the mask makes part of it: RELION 5, postprocess


@dataclass(frozen=True)
class Seen:
    """Two half-maps through a mask, and in a sphere."""

    pair: fsc.Pair
    through: dict[str, Curve]  # fsc.corrected of the mask
    inside: dict[str, Curve]  # of the sphere
    sphere: np.ndarray
    mask: np.ndarray

    @property
    def at(self) -> float:
        """Shell of the resolution that the mask claims."""
        return fsc.crossing(self.through["corrected"])

    @property
    def claim(self) -> str:
        return f"{fsc.resolution_A(self.through['corrected']):.2f} A"


def correlates(seen: Seen) -> str | None:
    """It correlates noise at the very resolution it claims: the correction then knows the truth no better than it."""
    start, at = seen.pair.start, int(seen.at)
    left = seen.through["randomised"].values[at]
    if start is None or at < start + fsc.RANDOMISED_SKIP or left <= CORRELATED:
        return None
    return f"with random phases the half-maps still have an FSC of {left:.2f} at the {seen.claim} it claims"


def cuts(seen: Seen) -> str | None:
    """The halves agree LOST_SHELLS further in the sphere: it cuts density away, or explains all."""
    whole = seen.inside["corrected"]
    if seen.at >= fsc.crossing(whole) - LOST_SHELLS:
        return None
    return f"it shows the half-maps to agree to {seen.claim}, a sphere to {fsc.resolution_A(whole):.2f} A"


def exceeds(seen: Seen) -> str | None:
    """It claims LOST_SHELLS more than the solvent it removes can bring (see ``surplus``): it was drawn around the noise
    of these maps, which no random phases reveal."""
    corrected, whole = seen.through["corrected"], seen.inside["corrected"]
    ratio = noise_ratio(seen.sphere, seen.mask)
    most = fsc.without_solvent(whole, ratio)
    modes = fsc_masks.modes(seen.sphere, np.arange(len(corrected.values)), seen.pair.order)
    if seen.at <= fsc.crossing(most) + LOST_SHELLS or surplus(corrected, whole, ratio, modes) <= CHANCE:
        return None
    return f"it claims {seen.claim}, but the solvent it removes can bring no more than {fsc.resolution_A(most):.2f} A"


Doubt = Callable[[Seen], str | None]
OF_THE_WHOLE = (correlates, cuts, exceeds)  # doubts about a mask that should hold all of the particle
OF_A_PART = (correlates, exceeds)  # about one that is meant to leave density out


@dataclass(frozen=True)
class Settings:
    """What a user may choose about the curves."""

    spread: fsc_masks.Spread = field(default_factory=Fixed)
    tightening: AsMade | Tightened = field(default_factory=Tightened)
    molecular_weight_Da: float | None = None
    doubts: tuple[Doubt, ...] = OF_THE_WHOLE  # about the mask that judges


@dataclass(frozen=True)
class Report:
    """Curves by name; for each what it is, in words; the masks by the name of their file."""

    curves: dict[str, Curve]
    descriptions: dict[str, str]
    masks: dict[str, Map]  # "mask_fsc", and "mask_fsc_auto" where another took its place
    randomised_from: int | None  # shell; None where no phases were randomised
    warnings: tuple[str, ...] = ()
    judge: str = ""  # name of the curve that "corrected" is made of

    @property
    def mask(self) -> Map:
        """The mask in force: that of "corrected"."""
        return list(self.masks.values())[-1]


def report(half1: Map, half2: Map, settings: Settings, given: Made | None = None, order: int = 1) -> Report:
    """All curves of two half-maps; the resolution to quote is "corrected" at fsc.THRESHOLD. ``order``: as of fsc.Pair.

    Keys "no_mask", "spherical", "mask_free", then "loose", "tight", with a search "auto" and both "_tight" ones, and
    "randomised", "corrected" of the mask in force: "auto" where the search found one, else "tight". Where the user
    gives a mask, "masked" takes the place of "loose" and "tight". A mask that is ``unfit`` gives way to the sphere: its
    own curves are then "randomised_given", "corrected_given" (or "_tight", "_auto"), and a warning says so. The mask in
    force is "mask_fsc_auto" where there is one, else "mask_fsc". Raises InputError as ``fsc.curve``.
    """
    pair = fsc.Pair(half1, half2, order)
    made = fsc_masks.standard(pair, settings.spread)
    inside = fsc.corrected(pair, made.sphere.data)
    curves = {"no_mask": pair.unmasked, "spherical": fsc.named(inside["masked"], "spherical")}
    words = {"no_mask": "no mask: the whole box", "spherical": f"spherical: {made.sphere.words}"}
    ratio, free = _mask_free(made, settings.molecular_weight_Da, half1.voxel_size_A)
    if ratio is not None:
        curves["mask_free"], words["mask_free"] = fsc.without_solvent(inside["corrected"], ratio), free
    judged = (_by_own(pair, made, inside, settings) if given is None
              else _by_given(pair, made, inside, given, settings.doubts))
    return replace(judged, curves={**curves, **judged.curves}, descriptions={**words, **judged.descriptions})


def without_mask_free(report: Report) -> Report:
    """The report of two maps that are no half-maps: how much noise each holds is unknown, so no estimate without it."""
    curves = {name: curve for name, curve in report.curves.items() if name != "mask_free"}
    return replace(report, curves=curves)


def unfit(seen: Seen, doubts: tuple[Doubt, ...] = OF_THE_WHOLE) -> str | None:
    """Why the mask may not judge: the first of the doubts that applies; None if it may."""
    return next((why for doubt in doubts if (why := doubt(seen)) is not None), None)


def surplus(masked: Curve, inside: Curve, ratio: float, modes: np.ndarray) -> float:
    """By how many standard deviations a sphere shows less than the curve of a mask lets expect, pooled over shells.

    What the mask shows, F, is F / (F + (1 - F) ratio) with the noise of the solvent put back. The shells tested reach
    from where the sphere's curve, freed of that noise, falls below the threshold to where the mask's does: beyond the
    sphere's own resolution a single shell says nothing, a small number times a large ratio. ``modes``: independent
    values of the sphere per shell (shells,).
    """
    first, last = fsc.crossing(fsc.without_solvent(inside, ratio)), fsc.crossing(masked)
    shell = np.arange(len(modes))
    tested = (shell >= first) & (shell <= last) & (modes > 0)
    if not tested.any():
        return 0.0
    f = np.clip(masked.values, 0, 1)[tested]
    missing = f / (f + (1 - f) * ratio) - inside.values[tested]
    return float((modes[tested] * missing).sum() / np.sqrt(modes[tested].sum()))


def noise_ratio(sphere: np.ndarray, mask: np.ndarray) -> float:
    """Power of even noise in one mask over that in another, at least 1."""
    power = [float(np.square(each, dtype=np.float64).sum()) for each in (sphere, mask)]
    return max(power[0] / max(power[1], 1e-30), 1.0)


def _by_own(pair: fsc.Pair, made: Standard, inside: dict[str, Curve], settings: Settings) -> Report:
    through = fsc.corrected(pair, made.tight.data)
    curves = {"loose": pair.masked(made.loose.data, "loose"), "tight": fsc.named(through["masked"], "tight")}
    words = {name: f"{name}: {mask.words}" for name, mask in (("loose", made.loose), ("tight", made.tight))}
    stock = {"mask_fsc": Map(made.tight.data, pair.half1.voxel_size_A)}
    better = settings.tightening.of(pair, made, through)
    if better is None:
        seen = Seen(pair, through, inside, made.sphere.data, made.tight.data)
        return _judged(seen, settings.doubts, Report(curves, words, stock, pair.start), "tight")
    mask, found = better
    curves["auto"], words["auto"] = fsc.named(found["masked"], "auto"), f"auto: {mask.words}"
    curves |= _put_aside(through, "tight")
    words |= {"randomised_tight": "randomised: tight mask, before the search",
              "corrected_tight": "corrected: tight mask, before the search"}
    stock["mask_fsc_auto"] = Map(mask.data, pair.half1.voxel_size_A)
    seen = Seen(pair, found, inside, made.sphere.data, mask.data)
    return _judged(seen, settings.doubts, Report(curves, words, stock, pair.start), "auto")


def _by_given(pair: fsc.Pair, made: Standard, inside: dict[str, Curve], given: Made, doubts: tuple[Doubt, ...]
              ) -> Report:
    through = fsc.corrected(pair, given.data)
    stock = {"mask_fsc": Map(given.data, pair.half1.voxel_size_A)}
    report = Report({"masked": through["masked"]}, {"masked": f"masked: {given.words}"}, stock, pair.start)
    return _judged(Seen(pair, through, inside, made.sphere.data, given.data), doubts, report, "given")


def _judged(seen: Seen, doubts: tuple[Doubt, ...], report: Report, by: str) -> Report:
    """The report with the randomised and corrected curves in force: those of its last mask, ``by``, if it is fit."""
    why, through, inside, start = unfit(seen, doubts), seen.through, seen.inside, seen.pair.start
    if why is None:
        words = {**report.descriptions, **_words_of_correction(through["corrected"], start, f"{by} mask")}
        return replace(report, curves={**report.curves, **_last(through)}, descriptions=words,
                       judge="masked" if by == "given" else by)
    words = _words_of_correction(inside["corrected"], start, f"spherical mask, for the {by} mask is too tight")
    return replace(
        report,
        curves={**report.curves, **_put_aside(through, by), **_last(inside)},
        descriptions={**report.descriptions, f"randomised_{by}": f"randomised: {by} mask, which is too tight",
                      f"corrected_{by}": f"corrected: {by} mask, which is too tight", **words},
        masks={**report.masks, "mask_fsc_auto": Map(seen.sphere, seen.pair.half1.voxel_size_A)},
        warnings=(f"the {by} FSC mask is too tight or cuts density away: {why}; the resolution is judged in a sphere "
                  "instead; give a wider, softer mask",),
        judge="spherical",
    )


def _put_aside(curves: dict[str, Curve], by: str) -> dict[str, Curve]:
    """Randomised and corrected curves of a mask that another takes the place of."""
    return {f"{name}_{by}": fsc.named(curve, f"{name}_{by}") for name, curve in _last(curves).items()}


def _last(curves: dict[str, Curve]) -> dict[str, Curve]:
    return {name: curves[name] for name in ("randomised", "corrected")}


def _words_of_correction(curve: Curve, start: int | None, by: str) -> dict[str, str]:
    if start is None:
        return {"randomised": f"randomised: {by}, no phases were randomised", "corrected": f"corrected: {by}"}
    first = start + fsc.RANDOMISED_SKIP
    return {
        "randomised": f"randomised: {by}, mean over all random phases from {curve.resolution_A(start):.3g} A",
        "corrected": f"corrected: {by}, freed of what it adds from {curve.resolution_A(first):.3g} A",
    }


def _mask_free(made: Standard, weight_Da: float | None, voxel_size_A: float) -> tuple[float | None, str]:
    """(volume of the sphere over that of the particle, the legend); None without a volume of the particle."""
    volume = made.volume_A3 if weight_Da is None else fsc_masks.particle_volume_A3(weight_Da)
    if not volume:
        return None, ""
    # noise power is that of the squared mask; the signal lies where it is one
    ratio = float(np.square(made.sphere.data, dtype=np.float64).sum()) * voxel_size_A**3 / volume
    source = (f"the map above {fsc_masks.VOLUME_CONTOUR:.2f} max" if weight_Da is None
              else f"{weight_Da / 1000:.4g} kDa at {fsc.PROTEIN_DENSITY} Da/A^3")
    words = f"mask-free: spherical less its solvent, particle {volume / 1000:.3g} nm^3 ({source})"
    return max(ratio, 1.0), words
