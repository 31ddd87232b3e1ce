"""Refinements as choices of parts. A recipe is frozen and can be printed; it does not iterate."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from halfmap.geometry import symmetry
from halfmap.params.homogeneous import Homogeneous
from halfmap.refine.batches import Frame
from halfmap.refine.maximisation import DynamicMask, FscPrior, NoMask, SphereMask, StaticMask
from halfmap.refine.schedules import Schedule
from halfmap.types import Map

LEAST_OFFSET_A = 15.0


@dataclass(frozen=True)
class Recipe:
    """Parts of a refinement."""

    group: np.ndarray  # (g, 3, 3)
    schedule: Schedule
    mask: object  # SphereMask | DynamicMask | StaticMask | NoMask
    prior: FscPrior
    candidates: int
    offset_range_A: float | None
    diameter_A: float | None
    box_size: int | None
    minibatch_size: int | None
    reestimate_greyscale: bool
    force_resplit: bool
    round_mask: SphereMask = field(default_factory=SphereMask)

    def with_mask(self, mask: Map | None) -> Recipe:
        """The same with the user's own mask, where there is one."""
        return self if mask is None else replace(self, mask=StaticMask(mask))

    def offset_range(self, frame: Frame) -> float:
        """Search radius for shifts, A."""
        return self.offset_range_A or max(LEAST_OFFSET_A, 0.1 * frame.diameter_A)

    def fsc_mask(self, mask: Map) -> np.ndarray | None:
        """The user's mask also judges the resolution; any other mask is made anew for that."""
        return mask.data if isinstance(self.mask, StaticMask) else None


def homogeneous(params: Homogeneous) -> Recipe:
    """Global search once, Gauss-Newton afterwards, FSC filter, mask of the user's choice."""
    dynamic = DynamicMask(params.dynamic_mask_near, params.dynamic_mask_far, params.dynamic_mask_start_resolution,
                          params.dynamic_mask_threshold)
    return Recipe(
        group=symmetry.group(params.symmetry),
        schedule=Schedule(params.initial_lowpass, params.max_align_resolution, params.extra_final_passes,
                          params.max_iterations),
        mask=NoMask() if params.mask == "none" else dynamic,
        prior=FscPrior(params.gsfsc_split_resolution),
        candidates=params.candidates,
        offset_range_A=params.offset_range_A,
        diameter_A=params.particle_diameter_A,
        box_size=params.box_size,
        minibatch_size=params.minibatch_size,
        reestimate_greyscale=params.reestimate_greyscale,
        force_resplit=params.force_resplit,
    )
