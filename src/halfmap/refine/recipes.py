"""The refinements halfmap offers, as choices of parts. Nothing here iterates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from halfmap.errors import UsageError
from halfmap.geometry import symmetry
from halfmap.maps import filters, masks, resample
from halfmap.params import points
from halfmap.params.abinitio import Abinitio, Growing
from halfmap.params.abinitio_refine import AbinitioRefine
from halfmap.params.auto import Auto
from halfmap.params.common import Refinement
from halfmap.params.curves import CurveSettings
from halfmap.params.homogeneous import Homogeneous
from halfmap.params.local import Local
from halfmap.params.nonuniform import Nonuniform
from halfmap.params.reconstruct import Reconstruct
from halfmap.params.refinement import HalfMapRefinement, LocalFilterSettings, MapRefinement
from halfmap.reconstruct import ewald, transfer
from halfmap.reconstruct.nonuniform import SHAPES, Butterworth, CrossValidated, Everywhere
from halfmap.refine import (
    autorefine,
    claims,
    junk,
    laying,
    masking,
    maximisation,
    meeting,
    noises,
    optics,
    passes,
    relaxation,
    scales,
    schedules,
    search,
    start,
    surround,
)
from halfmap.refine.annealing import Annealing, Inflation
from halfmap.refine.batch_sizes import BatchSize, Measured, Told
from halfmap.refine.batches import Frame
from halfmap.refine.growing import Method
from halfmap.refine.parting import Competing, Splitting
from halfmap.refine.recipe import Recipe, usual_offset_A
from halfmap.types import Map
from halfmap.validate import fsc, fsc_masks, fsc_report

REFITS = 4  # looks at the CTF at most; two or three settle it
# of the diameter: resolutions of the first and the last steps of maps from nothing. The work of a step grows with the
# fourth power of diameter over resolution; at a tenth, beta-galactosidase at 20 A, refinement has always gone on
FIRST_DETAIL, LAST_DETAIL = 5.7, 10.0
FIRST_A, LAST_A = (20.0, 80.0), (10.0, 40.0)
IMAGES = (200, 250)  # of a step for every map that grows: at the first resolution, and after it
FEWEST_IMAGES, MOST_IMAGES = 80, 500  # of a step for every map that grows, where their noise says how many
# settings that the steps of an ab-initio job have in common with the refinement that follows, in a sense of their own
OF_STEPS = ("minibatch_size", "non_negative")
SUBSET = 10_000  # particles of the first iteration: a map to 20 A needs fewer, but searching so many takes seconds


def homogeneous(params: Homogeneous, mask: Map | None = None, fsc_mask: Map | None = None) -> Recipe:
    """Global search once, Gauss-Newton afterwards, FSC filter, mask of the user's choice.

    ``mask``, ``fsc_mask``: those the settings name. The latter judges the resolution, without it the former.
    """
    group = symmetry.group(params.symmetry)
    return Recipe(
        group=group,
        relaxation=relaxation.method(params.relax_symmetry, group),
        start=_from_map(params),
        schedule=schedules.Marching(params.initial_lowpass, params.max_align_resolution, params.extra_final_passes,
                                    params.max_iterations, subsets=_subsets(params),
                                    min_align_A=params.min_align_resolution, farther=_farther(params.offset_range_A),
                                    refits=REFITS if optics.CtfRefinement.of(params) else 0),
        mask=reference_mask(params, mask, params.mask_start_resolution),
        judge=judging_mask(params, mask, fsc_mask),
        prior=_prior(params),
        laying=_laying(params),
        noise=_noise(params),
        lens=optics.CtfRefinement.of(params),
        kept=_kept(params),
        claim=_claim(params),
        scale=_scale(params),
        candidates=params.candidates,
        offset_range_A=params.offset_range_A,
        **_common(params),
    )


def auto(params: Auto, mask: Map | None = None, fsc_mask: Map | None = None) -> Recipe:
    """Global search, then what each particle needs; sampling and end as RELION's 3D auto-refine has them."""
    flat, common = params.solvent_flattened_fsc, _common(params)
    return Recipe(
        group=symmetry.group(params.symmetry),
        search=search.Sampled(),
        start=_from_map(params),
        schedule=_automatic(params),
        mask=reference_mask(params, mask),
        judge=judging_mask(params, mask, fsc_mask) if flat else masking.NoMask(),
        prior=_prior(params),
        laying=_laying(params),
        noise=_noise(params),
        lens=optics.CtfRefinement(),
        scale=_scale(params),
        kept=_kept(params),
        claim=_claim(params),
        surround=surround.Zeros() if params.zero_mask else surround.Noise(params.seed or 0),
        junk=junk.Probable() if params.weight_particles else junk.Everybody(),
        candidates=params.candidates,
        offset_range_A=None,
        **(common | {"sphere": _transfer(params, common["sphere"])}),
    )


def _transfer(params: Auto, sphere: ewald.Flat) -> ewald.Flat:
    """What slices are multiplied by: the CTF where the Ewald sphere is curved, else what the settings say."""
    if params.ewald_sphere != "off" or (params.ctf_correction and not params.ignore_ctf_until_first_peak):
        return sphere
    return transfer.FromFirstPeak() if params.ctf_correction else transfer.Uncorrected()


def _automatic(params: Auto) -> autorefine.Auto:
    return autorefine.Auto(
        params.initial_lowpass, params.max_align_resolution, params.extra_final_passes, params.max_iterations,
        min_align_A=params.min_align_resolution, initial_deg=params.initial_sampling,
        local_from_deg=params.local_searches_from, faster=params.finer_sampling_faster,
        offset_range_px=params.offset_range, offset_step_px=params.offset_step, force=params.force_convergence,
        farther=_farther(params.offset_range),
    )  # fmt: skip


def _farther(range: float | None) -> float:
    """How many times the range of shifts particles astray are looked for: never beyond a range that the user sets."""
    return schedules.FARTHER if range is None else 1.0


def _claim(params: Homogeneous | Auto) -> claims.Independent:
    return claims.Independent(params.gsfsc_split_resolution, params.initial_lowpass)


def _from_map(params: Homogeneous | Auto) -> start.FromMap:
    axes = start.OntoAxes() if params.align_symmetry else start.AsGiven()
    return start.FromMap(params.initial_lowpass, params.reestimate_greyscale, axes)


def nonuniform(params: Nonuniform, mask: Map | None = None, fsc_mask: Map | None = None) -> Recipe:
    """The same, with a filter for every place."""
    recipe = homogeneous(params, mask, fsc_mask)
    return replace(recipe, prior=replace(recipe.prior, places=places(params)))


def places(params: LocalFilterSettings) -> Everywhere | CrossValidated:
    """The local filter that the settings ask for."""
    if not params.nonuniform_enable:
        return Everywhere()
    kind = SHAPES[params.nonuniform_filter_type]
    shape = kind(params.nonuniform_filter_order) if kind is Butterworth else kind()
    return CrossValidated(shape, params.nonuniform_window_factor)


def local(params: Local, reference: Map, halves: tuple[Map, Map] | None = None, mask: Map | None = None,
          fsc_mask: Map | None = None) -> Recipe:
    """Poses near those of the particles, of the part inside a mask: no global search, a fulcrum, extents, a prior.

    ``reference``, ``halves``: of the input; ``mask``, ``fsc_mask``: those the settings name. Raises UsageError for a
    fulcrum outside the box.
    """
    kept, known_A = _starting_halves(params, reference, halves, mask)
    judge = judging_mask(params, mask, fsc_mask)
    common = _common(params)
    if judge is not None:
        common["curves"] = replace(common["curves"], doubts=fsc_report.OF_A_PART)
    return Recipe(
        group=symmetry.group(params.symmetry),
        search=_nearby(params, reference, mask),
        start=start.FromBoth(*kept, known_A, params.reestimate_greyscale),
        schedule=schedules.FromPoses(params.initial_lowpass, params.max_align_resolution, params.extra_final_passes,
                                     params.max_iterations, research_A=params.initial_lowpass,
                                     min_align_A=params.min_align_resolution,
                                     known_A=known_A if params.initialize_from_halfmaps else np.inf),
        mask=reference_mask(params, mask),
        judge=judge,
        prior=replace(_prior(params), places=places(params)),
        laying=_laying(params),
        noise=_noise(params),
        lens=optics.CtfRefinement(),
        kept=_kept(params),
        scale=_scale(params),
        candidates=params.candidates,
        offset_range_A=None,
        **common,
    )


def _starting_halves(params: Local, reference: Map, halves: tuple[Map, Map] | None, mask: Map | None
                     ) -> tuple[tuple[Map, Map], float]:
    """Where the half-sets begin, and the resolution of that, A."""
    if not params.initialize_from_halfmaps:
        return (filters.lowpass(reference, params.initial_lowpass),) * 2, params.initial_lowpass
    inside = _mask_of_start(params, reference, mask)
    curve = fsc.masked_and_corrected(*halves, inside.data)["corrected"]
    trusted, shell = maximisation.trusted_curve(curve)
    return tuple(filters.apply_curve(half, trusted) for half in halves), curve.resolution_A(shell)


def _mask_of_start(params: Local, reference: Map, mask: Map | None) -> Map:
    """The mask in the sampling of the starting map: the given one, or a dynamic one of that map."""
    if mask is not None:
        return resample.to_grid(mask, reference.box, reference.voxel_size_A)
    return masks.dynamic(reference, max(params.initial_lowpass, reference.nyquist_A), params.dynamic_mask_threshold,
                         params.dynamic_mask_near, params.dynamic_mask_far)


def _nearby(params: Local, reference: Map, mask: Map | None) -> search.Nearby:
    """The neighbourhood of the settings, about their fulcrum."""
    part = _mask_of_start(params, reference, mask)
    centre_A = masks.centre(part)
    fulcrum_A = _fulcrum(params.fulcrum, reference, centre_A)
    rotation, shift = params.extents
    sds = (np.deg2rad(params.prior_rotation), params.prior_shift) if params.use_alignment_prior else (np.inf, np.inf)
    radius = float(np.hypot(masks.radius_of_gyration(part), np.linalg.norm(centre_A - fulcrum_A)))
    return search.Nearby(tuple(fulcrum_A.tolist()), radius, float(np.deg2rad(rotation)), shift, *map(float, sds),
                         params.recenter_rotations, params.recenter_shifts)


def _fulcrum(text: str, reference: Map, centre_A: np.ndarray) -> np.ndarray:
    """x, y, z in A from the box centre of the place a user names."""
    if text == "mask_center":
        return centre_A
    if text == "box_center":
        return np.zeros(3)
    voxel = reference.voxel_size_A
    pixels = np.array(points.in_voxels(text, voxel))
    if (pixels < 0).any() or (pixels > reference.box).any():
        raise UsageError(f"--fulcrum {text}: outside the box of {reference.box} voxels of {voxel:g} A; coordinates "
                         "count from its corner in px, or in A with an A behind them")
    return (pixels - reference.box // 2) * voxel


def reconstruction(params: Reconstruct) -> Recipe:
    """One pass over the particles with the poses they have."""
    return Recipe(
        group=symmetry.group(params.symmetry),
        start=start.FromPoses(),
        schedule=schedules.OnePass(),
        mask=masking.SphereMask(),
        prior=maximisation.FscPrior(np.inf),
        noise=noises.Symmetric(),
        lens=optics.CtfRefinement(),
        scale=scales.AsGiven(),
        candidates=1,
        offset_range_A=None,
        **_common(params),
    )


def stochastic(params: Abinitio, frame: Frame) -> Method:
    """How maps grow from nothing in a frame."""
    method = growing(params, frame, _grown(params))
    annealing = replace(method.annealing, similarity=params.class_similarity,
                        similar_until=(params.class_anneal_start, params.class_anneal_end))
    return replace(method, annealing=annealing)


def growing(params: Growing, frame: Frame, maps: int = 1) -> Method:
    """The same, with no class like another. Raises UsageError for resolutions at which nothing can grow."""
    annealing = Annealing(
        *_grown_between_A(params, frame),
        params.num_initial_iterations, params.num_final_iterations, params.fourier_radius_step,
        (_size(params, params.initial_minibatch_size, maps * IMAGES[0], maps),
         _size(params, params.minibatch_size, maps * IMAGES[1], maps)),
        (params.initial_learning_rate, params.final_learning_rate),
        0.0, (0, 0), Inflation(params.noise_anneal_scale, params.target_ess_fraction),
    )  # fmt: skip
    offset_A = params.offset_range_A or usual_offset_A(frame.diameter_A)
    return Method(annealing, maps, params.starts, offset_A, params.initial_structure_lowpass, params.window_structure,
                  params.center_structure, params.non_negative, params.min_align_resolution)


def _size(params: Growing, told: int | None, usual: int, maps: int) -> BatchSize:
    """How many images a step takes: as many as told, or as the noise wants, or as usual."""
    if told or not params.minibatch_epsilon:
        return Told(told or usual)
    return Measured(usual, FEWEST_IMAGES * maps, MOST_IMAGES * maps, params.minibatch_epsilon,
                    params.minibatch_min_probability)


def _grown_between_A(params: Growing, frame: Frame) -> tuple[float, float]:
    """The resolutions of the first and the last steps; the last one no finer than the pixels show."""
    first = params.initial_resolution or float(np.clip(frame.diameter_A / FIRST_DETAIL, *FIRST_A))
    last = params.max_resolution or min(float(np.clip(frame.diameter_A / LAST_DETAIL, *LAST_A)), first)
    if first > frame.diameter_A:
        raise UsageError(f"--initial-resolution {first:g} A: is coarser than the particle: --particle-diameter "
                         f"{frame.diameter_A:g} A; is the diameter in A, not in pixels or nm?")  # fmt: skip
    if last > first:
        raise UsageError(f"--max-resolution {last:g} A: is coarser than the first steps, at {first:.3g} A; give a "
                         "coarser --initial-resolution, too")  # fmt: skip
    return first, max(last, frame.resolution_A(frame.box // 2))


def parting(params: Abinitio, grown_A: float, spread_A: float = np.inf) -> Competing | Splitting:
    """How the particles come apart into classes, of maps that have been grown to a resolution from particles that lie
    so far from the middle.
    """
    if _grown(params) == params.classes:
        return Competing(params.classes)
    return Splitting(params.classes, params.class_resolution, final_passes(params, grown_A, spread_A))


def _grown(params: Abinitio) -> int:
    """How many maps grow from nothing."""
    return params.classes if params.class_start == "independent" else 1


def final_passes(params: Abinitio, grown_A: float = LAST_A[0], spread_A: float = np.inf) -> Recipe:
    """A few passes of homogeneous refinement from a map grown to this resolution: they give the particles poses.

    The images have made the map, so its grey scale is theirs.
    """
    recipe = homogeneous(Homogeneous(
        out=params.out, particles=params.particles, volume=params.out / "map.mrc", symmetry=params.symmetry,
        particle_diameter_A=params.particle_diameter_A, initial_lowpass=grown_A,
        max_align_resolution=params.final_resolution, max_iterations=params.final_passes, align_symmetry=False,
        min_align_resolution=params.min_align_resolution, offset_range_A=params.offset_range_A,
        reestimate_greyscale=False, force_resplit=True,
    ))
    return replace(recipe, schedule=passes.Passes(**vars(recipe.schedule), spread_A=spread_A))


def refined_halves(params: AbinitioRefine, mask: Map | None = None, fsc_mask: Map | None = None) -> Recipe:
    """Homogeneous refinement of two half-sets that share nothing and are kept on each other; still without a start.

    Coarse steps have found the poses' neighbourhood, so all that is said of a homogeneous refinement holds from there.
    """
    taken = {name: getattr(params, name) for name in HalfMapRefinement.model_fields if name not in OF_STEPS}
    recipe = homogeneous(Homogeneous(
        **taken, volume=params.out / "map.mrc", gsfsc_split_resolution=np.inf, align_symmetry=False,
        offset_range_A=params.offset_range_A,
    ), mask, fsc_mask)
    return replace(recipe, meeting=meeting.Aligned())


def from_each(recipe: Recipe, halves: tuple[Map, Map], resolution_A: float, groups: int) -> Recipe:
    """The recipe from maps of both halves that reach a resolution; particles have ``groups`` optics groups a half."""
    schedule = schedules.FromSketch(**vars(replace(recipe.schedule, initial_lowpass_A=resolution_A,
                                                   research_A=resolution_A)))  # fmt: skip
    return replace(recipe, start=start.FromEach(*halves, resolution_A), schedule=schedule,
                   noise=noises.OfEachHalf(recipe.noise, groups))  # fmt: skip


def _kept(params: Refinement) -> int | None:
    """How many checkpoints stay; None = all."""
    return None if params.keep_checkpoints == "all" else Recipe.kept


def _noise(params: MapRefinement) -> noises.Symmetric:
    return noises.MODELS[params.noise_model](params.noise_prior_weight, params.noise_initial_scale)


def _laying(params: MapRefinement):
    return laying.AtPosterior() if params.marginalization else laying.AtBest()


def _prior(params: MapRefinement) -> maximisation.FscPrior:
    kind = maximisation.NonNegative if params.non_negative else maximisation.FscPrior
    return kind(params.gsfsc_split_resolution)


def _subsets(params: Homogeneous):
    if not params.early_subsets:
        return schedules.Everyone()
    return schedules.Subsets(params.subset_size or SUBSET, params.subset_growth)


def _scale(params: MapRefinement):
    if params.per_particle_scale:
        return scales.Fitted(params.scale_start_iteration, params.scale_reset)
    return scales.Unit() if params.scale_reset else scales.AsGiven()


def reference_mask(params: MapRefinement, given: Map | None, start_A: float | None = None) -> masking.MaskPart:
    """The mask of the reference that the settings ask for; a given one once the map has ``start_A``."""
    if given is not None:
        inner = _static(params, given, start_A)
    else:
        inner = masking.NoMask() if params.mask == "none" else _dynamic(params)
    return masking.Windowed(inner) if params.window_structure else inner


def _static(params: MapRefinement, given: Map, start: float | None) -> masking.MaskPart:
    static = masking.StaticMask(given, f"given mask {Path(params.mask).name}")
    return static if start is None else masking.Later(static, start)


def _dynamic(params: MapRefinement) -> masking.MaskPart:
    strength = masks.absolute if params.dynamic_mask_use_abs else masks.positive
    last = (params.dynamic_mask_start_resolution, params.dynamic_mask_threshold, strength)
    if params.dynamic_mask_scaling == "resolution":
        return masking.ScaledMask(params.dynamic_mask_near_factor, params.dynamic_mask_far_factor, *last)
    return masking.DynamicMask(params.dynamic_mask_near, params.dynamic_mask_far, *last)


def judging_mask(params: MapRefinement, mask: Map | None, fsc_mask: Map | None) -> masking.MaskPart | None:
    """The user's mask that judges the resolution, where there is one."""
    if fsc_mask is not None:
        return masking.StaticMask(fsc_mask, f"given FSC mask {params.fsc_mask.name}")
    return None if mask is None else masking.StaticMask(mask, f"given mask {Path(params.mask).name}")


def curve_settings(params: CurveSettings) -> fsc_report.Settings:
    """What the settings say about the curves."""
    weight = params.molecular_weight_kDa
    scaled = fsc_masks.Scaled(params.fsc_mask_near_factor, params.fsc_mask_far_factor)
    return fsc_report.Settings(
        spread=scaled if params.fsc_mask_scaling == "resolution" else fsc_masks.Fixed(),
        tightening=fsc_masks.Tightened() if params.auto_tighten_fsc_mask else fsc_masks.AsMade(),
        molecular_weight_Da=None if weight is None else 1000 * weight,
    )


def _common(params: MapRefinement | Reconstruct) -> dict:
    return {
        "diameter_A": params.particle_diameter_A,
        "box_size": params.box_size,
        "minibatch_size": params.minibatch_size,
        "force_resplit": params.force_resplit,
        "curves": curve_settings(params),
        "sphere": ewald.SPHERES[params.ewald_sphere],
    }
