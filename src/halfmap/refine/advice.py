"""What a person should be told about a result: numbers in, plain sentences out.

Owns the rules and their limits. A rule is a function of the evidence; its sentence says what is wrong, how much, and
what to do. Nothing is computed from maps or images here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from halfmap.fourier import transforms
from halfmap.maps.sharpness import Mixture
from halfmap.types import Curve
from halfmap.validate import fsc

MOST_OF_NYQUIST = 0.97  # of the box's highest shell: the last ones hold the corners' interpolation errors
WANTED_NYQUIST = 1.5  # finest resolution a box should be able to show, over what it shows now
LEAST_CFAR = 0.5  # as in cryoSPARC's orientation diagnostics
MOST_PRECISION_RATIO = 10.0  # one order of magnitude; as in cryoSPARC's guide to its plots
SCALE_RANGE = (0.5, 2.0)  # of the median
FEW = 0.05  # of all particles
UNEQUAL = 0.05  # of all particles; as data.halves
GAP = 0.1  # mean of the masked over the corrected curve: closely tracking curves differ by 0.02
NOISIER = 0.95  # of the best area under the FSC
WANDERED = 1.2  # times as far from the input as after the first iteration
FOLLOWS = 0.5  # of the usual slope of data on map: junk has noise about 0
SURE, MOST_SURE = 0.9, 2 / 3  # probability of one mate; the share of particles that have it where mates differ
HOLDS, MUCH = 0.5, 0.3  # of the detail in a mask, where it is sharp; of the density in it, blurred: see maps.sharpness
TELLING = 0.15  # standard deviation of a particle's slope up to which half the usual one is 3 sd away


@dataclass(frozen=True)
class Evidence:
    """What is known at the end. None where a run has no such thing; the rule then says nothing."""

    curves: dict[str, Curve]  # validate.fsc_report
    split_A: float  # the halves share data below this resolution; infinite where they share none
    box: int  # of the maps
    voxel_size_A: float
    particle_box: int  # of the largest and finest images
    pixel_size_A: float
    mask_faults: tuple[str, ...] = ()  # why the mask that was to judge the resolution could not; fsc_report
    cfar: float | None = None
    directions_differ: bool = True  # the cones differ by more than noise makes them
    precision_ratio: float | None = None
    scales: np.ndarray | None = None  # (n,) scale of each particle
    cross: np.ndarray | None = None  # (n,) data along the model; see refine.state
    power: np.ndarray | None = None  # (n,)
    mate_certainty: np.ndarray | None = None  # (n,) probability of each particle's best mate; relaxed symmetry only
    mates: int = 1  # symmetry mates that compete
    halves: tuple[int, int] | None = None  # particles used
    halves_given: tuple[int, int] | None = None  # the same before any was left out
    mask_gave_way: bool = False  # a dynamic mask found nothing to enclose and a sphere took its place
    iterations: int = 0
    max_iterations: int | None = None
    still_growing: bool = False  # the FSC had not settled
    rejected: int = 0
    held_back: dict[str, tuple[float, float]] | None = None  # "rotation", "shift": share of the particles, extent
    met: tuple[int, float] | None = None  # pairs of different half-sets that meet in their micrograph, and how close, A
    course: tuple[tuple[float, float], ...] = ()  # of each iteration: degrees from the input, area under the FSC


def advise(evidence: Evidence) -> list[str]:
    """Every sentence that applies, the gravest first."""
    return [sentence for rule in RULES if (sentence := rule(evidence)) is not None]


def rest_in_mask(mixture: Mixture | None) -> str | None:
    """Before a local refinement: most of what its poses are found by rests already. Silent where all is alike."""
    if mixture is None or mixture.sharp_detail < HOLDS or mixture.blurred < MUCH:
        return None
    return (f"{100 * mixture.blurred:.0f} % of the density inside is blurred, but {100 * mixture.sharp_detail:.0f} % "
            "of its detail lies where the map is as sharp as anywhere: that is aligned already and will hold the poses "
            "where they are. Take it out of the mask (halfmap mask combine --operation difference, with a mask of what "
            "is sharp)")


def split_not_passed(e: Evidence) -> str | None:
    """The halves agree no further than they share data."""
    reached = fsc.resolution_A(e.curves["corrected"])
    length = e.box * e.voxel_size_A
    if not reached > length / (length / e.split_A + 1):
        return None
    if not np.isfinite(e.split_A):
        return "the half-maps agree at no resolution: check the images, the poses and the CTF"
    return (f"the half-maps agree only to {reached:.1f} A, no finer than the {e.split_A:g} A below which they share "
            "data: this is no evidence of a particle; check the images, the starting map and the CTF")


def nyquist_reached(e: Evidence) -> str | None:
    """The box ends the resolution, and not a mask that makes the halves agree everywhere."""
    corrected = e.curves["corrected"]
    if fsc.crossing(corrected) < MOST_OF_NYQUIST * (len(corrected.values) - 1) or mask_too_tight(e):
        return None
    what = f"the resolution has reached the Nyquist limit of the box, {2 * e.voxel_size_A:.2f} A"
    if e.box < e.particle_box:
        box = min(e.particle_box, transforms.good_box(round(WANTED_NYQUIST * e.box)))
        return f"{what}: refine again with --box-size {box} (the images have {e.particle_box} pixels)"
    pixel = e.pixel_size_A / WANTED_NYQUIST
    box = transforms.good_box(round(WANTED_NYQUIST * e.particle_box))
    return (f"{what}, which is that of the images: refine with less binned particles, for example extracted in a box "
            f"of {box} pixels of {pixel:.2f} A")


def mask_too_tight(e: Evidence) -> str | None:
    """The mask that was to judge could not."""
    return "; ".join(e.mask_faults) or None


def picked_twice(e: Evidence) -> str | None:
    """Picks of different half-sets that are one particle: both halves have its noise."""
    if e.met is None or e.met[0] == 0:
        return None
    (count, distance_A), many = e.met, e.met[0] != 1
    return (f"{count:,} {'pairs' if many else 'pair'} of particles in different half-sets came to lie within "
            f"{distance_A:.0f} A of each other in {'their micrographs' if many else 'a micrograph'}: what was picked "
            "twice has the same noise in both, and the FSC is too good by it; keep one of each and refine again "
            f"(halfmap check particles --duplicate-distance {distance_A:.0f} counts them)")


def uneven_directions(e: Evidence) -> str | None:
    """The map is better along some directions than along others."""
    reasons = []
    if e.cfar is not None and e.cfar < LEAST_CFAR and e.directions_differ:
        reasons.append(f"the FSC in cones differs between directions (cFAR {e.cfar:.2f}, good above {LEAST_CFAR:g})")
    if e.precision_ratio is not None and e.precision_ratio > MOST_PRECISION_RATIO:
        reasons.append(f"the best Fourier direction is measured {e.precision_ratio:.0f} times better than the worst "
                       f"(good below {MOST_PRECISION_RATIO:g})" if np.isfinite(e.precision_ratio)
                       else "some directions of Fourier space were not measured at all")
    if not reasons:
        return None
    return (f"the particles do not show all sides: {'; '.join(reasons)}; expect a map smeared along one direction, add "
            "views (tilted stage, other grids, picking of rare views) or drop some of the most frequent one")


def scale_outliers(e: Evidence) -> str | None:
    """Scales far from the usual: empty images, crowded ones, aggregates."""
    if e.scales is None or len(e.scales) == 0:
        return None
    usual = float(np.median(e.scales))
    far = (e.scales < SCALE_RANGE[0] * usual) | (e.scales > SCALE_RANGE[1] * usual) | (e.scales <= 0)
    if not far.mean() > FEW:
        return None
    return (f"{_count(far)} have a scale below {SCALE_RANGE[0] * usual:.2f} or above {SCALE_RANGE[1] * usual:.2f} (the "
            f"median is {usual:.2f}): look at these images, and leave out empty or crowded ones")


def halves_unequal(e: Evidence) -> str | None:
    """What was left out came from one half. An unequal split of the input was told of when it was read."""
    if e.halves is None or not _unequal(e.halves) or (e.halves_given is not None and _unequal(e.halves_given)):
        return None
    first, second = e.halves
    return (f"the half-sets have become unequal, {first} and {second} particles: the smaller one limits the FSC; find "
            "out why its images were left out, or draw new half-sets with --force-resplit")


def _unequal(halves: tuple[int, int]) -> bool:
    first, second = halves
    # the difference of a fair split has a standard deviation of sqrt(n)
    return abs(first - second) > max(UNEQUAL * (first + second), 3 * np.sqrt(first + second))


def without_signal(e: Evidence) -> str | None:
    """Data that do not go along with the map at all."""
    if e.cross is None or len(e.cross) == 0:
        return None
    against = np.asarray(e.cross) <= 0
    if not against.mean() > FEW / 5:
        return None
    return (f"{_count(against)} show nothing of the map even at their best pose: leave them out, and check that "
            "particles are white on dark and that the CTF is theirs")


def junk(e: Evidence) -> str | None:
    """Data that follow the map much less than those of other particles."""
    if e.cross is None or e.power is None:
        return None
    power = np.maximum(e.power, 1e-30)
    tells = 1 / np.sqrt(2 * power) < TELLING
    if tells.sum() < 100:  # the fraction is then known to 3 %
        return None
    slope = (np.asarray(e.cross) / power)[tells]
    bad = slope < FOLLOWS * np.median(slope)
    if not bad.mean() > 2 * FEW:
        return None
    return (f"{_count(bad)} follow the map less than half as well as the others: junk, damaged or other particles; a "
            "2D or 3D classification before the refinement will sharpen the map")


def mates_alike(e: Evidence) -> str | None:
    """The symmetry is relaxed, and the particles do not care.

    This misses differences that particles only seem to see: in a small set each particle finds its own noise in the
    reference, at the mate it was laid in with. Of 300 images of a perfect ring at an SNR of 0.5, 76 to 86 % were sure;
    of 1000 at 0.05, 26 %; of 300 of a ring with a subunit that is different, 96 %.
    """
    if e.mate_certainty is None or len(e.mate_certainty) == 0:
        return None
    certainty = np.asarray(e.mate_certainty)
    sure = certainty >= SURE
    if not sure.mean() < MOST_SURE:
        return None
    return (f"the {e.mates} symmetry mates cannot be told apart: only {_count(sure)} are sure of theirs (median "
            f"probability of the best mate {np.median(certainty):.2f}; {1 / e.mates:.2f} would be no knowledge at "
            "all). What breaks the symmetry is too faint, or nothing breaks it: do not interpret differences between "
            "the subunits; impose the symmetry (--relax-symmetry none), or expand the symmetry and classify with a "
            "mask around one subunit, or use more particles")


def mask_gave_way(e: Evidence) -> str | None:
    """No density stood out for the dynamic mask."""
    if not e.mask_gave_way:
        return None
    return ("no density stood out for the dynamic mask, and a sphere was used in its place: give a higher "
            "--dynamic-mask-threshold or a mask of your own with --mask FILE.mrc")


def not_converged(e: Evidence) -> str | None:
    """Stopped by the limit, not by itself."""
    if e.max_iterations is None or e.iterations < e.max_iterations or not e.still_growing:
        return None
    return (f"the refinement was stopped after {e.iterations} iterations while the FSC was still growing: give a "
            "larger --max-iterations")


def held_back(e: Evidence) -> str | None:
    """Many particles at the edge of where they may go."""
    if e.held_back is None:
        return None
    words = {"rotation": ("turned as far as --rotation-search-extent", "deg"),
             "shift": ("shifted as far as --shift-search-extent", "A")}  # fmt: skip
    reasons = [f"{100 * share:.0f} % of the particles are {words[kind][0]} {extent:g} {words[kind][1]} allows"
               for kind, (share, extent) in e.held_back.items() if share > FEW]
    if not reasons:
        return None
    return (f"{'; '.join(reasons)}: enlarge it, or move the fulcrum to the point about which the part turns "
            "(--fulcrum); for a part too small to align itself use --use-alignment-prior instead")


def mask_shapes_the_curve(e: Evidence) -> str | None:
    """Of a part: the corrected curve lies far below that of the mask."""
    if e.held_back is None or "masked" not in e.curves:
        return None
    masked, corrected = e.curves["masked"], e.curves["corrected"]
    shells = slice(1, max(2, int(fsc.crossing(masked)) + 1))
    gap = float(np.mean(masked.values[shells] - corrected.values[shells]))
    if gap <= GAP:
        return None
    return (f"the corrected FSC lies {gap:.2f} below that of the mask on average: the mask itself makes the halves "
            "agree; give it a wider, softer edge")


def wandering(e: Evidence) -> str | None:
    """Poses go on moving away while the map gets worse: noise is aligned."""
    if len(e.course) < 2:
        return None
    (first, _), (last, area) = e.course[0], e.course[-1]
    if last <= WANDERED * first or area >= NOISIER * max(row[1] for row in e.course):
        return None
    return (f"the poses moved on, from {first:.1f} to {last:.1f} degrees from the input, while the map got noisier: "
            "the part inside the mask is too small to align itself; use --use-alignment-prior (3 degrees and 2 A for a "
            "part that is nearly aligned), or a larger mask")


def left_out(e: Evidence) -> str | None:
    """Images that could not be used."""
    if not e.rejected:
        return None
    if e.rejected == 1:
        return "1 image could not be used and was left out; rejected.star lists it"
    return f"{e.rejected} images could not be used and were left out; rejected.star lists them"


def _count(which: np.ndarray) -> str:
    return f"{int(which.sum())} of {len(which)} particles ({100 * which.mean():.0f} %)"


RULES: Sequence[Callable[[Evidence], str | None]] = (
    split_not_passed, mask_too_tight, picked_twice, uneven_directions, nyquist_reached, not_converged, mask_gave_way,
    mates_alike, without_signal, junk, scale_outliers, halves_unequal, wandering, held_back, mask_shapes_the_curve,
    left_out,
)
