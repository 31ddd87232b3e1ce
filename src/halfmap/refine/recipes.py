"""The refinements halfmap offers, as choices of parts. Nothing here iterates."""

from __future__ import annotations

import numpy as np

from halfmap.geometry import symmetry
from halfmap.params.homogeneous import Homogeneous
from halfmap.params.reconstruct import Reconstruct
from halfmap.refine import masking, maximisation, noises, scales, schedules, start
from halfmap.refine.recipe import Recipe

SUBSET = 10_000  # particles of the first iteration: a map to 20 A needs fewer, but searching so many takes seconds


def homogeneous(params: Homogeneous) -> Recipe:
    """Global search once, Gauss-Newton afterwards, FSC filter, mask of the user's choice."""
    dynamic = masking.DynamicMask(params.dynamic_mask_near, params.dynamic_mask_far,
                                  params.dynamic_mask_start_resolution, params.dynamic_mask_threshold)
    return Recipe(
        group=symmetry.group(params.symmetry),
        start=start.FromMap(params.initial_lowpass, params.reestimate_greyscale),
        schedule=schedules.Marching(params.initial_lowpass, params.max_align_resolution, params.extra_final_passes,
                                    params.max_iterations, subsets=_subsets(params),
                                    min_align_A=params.min_align_resolution),
        mask=masking.NoMask() if params.mask == "none" else dynamic,
        prior=_prior(params),
        noise=noises.MODELS[params.noise_model](params.noise_prior_weight, params.noise_initial_scale),
        scale=_scale(params),
        candidates=params.candidates,
        offset_range_A=params.offset_range_A,
        **_common(params),
    )


def reconstruction(params: Reconstruct) -> Recipe:
    """One pass over the particles with the poses they have."""
    return Recipe(
        group=symmetry.group(params.symmetry),
        start=start.FromPoses(),
        schedule=schedules.OnePass(),
        mask=masking.SphereMask(),
        prior=maximisation.FscPrior(np.inf),
        noise=noises.Symmetric(),
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
    return scales.Unit()


def _common(params: Homogeneous | Reconstruct) -> dict:
    return {
        "diameter_A": params.particle_diameter_A,
        "box_size": params.box_size,
        "minibatch_size": params.minibatch_size,
        "force_resplit": params.force_resplit,
    }
