"""The refinements halfmap offers, as choices of parts. Nothing here iterates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from halfmap.geometry import symmetry
from halfmap.maps import masks
from halfmap.params.curves import CurveSettings
from halfmap.params.homogeneous import Homogeneous
from halfmap.params.nonuniform import LocalFilterSettings, Nonuniform
from halfmap.params.reconstruct import Reconstruct
from halfmap.reconstruct import ewald
from halfmap.reconstruct.nonuniform import SHAPES, Butterworth, CrossValidated, Everywhere
from halfmap.refine import laying, masking, maximisation, noises, optics, relaxation, scales, schedules, start
from halfmap.refine.recipe import Recipe
from halfmap.types import Map
from halfmap.validate import fsc_masks, fsc_report

REFITS = 4  # looks at the CTF at most; two or three settle it
SUBSET = 10_000  # particles of the first iteration: a map to 20 A needs fewer, but searching so many takes seconds


def homogeneous(params: Homogeneous, mask: Map | None = None, fsc_mask: Map | None = None) -> Recipe:
    """Global search once, Gauss-Newton afterwards, FSC filter, mask of the user's choice.

    ``mask``, ``fsc_mask``: those the settings name. The latter judges the resolution, without it the former.
    """
    group = symmetry.group(params.symmetry)
    return Recipe(
        group=group,
        relaxation=relaxation.method(params.relax_symmetry, group),
        start=start.FromMap(params.initial_lowpass, params.reestimate_greyscale,
                            start.OntoAxes() if params.align_symmetry else start.AsGiven()),
        schedule=schedules.Marching(params.initial_lowpass, params.max_align_resolution, params.extra_final_passes,
                                    params.max_iterations, subsets=_subsets(params),
                                    min_align_A=params.min_align_resolution,
                                    refits=REFITS if optics.CtfRefinement.of(params) else 0),
        mask=reference_mask(params, mask),
        judge=judging_mask(params, mask, fsc_mask),
        prior=_prior(params),
        laying=laying.AtPosterior() if params.marginalization else laying.AtBest(),
        noise=noises.MODELS[params.noise_model](params.noise_prior_weight, params.noise_initial_scale),
        lens=optics.CtfRefinement.of(params),
        scale=_scale(params),
        candidates=params.candidates,
        offset_range_A=params.offset_range_A,
        **_common(params),
    )


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


def _prior(params: Homogeneous) -> maximisation.FscPrior:
    kind = maximisation.NonNegative if params.non_negative else maximisation.FscPrior
    return kind(params.gsfsc_split_resolution)


def _subsets(params: Homogeneous):
    if not params.early_subsets:
        return schedules.Everyone()
    return schedules.Subsets(params.subset_size or SUBSET, params.subset_growth)


def _scale(params: Homogeneous):
    if params.per_particle_scale:
        return scales.Fitted(params.scale_start_iteration, params.scale_reset)
    return scales.Unit() if params.scale_reset else scales.AsGiven()


def reference_mask(params: Homogeneous, given: Map | None) -> masking.MaskPart:
    """The mask of the reference that the settings ask for."""
    if given is not None:
        inner = _static(params, given)
    else:
        inner = masking.NoMask() if params.mask == "none" else _dynamic(params)
    return masking.Windowed(inner) if params.window_structure else inner


def _static(params: Homogeneous, given: Map) -> masking.MaskPart:
    static = masking.StaticMask(given, f"given mask {Path(params.mask).name}")
    start = params.mask_start_resolution
    return static if start is None else masking.Later(static, start)


def _dynamic(params: Homogeneous) -> masking.MaskPart:
    strength = masks.absolute if params.dynamic_mask_use_abs else masks.positive
    last = (params.dynamic_mask_start_resolution, params.dynamic_mask_threshold, strength)
    if params.dynamic_mask_scaling == "resolution":
        return masking.ScaledMask(params.dynamic_mask_near_factor, params.dynamic_mask_far_factor, *last)
    return masking.DynamicMask(params.dynamic_mask_near, params.dynamic_mask_far, *last)


def judging_mask(params: Homogeneous, mask: Map | None, fsc_mask: Map | None) -> masking.MaskPart | None:
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


def _common(params: Homogeneous | Reconstruct) -> dict:
    return {
        "diameter_A": params.particle_diameter_A,
        "box_size": params.box_size,
        "minibatch_size": params.minibatch_size,
        "force_resplit": params.force_resplit,
        "curves": curve_settings(params),
        "sphere": ewald.SPHERES[params.ewald_sphere],
    }
